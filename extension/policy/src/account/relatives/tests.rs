//! Which spans belong to one invocation, which of them is outermost, and which parents are missing.

use super::family::{PLACEHOLDERS_MAX, TRACES_MAX};
use super::*;
use crate::span::Kind;
use alloc::vec::Vec;

const ALL: Window = Window { from: UnixNanos(0), until: UnixNanos(u64::MAX) };

fn id(number: u8) -> SpanId {
    SpanId::new([number; 8]).expect("not zero")
}

fn trace() -> TraceId {
    TraceId::new([9; 16]).expect("not zero")
}

/// A span that begins at its own number.
fn span(number: u8, parent: Option<u8>, parent_is_remote: Option<bool>, kind: Kind) -> Span<()> {
    Span {
        trace_id: trace(),
        span_id: id(number),
        parent: parent.map(id),
        parent_is_remote,
        kind,
        start: UnixNanos(number.into()),
        end: UnixNanos(u64::from(number) + 10),
        is_error: false,
        request_id: None,
        size: 1,
        body: (),
    }
}

fn relatives(spans: &[Span<()>]) -> Relatives {
    let mut relatives = Relatives::default();
    spans.iter().for_each(|span| relatives.add(span));
    relatives
}

fn clients(spans: &[(u8, Option<u8>, Option<bool>)]) -> Family {
    let spans: Vec<_> =
        spans.iter().map(|(number, parent, remote)| span(*number, *parent, *remote, Kind::Client)).collect();
    relatives(&spans).family(ALL)
}

#[test]
fn it_names_the_parents_that_nobody_sent() {
    let family = clients(&[(1, Some(7), None), (2, Some(1), None), (3, Some(7), Some(false))]);
    assert_eq!(family.missing_parents(trace(), true), [id(7)]);
}

#[test]
fn a_remote_parent_is_not_missing_here() {
    let family = clients(&[(1, Some(7), Some(true))]);
    assert!(family.missing_parents(trace(), true).is_empty());
    assert_eq!(family.missing_parents(trace(), false), [id(7)]);
}

#[test]
fn of_a_span_of_an_entry_kind_the_parent_is_remote_unless_that_is_denied() {
    for (kind, is_remote, is_missing) in [
        (Kind::Server, None, false),
        (Kind::Consumer, None, false),
        (Kind::Server, Some(false), true),
        (Kind::Client, None, true),
        (Kind::Client, Some(true), false),
    ] {
        let family = relatives(&[span(1, Some(7), is_remote, kind)]).family(ALL);
        let missing = family.missing_parents(trace(), true);
        assert_eq!(missing.contains(&id(7)), is_missing, "{kind:?} {is_remote:?}");
        assert_eq!(family.missing_parents(trace(), false), [id(7)]);
    }
}

#[test]
fn a_part_of_another_span_began_in_it_or_in_the_same_invocation() {
    // The other one is from 5 to 15.
    let relatives = relatives(&[span(5, None, None, Kind::Server)]);
    for (parent, start, from, turn, latest, is_part) in [
        (Some(5), 14, u64::MAX, 0, 15, true),
        (Some(5), 15, u64::MAX, 0, 15, false),
        // It claims to end in the future.
        (Some(5), 14, u64::MAX, 0, 14, false),
        (Some(5), 14, 5, 0, 14, true),
        (Some(5), 20, 5, 0, 15, true),
        (Some(5), 20, 5, 1, 15, false),
        (Some(5), 20, 6, 0, 15, false),
        (Some(6), 14, 0, 0, 15, false),
        (None, 14, 0, 0, 15, false),
    ] {
        let inner = Span { start: UnixNanos(start), ..span(9, parent, None, Kind::Consumer) };
        let other = Span { trace_id: TraceId::new([8; 16]).expect("not zero"), ..inner.clone() };
        let has_outer = |span| relatives.has_outer(span, (UnixNanos(from), turn), UnixNanos(latest));
        let seen = (has_outer(&inner), has_outer(&other));
        assert_eq!(seen, (is_part, false), "{parent:?} {start} {from} {turn} {latest}");
    }
    let mut later = relatives;
    later.next_turn();
    let inner = Span { start: UnixNanos(14), ..span(9, Some(5), None, Kind::Consumer) };
    assert!(
        !later.has_outer(&inner, (UnixNanos(6), 0), UnixNanos(16)),
        "that had ended before `/next` was asked"
    );
}

