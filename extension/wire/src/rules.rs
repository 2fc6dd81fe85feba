//! Sampling rules as people write them, a JSON list, into policy's nouns; what is wrong is named with its place.

use std::fmt;
use std::time::Duration;

use policy::Kind;
use policy::sampling::{Action, Condition, LooksAt, Pattern, Ratio, Rule, Test};
use serde_json::{Map, Value};

/// Rules taken; each is asked about every trace, and a list that is longer is a mistake.
const RULES_MAX: usize = 100;

/// Something wrong in a list of rules, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRule {
    /// The place: `line 2, column 7` where it is no JSON, else a path such as `[1].match.kind`.
    pub place: String,
    /// What is wrong there.
    pub reason: String,
}

impl fmt::Display for BadRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.place, self.reason)
    }
}

/// The rules of `text`, and what is wrong with the others.
///
/// Shape: a rule with anything wrong in it is left out, because half a rule might drop what the whole would
/// not; the others hold, in their order.
pub fn parse(text: &str) -> (Vec<Rule>, Vec<BadRule>) {
    let list = match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(list)) => list,
        Ok(_) => return (Vec::new(), vec![bad("$", "not a list of rules")]),
        Err(error) => {
            let place = format!("line {}, column {}", error.line(), error.column());
            // Its own words end with the place.
            let reason = error.to_string();
            let reason = reason.split(" at line").next().unwrap_or_default().to_owned();
            return (Vec::new(), vec![BadRule { place, reason }]);
        }
    };
    let (mut rules, mut problems) = (Vec::new(), Vec::new());
    for (index, value) in list.iter().enumerate() {
        if rules.len() == RULES_MAX {
            problems.push(bad(&format!("[{index}]"), &format!("more than {RULES_MAX} rules")));
            break;
        }
        match rule(index, value) {
            Ok(rule) => rules.push(rule),
            Err(problem) => problems.push(problem),
        }
    }
    (rules, problems)
}

fn bad(place: &str, reason: &str) -> BadRule {
    BadRule { place: place.to_owned(), reason: reason.to_owned() }
}

fn rule(index: usize, value: &Value) -> Result<Rule, BadRule> {
    let place = format!("[{index}]");
    let fields = value.as_object().ok_or_else(|| bad(&place, "not an object"))?;
    let (mut name, mut looks_at, mut even_failures) = (format!("rule {}", index + 1), LooksAt::Entry, false);
    let (mut when, mut actions) = (Vec::new(), Vec::new());
    for (key, value) in fields {
        let at = format!("{place}.{key}");
        match key.as_str() {
            "name" => text(&at, value)?.clone_into(&mut name),
            "match" => when = conditions(&at, value)?,
            "spans" => looks_at = word(&at, value, &[("entry", LooksAt::Entry), ("any", LooksAt::Any)])?,
            "failures" => even_failures = flag(&at, value)?,
            "ratio" => actions.push(Action::Ratio(ratio(&at, value)?)),
            "per_second" => actions.push(Action::PerSecond(positive(&at, value)?)),
            "keep" | "drop" => {
                if !flag(&at, value)? {
                    return Err(bad(&at, "only true is an action"));
                }
                actions.push(if key == "keep" { Action::Keep } else { Action::Drop });
            }
            _ => return Err(bad(&at, "no such field")),
        }
    }
    let [then] = actions[..] else {
        return Err(bad(&place, "not exactly one of ratio, keep, drop, per_second"));
    };
    if even_failures && then != Action::Drop {
        return Err(bad(&format!("{place}.failures"), "means something beside \"drop\": true only"));
    }
    Ok(Rule { name: name.into(), when, looks_at, then, even_failures })
}

