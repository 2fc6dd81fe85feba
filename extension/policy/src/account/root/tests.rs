//! The root that Prefreeze makes for an invocation: its trace, its id, its parent and its attributes.

use super::super::ending::Finish;
use super::super::relatives::{Relatives, Window};
use super::*;
use crate::platform::{EndStatus, Invoke, XrayContext};
use crate::span::Span;
use crate::time::{Duration, Instant};

#[test]
fn an_alias_is_replaced_by_the_version() {
    let plain: Arc<str> = "arn:aws:lambda:eu-west-1:123456789012:function:pay".into();
    let alias: Arc<str> = "arn:aws:lambda:eu-west-1:123456789012:function:pay:live".into();
    assert_eq!(&*resource_id(&plain, "7"), &*plain);
    assert_eq!(&*resource_id(&alias, "7"), "arn:aws:lambda:eu-west-1:123456789012:function:pay:7");
}

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:pay:live";

fn id(number: u8) -> SpanId {
    SpanId::new([number; 8]).expect("not zero")
}

fn trace(number: u8) -> TraceId {
    TraceId::new([number; 16]).expect("not zero")
}

/// An invocation from 100 to 900, with an X-Ray segment 5 in trace 6; it ended at 400.
fn invocation(status: EndStatus, has_died: bool) -> Invocation {
    let invoke = Invoke {
        request_id: "r".into(),
        arn: ARN.into(),
        deadline: Instant::default(),
        deadline_at: UnixNanos(900),
        received_at: UnixNanos(100),
        waited: Duration::ZERO,
        xray: Some(XrayContext {
            trace_id: trace(6),
            parent: Some(id(5)),
            root: "1-6".into(),
            sampled: None,
        }),
    };
    let finish = Finish {
        ending: Ending { status, error_type: None },
        at: Some(UnixNanos(400)),
        duration: None,
        produced_bytes: Some(7),
        has_died,
        is_overlong: false,
    };
    Invocation {
        finish: Some(finish),
        ..Invocation::new(Instant::default(), 7, 1, invoke, Some(UnixNanos(900)))
    }
}

/// Spans of these traces, with these ids and parents, each of which began at its own number.
fn family(spans: &[(u8, u8, Option<u8>)]) -> Family {
    let mut relatives = Relatives::default();
    for (trace_id, span_id, parent) in spans {
        relatives.add(&Span {
            trace_id: trace(*trace_id),
            span_id: id(*span_id),
            parent: parent.map(id),
            parent_is_remote: None,
            kind: Kind::Client,
            start: UnixNanos((*span_id).into()),
            end: UnixNanos(200),
            is_error: false,
            request_id: None,
            size: 1,
            body: (),
        });
    }
    relatives.family(Window { from: UnixNanos(0), until: UnixNanos(u64::MAX) })
}

fn rebuilt(open: &Invocation, family: &Family, xray_parent: XrayParent, come: &[u8]) -> Rebuilt {
    let config = Config { xray_parent, function_version: "7".into(), ..Config::default() };
    rebuild(&config, open, family, true, |span_id| come.iter().any(|number| id(*number) == span_id))
}

fn source(rebuilt: &Rebuilt) -> &str {
    let source = rebuilt.root.attributes.iter().find(|(key, _)| *key == "prefreeze.parent_source");
    let Some((_, Value::Text(text))) = source else { panic!("it says where it stands") };
    text
}

#[test]
fn an_invocation_without_spans_stands_alone_or_under_xray() {
    let open = invocation(EndStatus::Error, false);
    let own = (open.ids.trace_id(), None, "none");
    for (setting, (trace_id, parent, source_of), links) in [
        (XrayParent::Link, own, 1),
        (XrayParent::Ignore, own, 0),
        (XrayParent::Parent, (trace(6), Some(id(5)), "xray"), 0),
    ] {
        let rebuilt = rebuilt(&open, &family(&[]), setting, &[]);
        let root = &rebuilt.root;
        assert_eq!(
            (root.trace_id, root.parent, source(&rebuilt)),
            (trace_id, parent, source_of),
            "{setting:?}"
        );
        assert_eq!(
            (root.span_id, rebuilt.place().span_id),
            (open.ids.span_id(Role::Invocation), root.span_id)
        );
        assert_eq!((root.start, root.end), (UnixNanos(100), UnixNanos(400)));
        assert_eq!((root.error_type.as_deref(), root.kind), (Some("_OTHER"), Kind::Server));
        assert_eq!(root.links.len(), links, "{setting:?}");
        let has_xray = root.attributes.iter().any(|(key, _)| *key == "aws.xray.trace_id");
        assert_eq!(has_xray, setting != XrayParent::Ignore);
        assert_eq!((rebuilt.placeholders.len(), rebuilt.stand_ins().count()), (0, 0));
    }
}

