//! Plans one invocation: its end, and what the function sends, announces and logs until then.

use policy::{Kind, Parcel, Receipt, Rng, Signal, Span, SpanId, UnixNanos};

use super::super::disk::Body;
use super::super::faults::Faults;
use super::character::{Character, Entry};
use super::spans::{Bodies, Maker, Sketch, child_of, root_of};
use super::{Deed, Fate, MS, Plan, Setting};

/// The middle of a century that no clock of this world reaches.
const BOGUS: UnixNanos = UnixNanos(8_000_000_000_000_000_000);

/// What the plan of one invocation is made with.
struct Planner<'a> {
    maker: Maker<'a>,
    rng: &'a mut Rng,
    faults: &'a Faults,
    entry: Entry,
    fate: Fate,
    /// When the handler begins, and when it has done its work; nanoseconds after the begin of the invocation.
    handler: u64,
    busy: u64,
    duration: u64,
    /// Whether this function's process can send spans of an invocation that has failed.
    outlives: bool,
    deeds: Vec<(u64, Deed)>,
}

/// Plans invocation `number`; `bodies` numbers its spans.
pub(crate) fn plan(
    number: u64,
    setting: &Setting,
    character: &Character,
    faults: &Faults,
    rng: &mut Rng,
    bodies: &mut Bodies,
) -> Plan {
    let fate = fate(setting, faults, rng);
    let work = character.work(rng);
    let duration = if fate.is_timeout() { character.timeout() } else { work };
    let request_id = setting.request_id.clone();
    if fate == Fate::FailsInit {
        return Plan { number, request_id, fate, duration, deeds: Vec::new() };
    }
    let mut on = |is_possible: bool| is_possible && rng.below(3) == 0;
    let is_silent = on(faults.sends_nothing) || on(character.is_sampled_itself);
    let (is_much, is_late) = (on(faults.sends_much), on(faults.sends_late));
    let is_nameless = on(faults.never_names_itself);
    let busy = character.busy(if fate == Fate::NeverAnswers { work } else { duration });
    let maker = Maker { number, request_id: &request_id, begun: setting.wall, character, bodies };
    let mut planner = Planner {
        maker,
        rng,
        faults,
        entry: character.entry_unless(is_nameless),
        fate,
        handler: MS / 10 + busy / 100,
        busy,
        duration,
        outlives: setting.is_managed,
        deeds: Vec::new(),
    };
    if !is_silent {
        planner.send_spans(if is_much { 300 } else { 1 }, is_late);
        if faults.announces {
            planner.announce(work);
        }
    }
    planner.log();
    planner.ask_for_flush(setting);
    let mut deeds = planner.deeds;
    if fate.is_death() && !setting.is_managed {
        deeds.retain(|(at, _)| *at <= duration);
    }
    deeds.sort_by_key(|(at, _)| *at);
    Plan { number, request_id, fate, duration, deeds }
}

fn fate(setting: &Setting, faults: &Faults, rng: &mut Rng) -> Fate {
    let mut on = |is_possible: bool| is_possible && rng.below(3) == 0;
    if setting.runs_init && on(faults.fails_init_again) {
        Fate::FailsInit
    } else if on(faults.times_out) {
        Fate::TimesOut
    } else if on(faults.crashes) {
        // A process that serves many ends the whole environment when it ends.
        if setting.is_managed { Fate::Errors } else { Fate::Crashes }
    } else if on(faults.never_answers) && !setting.is_managed {
        Fate::NeverAnswers
    } else if on(faults.errs) {
        Fate::Errors
    } else {
        Fate::Returns
    }
}

