//! Which destinations something is for, and which of them take it.

use alloc::vec::Vec;

use super::*;
use crate::config::Destinations;
use crate::sampling::{Pattern, Ratio, Test};
use crate::span::{Kind, Span, SpanId, TraceId};
use crate::time::UnixNanos;

/// A span of this name, or the resources of metrics or logs with these services.
#[derive(Clone, Debug, Default)]
struct Named(&'static str, &'static [&'static str]);

impl Body for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn resources(&self) -> usize {
        self.1.len()
    }

    fn resource_at(&self, index: usize, key: &str) -> Option<Fact<'_>> {
        (key == "service.name").then(|| Fact::Text(self.1[index]))
    }
}

fn item(name: &'static str, kind: Kind, parent: Option<u8>) -> Item<Named> {
    let id = |number: u8| SpanId::new([number; 8]).expect("not zero");
    Item::Received(Span {
        trace_id: TraceId::new([9; 16]).expect("not zero"),
        span_id: id(1),
        parent: parent.map(id),
        parent_is_remote: None,
        kind,
        start: UnixNanos(1),
        end: UnixNanos(2),
        is_error: false,
        request_id: None,
        size: 100,
        body: Named(name, &[]),
    })
}

/// The span that is made for an invocation whose function sent none.
fn made() -> Item<Named> {
    Item::Made(Arc::new(crate::span::PlatformSpan {
        trace_id: TraceId::new([9; 16]).expect("not zero"),
        span_id: SpanId::new([2; 8]).expect("not zero"),
        parent: None,
        name: "function".into(),
        kind: Kind::Server,
        start: UnixNanos(1),
        end: UnixNanos(2),
        error_type: None,
        attributes: Vec::new(),
        links: Vec::new(),
    }))
}

fn further(when: Vec<Condition>, takes: Takes, is_exclusive: bool) -> Further {
    Further {
        name: "further".into(),
        signals: Destinations::ALL,
        reaches: Destinations::ALL,
        limits: [crate::RequestLimit::NONE; 3],
        holds: true,
        when,
        takes,
        is_exclusive,
    }
}

fn named(pattern: &str) -> Vec<Condition> {
    alloc::vec![Condition::Name(Pattern::new(pattern))]
}

fn router(further: Vec<Further>) -> Router {
    Router::new(&Config { further, ..Config::default() })
}

/// The numbers of those among them.
fn numbers(routes: Routes) -> Vec<u8> {
    (0..8).filter(|number| routes.has(*number)).collect()
}

fn routes(numbers: &[u8]) -> Routes {
    numbers.iter().fold(Routes::NONE, |all, number| all.and(Routes::one(*number)))
}

#[test]
fn destinations_are_put_together_and_told_apart() {
    for (numbers_of, first, is_several) in [
        (&[][..], &[][..], false),
        (&[0], &[0], false),
        (&[3], &[3], false),
        (&[1, 3], &[1], true),
        (&[0, 1, 7], &[0], true),
    ] {
        let all = routes(numbers_of);
        assert_eq!((numbers(all), numbers(all.and(all))), (numbers_of.to_vec(), numbers_of.to_vec()));
        assert_eq!((numbers(all.first()), all.is_several()), (first.to_vec(), is_several), "{numbers_of:?}");
    }
}

#[test]
fn spans_wait_for_their_trace_where_a_destination_asks_anything_of_it() {
    for (when, takes, asks) in [
        (Vec::new(), Takes::Kept, false),
        (Vec::new(), Takes::Failures, true),
        (named("a"), Takes::Kept, true),
        (named("a"), Takes::Failures, true),
    ] {
        let of_logs = Further {
            signals: Destinations { logs: true, ..Destinations::NONE },
            ..further(when.clone(), takes, false)
        };
        assert_eq!(router(alloc::vec![further(when, takes, false)]).asks_traces(), asks, "{takes:?}");
        assert!(!router(alloc::vec![of_logs]).asks_traces());
    }
}