#[test]
fn it_tells_what_is_known_of_the_invocation() {
    let mut open = invocation(EndStatus::Success, false);
    let attributes = |open: &Invocation| rebuilt(open, &family(&[]), XrayParent::Ignore, &[]).root.attributes;
    let text = |text: &str| Value::Text(text.into());
    let of_every_one = [
        ("faas.invocation_id", text("r")),
        ("faas.coldstart", Value::Flag(true)),
        ("prefreeze.synthetic", Value::Flag(true)),
        ("prefreeze.parent_source", text("none")),
    ];
    let of_this = [
        ("aws.lambda.invoked_arn", text(ARN)),
        ("cloud.resource_id", text("arn:aws:lambda:eu-west-1:123456789012:function:pay:7")),
        ("cloud.account.id", text("123456789012")),
        ("aws.lambda.produced_bytes", Value::Int(7)),
    ];
    assert_eq!(attributes(&open), [&of_every_one[..], &of_this].concat());
    (open.invoke.arn, open.finish) = ("".into(), None);
    assert_eq!(attributes(&open), of_every_one);
}

#[test]
fn it_joins_the_trace_of_its_spans_under_the_parent_that_all_of_them_name() {
    let open = invocation(EndStatus::Success, false);
    let own = open.ids.trace_id();
    // Spans; the trace, the parent and the begin of the root, and how it was found.
    for (spans, trace_id, parent, start, source_of) in [
        (&[(9, 10, Some(1)), (9, 11, Some(1))][..], trace(9), Some(id(1)), 10, "spans"),
        (&[(9, 10, Some(1)), (9, 11, Some(2))], trace(9), None, 10, "spans"),
        (&[(9, 10, None)], trace(9), None, 10, "spans"),
        (&[(9, 10, None), (8, 11, None)], own, None, 10, "none"),
    ] {
        let rebuilt = rebuilt(&open, &family(spans), XrayParent::Link, &[]);
        let root = &rebuilt.root;
        assert_eq!(
            (root.trace_id, root.parent, root.start),
            (trace_id, parent, UnixNanos(start)),
            "{spans:?}"
        );
        assert_eq!((source(&rebuilt), root.span_id), (source_of, open.ids.span_id(Role::Invocation)));
    }
    let linked = rebuilt(&open, &family(&[(9, 10, Some(5))]), XrayParent::Link, &[]);
    assert!(linked.root.links.is_empty(), "the segment is the parent already");
}

#[test]
fn the_root_of_a_dead_one_has_the_id_that_its_children_name() {
    let open = invocation(EndStatus::Timeout, true);
    let derived = open.ids.span_id(Role::Invocation);
    let two = &[(9, 10, Some(1)), (9, 11, Some(2))][..];
    // Spans, those that have come elsewhere; the trace and the id of the root, its parent, and those that stand for
    // unfinished ones.
    for (spans, come, trace_id, span_id, parent, unfinished) in [
        (&[(9, 10, Some(1)), (9, 11, Some(1))][..], &[][..], trace(9), id(1), None, &[][..]),
        (two, &[], trace(9), derived, None, &[1, 2]),
        (two, &[1], trace(9), id(2), None, &[]),
        (two, &[1, 2], trace(9), derived, None, &[]),
        (&[(9, 10, None), (8, 11, Some(1))], &[], trace(8), id(1), None, &[]),
        (&[(9, 10, Some(1)), (8, 11, Some(2))], &[], open.ids.trace_id(), derived, None, &[]),
    ] {
        let rebuilt = rebuilt(&open, &family(spans), XrayParent::Link, come);
        let root = &rebuilt.root;
        assert_eq!(
            (root.trace_id, root.span_id, root.parent),
            (trace_id, span_id, parent),
            "{spans:?} {come:?}"
        );
        let ids: Vec<_> = rebuilt.placeholders.iter().map(|span| span.span_id).collect();
        assert_eq!(
            ids,
            unfinished.iter().map(|number| id(*number)).collect::<Vec<_>>(),
            "{spans:?} {come:?}"
        );
        for span in &rebuilt.placeholders {
            assert_eq!(
                (span.trace_id, span.parent, span.start, span.end),
                (trace_id, Some(span_id), UnixNanos(10), root.end)
            );
            assert_eq!((&*span.name, span.kind, span.links.len()), ("unfinished", Kind::Internal, 0));
            assert_eq!(span.attributes, [("prefreeze.synthetic", Value::Flag(true))]);
            assert_eq!(span.error_type.as_deref(), Some("timeout"));
        }
        let is_adopted = span_id != derived;
        assert_eq!(source(&rebuilt) == ADOPTED, is_adopted);
        assert_eq!(rebuilt.stand_ins().count(), usize::from(is_adopted) + unfinished.len());
        assert_eq!(root.end, UnixNanos(900), "a time-out ends at the deadline");
    }
}

#[test]
fn what_stands_for_unfinished_spans_begins_with_the_first_that_was_sent() {
    let open = invocation(EndStatus::Timeout, true);
    let rebuilt = rebuilt(&open, &family(&[(9, 150, Some(1)), (9, 151, Some(2))]), XrayParent::Link, &[]);
    let starts: Vec<_> = rebuilt.placeholders.iter().map(|span| span.start).collect();
    assert_eq!((rebuilt.root.start, &starts[..]), (UnixNanos(100), &[UnixNanos(150); 2][..]));
}