impl Planner<'_> {
    /// Spans, sent by the end of the handler, after the response, or by a timer.
    fn send_spans(&mut self, children_min: u64, is_late: bool) {
        let sent_at = self.handler + (self.busy - self.handler) * 9 / 10;
        let children = children_min.max(1 + self.rng.below(6));
        let parts = if self.entry == Entry::Siblings { 2 + self.rng.below(3) } else { 1 };
        for part in 0..parts {
            let at = self.handler + (sent_at - self.handler) * (part + 1) / parts;
            let from = self.handler + (sent_at - self.handler) * part / parts + 1_000 * u64::from(part > 0);
            let spans = self.part(part, children, from, at);
            let at = if is_late { self.duration + 30 * MS } else { at };
            self.send(at, spans);
        }
        if self.entry == Entry::Nested {
            let at = self.handler + (sent_at - self.handler) / 2;
            let inner = Sketch {
                kind: Kind::Consumer,
                is_named: true,
                parent_is_remote: Some(false),
                ..self.sketch(child_of(self.maker.number, 0x7_0000), at)
            };
            let span = self.maker.ended(&inner, 300);
            self.send(at, vec![span]);
        }
        if self.faults.sends_half && self.rng.below(4) == 0 {
            self.deeds.push((sent_at, Deed::HalfSends));
        }
    }

    /// A child of the root that ends before `until`.
    fn sketch(&mut self, span_id: SpanId, until: u64) -> Sketch {
        let start = self.handler + self.rng.below((until - self.handler).max(1));
        let end = start + self.rng.below((until - start).max(1));
        let root = root_of(self.maker.number);
        self.maker.sketch(span_id, Some(root), (start, end))
    }

    /// Children of one span, and that span last where it has ended and is sent at all.
    fn part(&mut self, part: u64, children: u64, from: u64, until: u64) -> Vec<Span<Body>> {
        let number = self.maker.number;
        let root = if part == 0 { root_of(number) } else { child_of(number, 0x6_0000 + part) };
        let mut spans = Vec::new();
        for child in 0..children {
            let span_id = child_of(number, (part << 12) + child);
            let mut sketch = self.sketch(span_id, until);
            sketch.trace_id = self.maker.trace_of_child(child);
            // A span of another trace hangs below nothing of this one.
            sketch.parent = (sketch.trace_id == self.maker.trace_id()).then_some(root);
            sketch.is_error = self.rng.below(20) == 0;
            let size = 200 + self.rng.below(400) as u32;
            spans.push(self.maker.ended(&sketch, size));
        }
        self.disturb(&mut spans);
        let is_ended = self.fate.has_handled() || self.outlives;
        if is_ended && self.entry != Entry::Absent {
            let remote = (self.rng.below(4) == 0).then(|| self.caller());
            let kind = if self.entry == Entry::Internal { Kind::Internal } else { Kind::Server };
            // Of an INTERNAL span nobody could know.
            let is_said = self.maker.character.says_remote || kind == Kind::Internal;
            let sketch = Sketch {
                kind,
                is_named: self.entry.is_named(),
                is_error: self.fate == Fate::Errors,
                parent_is_remote: remote.filter(|_| is_said).map(|_| true),
                ..self.maker.sketch(root, remote, (from.min(until), until))
            };
            spans.push(self.maker.ended(&sketch, 400));
        }
        spans
    }

    /// The span that called: of another service, or of this one, in an invocation before.
    fn caller(&self) -> SpanId {
        let number = self.maker.number;
        let is_handed_on = number.is_multiple_of(2) && self.maker.is_of_one_trace(number - 1);
        if is_handed_on { child_of(number - 1, 0) } else { child_of(number, 0x5_0000) }
    }

    /// An outsize span, and impossible times.
    fn disturb(&mut self, spans: &mut [Span<Body>]) {
        let Some(first) = spans.first_mut() else { return };
        if self.faults.sends_outsize && self.rng.below(4) == 0 {
            first.size = self.maker.bodies.outsize;
        }
        if self.maker.character.has_bogus_times && self.rng.below(3) == 0 {
            if self.rng.below(2) == 0 {
                first.end = BOGUS;
            } else {
                (first.start, first.end) = (UnixNanos(0), UnixNanos(0));
            }
        }
    }

    fn send(&mut self, at: u64, spans: Vec<Span<Body>>) {
        let receipt = Receipt { spans, parcels: Vec::new() };
        let by_timer = self.maker.character.sends_by_timer;
        self.deeds.push((at, if by_timer { Deed::Buffers(receipt) } else { Deed::Sends(receipt) }));
    }

    /// The invocation's own span is announced as it begins, and some spans inside it, of which some end in time, some
    /// late, and some never.
    fn announce(&mut self, work: u64) {
        let number = self.maker.number;
        let root = root_of(number);
        let is_named = self.entry.is_named() && !self.maker.character.sends_by_timer;
        if is_named {
            let sketch = Sketch {
                kind: Kind::Server,
                is_named,
                ..self.maker.sketch(root, None, (self.handler, self.handler))
            };
            let span = self.maker.announced(&sketch);
            self.deeds.push((self.handler, Deed::Announces(vec![span])));
        }
        for inner in 0..self.rng.below(4) {
            let at = self.handler + self.rng.below(work.saturating_sub(self.handler).max(1));
            let (ends, overtakes) = (self.rng.below(3) > 0, self.rng.below(2) == 0);
            let rest = work.saturating_sub(at).max(1);
            let end = at + self.rng.below(if overtakes { rest.min(MS) } else { rest });
            let span_id = child_of(number, 0x8_0000 + inner);
            let sketch = Sketch { kind: Kind::Internal, ..self.maker.sketch(span_id, Some(root), (at, end)) };
            let announced = self.maker.announced(&sketch);
            if ends {
                let span = self.maker.ended(&sketch, 150);
                let receipt = Receipt { spans: vec![span], parcels: Vec::new() };
                self.deeds.push((end, Deed::Sends(receipt)));
            }
            // The announcement may be overtaken by the span itself.
            let sent_at = if ends && overtakes { at + self.rng.below(2 * MS) } else { at };
            self.deeds.push((sent_at, Deed::Announces(vec![announced])));
        }
    }

    fn log(&mut self) {
        for _ in 0..if self.faults.tells_logs { self.rng.below(4) } else { 0 } {
            let count = 1 + self.rng.below(5) as u32;
            let body = self.maker.bodies.next_logs(self.maker.number, count);
            let parcel = Parcel { signal: Signal::Logs, count, size: 100 * count, body };
            self.deeds.push((self.rng.below(self.duration), Deed::Logs(parcel)));
        }
    }

    fn ask_for_flush(&mut self, setting: &Setting) {
        if !setting.asks_for_flush {
            return;
        }
        let meant =
            [Some(setting.request_id.to_string()), None, Some(format!("request-{}", self.maker.number - 1))];
        // On Managed Instances many run at once.
        let which = if setting.is_managed { 0 } else { self.rng.below(3) as usize };
        let at = if which < 2 { self.duration * 19 / 20 } else { self.rng.below(self.duration) };
        self.deeds.push((at, Deed::AsksForFlush(meant[which].clone())));
    }
}
