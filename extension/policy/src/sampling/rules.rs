//! Rules: what they look at, and what becomes of a trace that they match. The first that matches counts.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::item::Item;
use super::threshold::Ratio;
use crate::facts::{Body, Fact};
use crate::span::Kind;
use crate::time::Duration;

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What people call it.
    pub name: Arc<str>,
    /// What a span must be like; all of it. Without any condition, every span is.
    pub when: Vec<Condition>,
    /// Which spans are looked at.
    pub looks_at: LooksAt,
    /// What becomes of the trace.
    pub then: Action,
    /// Whether a [`Action::Drop`] is meant for failures too: they are kept otherwise.
    pub even_failures: bool,
}

/// Which spans of a trace a rule looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LooksAt {
    /// The one that stands for the invocation.
    #[default]
    Entry,
    /// Each; one that matches is enough.
    Any,
}

/// What becomes of a trace that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// So much of it is kept, by consistent probability.
    Ratio(Ratio),
    /// It is kept.
    Keep,
    /// It is left out, unless it failed or the code asked for it.
    Drop,
    /// So many are kept in a second, and no more.
    PerSecond(f64),
}

/// One thing that a span must be like.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Its name.
    Name(Pattern),
    /// `http.route`, or the older `http.target` where there is none.
    Route(Pattern),
    /// `service.name`.
    Service(Pattern),
    /// `faas.trigger`.
    Trigger(Pattern),
    /// An attribute of it, or of its resource where it has none of this key.
    Attribute(Arc<str>, Test),
    /// Its kind.
    Kind(Kind),
    /// Whether its status is ERROR.
    IsError(bool),
    /// It took at least so long.
    AtLeast(Duration),
    /// It took at most so long.
    AtMost(Duration),
}

/// What an attribute must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Text like this; a number or a flag as it is written.
    Like(Pattern),
    /// This number.
    Number(f64),
    /// This flag.
    Flag(bool),
    /// A number in this range, ends included.
    Between(f64, f64),
    /// There (true), or not there.
    Present(bool),
}

/// Text with `*` for any text and `?` for any one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// The pattern `text`.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether `text` matches. Takes at most the product of both lengths, and most often their sum.
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), text.chars());
        // Where to go on when what follows the last star does not match after all.
        let mut again = None;
        loop {
            let (at_pattern, at_rest) = (pattern.clone(), rest.clone());
            match (pattern.next(), rest.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    again = Some((pattern.clone(), at_rest.clone()));
                    rest = at_rest;
                }
                (Some('?'), Some(_)) => {}
                (Some(one), Some(other)) if one == other => {}
                _ => {
                    drop(at_pattern);
                    let Some((after_star, mut from)) = again.take() else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    (pattern, rest) = (after_star.clone(), from.clone());
                    again = Some((after_star, from));
                }
            }
        }
    }
}

impl Rule {
    /// Whether a trace of `items`, of which `entry` stands for the invocation, is what the rule is about.
    /// `service` is the name of spans whose resource has none.
    pub(crate) fn matches<B: Body>(&self, items: &[Item<B>], entry: usize, service: &str) -> bool {
        let is_meant = |item: &Item<B>| self.when.iter().all(|condition| condition.holds(item, service));
        match self.looks_at {
            LooksAt::Entry => items.get(entry).is_some_and(is_meant),
            LooksAt::Any => items.iter().any(is_meant),
        }
    }
}

impl Condition {
    fn holds<B: Body>(&self, item: &Item<B>, service: &str) -> bool {
        let is_text = |fact: Option<Fact<'_>>, pattern: &Pattern| {
            fact.and_then(Fact::text).is_some_and(|text| pattern.matches(text))
        };
        match self {
            Self::Name(pattern) => pattern.matches(item.name()),
            Self::Route(pattern) => {
                is_text(item.attribute("http.route").or_else(|| item.attribute("http.target")), pattern)
            }
            Self::Service(pattern) => {
                let own = item.resource("service.name").and_then(Fact::text);
                pattern.matches(own.unwrap_or(service))
            }
            Self::Trigger(pattern) => is_text(item.attribute("faas.trigger"), pattern),
            Self::Attribute(key, test) => test.holds(item.attribute(key).or_else(|| item.resource(key))),
            Self::Kind(kind) => item.kind() == *kind,
            Self::IsError(is_error) => item.is_failure() == *is_error,
            Self::AtLeast(duration) => item.end().since(item.start()) >= *duration,
            Self::AtMost(duration) => item.end().since(item.start()) <= *duration,
        }
    }
}