/// What an earlier part went to, whether that was of the same invocation, what a part would do by itself, and what it does.
#[test]
fn what_cannot_tell_goes_the_way_of_what_was_before_it_unless_it_may_be_meant_for_one_alone() {
    for (before, is_of_it, own, expected) in [
        (&[0, 2][..], true, &[1][..], &[0, 2][..]),
        (&[0, 2], false, &[1], &[1]),
        (&[0, 2], false, &[0], &[0, 2]),
        (&[1], false, &[1, 2], &[1]),
        (&[1], false, &[0], &[1]),
    ] {
        let before = Before { routes: routes(before), is_of_it };
        assert_eq!(numbers(before.or_own(routes(own))), expected, "{before:?} {own:?}");
    }
}

/// What is measured of spans has their names in it. It goes elsewhere unless the one destination that has the spans for itself has
/// all that is measured, too.
#[test]
fn names_of_spans_are_told_elsewhere_where_metrics_do_not_go_with_them() {
    let of_logs = Destinations { logs: true, ..Destinations::NONE };
    for (when, is_exclusive, signals, expected) in [
        (named("pay.*"), true, Destinations::ALL, true),
        (named("pay.*"), false, Destinations::ALL, false),
        (Vec::new(), true, Destinations::ALL, false),
        (named("pay.*"), true, of_logs, false),
    ] {
        let further = alloc::vec![Further { signals, ..further(when, Takes::Kept, is_exclusive) }];
        let config = Config { further, ..Config::default() };
        assert_eq!(config.tells_names_elsewhere(), expected, "{is_exclusive} {signals:?}");
    }
    assert!(!Config::default().tells_names_elsewhere());
}

#[test]
fn failures_alone_go_to_those_that_take_them_and_can_be_reached() {
    let nowhere = Further { reaches: Destinations::NONE, ..further(Vec::new(), Takes::Failures, false) };
    let to = |takes| further(Vec::new(), takes, false);
    let router = router(alloc::vec![to(Takes::Kept), to(Takes::Failures), nowhere, to(Takes::Failures)]);
    for (matched, expected) in [(&[0, 1, 2, 3, 4][..], &[2, 4][..]), (&[0, 1, 2, 3], &[2]), (&[0, 1, 3], &[])]
    {
        assert_eq!(numbers(router.of_failures(routes(matched))), expected, "{matched:?}");
    }
}

/// A span that says where it is from.
#[derive(Clone, Debug)]
struct From(&'static str);

impl Body for From {
    fn name(&self) -> &str {
        "order"
    }

    fn attribute(&self, key: &str) -> Option<Fact<'_>> {
        (key == "region").then_some(Fact::Text(self.0))
    }
}

#[test]
fn what_a_span_says_itself_is_not_completed() {
    let region = Condition::Attribute("region".into(), Test::Like(Pattern::new("in")));
    let further = alloc::vec![further(alloc::vec![region], Takes::Kept, true)];
    let resource = alloc::vec![("region".into(), "in".into())];
    let router = Router::new(&Config { further, resource, ..Config::default() });
    for (own, expected) in [("in", [1]), ("eu", [0])] {
        let Item::Received(span) = item("order", Kind::Server, None) else { panic!("it was received") };
        let item = Item::Received(Span {
            body: From(own),
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent: span.parent,
            parent_is_remote: span.parent_is_remote,
            kind: span.kind,
            start: span.start,
            end: span.end,
            is_error: span.is_error,
            request_id: span.request_id,
            size: span.size,
        });
        assert_eq!(numbers(router.of_trace(&[item], 0)), expected, "{own}");
    }
}

#[test]
fn one_destination_gets_everything_and_asks_nothing() {
    let sole = router(Vec::new());
    assert!(sole.is_sole() && !sole.asks_traces());
    assert_eq!(sole.of_trace(&[item("a", Kind::Client, Some(7))], 0), Routes::FIRST);
    assert_eq!(sole.of_entry::<Named>(Signal::Logs, None), Routes::FIRST);
    assert_eq!(sole.way(Routes::FIRST, false, Randomness::LEAST), Way::To(Routes::FIRST, Routes::NONE));
}

