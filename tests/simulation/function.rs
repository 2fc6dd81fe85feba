//! What the simulated function does in one invocation, as its faults allow.

use policy::{Kind, Parcel, Receipt, Rng, Signal, Span, SpanId, UnixNanos};

use super::disk::{ANNOUNCED, Body, Disk, Facts, LOGGED};
use super::faults::Faults;
use super::sampling::trace_of;

/// How an invocation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Returns,
    TimesOut,
    Crashes,
    /// It does its work and sends all it has, but no response: the platform ends it at its deadline.
    NeverAnswers,
    /// Init fails in it: the handler never begins.
    FailsInit,
}

impl Fate {
    /// Whether the platform ends it at the deadline.
    pub(crate) const fn is_timeout(self) -> bool {
        matches!(self, Self::TimesOut | Self::NeverAnswers)
    }

    /// Whether the handler comes to its end.
    const fn has_handled(self) -> bool {
        matches!(self, Self::Returns | Self::NeverAnswers)
    }
}

/// Something that the function does, at so many nanoseconds after INVOKE.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// It sends a request.
    Sends(Receipt<Body>),
    /// It announces spans that it has begun.
    Announces(Vec<Span<Body>>),
    /// It writes log lines.
    Logs(Parcel<Body>),
    /// It says that it is done with this invocation, or with whatever runs.
    AsksForFlush(Option<String>),
}

/// One invocation, planned.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) request_id: String,
    pub(crate) fate: Fate,
    /// Nanoseconds from INVOKE to the function's end.
    pub(crate) duration: u64,
    pub(crate) deeds: Vec<(u64, Deed)>,
}

impl Plan {
    /// What it sends, and when.
    pub(crate) fn sends(&self) -> impl Iterator<Item = (u64, &Receipt<Body>)> {
        self.deeds.iter().filter_map(|(at, deed)| match deed {
            Deed::Sends(receipt) => Some((*at, receipt)),
            _ => None,
        })
    }
}

pub(crate) const MS: u64 = 1_000_000;
/// The function's time-out.
pub(crate) const TIMEOUT: u64 = 3_000 * MS;

/// Numbers spans, and makes their bodies.
pub(crate) struct Bodies {
    pub(crate) last: u64,
    pub(crate) disk: Disk,
    /// What a span is that is larger than all the memory that may be held.
    pub(crate) outsize: u32,
}

impl Bodies {
    /// Of a span.
    fn next(&mut self, kind: u64, number: u64, span_id: SpanId) -> Body {
        self.last += 1;
        self.disk.body(Facts {
            id: kind + self.last,
            trace_id: trace_of(number),
            span_id,
            ..Facts::default()
        })
    }

    /// Of so many log records.
    fn next_logs(&mut self, number: u64, count: u32) -> Body {
        self.last += 1;
        self.disk.body(Facts {
            id: LOGGED + self.last,
            trace_id: trace_of(number),
            count,
            ..Facts::default()
        })
    }
}

/// What is known of the environment when an invocation is planned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) is_managed: bool,
    /// Its function says when it is done.
    pub(crate) asks_for_flush: bool,
    /// Its init has failed, and runs again in this invocation.
    pub(crate) runs_init: bool,
}

