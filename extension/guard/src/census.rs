//! The rules on attributes at work: what is known of the keys, names and dimensions seen so far, and what follows.

use wire::proto::fields;

use crate::attributes::{Attributes, Templates, Then};
use crate::cardinality::{Cardinality, Identifier};
use crate::keys::{Verdict, hash};
use crate::names::{Bounded, OTHER, template};
use crate::turns::Turns;

/// Dimensions whose values are kept count of; those of further ones pass as one.
const DIMENSIONS_KEPT: usize = 64;

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
    /// Data points that became part of another, because a rule made them alike.
    pub merged_points: u64,
    /// Keys that turned out to be identifiers.
    pub identifiers: u64,
}

/// See the module. Some 170 KB at most, none of it before the first value.
#[derive(Debug)]
pub(crate) struct Census {
    rules: Attributes,
    cardinality: Cardinality,
    /// The names of spans that pass as they are.
    names: Bounded,
    /// The templates that stand for further ones.
    templates: Bounded,
    /// The values of dimensions, by the hash of their key.
    dimensions: Vec<(u64, Bounded)>,
    /// The spans and records whose attributes are looked at, where no rule needs them all.
    pub(crate) turns: Turns,
    pub(crate) counts: Counts,
}

impl Census {
    pub(crate) fn new(rules: Attributes) -> Self {
        Self {
            rules,
            cardinality: Cardinality::default(),
            names: Bounded::default(),
            templates: Bounded::default(),
            dimensions: Vec::new(),
            turns: Turns::default(),
            counts: Counts::default(),
        }
    }

    /// Whether attributes of spans may change, and not only be counted.
    pub(crate) const fn rules_attributes(&self) -> bool {
        self.rules.is_ruling()
    }

    pub(crate) fn verdict(&self, key: &[u8], is_convention: bool) -> Verdict {
        self.rules.verdict(key, is_convention)
    }

    /// Takes note of a value that stays as it is.
    pub(crate) fn note(&mut self, key: &[u8], value: &[u8]) {
        self.cardinality.observe(key, value);
    }

    /// What becomes of the attribute `key` of a span, event, link or log record.
    pub(crate) fn value(&mut self, key: &[u8], value: &[u8], verdict: Verdict) -> Fate {
        let known = self.cardinality.observe(key, value);
        let Verdict::Limit(index) = verdict else { return Fate::Keep };
        let limit = &self.rules.limits[usize::from(index)];
        let is_too_much = match limit.distinct {
            Some(0) => true,
            Some(bound) => known.distinct > bound as f64,
            None => known.is_identifier,
        };
        match (limit.then, &self.rules.hasher) {
            _ if !is_too_much => Fate::Keep,
            (Then::Report, _) => Fate::Keep,
            (Then::Truncate, _) => Fate::Cut(limit.length),
            (Then::Hash, Some(hasher)) => {
                self.counts.changed += 1;
                Fate::Become(hasher.hash(text_of(value)))
            }
            // Without a key a hash could be undone by trying; the setting was named as one that cannot be met.
            (Then::Drop | Then::Hash, _) => {
                self.counts.dropped += 1;
                Fate::Drop
            }
        }
    }

