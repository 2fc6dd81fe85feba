//! What is for one destination alone is sent to no other, whatever else of its trace was judged before.

use alloc::sync::Arc;

use super::*;
use crate::config::{Config, Destinations, Further, Takes};
use crate::routing::Routes;
use crate::sampling::{Condition, Pattern};
use crate::span::PlatformSpan;

/// A span of this name.
#[derive(Clone, Debug)]
struct Named(&'static str);

impl Body for Named {
    fn name(&self) -> &str {
        self.0
    }
}

const OURS: Routes = Routes::FIRST;

/// One that keeps everything, and has `pay.*` for the second destination alone.
fn exclusive() -> Assembly<Named> {
    routed(alloc::vec![payments(Takes::Kept)])
}

fn routed(further: Vec<Further>) -> Assembly<Named> {
    let config = Config { further, ..Config::default() };
    Assembly::new(Sampling::default()).routed(Router::new(&config))
}

fn payments(takes: Takes) -> Further {
    Further {
        name: "payments".into(),
        signals: Destinations::ALL,
        reaches: Destinations::ALL,
        limits: [crate::RequestLimit::NONE; 3],
        holds: true,
        when: alloc::vec![Condition::Name(Pattern::new("pay.*"))],
        takes,
        is_exclusive: true,
    }
}

/// A span of the one trace, which lasts one nanosecond: of this name, and SERVER; or below one that is elsewhere.
fn span(name: &'static str, start: u64) -> Item<Named> {
    let is_entry = name.contains('.');
    Item::Received(Span {
        trace_id: trace(1),
        span_id: SpanId::new([start as u8 + 1; 8]).expect("not zero"),
        parent: SpanId::new([99; 8]),
        parent_is_remote: None,
        kind: if is_entry { Kind::Server } else { Kind::Client },
        start: UnixNanos(start),
        end: UnixNanos(start + 1),
        is_error: false,
        request_id: None,
        size: 100,
        body: Named(name),
    })
}

/// What is made for an invocation of the one trace that has sent nothing.
fn made(start: u64) -> Item<Named> {
    Item::Made(Arc::new(PlatformSpan {
        trace_id: trace(1),
        span_id: SpanId::new([98; 8]).expect("not zero"),
        parent: None,
        name: "function".into(),
        kind: Kind::Server,
        start: UnixNanos(start),
        end: UnixNanos(start + 9),
        error_type: None,
        attributes: Vec::new(),
        links: Vec::new(),
    }))
}

/// Spans that came together, and the invocation that they are of.
type Part<'a> = (&'a [Item<Named>], Option<&'a str>);

/// Where the spans of the last part go.
fn last_goes(parts: &[Part<'_>], overlap: Option<Overlap>) -> Vec<Routes> {
    let mut assembly = exclusive();
    let mut routes = Vec::new();
    for (items, invocation) in parts {
        for item in *items {
            let invocation = invocation.map(id);
            let owner = invocation.as_ref().map_or(Owner::Unknown, Owner::Named);
            assembly.add(at(1), item.clone(), owner);
        }
        assembly.judge(at(9_000), overlap, |_| true);
        routes = assembly.take_rulings().kept.iter().map(|kept| kept.routes).collect();
    }
    routes
}

#[test]
fn another_invocation_of_its_trace_says_nothing_of_where_a_part_goes() {
    let overlap = Some(Overlap { oldest_open: 1, newest: 2 });
    let (order, pay) = (span("order.new", 5), span("pay.new", 6));
    let [early, late] = [4, 7].map(|start| span("select", start));
    let one = core::slice::from_ref;
    let rows: [(&str, &[Part<'_>], bool); 9] = [
        ("its own, late", &[(one(&order), Some("a")), (one(&early), Some("a"))], true),
        ("its own, later", &[(one(&order), Some("a")), (one(&late), Some("a"))], true),
        ("another's, late", &[(one(&order), Some("a")), (one(&early), Some("b"))], false),
        ("another's, later", &[(one(&order), Some("a")), (one(&late), Some("b"))], false),
        ("below what was made", &[(&[made(1)], Some("a")), (one(&early), Some("a"))], false),
        ("after what was made", &[(&[made(1)], Some("a")), (&[span("select", 20)], Some("a"))], false),
        ("another's, that tells", &[(one(&order), Some("a")), (one(&pay), Some("b"))], false),
        ("two in one", &[(&[order.clone(), pay.clone()], Some("a"))], false),
        ("two in one, the other way", &[(&[pay.clone(), order.clone()], Some("a"))], false),
    ];
    for (case, parts, is_ours) in rows {
        for overlap in [None, overlap] {
            let routes = last_goes(parts, overlap);
            assert!(!routes.is_empty(), "{case}");
            for routes in routes {
                assert_eq!(routes == OURS, is_ours, "{case}: {routes:?}, overlapping: {}", overlap.is_some());
            }
        }
    }
}

/// What waits in case that it failed is of one trace, and still for different destinations.
#[test]
fn failures_that_are_told_late_are_with_those_that_each_part_is_for() {
    let failures = Further { when: Vec::new(), is_exclusive: false, ..payments(Takes::Failures) };
    for takes in [Takes::Kept, Takes::Failures] {
        for is_late in [false, true] {
            let mut assembly = routed(alloc::vec![payments(takes), failures.clone()]);
            let pay = span("pay.new", if is_late { 5 } else { 50 });
            for (item, invocation) in [(span("order.new", 5), "a"), (pay, "b")] {
                assembly.add(at(1), item, Owner::Named(&id(invocation)));
                assembly.judge(at(2), None, |_| true);
            }
            for invocation in ["a", "b"] {
                let (request_id, failure) = (id(invocation), Some(Decision::Timeout));
                let word = Circumstances { request_id, failure, is_final: true, ..Circumstances::default() };
                assembly.learn(at(3), word);
            }
            for kept in assembly.take_rulings().kept {
                let name = kept.entry.body().map_or("", Body::name);
                let (is_ours, is_theirs) = (kept.routes.has(0) || kept.routes.has(2), kept.routes.has(1));
                let expected = (name != "pay.new", name == "pay.new");
                assert_eq!((is_ours, is_theirs), expected, "{name}, late: {is_late}, {takes:?}");
            }
        }
    }
}
