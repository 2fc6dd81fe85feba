//! The virtual backends: their reply to a request, and what they are told.

use std::sync::Arc;

use policy::{BatchId, Entry, InitType, Outcome, PlatformSpan, Rng, Signal};

use super::super::disk::{ANNOUNCED, Body};
use super::super::faults::Faults;
use super::super::function::MS;
use super::super::sampling;
use super::World;
use super::logged::Place;
use super::network::Reply;
use super::roots::{Root, invocation_of};
use super::telling::Lane;

/// Bytes a second that a narrow backend takes.
const NARROW: u64 = 100_000;
/// An answer takes this where nothing that happens may change when others come.
const STEADY: u64 = 5 * MS;
/// A connection that is refused tells so after this.
const REFUSED: u64 = MS / 10;

impl World {
    pub(super) fn export(&mut self, id: BatchId, signal: Signal, entries: Arc<[Entry<Body>]>) {
        assert!(
            !self.is_asked || self.config.is_managed(),
            "an export begins while /next is asked: it may be frozen at once"
        );
        let count: u32 = entries.iter().map(|entry| entry.count).sum();
        sampling::check(&self.config.sampling, &entries);
        let bytes: u64 = entries.iter().map(|entry| u64::from(entry.size)).sum();
        self.spend(bytes * self.character.cpu.1 / 1_000);
        let reply = self.reply_to(signal, &entries);
        self.say(&format!("export {:?} {} of {count}: {:?}", Lane(id.lane), id.number, reply.outcome));
        self.check_patience_kept(&entries);
        self.check_turn_of(signal);
        self.note_launched(&entries);
        self.send(id, signal, entries, reply);
    }

    /// The faults of the backend of `signal`.
    fn faults_of(&self, signal: Signal) -> Faults {
        if let Some(backend) = self.others.backend(signal) {
            return if self.is_healthy() && !backend.is_dead {
                Faults::default()
            } else {
                backend.faults.clone()
            };
        }
        let is_sick = !self.faults.is_of_one_signal || signal as u64 == self.config.seed % 3;
        if is_sick { self.faults_now() } else { Faults::default() }
    }

    fn reply_to(&mut self, signal: Signal, entries: &[Entry<Body>]) -> Reply {
        if let Some(row) = &self.row {
            return row.reply(self.invocations, entries.len());
        }
        let faults = self.faults_of(signal);
        let is_steady = self.others.is_steady(signal);
        let dice = self.dice(signal);
        let takes = match faults.is_slow {
            true => dice.below(3_000) * MS,
            false if is_steady => STEADY,
            false => (2 + dice.below(20)) * MS,
        };
        let takes = if faults.is_narrow { self.pass_through(signal, entries) } else { takes };
        let (what, outcome, takes, keeps) = fault_in(&faults, self.dice(signal), takes, entries)
            .unwrap_or_else(|| {
                let what = if faults.is_slow { "backend is slow" } else { "backend is well" };
                (what, Outcome::Delivered { rejected: 0 }, Some(takes), entries.len())
            });
        if self.others.backend(signal).is_some_and(|backend| backend.is_dead) {
            self.coverage.note("backend of one signal is dead for good");
        }
        if self.at == 1 {
            self.coverage.note("second destination");
        }
        if self.others.is_any() {
            self.coverage.note("backends with faults of their own");
        }
        if faults.is_of_one_signal {
            self.coverage.note("backend of one signal is ill");
        }
        self.coverage.note(what);
        Reply { outcome, takes, keeps }
    }

    /// All requests share what a narrow backend takes in a second, one after the other.
    fn pass_through(&mut self, signal: Signal, entries: &[Entry<Body>]) -> u64 {
        self.coverage.note("backend is narrow");
        let bytes: u64 = entries.iter().map(|entry| u64::from(entry.size)).sum();
        let now = self.now;
        let busy_until = self.others.busy_until(signal).unwrap_or(&mut self.busy_until);
        *busy_until = now.max(*busy_until) + bytes * 1_000_000_000 / NARROW;
        *busy_until - now + 5 * MS
    }

