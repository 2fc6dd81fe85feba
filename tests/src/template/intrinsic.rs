//! CloudFormation's own functions, those that decide what a variable is.

use std::collections::BTreeMap;

use serde_json::Value;

/// What names stand for.
type World = BTreeMap<String, String>;

/// The text that `value` becomes; `None` for `AWS::NoValue`, which takes away what it is the value of.
///
/// # Errors
/// When it names something that `world` does not have, or is not known here; in words.
pub(super) fn resolve(value: &Value, world: &World, conditions: &Value) -> Result<Option<String>, String> {
    if let Some(text) = text(value) {
        return Ok(Some(text));
    }
    let (name, argument) = only_entry(value)?;
    match name {
        "Ref" if argument == "AWS::NoValue" => Ok(None),
        "Ref" => lookup(word(argument)?, world).map(Some),
        "Fn::GetAtt" => lookup(&attribute(argument)?, world).map(Some),
        "Fn::Sub" => substitute(word(argument)?, world).map(Some),
        "Fn::If" => {
            let [condition, yes, no] = items(argument)?;
            let chosen = if holds(condition, world, conditions)? { yes } else { no };
            resolve(chosen, world, conditions)
        }
        other => Err(format!("{other} is not known here")),
    }
}

/// A scalar as CloudFormation makes text of it.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    }
}

/// Whether a condition holds: one with a name, or one written down in place.
pub(super) fn holds(condition: &Value, world: &World, conditions: &Value) -> Result<bool, String> {
    if let Some(name) = condition.as_str() {
        let named = conditions.get(name).ok_or_else(|| format!("there is no condition {name}"))?;
        return holds(named, world, conditions);
    }
    let (name, argument) = only_entry(condition)?;
    let all = || argument.as_array().ok_or_else(|| format!("{name} wants a list"));
    let each = |condition: &Value| holds(condition, world, conditions);
    match name {
        "Condition" => each(argument),
        "Fn::Not" => all()?
            .first()
            .map_or_else(|| Err("Fn::Not wants one condition".to_owned()), |one| Ok(!each(one)?)),
        "Fn::And" => all()?.iter().try_fold(true, |so_far, one| Ok(so_far && each(one)?)),
        "Fn::Or" => all()?.iter().try_fold(false, |so_far, one| Ok(so_far || each(one)?)),
        "Fn::Equals" => {
            let [left, right] = items(argument)?;
            Ok(resolve(left, world, conditions)? == resolve(right, world, conditions)?)
        }
        other => Err(format!("{other} is no condition")),
    }
}

/// Replaces each `${Name}` and `${Name.Attribute}`; `${!Name}` is the text `${Name}`.
fn substitute(text: &str, world: &World) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        let (name, after) = after[2..].split_once('}').ok_or_else(|| format!("no end of ${{ in {text}"))?;
        result.push_str(before);
        match name.strip_prefix('!') {
            Some(literal) => result.push_str(&format!("${{{literal}}}")),
            None => result.push_str(&lookup(name, world)?),
        }
        rest = after;
    }
    Ok(result + rest)
}

fn lookup(name: &str, world: &World) -> Result<String, String> {
    world.get(name).cloned().ok_or_else(|| format!("nothing says what {name} is"))
}

/// `A.B`, however it was written.
fn attribute(argument: &Value) -> Result<String, String> {
    match argument {
        Value::Array(parts) => Ok(parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(".")),
        other => word(other).map(str::to_owned),
    }
}

fn only_entry(value: &Value) -> Result<(&str, &Value), String> {
    let mut entries = value.as_object().into_iter().flatten();
    match (entries.next(), entries.next()) {
        (Some((name, argument)), None) => Ok((name, argument)),
        _ => Err(format!("neither text nor a function: {value}")),
    }
}

fn word(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("not a name: {value}"))
}

fn items<const N: usize>(value: &Value) -> Result<&[Value; N], String> {
    let items = value.as_array().and_then(|items| items.as_slice().try_into().ok());
    items.ok_or_else(|| format!("not {N} things: {value}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: &Value, expected: Result<Option<&str>, &str>) {
        let world =
            [("A", "a"), ("B.C", "c"), ("Empty", "")].map(|(name, value)| (name.into(), value.into()));
        let conditions = json!({
            "Yes": { "Fn::Equals": [{ "Ref": "A" }, "a"] },
            "No": { "Fn::Not": [{ "Condition": "Yes" }] },
            "Both": { "Fn::And": [{ "Condition": "Yes" }, { "Condition": "No" }] },
            "Any": { "Fn::Or": [{ "Condition": "No" }, { "Condition": "Yes" }] },
        });
        let found = resolve(value, &world.into(), &conditions);
        assert_eq!(found, expected.map(|text| text.map(str::to_owned)).map_err(str::to_owned), "{value}");
    }

    #[test]
    fn values() {
        check(&json!("plain"), Ok(Some("plain")));
        check(&json!(10), Ok(Some("10")));
        check(&json!({ "Ref": "A" }), Ok(Some("a")));
        check(&json!({ "Ref": "AWS::NoValue" }), Ok(None));
        check(&json!({ "Ref": "Z" }), Err("nothing says what Z is"));
        check(&json!({ "Fn::GetAtt": "B.C" }), Ok(Some("c")));
        check(&json!({ "Fn::GetAtt": ["B", "C"] }), Ok(Some("c")));
        check(&json!({ "Fn::Sub": "x-${A}-${B.C}-${!A}" }), Ok(Some("x-a-c-${A}")));
        check(&json!({ "Fn::Sub": "${A" }), Err("no end of ${ in ${A"));
        check(&json!({ "Fn::Base64": "x" }), Err("Fn::Base64 is not known here"));
        check(&json!(["x"]), Err("neither text nor a function: [\"x\"]"));
    }

    #[test]
    fn choices() {
        for (condition, chosen) in [("Yes", "1"), ("No", "2"), ("Both", "2"), ("Any", "1")] {
            check(&json!({ "Fn::If": [condition, "1", "2"] }), Ok(Some(chosen)));
        }
        check(&json!({ "Fn::If": ["Maybe", "1", "2"] }), Err("there is no condition Maybe"));
    }
}
