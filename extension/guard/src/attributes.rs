//! Which attributes may go on, and how many values they may have: `PREFREEZE_ATTRIBUTES`.
//!
//! ```json
//! {"deny": ["debug.*"], "limit": {"user.id": {"distinct": 1000, "then": "hash"}, "cart.*": {"length": 256}},
//!  "names": 200, "dimensions": 200}
//! ```

use serde_json::{Map, Value};

use crate::cardinality::{Cardinality, Identifier};
use crate::hash::Hasher;
use crate::keys::{Verdict, hash};
use crate::names::{Bounded, OTHER, template};

/// Different names of spans in one environment, by default: more make every table by operation useless.
const NAMES: usize = 200;
/// Different values of one dimension of a metric in one environment, by default.
const DIMENSIONS: usize = 200;
/// Rules of one kind.
const RULES_MAX: usize = 100;
/// Bounds that a setting may ask for: a hash of each admitted value is kept.
const BOUND_MAX: u64 = 10_000;
/// Dimensions whose values are kept count of; those of further ones pass as one.
const DIMENSIONS_KEPT: usize = 64;

/// A key, or the beginning of keys where it ends in `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern(String);

impl Pattern {
    fn is_met(&self, key: &[u8]) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => key.starts_with(beginning.as_bytes()),
            None => key == self.0.as_bytes(),
        }
    }

    /// Whether it names the key in full: a rule that does may be about a semantic convention.
    fn is_exact(&self) -> bool {
        !self.0.ends_with('*')
    }
}

/// What is done with the values of a key that has too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Report,
    Hash,
    Truncate,
    Drop,
}

/// A rule on the values of a key.
#[derive(Clone, Debug)]
struct Limit {
    key: Pattern,
    /// More different values are too many; `None` when an identifier's are.
    distinct: Option<u64>,
    then: Then,
    /// Bytes of a value, 0 for no bound of its own; when its values are too many, if it truncates.
    length: usize,
}

/// The rules on attributes.
#[derive(Debug, Default)]
pub struct Attributes {
    allow: Option<Vec<Pattern>>,
    deny: Vec<Pattern>,
    limits: Vec<Limit>,
    /// Whether a rule with `*` holds for semantic conventions too.
    covers_conventions: bool,
    names: usize,
    dimensions: usize,
}

impl Attributes {
    /// Reads the rules. Each fault is named with its place, and the rest holds; what cannot be read at all is
    /// one fault and no rules.
    pub fn parse(text: &str) -> (Option<Self>, Vec<String>) {
        let rules = match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(rules)) => rules,
            Ok(_) => return (None, vec!["not a JSON object".into()]),
            Err(error) => {
                return (None, vec![format!("not JSON, line {} column {}", error.line(), error.column())]);
            }
        };
        let mut attributes = Self { names: NAMES, dimensions: DIMENSIONS, ..Self::default() };
        let mut faults = Vec::new();
        for (word, value) in &rules {
            if let Err(why) = attributes.add(word, value, &mut faults) {
                faults.push(format!("{word}: {why}"));
            }
        }
        (Some(attributes), faults)
    }

    fn add(&mut self, word: &str, value: &Value, faults: &mut Vec<String>) -> Result<(), String> {
        match word {
            "allow" => self.allow = Some(patterns(word, value, faults)?),
            "deny" => self.deny = patterns(word, value, faults)?,
            "limit" => self.limits = limits(value, faults)?,
            "names" => self.names = bound(value)? as usize,
            "dimensions" => self.dimensions = bound(value)? as usize,
            "semantic_conventions" => {
                self.covers_conventions = value.as_bool().ok_or("neither true nor false")?;
            }
            _ => {
                return Err(
                    "no such word; there are allow, deny, limit, names, dimensions, semantic_conventions"
                        .into(),
                );
            }
        }
        Ok(())
    }

    /// What the rules say of `key`; `is_convention` when a semantic convention names it.
    pub(crate) fn verdict(&self, key: &[u8], is_convention: bool) -> Verdict {
        let covers = |pattern: &Pattern| {
            pattern.is_met(key) && (!is_convention || self.covers_conventions || pattern.is_exact())
        };
        if self.deny.iter().any(covers) {
            return Verdict::Deny;
        }
        let is_allowed = |allow: &Vec<Pattern>| allow.iter().any(|pattern| pattern.is_met(key));
        let is_spared = is_convention && !self.covers_conventions;
        if self.allow.as_ref().is_some_and(|allow| !is_spared && !is_allowed(allow)) {
            return Verdict::Deny;
        }
        let limit = self.limits.iter().position(|limit| covers(&limit.key));
        limit.map_or(Verdict::Keep, |index| Verdict::Limit(index as u8))
    }
}

