//! What the simulated function does in one invocation, as its faults allow.

use policy::{Kind, Receipt, Rng, Span, SpanId, UnixNanos};

use super::disk::{Body, Disk};
use super::faults::Faults;
use super::sampling::trace_of;

/// How an invocation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Returns,
    TimesOut,
    Crashes,
}

/// One invocation, planned.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) request_id: String,
    pub(crate) fate: Fate,
    /// Nanoseconds from INVOKE to the function's end.
    pub(crate) duration: u64,
    /// Requests it sends: when after INVOKE, and what.
    pub(crate) sends: Vec<(u64, Receipt<Body>)>,
}

pub(crate) const MS: u64 = 1_000_000;
/// The function's time-out.
pub(crate) const TIMEOUT: u64 = 3_000 * MS;

/// Numbers spans, and makes their bodies.
pub(crate) struct Bodies {
    pub(crate) last: u64,
    pub(crate) disk: Disk,
}

/// Plans invocation `number`; `bodies` numbers its spans.
pub(crate) fn plan(number: u64, faults: &Faults, rng: &mut Rng, bodies: &mut Bodies) -> Plan {
    let mut on = |is_possible: bool| is_possible && rng.below(3) == 0;
    let fate = if on(faults.times_out) {
        Fate::TimesOut
    } else if on(faults.crashes) {
        Fate::Crashes
    } else {
        Fate::Returns
    };
    let (is_silent, is_much) = (on(faults.sends_nothing), on(faults.sends_much));
    let (is_late, is_nameless) = (on(faults.sends_late), on(faults.never_names_itself));
    let duration = if fate == Fate::TimesOut { TIMEOUT } else { (1 + rng.below(400)) * MS };
    let request_id = format!("request-{number}");
    let mut sends = Vec::new();
    if !is_silent {
        let children = if is_much { 300 } else { 1 + rng.below(6) };
        let name = (fate == Fate::Returns && !is_nameless).then_some(request_id.as_str());
        let receipt = receipt(number, children, name, rng, bodies);
        let at = if is_late { duration + 30 * MS } else { duration * 9 / 10 };
        sends.push((at, receipt));
    }
    Plan { request_id, fate, duration, sends }
}

/// Children of one span, and that span last when it says which invocation it is.
fn receipt(
    number: u64,
    children: u64,
    name: Option<&str>,
    rng: &mut Rng,
    bodies: &mut Bodies,
) -> Receipt<Body> {
    let trace_id = trace_of(number);
    let root = SpanId::new((number + 1).to_be_bytes()).expect("not zero");
    let mut spans = Vec::new();
    let mut push = |span_id, parent, kind, request_id: Option<&str>| {
        bodies.last += 1;
        spans.push(Span {
            trace_id,
            span_id,
            parent,
            parent_is_remote: None,
            kind,
            start: UnixNanos(number),
            end: UnixNanos(number + 1),
            is_error: rng.below(20) == 0,
            request_id: request_id.map(Into::into),
            size: 200 + rng.below(400) as u32,
            body: bodies.disk.body(bodies.last, trace_id),
        });
    };
    for child in 0..children {
        let span_id = SpanId::new((((number + 1) << 20) + child).to_be_bytes()).expect("not zero");
        push(span_id, Some(root), Kind::Client, None);
    }
    if name.is_some() {
        push(root, None, Kind::Server, name);
    }
    Receipt { spans, parcels: Vec::new() }
}