    /// What becomes of the dimension `key` of a metric's point; `is_convention` when a semantic convention names it.
    pub(crate) fn dimension(&mut self, key: &[u8], value: &[u8], is_convention: bool) -> Fate {
        self.cardinality.observe(key, value);
        let max = self.rules.dimensions;
        if max == 0 || (is_convention && !self.rules.covers_conventions) {
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

    /// Whether a span's name stays as it is, told fast where it does.
    pub(crate) fn passes(&mut self, name: &[u8]) -> bool {
        let (max, templates) = (self.rules.names, self.rules.templates);
        max == 0 || (templates == Templates::Beyond && self.names.admits(name, max))
    }

    /// What becomes of a span's name; `None` when it stays.
    pub(crate) fn name(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        if self.passes(name) {
            return None;
        }
        let max = self.rules.names;
        let made = template(name);
        let bounded = made.as_deref().unwrap_or(name);
        let is_admitted = match self.rules.templates {
            Templates::Always => self.names.admits(bounded, max),
            // A template that was made, or that came as a name, is known by its text.
            Templates::Beyond => {
                self.names.knows(bounded)
                    || self.templates.knows(bounded)
                    || (made.is_some() && self.templates.admits(bounded, max))
            }
        };
        if is_admitted {
            self.counts.templated += u64::from(made.is_some());
            return made;
        }
        if name == OTHER {
            return None;
        }
        self.counts.other_names += 1;
        Some(OTHER.to_vec())
    }

    /// The keys that turned out to be identifiers since this was last asked.
    pub(crate) fn take_identifiers(&mut self) -> Vec<Identifier> {
        let found = self.cardinality.take_found();
        self.counts.identifiers += found.len() as u64;
        found
    }
}

/// The text of an `AnyValue` that is one, so that a value has the same hash by whichever rule; else all of it.
fn text_of(value: &[u8]) -> &[u8] {
    const TEXT: u32 = 1;
    match fields(value).next() {
        Ok(Some(field)) if field.number == TEXT && field.end == value.len() => field.value.bytes(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(text: &str) -> Census {
        let (rules, faults) = Attributes::parse(text, Some(b"key"));
        assert_eq!(faults, Vec::<String>::new());
        Census::new(rules)
    }

    #[test]
    fn nothing_is_allocated_before_the_first_value_and_never_more_than_170_kib() {
        fn size<T>(list: &Vec<T>) -> usize {
            list.capacity() * size_of::<T>()
        }
        let total = |census: &Census| {
            let bounded: usize = census.dimensions.iter().map(|(_, bounded)| bounded.size()).sum();
            let names = census.names.size() + census.templates.size();
            size(&census.dimensions) + bounded + names + census.cardinality.size()
        };
        let mut census = Census::new(Attributes::default());
        assert_eq!(total(&census), 0);
        for number in 0..100_000_u32 {
            let key = format!("key.{}", number % 5_000);
            census.note(key.as_bytes(), &number.to_le_bytes());
            census.dimension(key.as_bytes(), &number.to_le_bytes(), false);
            census.name(format!("step {number}").as_bytes());
            census.name(format!("GET /{number}/of-{number}/x").as_bytes());
        }
        let most = total(&census);
        assert!((96 << 10..=170 << 10).contains(&most), "{most}");
    }

    #[test]
    fn too_many_values_meet_their_fate() {
        let mut census = census(
            r#"{"limit":{"a":{"distinct":10,"then":"drop"},"b":{"then":"hash"},"c":{"length":5},"d":{"distinct":10}}}"#,
        );
        let mut fates = |key: &[u8], count: u32| {
            let verdict = census.verdict(key, false);
            (0..count).map(|value| census.value(key, &value.to_le_bytes(), verdict)).collect::<Vec<_>>()
        };
        let dropped = fates(b"a", 100);
        assert_eq!((&dropped[5], &dropped[99]), (&Fate::Keep, &Fate::Drop));
        let hashed = fates(b"b", 300);
        assert_eq!(hashed[10], Fate::Keep);
        assert!(matches!(hashed[299], Fate::Become(_)));
        assert_eq!(fates(b"c", 1), [Fate::Cut(5)]);
        assert_eq!(fates(b"d", 100)[99], Fate::Keep, "reported, no more");
    }

    #[test]
    fn a_dimension_has_so_many_values_and_one_for_the_rest() {
        let mut census = census(r#"{"dimensions":3}"#);
        let fates: Vec<_> = (0..5_u8).map(|value| census.dimension(b"user", &[value], false)).collect();
        assert_eq!(fates[2], Fate::Keep);
        assert_eq!(fates[3..], [Fate::Become(b"other".to_vec()), Fate::Become(b"other".to_vec())]);
        assert_eq!(census.dimension(b"user", &[1], false), Fate::Keep);
    }

    #[test]
    fn dimensions_of_semantic_conventions_are_bounded_when_that_is_asked_for() {
        for (rules, is_kept) in
            [(r#"{"dimensions":3}"#, true), (r#"{"dimensions":3,"semantic_conventions":true}"#, false)]
        {
            let mut census = census(rules);
            let last = (0..5_u8).map(|value| census.dimension(b"http.route", &[value], true)).last();
            assert_eq!(last == Some(Fate::Keep), is_kept, "{rules}");
        }
    }

    #[test]
    fn names_pass_until_the_bound_then_as_templates_and_then_as_one() {
        let mut census = census(r#"{"names":2}"#);
        let rows = [
            ("GET /users/1", None),
            ("two", None),
            ("GET /users/2", Some("GET /users/{id}")),
            ("GET /users/1", None),
            ("GET /users/{id}", None),
            ("three", Some("other")),
            ("other", None),
            ("GET /orders/7", Some("GET /orders/{id}")),
            ("GET /carts/7", Some("other")),
            ("two", None),
        ];
        for (name, expected) in rows {
            let made = census.name(name.as_bytes()).map(|bytes| String::from_utf8(bytes).expect("ASCII"));
            assert_eq!(made.as_deref(), expected, "{name}");
        }
        assert_eq!((census.counts.templated, census.counts.other_names), (2, 2));
    }

    #[test]
    fn names_become_templates_at_once_where_that_is_asked_for() {
        let mut census = census(r#"{"names":2,"templates":"always"}"#);
        assert_eq!(census.name(b"GET /users/1").as_deref(), Some(&b"GET /users/{id}"[..]));
        assert_eq!(census.name(b"GET /users/2").as_deref(), Some(&b"GET /users/{id}"[..]));
        assert_eq!(census.name(b"two"), None);
        assert_eq!(census.name(b"three").as_deref(), Some(&b"other"[..]));
        assert_eq!(census.name(b"two"), None);
        assert_eq!(census.name(b"other"), None, "once is enough");
    }
}