fn patterns(word: &str, value: &Value, faults: &mut Vec<String>) -> Result<Vec<Pattern>, String> {
    let list = value.as_array().ok_or("not a list")?;
    let mut patterns = Vec::new();
    for (index, pattern) in list.iter().enumerate() {
        match pattern.as_str().map(pattern_of) {
            Some(Ok(pattern)) if patterns.len() < RULES_MAX => patterns.push(pattern),
            Some(Ok(_)) => faults.push(format!("{word} {}: more than {RULES_MAX}", index + 1)),
            Some(Err(why)) => faults.push(format!("{word} {}: {why}", index + 1)),
            None => faults.push(format!("{word} {}: not a text", index + 1)),
        }
    }
    Ok(patterns)
}

fn pattern_of(text: &str) -> Result<Pattern, String> {
    let has_star_inside = text.trim_end_matches('*').contains('*') || text.ends_with("**");
    if text.is_empty() || has_star_inside {
        return Err("not a key, or the beginning of keys with one * behind it".into());
    }
    Ok(Pattern(text.to_owned()))
}

fn limits(value: &Value, faults: &mut Vec<String>) -> Result<Vec<Limit>, String> {
    let rules = value.as_object().ok_or("not an object")?;
    let mut limits = Vec::new();
    for (key, rule) in rules {
        match limit(key, rule) {
            Ok(limit) if limits.len() < RULES_MAX => limits.push(limit),
            Ok(_) => faults.push(format!("limit {key:?}: more than {RULES_MAX}")),
            Err(why) => faults.push(format!("limit {key:?}: {why}")),
        }
    }
    Ok(limits)
}

fn limit(key: &str, rule: &Value) -> Result<Limit, String> {
    let rule: &Map<String, Value> = rule.as_object().ok_or("not an object")?;
    if let Some(unknown) = rule.keys().find(|word| !["distinct", "then", "length"].contains(&&***word)) {
        return Err(format!("no such word: {unknown:?}"));
    }
    let length = rule.get("length").map(bound).transpose()?.unwrap_or(0) as usize;
    let then = match rule.get("then").map(|word| word.as_str().unwrap_or_default()) {
        None if length > 0 => Then::Truncate,
        None | Some("report") => Then::Report,
        Some("hash") => Then::Hash,
        Some("truncate") => Then::Truncate,
        Some("drop") => Then::Drop,
        Some(_) => return Err("then is not one of report, hash, truncate, drop".into()),
    };
    if then == Then::Truncate && length == 0 {
        return Err("to truncate it needs a length".into());
    }
    // A length alone holds from the first value on.
    let default = (length > 0 && rule.get("then").is_none()).then_some(0);
    let distinct = rule.get("distinct").map(bound).transpose()?.or(default);
    Ok(Limit { key: pattern_of(key)?, distinct, then, length })
}

fn bound(value: &Value) -> Result<u64, String> {
    value.as_u64().filter(|bound| *bound <= BOUND_MAX).ok_or(format!("not a whole number up to {BOUND_MAX}"))
}