/// The conditions of a rule's `match`, which stands at `place`.
///
/// # Errors
/// With the first thing that is wrong in it.
pub fn conditions(place: &str, value: &Value) -> Result<Vec<Condition>, BadRule> {
    let mut conditions = Vec::new();
    for (key, value) in object(place, value)? {
        let at = format!("{place}.{key}");
        let pattern = || text(&at, value).map(Pattern::new);
        match key.as_str() {
            "name" => conditions.push(Condition::Name(pattern()?)),
            "route" => conditions.push(Condition::Route(pattern()?)),
            "service" => conditions.push(Condition::Service(pattern()?)),
            "trigger" => conditions.push(Condition::Trigger(pattern()?)),
            "kind" => conditions.push(Condition::Kind(word(&at, value, &KINDS)?)),
            "status" => {
                let words = [("error", true), ("ok", false)];
                conditions.push(Condition::IsError(word(&at, value, &words)?));
            }
            "duration_ms" => {
                let (least, most) = range(&at, value)?;
                conditions.extend(least.map(|ms| Condition::AtLeast(millis(ms))));
                conditions.extend(most.map(|ms| Condition::AtMost(millis(ms))));
            }
            "attributes" => {
                for (key, value) in object(&at, value)? {
                    let test = test(&format!("{at}.{key}"), value)?;
                    conditions.push(Condition::Attribute(key.as_str().into(), test));
                }
            }
            _ => return Err(bad(&at, "no such condition")),
        }
    }
    Ok(conditions)
}

const KINDS: [(&str, Kind); 5] = [
    ("server", Kind::Server),
    ("client", Kind::Client),
    ("internal", Kind::Internal),
    ("producer", Kind::Producer),
    ("consumer", Kind::Consumer),
];

fn test(place: &str, value: &Value) -> Result<Test, BadRule> {
    Ok(match value {
        Value::String(text) => Test::Like(Pattern::new(text)),
        Value::Bool(flag) => Test::Flag(*flag),
        Value::Number(_) => Test::Number(number(place, value)?),
        Value::Object(fields) if fields.contains_key("present") && fields.len() == 1 => {
            Test::Present(flag(&format!("{place}.present"), &fields["present"])?)
        }
        Value::Object(_) => {
            let (least, most) = range(place, value)?;
            Test::Between(least.unwrap_or(f64::NEG_INFINITY), most.unwrap_or(f64::INFINITY))
        }
        _ => return Err(bad(place, "not text, a number, a flag, {\"min\", \"max\"} or {\"present\"}")),
    })
}

/// `{"min": …, "max": …}`, of which one may be missing.
fn range(place: &str, value: &Value) -> Result<(Option<f64>, Option<f64>), BadRule> {
    let (mut least, mut most) = (None, None);
    for (key, value) in object(place, value)? {
        let at = format!("{place}.{key}");
        match key.as_str() {
            "min" => least = Some(number(&at, value)?),
            "max" => most = Some(number(&at, value)?),
            _ => return Err(bad(&at, "not one of min, max")),
        }
    }
    if least.is_none() && most.is_none() {
        return Err(bad(place, "neither min nor max"));
    }
    Ok((least, most))
}

fn object<'a>(place: &str, value: &'a Value) -> Result<&'a Map<String, Value>, BadRule> {
    value.as_object().ok_or_else(|| bad(place, "not an object"))
}

fn text<'a>(place: &str, value: &'a Value) -> Result<&'a str, BadRule> {
    value.as_str().ok_or_else(|| bad(place, "not text"))
}

fn flag(place: &str, value: &Value) -> Result<bool, BadRule> {
    value.as_bool().ok_or_else(|| bad(place, "neither true nor false"))
}

fn number(place: &str, value: &Value) -> Result<f64, BadRule> {
    value.as_f64().ok_or_else(|| bad(place, "not a number"))
}

fn positive(place: &str, value: &Value) -> Result<f64, BadRule> {
    Some(number(place, value)?)
        .filter(|number| *number > 0.0)
        .ok_or_else(|| bad(place, "not more than zero; \"drop\": true keeps none"))
}

fn ratio(place: &str, value: &Value) -> Result<Ratio, BadRule> {
    Ratio::new(number(place, value)?).ok_or_else(|| bad(place, "not a number from 0 to 1"))
}

fn word<T: Copy>(place: &str, value: &Value, words: &[(&str, T)]) -> Result<T, BadRule> {
    let given = text(place, value)?;
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(given));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let list: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        bad(place, &format!("not one of {}", list.join(", ")))
    })
}