#[test]
fn what_stands_below_the_own_span_of_another_invocation_is_no_part_of_this_one() {
    let named = |number, parent, request_id: &str| Span {
        request_id: Some(request_id.into()),
        ..span(number, parent, None, Kind::Server)
    };
    let relatives = relatives(&[
        named(1, None, "other"),
        named(2, Some(1), "r"),
        span(3, Some(2), None, Kind::Internal),
        span(4, None, None, Kind::Internal),
    ]);
    // The parent, and the invocation that a span names which is sent below it.
    for (parent, request_id, is_part) in [
        (1, "other", true),
        (1, "r", false),
        (2, "r", true),
        (2, "other", false),
        (3, "r", true),
        (3, "other", false),
        (4, "r", true),
    ] {
        let inner = named(9, Some(parent), request_id);
        assert_eq!(
            relatives.has_outer(&inner, (UnixNanos(0), 0), UnixNanos(99)),
            is_part,
            "{parent} {request_id}"
        );
    }
}

#[test]
fn placeholders_are_bounded() {
    let children: Vec<_> = (1..=40).map(|number| (number, Some(100 + number), None)).collect();
    assert_eq!(clients(&children).missing_parents(trace(), true).len(), PLACEHOLDERS_MAX);
}

#[test]
fn a_window_takes_what_begins_in_it() {
    let spans: Vec<_> = (1..=9).map(|number| span(number, None, None, Kind::Internal)).collect();
    let mut relatives = relatives(&spans);
    let window = Window { from: UnixNanos(4), until: UnixNanos(7) };
    let family = relatives.family(window);
    assert_eq!((family.len(), family.earliest()), (3, Some(UnixNanos(4))));
    assert_eq!(family.latest(UnixNanos(15)), Some(UnixNanos(15)), "what claims to end later is not believed");
    assert!(relatives.has_before(trace(), UnixNanos(4)) && !relatives.has_before(trace(), UnixNanos(1)));
    relatives.forget_before(UnixNanos(6));
    assert!(relatives.has(trace(), id(6)) && !relatives.has(trace(), id(5)));
    assert!(relatives.has_in(window) && !relatives.has_in(Window { from: UnixNanos(10), ..ALL }));
}

#[test]
fn an_invocation_with_more_spans_than_are_remembered_claims_nothing() {
    let mut relatives = relatives(&[span(1, None, None, Kind::Internal)]);
    (0..RELATIVES_MAX).for_each(|_| relatives.add(&span(9, Some(7), None, Kind::Client)));
    assert_eq!(relatives.family(ALL).trace(), None);
    let later = Window { from: UnixNanos(2), ..ALL };
    assert_eq!(relatives.family(later).trace(), Some(trace()), "what was forgotten is not of it");
    relatives.forget_before(UnixNanos(2));
    assert_eq!(relatives.family(ALL).len(), RELATIVES_MAX);
}

#[test]
fn the_outermost_span_of_an_entry_kind_stands_for_the_invocation() {
    let server = |number, parent, remote| span(number, parent, remote, Kind::Server);
    let rows: [(&[Span<()>], Option<u8>); 5] = [
        (&[server(1, None, None)], Some(1)),
        (&[server(1, Some(7), Some(true))], Some(1)),
        (&[server(1, Some(7), Some(false))], None),
        (&[server(1, Some(2), None), server(2, Some(7), None)], Some(2)),
        (&[span(1, None, None, Kind::Internal)], None),
    ];
    for (spans, expected) in rows {
        let entry = relatives(spans).family(ALL).entry();
        assert_eq!(entry.map(|(place, _)| place.span_id), expected.map(id), "{spans:?}");
    }
}