    /// The backend has a span of the function, for the first time.
    pub(super) fn note_received(&mut self, body: &Body) {
        if body.id >= ANNOUNCED {
            return if self.at == 0 {
                self.note_closed(body);
            };
        }
        assert!(self.accepted.contains_key(&body.id), "a span that nobody sent");
        self.delivered.insert(body.id);
        if self.at == 1 {
            return;
        }
        self.note_own_root(body);
    }

    /// The backend has a span that was made here, for the first time.
    pub(super) fn note_made(&mut self, span: &PlatformSpan) {
        self.ids.insert(*span.span_id.bytes());
        assert!(span.start <= span.end, "it ends before it begins: {span:?}");
        let mut sources = span.attributes.iter().filter(|(key, _)| *key == "prefreeze.parent_source");
        let is_adopted =
            sources.any(|(_, value)| matches!(value, policy::Value::Text(word) if **word == *"adopted"));
        // What children of a dead function name as their parent is where it began.
        assert!(span.parent.is_none() || !is_adopted, "rebuilt below another: {span:?}");
        assert_ne!(span.parent, Some(span.span_id), "its own parent: {span:?}");
        if let Some(request_id) = invocation_of(span) {
            self.logged.learn(&request_id.into(), (span.trace_id, span.span_id));
            self.note_made_root(request_id, span);
        } else if span.attributes.iter().any(|(key, _)| *key == "aws.lambda.initialization_type") {
            self.check_cold_start(span);
        }
    }

    /// A root that was announced, and closed here.
    pub(super) fn note_closed_root(&mut self, number: u64, place: Place) {
        self.note_root(number, Root::Closed(place));
    }

    /// A cold start is told where somebody waited for it, by the word of its kind, and once for each process.
    fn check_cold_start(&mut self, span: &PlatformSpan) {
        let word = match self.config.init_type {
            InitType::OnDemand => "init ",
            InitType::SnapStart => "restore ",
            InitType::ProvisionedConcurrency | InitType::ManagedInstances => {
                panic!("nobody waited for {span:?}")
            }
        };
        assert!(span.name.starts_with(word), "a cold start of another kind: {span:?}");
        self.cold_starts.insert(*span.span_id.bytes());
        assert!(self.cold_starts.len() <= self.processes as usize, "more cold starts than processes");
    }
}

/// Its name, the outcome, its time, and the number of entries that the backend takes in.
type Fault = (&'static str, Outcome, Option<u64>, usize);

/// What goes wrong, if anything does: the outcome, its time, and how many entries are taken in all the same.
fn fault_in(faults: &Faults, dice: &mut Rng, takes: u64, entries: &[Entry<Body>]) -> Option<Fault> {
    let mut on = |is_possible: bool| is_possible && dice.below(2) == 0;
    // The last item is refused, where that is an entry of its own.
    let is_single = entries.last().is_some_and(|entry| entry.count == 1);
    let entries = entries.len();
    let retry = |after| Outcome::Retry { after };
    Some(if on(faults.refuses) {
        ("backend refuses", retry(None), Some(REFUSED), 0)
    } else if on(faults.hangs) {
        ("backend hangs", Outcome::Lost, None, if on(true) { entries } else { 0 })
    } else if on(faults.answers_503) {
        ("backend answers 503", retry(None), Some(takes), 0)
    } else if on(faults.asks_for_patience) {
        let after = Some(std::time::Duration::from_millis(dice.below(60_000)));
        ("backend asks for patience", retry(after), Some(takes), 0)
    } else if on(faults.breaks_connections) {
        ("backend breaks a connection", Outcome::Lost, Some(takes / 2), 0)
    } else if on(faults.loses_answers) {
        ("backend's answer is lost", Outcome::Lost, Some(takes), entries)
    } else if on(faults.answers_400) {
        ("backend answers 400", Outcome::Rejected { status: 400 }, Some(takes), 0)
    } else if on(faults.answers_401) {
        ("backend refuses the key", Outcome::Refused { status: 401 }, Some(takes), 0)
    } else if faults.answers_413 && entries > 3 {
        ("backend answers 413", Outcome::TooLarge, Some(takes), 0)
    } else if on(faults.takes_part) {
        (
            "backend takes a part",
            Outcome::Delivered { rejected: 1 },
            Some(takes),
            entries - usize::from(is_single),
        )
    } else {
        return None;
    })
}