/// Durations beyond what an invocation may take are as good as for ever.
fn millis(ms: f64) -> Duration {
    Duration::try_from_secs_f64((ms / 1_000.0).clamp(0.0, 1e6)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_rule_is_read() {
        let text = r#"[
            {"name": "health", "match": {"route": "/health*"}, "drop": true, "failures": true},
            {"match": {"name": "pay", "service": "shop", "kind": "server", "trigger": "http", "status": "ok"}, "keep": true},
            {"match": {"duration_ms": {"min": 1.5, "max": 20}}, "spans": "any", "ratio": 0.25},
            {"match": {"attributes": {"tier": "g*", "code": {"min": 500}, "n": 3, "f": true, "x": {"present": false}}}, "per_second": 2},
            {"ratio": 1}
        ]"#;
        let (rules, problems) = parse(text);
        assert_eq!(problems, []);
        let pattern = Pattern::new;
        assert_eq!((&*rules[0].name, rules[0].then, rules[0].even_failures), ("health", Action::Drop, true));
        assert_eq!(rules[0].when, [Condition::Route(pattern("/health*"))]);
        assert_eq!((&*rules[1].name, rules[1].when.len()), ("rule 2", 5));
        let (least, most) = (Duration::from_micros(1_500), Duration::from_millis(20));
        assert_eq!(rules[2].when, [Condition::AtLeast(least), Condition::AtMost(most)]);
        assert_eq!(rules[2].looks_at, LooksAt::Any);
        let attribute = |key: &str, test| Condition::Attribute(key.into(), test);
        for condition in [
            attribute("tier", Test::Like(pattern("g*"))),
            attribute("code", Test::Between(500.0, f64::INFINITY)),
            attribute("n", Test::Number(3.0)),
            attribute("f", Test::Flag(true)),
            attribute("x", Test::Present(false)),
        ] {
            assert!(rules[3].when.contains(&condition), "{condition:?}");
        }
        assert_eq!((rules[4].when.len(), rules[4].then), (0, Action::Ratio(Ratio::ALL)));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_the_rest_holds() {
        let rows = [
            (r#"[{"ratio": 2}]"#, "[0].ratio", "not a number from 0 to 1"),
            (r#"[{"keep": true, "drop": true}]"#, "[0]", "not exactly one of ratio, keep, drop, per_second"),
            (r#"[{"match": {}}]"#, "[0]", "not exactly one of ratio, keep, drop, per_second"),
            (
                r#"[{"match": {"kind": "both"}, "keep": true}]"#,
                "[0].match.kind",
                "not one of server, client, internal, producer, consumer",
            ),
            (r#"[{"match": {"nmae": "x"}, "keep": true}]"#, "[0].match.nmae", "no such condition"),
            (
                r#"[{"match": {"attributes": {"a": null}}, "keep": true}]"#,
                "[0].match.attributes.a",
                "not text, a number, a flag, {\"min\", \"max\"} or {\"present\"}",
            ),
            (
                r#"[{"match": {"duration_ms": {}}, "keep": true}]"#,
                "[0].match.duration_ms",
                "neither min nor max",
            ),
            (r#"[{"per_second": 0}]"#, "[0].per_second", "not more than zero; \"drop\": true keeps none"),
            (r#"[{"keep": false}]"#, "[0].keep", "only true is an action"),
            (
                r#"[{"keep": true, "failures": true}]"#,
                "[0].failures",
                "means something beside \"drop\": true only",
            ),
            (r#"[7]"#, "[0]", "not an object"),
            (r#"{"keep": true}"#, "$", "not a list of rules"),
            ("[\n  {\"keep\": tru}\n]", "line 2, column 15", "expected ident"),
        ];
        for (text, place, reason) in rows {
            let (rules, problems) = parse(text);
            assert_eq!((rules, problems), (Vec::new(), vec![bad(place, reason)]), "{text}");
        }
        let (rules, problems) = parse(r#"[{"keep": true}, {"ratio": -1}, {"drop": true}]"#);
        assert_eq!((rules.len(), problems.len(), &*problems[0].place), (2, 1, "[1].ratio"));
        assert_eq!(&*rules[1].name, "rule 3", "its place in what was written");
    }

    #[test]
    fn a_list_without_an_end_is_cut() {
        let text = format!("[{}]", vec![r#"{"keep": true}"#; 1_000].join(","));
        let (rules, problems) = parse(&text);
        assert_eq!((rules.len(), problems.len()), (RULES_MAX, 1));
    }
}