/// Plans invocation `number`; `bodies` numbers its spans.
pub(crate) fn plan(
    number: u64,
    setting: Setting,
    faults: &Faults,
    rng: &mut Rng,
    bodies: &mut Bodies,
) -> Plan {
    let mut on = |is_possible: bool| is_possible && rng.below(3) == 0;
    let fate = if setting.runs_init && on(faults.fails_init_again) {
        Fate::FailsInit
    } else if on(faults.times_out) {
        Fate::TimesOut
    } else if on(faults.crashes) {
        Fate::Crashes
    } else if on(faults.never_answers) && !setting.is_managed {
        Fate::NeverAnswers
    } else {
        Fate::Returns
    };
    let (is_silent, is_much) = (on(faults.sends_nothing), on(faults.sends_much));
    let (is_late, is_nameless) = (on(faults.sends_late), on(faults.never_names_itself));
    let work = (1 + rng.below(400)) * MS;
    let duration = if fate.is_timeout() { TIMEOUT } else { work };
    let request_id = format!("request-{number}");
    let mut deeds = Vec::new();
    if fate == Fate::FailsInit {
        return Plan { request_id, fate, duration, deeds };
    }
    // On Managed Instances the process lives on, and says of a failed invocation too which it was.
    let is_named = !is_nameless && (fate.has_handled() || setting.is_managed);
    if !is_silent {
        let children = if is_much { 300 } else { 1 + rng.below(6) };
        let name = is_named.then_some(request_id.as_str());
        let mut receipt = receipt(number, children, name, rng, bodies);
        if faults.sends_outsize && rng.below(4) == 0 {
            receipt.spans[0].size = bodies.outsize;
        }
        let busy = if fate == Fate::NeverAnswers { work } else { duration };
        let at = if is_late { duration + 30 * MS } else { busy * 9 / 10 };
        deeds.push((at, Deed::Sends(receipt)));
    }
    if faults.announces {
        announce(number, (!is_nameless).then_some(request_id.as_str()), work, rng, bodies, &mut deeds);
    }
    for _ in 0..if faults.tells_logs { rng.below(4) } else { 0 } {
        let count = 1 + rng.below(5) as u32;
        let body = bodies.next_logs(number, count);
        let parcel = Parcel { signal: Signal::Logs, count, size: 100 * count, body };
        deeds.push((rng.below(duration), Deed::Logs(parcel)));
    }
    if setting.asks_for_flush {
        let meant = [Some(request_id.clone()), None, Some(format!("request-{}", number - 1))];
        // On Managed Instances many run at once.
        let which = if setting.is_managed { 0 } else { rng.below(3) as usize };
        let at = if which < 2 { duration * 19 / 20 } else { rng.below(duration) };
        deeds.push((at, Deed::AsksForFlush(meant[which].clone())));
    }
    deeds.sort_by_key(|(at, _)| *at);
    Plan { request_id, fate, duration, deeds }
}

/// The invocation's own span is announced as it begins, and some spans inside it, of which some end in time, some late,
/// and some never.
fn announce(
    number: u64,
    name: Option<&str>,
    work: u64,
    rng: &mut Rng,
    bodies: &mut Bodies,
    deeds: &mut Vec<(u64, Deed)>,
) {
    let begun = |span_id, parent, kind, body| Span {
        trace_id: trace_of(number),
        span_id,
        parent,
        parent_is_remote: None,
        kind,
        start: UnixNanos(number),
        end: UnixNanos(0),
        is_error: false,
        request_id: None,
        size: 150,
        body,
    };
    let root = SpanId::new((number + 1).to_be_bytes()).expect("not zero");
    if let Some(name) = name {
        let mut span = begun(root, None, Kind::Server, bodies.next(ANNOUNCED, number, root));
        span.request_id = Some(name.into());
        deeds.push((MS / 2, Deed::Announces(vec![span])));
    }
    for inner in 0..rng.below(4) {
        let span_id = SpanId::new((((number + 1) << 20) + 0x8_0000 + inner).to_be_bytes()).expect("not zero");
        let at = MS + rng.below(work);
        let body = bodies.next(ANNOUNCED, number, span_id);
        let span = begun(span_id, Some(root), Kind::Internal, body);
        let ends_at = match rng.below(3) {
            0 => None,
            1 => Some(at + rng.below(work)),
            // The announcement may be overtaken by the span itself.
            _ => Some(at.saturating_sub(rng.below(2 * MS))),
        };
        if let Some(ends_at) = ends_at {
            let body = bodies.next(0, number, span_id);
            let ended = Span { end: UnixNanos(number + 1), body, ..span.clone() };
            let receipt = Receipt { spans: vec![ended], parcels: Vec::new() };
            deeds.push((ends_at, Deed::Sends(receipt)));
        }
        deeds.push((at, Deed::Announces(vec![span])));
    }
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
            body: bodies.next(0, number, span_id),
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