#[test]
fn several_traces_are_no_trace_of_the_invocation() {
    let other =
        Span { trace_id: TraceId::new([8; 16]).expect("not zero"), ..span(2, None, None, Kind::Client) };
    let both = relatives(&[span(1, None, None, Kind::Client), other]).family(ALL);
    assert_eq!(both.trace(), None);
    assert_eq!(both.without(|place, _| place.trace_id != trace()).trace(), Some(trace()));
}

fn of_trace(number: u8, span: Span<()>) -> Span<()> {
    Span { trace_id: TraceId::new([number; 16]).expect("not zero"), ..span }
}

#[test]
fn traces_are_known_by_the_spans_that_are_remembered() {
    let other = TraceId::new([8; 16]).expect("not zero");
    let mut relatives = relatives(&[
        span(5, None, None, Kind::Client),
        of_trace(8, span(3, None, None, Kind::Client)),
        of_trace(8, span(2, None, None, Kind::Client)),
    ]);
    let before = |relatives: &Relatives| {
        [(trace(), 5), (trace(), 6), (other, 2), (other, 3)]
            .map(|(id, from)| relatives.has_before(id, UnixNanos(from)))
    };
    assert_eq!(before(&relatives), [false, true, false, true]);
    assert!(relatives.has(other, id(3)) && !relatives.has(trace(), id(3)) && !relatives.has(other, id(5)));
    relatives.forget_before(UnixNanos(3));
    assert_eq!(before(&relatives), [false, true, false, false], "the earliest is another one now");
    assert_eq!(relatives.traces.len(), 2);
    relatives.forget_from(UnixNanos(5));
    assert_eq!((relatives.all.len(), relatives.traces.len()), (1, 1));
    // What makes room for others is forgotten with its trace.
    (0..RELATIVES_MAX).for_each(|_| relatives.add(&span(9, None, None, Kind::Client)));
    assert_eq!((relatives.all.len(), relatives.traces.len()), (RELATIVES_MAX, 1));
    assert_eq!(relatives.traces[&trace()].count, RELATIVES_MAX);
    relatives.add(&of_trace(8, span(9, None, None, Kind::Client)));
    assert_eq!((relatives.traces[&trace()].count, relatives.traces[&other].count), (RELATIVES_MAX - 1, 1));
}

#[test]
fn what_had_to_be_forgotten_hides_its_time_until_nobody_asks_for_that_any_more() {
    let forgotten = |start: u8| {
        let mut relatives = relatives(&[span(start, None, None, Kind::Client)]);
        (0..RELATIVES_MAX).for_each(|_| relatives.add(&span(9, None, None, Kind::Client)));
        relatives
    };
    let is_known = |relatives: &Relatives, from: u64, until: u64| {
        let window = Window { from: UnixNanos(from), until: UnixNanos(until) };
        relatives.family(window).len() > 0
    };
    let relatives = forgotten(5);
    for (from, until, expected) in
        [(5, 10, false), (6, 10, true), (4, 10, false), (9, 10, true), (9, 9, false)]
    {
        assert_eq!(is_known(&relatives, from, until), expected, "from {from} until {until}");
    }
    // What is forgotten on purpose takes the mark along: that which begins before, or from then on.
    for (from, expected) in [(5, false), (6, true)] {
        let mut relatives = forgotten(5);
        relatives.forget_before(UnixNanos(from));
        assert_eq!(is_known(&relatives, 0, 10), expected, "before {from}");
    }
    for (from, expected) in [(9, false), (5, true)] {
        let mut relatives = forgotten(5);
        relatives.forget_from(UnixNanos(from));
        relatives.add(&span(1, None, None, Kind::Client));
        assert_eq!(is_known(&relatives, 0, 10), expected, "from {from}");
    }
    let mut twice = forgotten(5);
    twice.all[0].start = UnixNanos(3);
    twice.add(&span(9, None, None, Kind::Client));
    assert_eq!(twice.forgotten, Some(UnixNanos(5)), "the latest");
}