/// What becomes of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Keep,
    Drop,
    /// Its text is cut to so many bytes.
    Cut(usize),
    /// A text takes its place.
    Become(Vec<u8>),
}

/// The rules at work, and what they know of the values seen.
#[derive(Debug)]
pub(crate) struct Census {
    rules: Attributes,
    cardinality: Cardinality,
    /// The names of spans.
    names: Bounded,
    /// The values of dimensions, by the hash of their key.
    dimensions: Vec<(u64, Bounded)>,
    pub(crate) counts: Counts,
}

/// What rules on attributes have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Attributes left out.
    pub dropped: u64,
    /// Values hashed or cut.
    pub changed: u64,
    /// Names of spans in which `{id}` stands for an id.
    pub templated: u64,
    /// Names of spans beyond the bound.
    pub other_names: u64,
    /// Values of dimensions beyond theirs.
    pub other_values: u64,
}

impl Census {
    pub(crate) fn new(rules: Attributes) -> Self {
        let (names, dimensions) = (Bounded::default(), Vec::new());
        Self { rules, cardinality: Cardinality::new(), names, dimensions, counts: Counts::default() }
    }

    pub(crate) fn verdict(&self, key: &[u8], is_convention: bool) -> Verdict {
        self.rules.verdict(key, is_convention)
    }

    /// What becomes of the attribute `key` of a span, event, link or log record.
    pub(crate) fn value(
        &mut self,
        key: &[u8],
        value: &[u8],
        verdict: Verdict,
        hasher: Option<&Hasher>,
    ) -> Fate {
        let known = self.cardinality.observe(key, value);
        let Verdict::Limit(index) = verdict else { return Fate::Keep };
        let limit = &self.rules.limits[usize::from(index)];
        let is_too_much = match limit.distinct {
            Some(0) => true,
            Some(bound) => known.distinct > bound as f64,
            None => known.is_identifier,
        };
        match (limit.then, hasher) {
            _ if !is_too_much => Fate::Keep,
            (Then::Report, _) => Fate::Keep,
            (Then::Truncate, _) => Fate::Cut(limit.length),
            (Then::Hash, Some(hasher)) => {
                self.counts.changed += 1;
                Fate::Become(hasher.hash(value))
            }
            // Without a key a hash could be undone by trying.
            (Then::Drop | Then::Hash, _) => {
                self.counts.dropped += 1;
                Fate::Drop
            }
        }
    }