impl Test {
    fn holds(&self, fact: Option<Fact<'_>>) -> bool {
        let Some(fact) = fact else { return *self == Self::Present(false) };
        match self {
            Self::Present(is_there) => *is_there,
            Self::Like(pattern) => match fact {
                Fact::Text(text) => pattern.matches(text),
                Fact::Int(number) => pattern.matches(&alloc::format!("{number}")),
                Fact::Double(number) => pattern.matches(&alloc::format!("{number}")),
                Fact::Flag(flag) => pattern.matches(if flag { "true" } else { "false" }),
            },
            Self::Number(number) => number_of(fact).is_some_and(|own| own == *number),
            Self::Between(least, most) => number_of(fact).is_some_and(|own| (*least..=*most).contains(&own)),
            Self::Flag(flag) => fact == Fact::Flag(*flag),
        }
    }
}

pub(crate) fn number_of(fact: Fact<'_>) -> Option<f64> {
    match fact {
        Fact::Int(number) => Some(number as f64),
        Fact::Double(number) => Some(number),
        Fact::Text(text) => text.trim().parse().ok(),
        Fact::Flag(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        let rows = [
            ("GET /health", "GET /health", true),
            ("GET /health", "GET /healthz", false),
            ("GET /health*", "GET /healthz", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*/pay*", "POST /payments", true),
            ("*a*b*c", "xxaxxbxxbxxc", true),
            ("*a*b*c", "xxaxxcxx", false),
            ("?ay", "pay", true),
            ("?ay", "ay", false),
            ("**", "anything", true),
            ("*é?", "café!", true),
            ("*ab", "aab", true),
        ];
        for (pattern, text, matches) in rows {
            assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn a_pattern_made_to_take_long_does_not() {
        let pattern = Pattern::new(&alloc::format!("{}b", "*a".repeat(50)));
        assert!(!pattern.matches(&"a".repeat(5_000)));
    }

    #[test]
    fn attributes_are_compared_by_what_they_are() {
        let like = |text| Test::Like(Pattern::new(text));
        let rows = [
            (like("go*"), Some(Fact::Text("gold")), true),
            (like("402"), Some(Fact::Int(402)), true),
            (like("true"), Some(Fact::Flag(true)), true),
            (like("*"), None, false),
            (Test::Number(402.0), Some(Fact::Int(402)), true),
            (Test::Number(402.0), Some(Fact::Text("402")), true),
            (Test::Number(402.0), Some(Fact::Flag(true)), false),
            (Test::Between(500.0, 599.0), Some(Fact::Int(503)), true),
            (Test::Between(500.0, 599.0), Some(Fact::Int(499)), false),
            (Test::Between(500.0, 599.0), Some(Fact::Text("none")), false),
            (Test::Flag(false), Some(Fact::Flag(false)), true),
            (Test::Flag(false), None, false),
            (Test::Present(true), Some(Fact::Int(0)), true),
            (Test::Present(false), None, true),
            (Test::Present(false), Some(Fact::Int(0)), false),
        ];
        for (test, fact, holds) in rows {
            assert_eq!(test.holds(fact), holds, "{test:?} {fact:?}");
        }
    }

    /// A span's attributes, and those of its resource.
    #[derive(Clone, Debug, Default)]
    struct Facts(&'static [(&'static str, Fact<'static>)], &'static [(&'static str, Fact<'static>)]);

    impl Body for Facts {
        fn name(&self) -> &'static str {
            "GET /pay"
        }

        fn attribute(&self, key: &str) -> Option<Fact<'_>> {
            self.0.iter().find(|(known, _)| *known == key).map(|(_, fact)| *fact)
        }

        fn resource(&self, key: &str) -> Option<Fact<'_>> {
            self.1.iter().find(|(known, _)| *known == key).map(|(_, fact)| *fact)
        }
    }

    /// A SERVER span of 10 ms.
    fn item(body: Facts) -> Item<Facts> {
        Item::Received(crate::span::Span {
            trace_id: crate::span::TraceId::new([1; 16]).expect("not zero"),
            span_id: crate::span::SpanId::new([1; 8]).expect("not zero"),
            parent: None,
            parent_is_remote: None,
            kind: Kind::Server,
            start: crate::time::UnixNanos(0),
            end: crate::time::UnixNanos(10_000_000),
            is_error: false,
            request_id: None,
            size: 1,
            body,
        })
    }

    #[test]
    fn each_condition_asks_for_one_thing() {
        let like = Pattern::new;
        let plain = Facts::default;
        let route: &'static [_] = &[("http.target", Fact::Text("/old")), ("http.route", Fact::Text("/new"))];
        let of_resource = Facts(
            &[("a", Fact::Int(1))],
            &[("service.name", Fact::Text("shop")), ("a", Fact::Int(2)), ("b", Fact::Int(3))],
        );
        let number = |key: &str, number| Condition::Attribute(key.into(), Test::Number(number));
        let ms = Duration::from_millis;
        let rows = [
            (Condition::Name(like("GET *")), plain(), true),
            (Condition::Name(like("POST *")), plain(), false),
            (Condition::Route(like("/new")), Facts(route, &[]), true),
            (Condition::Route(like("/old")), Facts(route, &[]), false),
            (Condition::Route(like("/old")), Facts(&route[..1], &[]), true),
            (Condition::Route(like("*")), plain(), false),
            (Condition::Service(like("shop")), of_resource.clone(), true),
            (Condition::Service(like("default")), plain(), true),
            (Condition::Service(like("default")), of_resource.clone(), false),
            (Condition::Trigger(like("http")), Facts(&[("faas.trigger", Fact::Text("http"))], &[]), true),
            (Condition::Trigger(like("*")), Facts(&[("faas.trigger", Fact::Int(1))], &[]), false),
            (number("a", 1.0), of_resource.clone(), true),
            (number("a", 2.0), of_resource.clone(), false),
            (number("b", 3.0), of_resource, true),
            (Condition::Kind(Kind::Server), plain(), true),
            (Condition::Kind(Kind::Client), plain(), false),
            (Condition::IsError(false), plain(), true),
            (Condition::IsError(true), plain(), false),
            (Condition::AtLeast(ms(10)), plain(), true),
            (Condition::AtLeast(ms(11)), plain(), false),
            (Condition::AtMost(ms(10)), plain(), true),
            (Condition::AtMost(ms(9)), plain(), false),
        ];
        for (condition, body, holds) in rows {
            assert_eq!(condition.holds(&item(body), "default"), holds, "{condition:?}");
        }
    }

    #[test]
    fn a_rule_looks_at_the_entry_or_at_any_and_asks_for_all() {
        let is = |number| Condition::Attribute("a".into(), Test::Number(number));
        let items = [item(Facts(&[("a", Fact::Int(1))], &[])), item(Facts(&[("a", Fact::Int(2))], &[]))];
        let matches = |when: Vec<Condition>, looks_at, entry| {
            let rule = Rule { name: "r".into(), when, looks_at, then: Action::Keep, even_failures: false };
            rule.matches(&items, entry, "")
        };
        assert!(
            matches(alloc::vec![is(1.0)], LooksAt::Entry, 0)
                && !matches(alloc::vec![is(1.0)], LooksAt::Entry, 1)
        );
        assert!(!matches(alloc::vec![is(1.0)], LooksAt::Entry, 2), "there is none");
        assert!(
            matches(alloc::vec![is(2.0)], LooksAt::Any, 0) && !matches(alloc::vec![is(3.0)], LooksAt::Any, 0)
        );
        assert!(!matches(alloc::vec![is(1.0), is(2.0)], LooksAt::Any, 0), "one span must be like all of it");
        assert!(matches(alloc::vec![], LooksAt::Entry, 0));
    }
}