#[test]
fn ancestors_are_looked_for_as_far_as_they_began_in_time_and_are_near() {
    // Each is the parent of the one before; the family knows the first.
    let chain: Vec<_> =
        (1..=12).map(|number| span(20 - number, Some(19 - number), None, Kind::Internal)).collect();
    let relatives = relatives(&chain);
    let youngest = Window { from: UnixNanos(19), until: UnixNanos(20) };
    let with = |from: u64| {
        let window = Window { from: UnixNanos(from), until: UnixNanos(20) };
        relatives.with_ancestors(relatives.family(youngest), window).len()
    };
    assert_eq!([with(19), with(18), with(15), with(0)], [1, 2, 5, 1 + ANCESTORS_MAX]);
    // What is there already is not looked for, and what no span names is not of it.
    let pair = relatives.family(Window { from: UnixNanos(18), until: UnixNanos(20) });
    let alone = Window { from: UnixNanos(18), until: UnixNanos(20) };
    assert_eq!(relatives.with_ancestors(pair, alone).len(), 2);
    assert_eq!(relatives.with_ancestors(Family::default(), ALL).len(), 0);
}

#[test]
fn an_entry_names_no_invocation_and_its_parent_is_elsewhere() {
    let named = Span { request_id: Some("r".into()), ..span(1, None, None, Kind::Server) };
    let consumer = |remote| span(2, Some(1), remote, Kind::Consumer);
    let internal = span(1, None, None, Kind::Internal);
    let rows: [(&[Span<()>], Option<u8>); 5] = [
        (&[named], None),
        (&[internal.clone(), consumer(None)], None),
        (&[internal.clone(), consumer(Some(true))], Some(2)),
        (&[internal, consumer(Some(false))], None),
        (&[consumer(None)], Some(2)),
    ];
    for (spans, expected) in rows {
        let entry = relatives(spans).family(ALL).entry();
        assert_eq!(entry.map(|(place, _)| place.span_id), expected.map(id), "{spans:?}");
    }
}

#[test]
fn traces_are_listed_once_in_their_order_and_only_a_few() {
    let spans: Vec<_> = [7, 3, 7].map(|number| of_trace(number, span(1, None, None, Kind::Client))).into();
    let ids = |numbers: &[u8]| {
        numbers.iter().map(|number| TraceId::new([*number; 16]).expect("not zero")).collect::<Vec<_>>()
    };
    assert_eq!(relatives(&spans).family(ALL).traces(), ids(&[7, 3]));
    let many: Vec<_> = (1..=40).map(|number| of_trace(number, span(1, None, None, Kind::Client))).collect();
    assert_eq!(relatives(&many).family(ALL).traces().len(), TRACES_MAX);
    assert_eq!(
        (Family::default().trace(), Family::default().earliest(), Family::default().latest(UnixNanos(9))),
        (None, None, None)
    );
}

#[test]
fn a_parent_in_another_trace_is_missing_in_this_one() {
    let family = relatives(&[
        span(1, Some(7), None, Kind::Client),
        of_trace(8, span(7, None, None, Kind::Client)),
        of_trace(8, span(2, Some(6), None, Kind::Client)),
    ]);
    assert_eq!(family.family(ALL).missing_parents(trace(), true), [id(7)]);
}

#[test]
fn a_trace_is_as_old_as_the_first_of_it_that_had_to_be_forgotten() {
    let mut relatives = relatives(&[span(2, None, None, Kind::Client)]);
    (0..RELATIVES_MAX).for_each(|_| relatives.add(&span(9, None, None, Kind::Client)));
    assert!(relatives.has_before(trace(), UnixNanos(3)));
    relatives.forget_before(UnixNanos(1));
    assert!(relatives.has_before(trace(), UnixNanos(3)), "nothing began before");
}

#[test]
fn half_of_the_room_is_a_crowd() {
    let mut relatives = Relatives::default();
    (1..RELATIVES_MAX / 2).for_each(|_| relatives.add(&span(9, None, None, Kind::Client)));
    assert!(!relatives.is_crowded());
    relatives.add(&span(9, None, None, Kind::Client));
    assert!(relatives.is_crowded());
}