#[test]
fn a_part_of_a_trace_goes_by_the_span_that_stands_for_the_invocation() {
    let open = || {
        router(alloc::vec![
            further(named("pay.*"), Takes::Kept, false),
            further(Vec::new(), Takes::Kept, false)
        ])
    };
    let exclusive = || {
        router(alloc::vec![
            further(named("pay.*"), Takes::Kept, true),
            further(named("*.in"), Takes::Kept, true)
        ])
    };
    let entry = |name| alloc::vec![item(name, Kind::Server, Some(7))];
    let rows = [
        (open(), entry("pay.new"), &[0, 1, 2][..]),
        (open(), entry("order.new"), &[0, 2]),
        (open(), alloc::vec![item("order.new", Kind::Client, Some(7))], &[0, 2]),
        // A call that came first does not stand for the invocation.
        (open(), [alloc::vec![item("select", Kind::Client, Some(7))], entry("pay.new")].concat(), &[0, 1, 2]),
        (exclusive(), entry("pay.new"), &[1]),
        (exclusive(), entry("pay.in"), &[1, 2]),
        (exclusive(), entry("order.new"), &[0]),
        (exclusive(), alloc::vec![item("order.new", Kind::Internal, None)], &[0]),
        // What was made in the place of a root has not its name, unless there is nothing else.
        (exclusive(), alloc::vec![made(), item("order.new", Kind::Client, Some(7))], &[1, 2]),
        (exclusive(), alloc::vec![made(), item("pay.new", Kind::Server, Some(7))], &[1]),
        (exclusive(), alloc::vec![made()], &[0]),
        // Two invocations share the trace: one that has it for itself is enough.
        (exclusive(), [entry("order.new"), entry("pay.new")].concat(), &[1]),
        (open(), [entry("order.new"), entry("pay.new")].concat(), &[0, 2]),
        // Nothing tells what it belongs to.
        (exclusive(), alloc::vec![item("order.new", Kind::Client, Some(7))], &[1, 2]),
    ];
    for (router, items, expected) in rows {
        assert!(router.asks_traces());
        assert_eq!(numbers(router.of_trace(&items, 0)), expected, "{items:?}");
    }
}

#[test]
fn a_later_part_follows_an_earlier_one_unless_it_tells_itself() {
    let router = router(alloc::vec![further(named("pay.*"), Takes::Kept, true)]);
    let (child, pay, order) = (
        item("select", Kind::Client, Some(7)),
        item("pay.new", Kind::Server, Some(7)),
        item("order.new", Kind::Server, Some(7)),
    );
    let [own, alone] = [Routes::FIRST, Routes::one(1)];
    let made = made();
    let told = |routes| Before { routes, is_of_it: true };
    let others = |routes| Before { routes, is_of_it: false };
    for (before, item, expected) in [
        (None, &child, alone),
        (Some(told(own)), &child, own),
        (Some(told(alone)), &child, alone),
        (Some(told(own)), &pay, alone),
        (Some(told(alone)), &order, own),
        // What is before it is of another invocation, or nobody knows.
        (Some(others(own)), &child, alone),
        (Some(others(alone)), &child, alone),
        (Some(others(own)), &order, own),
        // What was made for a trace stays with it.
        (Some(told(own)), &made, own),
        (Some(others(alone)), &made, alone),
    ] {
        let items = core::slice::from_ref(item);
        assert_eq!(router.after(before, items, router.of_trace(items, 0)), expected, "{before:?} {item:?}");
    }
    for (before, item, expected) in [
        (told(own), &child, own),
        (told(alone), &child, alone),
        (told(own), &pay, alone),
        (told(alone), &order, alone),
        (told(own), &order, own),
        (others(own), &child, alone),
        (others(alone), &child, alone),
        (others(own), &order, own),
        (others(own), &made, own),
        (others(alone), &made, alone),
    ] {
        assert_eq!(router.late(before, item), expected, "{before:?} {item:?}");
    }
}

