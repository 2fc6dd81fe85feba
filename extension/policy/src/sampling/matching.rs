//! Whether the spans of a trace are what a rule is about.

use super::item::Item;
use super::rules::{Condition, LooksAt, Pattern, Rule, Test};
use crate::facts::{Body, Fact};

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
    pub(crate) fn holds<B: Body>(&self, item: &Item<B>, service: &str) -> bool {
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

    /// Whether a resource is so, by its facts; what only a span can be, none is.
    pub(crate) fn holds_for_resource<'a>(
        &self,
        fact: impl Fn(&str) -> Option<Fact<'a>>,
        service: &str,
    ) -> bool {
        match self {
            Self::Service(pattern) => {
                pattern.matches(fact("service.name").and_then(Fact::text).unwrap_or(service))
            }
            Self::Attribute(key, test) => test.holds(fact(key)),
            _ => false,
        }
    }

    /// Whether it can be asked of metrics and logs.
    pub const fn is_of_resources(&self) -> bool {
        matches!(self, Self::Service(_) | Self::Attribute(..))
    }
}

impl Test {
    pub(crate) fn holds(&self, fact: Option<Fact<'_>>) -> bool {
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
    use crate::sampling::Action;
    use crate::span::Kind;
    use crate::time::Duration;
    use alloc::vec::Vec;

    #[test]
    fn services_and_attributes_are_asked_of_metrics_and_logs_too() {
        let any = || Pattern::new("*");
        for (condition, is_of_resources) in [
            (Condition::Service(any()), true),
            (Condition::Attribute("a".into(), Test::Present(true)), true),
            (Condition::Name(any()), false),
        ] {
            assert_eq!(condition.is_of_resources(), is_of_resources, "{condition:?}");
        }
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