    /// What becomes of the dimension `key` of a metric's point.
    pub(crate) fn dimension(&mut self, key: &[u8], value: &[u8]) -> Fate {
        self.cardinality.observe(key, value);
        let max = self.rules.dimensions;
        if max == 0 {
            return Fate::Keep;
        }
        let key = hash(key);
        let place = self.dimensions.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            if self.dimensions.len() < DIMENSIONS_KEPT {
                self.dimensions.push((key, Bounded::default()));
            }
            self.dimensions.len() - 1
        });
        if self.dimensions[place].1.admits(value, max) {
            return Fate::Keep;
        }
        self.counts.other_values += 1;
        Fate::Become(OTHER.to_vec())
    }

    /// What becomes of a span's name; `None` when it stays.
    pub(crate) fn name(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        if self.rules.names == 0 {
            return None;
        }
        let made = template(name);
        self.counts.templated += u64::from(made.is_some());
        if name == OTHER || self.names.admits(made.as_deref().unwrap_or(name), self.rules.names) {
            return made;
        }
        self.counts.other_names += 1;
        Some(OTHER.to_vec())
    }

    /// The keys that turned out to be identifiers since this was last asked.
    pub(crate) fn take_identifiers(&mut self) -> Vec<Identifier> {
        self.cardinality.take_found()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Attributes {
        let (rules, faults) = Attributes::parse(text);
        assert_eq!(faults, Vec::<String>::new());
        rules.expect("rules")
    }

    #[test]
    fn patterns_leave_semantic_conventions_alone_unless_they_name_them() {
        let deny = rules(r#"{"deny":["debug.*","http.*","url.full"]}"#);
        assert_eq!(deny.verdict(b"debug.x", false), Verdict::Deny);
        assert_eq!(deny.verdict(b"http.route", true), Verdict::Keep);
        assert_eq!(deny.verdict(b"url.full", true), Verdict::Deny);
        let allow = rules(r#"{"allow":["payment.*"]}"#);
        assert_eq!(allow.verdict(b"payment.id", false), Verdict::Keep);
        assert_eq!(allow.verdict(b"other", false), Verdict::Deny);
        assert_eq!(allow.verdict(b"http.route", true), Verdict::Keep);
        let all = rules(r#"{"allow":["payment.*"],"semantic_conventions":true}"#);
        assert_eq!(all.verdict(b"http.route", true), Verdict::Deny);
    }

    #[test]
    fn faults_are_named_by_their_place() {
        let text = r#"{"deny":["a*b",7,"ok"],"limit":{"x":{"then":"burn"},"y":{"then":"truncate"},"z":{"distinct":5}},
            "names":-1,"lmit":{}}"#;
        let (rules, faults) = Attributes::parse(text);
        let rules = rules.expect("the rest holds");
        assert_eq!((rules.deny.len(), rules.limits.len()), (1, 1));
        assert_eq!(faults.len(), 6, "{faults:#?}");
        assert!(Attributes::parse("[]").0.is_none());
    }

    #[test]
    fn too_many_values_meet_their_fate() {
        let hasher = Hasher::new(b"key");
        let rules = rules(
            r#"{"limit":{"a":{"distinct":10,"then":"drop"},"b":{"then":"hash"},"c":{"length":5},"d":{"distinct":10}}}"#,
        );
        let mut census = Census::new(rules);
        let mut fates = |key: &[u8], count: u32, hasher: Option<&Hasher>| {
            let verdict = census.verdict(key, false);
            (0..count)
                .map(|value| census.value(key, &value.to_le_bytes(), verdict, hasher))
                .collect::<Vec<_>>()
        };
        let dropped = fates(b"a", 100, None);
        assert_eq!((&dropped[5], &dropped[99]), (&Fate::Keep, &Fate::Drop));
        let hashed = fates(b"b", 300, Some(&hasher));
        assert_eq!(hashed[10], Fate::Keep);
        assert!(matches!(hashed[299], Fate::Become(_)));
        assert_eq!(fates(b"c", 1, None), [Fate::Cut(5)]);
        assert_eq!(fates(b"d", 100, None)[99], Fate::Keep, "reported, no more");
    }

    #[test]
    fn a_dimension_has_so_many_values_and_one_for_the_rest() {
        let mut census = Census::new(rules(r#"{"dimensions":3}"#));
        let fates: Vec<_> = (0..5_u8).map(|value| census.dimension(b"user", &[value])).collect();
        assert_eq!(fates[2], Fate::Keep);
        assert_eq!(fates[3..], [Fate::Become(b"other".to_vec()), Fate::Become(b"other".to_vec())]);
        assert_eq!(census.dimension(b"user", &[1]), Fate::Keep);
    }

    #[test]
    fn names_become_templates_and_then_one_name() {
        let mut census = Census::new(rules(r#"{"names":2}"#));
        assert_eq!(census.name(b"GET /users/1").as_deref(), Some(&b"GET /users/{id}"[..]));
        assert_eq!(census.name(b"GET /users/2").as_deref(), Some(&b"GET /users/{id}"[..]));
        assert_eq!(census.name(b"two"), None);
        assert_eq!(census.name(b"three").as_deref(), Some(&b"other"[..]));
        assert_eq!(census.name(b"two"), None);
        assert_eq!(census.name(b"other"), None, "once is enough");
    }
}