#[test]
fn each_takes_what_it_says_of_what_can_reach_it() {
    let half = Takes::Share(Ratio::new(0.5).expect("a share"));
    let nowhere = Further { reaches: Destinations::NONE, ..further(Vec::new(), Takes::Kept, true) };
    let to = |takes| further(Vec::new(), takes, false);
    let router = router(alloc::vec![to(Takes::Kept), to(Takes::Failures), to(half), nowhere]);
    let [low, high] =
        ["00000000000000", "c0000000000000"].map(|text| Randomness::from_hex(text).expect("14 digits"));
    for (matched, is_failure, randomness, expected) in [
        (&[0, 1, 2, 3][..], false, low, Way::To(routes(&[0, 1]), Routes::NONE)),
        (&[0, 1, 2, 3], true, low, Way::To(routes(&[0, 1, 2]), Routes::NONE)),
        (&[0, 1, 2, 3], false, high, Way::To(routes(&[0, 1]), routes(&[3]))),
        (&[2], false, high, Way::Nobody),
        (&[2, 3], false, low, Way::Nobody),
        (&[4], true, high, Way::Nowhere),
        (&[2, 4], true, high, Way::To(routes(&[2]), Routes::NONE)),
    ] {
        assert_eq!(router.way(routes(matched), is_failure, randomness), expected, "{matched:?} {is_failure}");
    }
    let thresholds: Vec<_> = router.thresholds(routes(&[0, 1, 2, 3])).collect();
    assert_eq!(thresholds, [(Routes::one(3), Threshold::of(Ratio::new(0.5).expect("a share")))]);
}

#[test]
fn metrics_and_logs_go_by_any_of_their_resources() {
    let service = |pattern: &str| alloc::vec![Condition::Service(Pattern::new(pattern))];
    let of_logs = Further {
        signals: Destinations { logs: true, ..Destinations::NONE },
        ..further(service("shop"), Takes::Kept, true)
    };
    let router = router(alloc::vec![of_logs, further(named("*"), Takes::Kept, false)]);
    assert!(router.asks_traces());
    let body = Named("", &["stock", "shop"]);
    assert_eq!(numbers(router.of_entry(Signal::Logs, Some(&body))), [1]);
    assert_eq!(numbers(router.of_entry(Signal::Metrics, Some(&body))), [0], "a name is what only spans have");
    assert_eq!(numbers(router.of_entry(Signal::Logs, Some(&Named("", &["stock"])))), [0]);
    assert_eq!(numbers(router.of_entry::<Named>(Signal::Logs, None)), [0]);
}

#[test]
fn what_completes_a_resource_is_asked_where_it_has_no_such_attribute() {
    let region = |text: &str| Condition::Attribute("region".into(), Test::Like(Pattern::new(text)));
    let router = |text: &str| {
        let further = alloc::vec![further(alloc::vec![region(text)], Takes::Kept, true)];
        let resource = alloc::vec![("region".into(), "in".into())];
        Router::new(&Config { further, resource, ..Config::default() })
    };
    for (text, expected) in [("in", [1]), ("eu", [0])] {
        let router = router(text);
        assert_eq!(numbers(router.of_entry::<Named>(Signal::Metrics, None)), expected, "made here: {text}");
        assert_eq!(numbers(router.of_entry(Signal::Logs, Some(&Named("", &["shop"])))), expected, "{text}");
        for item in [made(), item("order.new", Kind::Server, None)] {
            assert_eq!(numbers(router.of_trace(&[item], 0)), expected, "{text}");
        }
    }
}

#[test]
fn metrics_and_logs_part_by_resource_where_that_says_where_they_go() {
    let service = alloc::vec![Condition::Service(Pattern::new("shop"))];
    let of_logs = Destinations { logs: true, ..Destinations::NONE };
    for (signals, when, expected) in [
        (Destinations::ALL, Vec::new(), [false; 3]),
        (of_logs, service.clone(), [false, false, true]),
        (Destinations::ALL, service, [true; 3]),
    ] {
        let further = alloc::vec![Further { signals, ..further(when, Takes::Kept, false) }];
        let config = Config { further, ..Config::default() };
        assert_eq!(config.parcel_limits().map(|limit| limit.parts_resources), expected);
    }
}
