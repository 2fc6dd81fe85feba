//! The one state machine: inputs in, outputs out, and when it wants to be woken.
//!
//! The only place in which the others meet. Contract: after every [`Agent::handle`], drain [`Agent::poll`]
//! until it is `None`; then wait for the next input or for [`Agent::deadline`], whichever is first.

mod announcing;
mod exports;
mod logging;
mod metering;
mod sampling;
mod spooling;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::announced::Announced;
use crate::batch::Entry;
use crate::breaker::Breaker;
use crate::budget;
use crate::cap::Cap;
use crate::config::{Config, SpoolMode};
use crate::correlation::Correlation;
use crate::facts::Body;
use crate::invocations::Invocations;
use crate::io::{Input, Output, Receipt};
use crate::ledger::{DropReason, Ledger};
use crate::lifecycle::{Event, Phase};
use crate::metrics::Metrics;
use crate::notice::Notice;
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::platform::{InitType, Invoke, PlatformEvent, Shutdown, ShutdownReason};
use crate::retry::OWN_PAUSE_MAX;
use crate::rng::Rng;
use crate::sampling::Assembly;
use crate::shelf::Shelf;
use crate::span::{RequestId, Signal};
use crate::speed::Speed;
use crate::stand_ins::StandIns;
use crate::time::{Duration, Instant, UnixNanos};

/// After a signal said that the function is done, how long requests of it that are still being received
/// may take. They were begun before the signal, so this is only reached by a sender that stalls.
const RECEIVING_GRACE: Duration = Duration::from_millis(100);
/// Announced spans may take this part of what may be held, on top of it.
const ANNOUNCED_PART: usize = 8;
/// On Managed Instances nothing freezes and no invocation end is awaited: data leaves on this beat.
const MANAGED_BEAT: Duration = Duration::from_secs(1);

/// Everything that Prefreeze decides, for one execution environment. `B` is the body of a span or parcel.
#[derive(Debug)]
pub struct Agent<B> {
    config: Config,
    phase: Phase,
    invocations: Invocations,
    announced: Announced<B>,
    /// Where spans wait to be judged; `None` where everything is kept.
    assembly: Option<Assembly<B>>,
    stand_ins: StandIns,
    outbox: Outbox<B>,
    shelf: Shelf<B>,
    /// Whether something had to go into the spool for want of room, and nothing has left memory since: what is read
    /// back now would only go there again.
    is_crowded: bool,
    breaker: Breaker,
    pace: Pace,
    speed: Speed,
    cap: Cap,
    ledger: Ledger,
    metrics: Metrics,
    logs: Correlation<B>,
    rng: Rng,
    /// Requests of the function that are being received.
    receiving: u32,
    /// When a signal first said that the running invocation is done.
    done_since: Option<Instant>,
    /// Whether the last invocation was held until [`Agent::give_up_at`] for nothing: neither the function nor
    /// the platform told of its end. Then the next ones are not held at all, until an end is heard again.
    is_unheard: bool,
    /// When an invocation of which nothing is heard is treated as done.
    give_up_at: Instant,
    /// The running invocation's deadline, or SHUTDOWN's.
    deadline: Instant,
    flush_began: Instant,
    /// Whether this flush has sent anything yet.
    flush_has_sent: bool,
    flush_end: Instant,
    /// Whether the cap on cost, and not the budget, set that end.
    flush_is_cut: bool,
    /// In SHUTDOWN: until when the platform may still say how an open invocation ended.
    last_words_end: Instant,
    gate: Gate,
    /// The SHUTDOWN whose open invocations are not closed yet.
    shutdown: Option<Shutdown>,
    /// Time that the caller's clock has slept through in freezes.
    slept: Duration,
    /// When `/next` was last asked.
    asked_at: Instant,
    next_beat: Instant,
    said: Said,
    outputs: VecDeque<Output<B>>,
}

/// Whether the function is still listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// The shell is handing over the last of what it has accepted.
    Closing,
    Closed,
    /// Nothing is sent any more: what is left goes to the disk, which has yet to say that it has it.
    Leaving,
}

/// What has been said already, so that it is said once.
#[derive(Debug, Default)]
struct Said {
    no_destination: [bool; Signal::ALL.len()],
    partly_rejected: [bool; Signal::ALL.len()],
    statuses: Vec<u16>,
    outbox_full: bool,
    spool_unusable: bool,
    cost_cap: bool,
}

impl<B: Body> Agent<B> {
    /// An environment in which nothing has happened yet.
    pub fn new(config: Config) -> Self {
        Self {
            phase: Phase::Starting,
            invocations: Invocations::default(),
            announced: Announced::new(config.bounds.held_bytes / ANNOUNCED_PART),
            assembly: Self::assembly(&config),
            stand_ins: StandIns::default(),
            outbox: Outbox::new(config.bounds),
            shelf: Shelf::new(config.bounds.spooled_bytes, config.spool != SpoolMode::Off),
            is_crowded: false,
            breaker: Breaker::new(),
            pace: Pace::default(),
            speed: Speed::default(),
            cap: Cap::new(config.cost_cap),
            ledger: Ledger::default(),
            metrics: Metrics::new(&config),
            logs: Correlation::default(),
            rng: Rng::new(config.seed),
            receiving: 0,
            done_since: None,
            is_unheard: false,
            give_up_at: Instant::default(),
            deadline: Instant::default(),
            flush_began: Instant::default(),
            flush_has_sent: false,
            flush_end: Instant::default(),
            flush_is_cut: false,
            last_words_end: Instant::default(),
            gate: Gate::Open,
            shutdown: None,
            slept: Duration::ZERO,
            asked_at: Instant::default(),
            next_beat: Instant::default(),
            said: Said::default(),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// Takes in what happened at `now`. Never fails: bad luck is an input too.
    pub fn handle(&mut self, now: Instant, input: Input<B>) {
        if self.phase == Phase::Exited {
            return;
        }
        let now = self.with_freezes(now, &input);
        if self.config.is_managed() && now >= self.next_beat {
            // No INVOKE says when: a disk that was full once may have room again.
            self.shelf.try_again(self.config.spool != SpoolMode::Off);
        }
        match input {
            Input::Ready => self.on_ready(now),
            Input::Restored { seed } => self.on_restored(seed),
            Input::Invoke(invoke) => self.on_invoke(now, invoke),
            Input::Shutdown(shutdown) => self.on_shutdown(now, &shutdown),
            Input::Receiving => self.receiving += 1,
            Input::Received(receipt) => self.on_received(now, receipt),
            Input::Logged { request_id, receipt } => self.on_logged(now, request_id.as_ref(), receipt),
            // Counts, that decide nothing: no output follows, and none need be asked for before the next input.
            Input::Guarded(guarded) => {
                self.ledger.guarded = guarded;
                self.metrics.on_guarded();
                return;
            }
            Input::Announced(spans) => self.on_announced(spans),
            Input::Flush { request_id } => self.invocations.on_flush_request(request_id.as_ref()),
            Input::Platform(event) => self.on_platform(now, &event),
            Input::Parked { place } => self.on_parked(now, place),
            Input::Unparked(receipt) => self.on_unparked(now, receipt),
            Input::Found(parked) => self.on_found(parked),
            Input::Subscribed { .. } => {}
            Input::Recovered { invoke, seed: _, mut earlier, receipt, announced } => {
                earlier.spans.extend(receipt.spans);
                earlier.parcels.extend(receipt.parcels);
                self.on_recovered(now, invoke, earlier, announced);
            }
            Input::Exported { id, outcome, raw_bytes, sent_bytes } => {
                self.on_exported(now, id, outcome, raw_bytes, sent_bytes);
            }
            Input::Closed => self.on_closed(),
            Input::Tick => {}
        }
        if self.invocations.take_heard() {
            self.is_unheard = false;
        }
        self.expire_exports(now);
        self.advance(now);
        // What was read back to be sent, and is not under way, must make room like anything else; and what was made.
        if !self.outbox.is_all_sent() || self.unjudged(Signal::Traces) > 0 {
            self.make_room(now);
        }
    }

    /// `now` with every freeze in it: the caller's clock may have stood in some of them, and pauses, ages
    /// and time-outs are meant in real time.
    fn with_freezes(&mut self, now: Instant, input: &Input<B>) -> Instant {
        let waited = match input {
            Input::Invoke(Invoke { waited, .. }) | Input::Shutdown(Shutdown { waited, .. }) => *waited,
            _ => Duration::ZERO,
        };
        // A restored snapshot may even bring an earlier reading than the one before.
        self.slept += (self.asked_at + waited).since(now + self.slept);
        now + self.slept
    }

    /// The next thing to be done, if any.
    pub fn poll(&mut self) -> Option<Output<B>> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due; `None` while nothing could be done about it, above all while the
    /// environment may be frozen.
    pub fn deadline(&self) -> Option<Instant> {
        self.due().map(|due| due.minus(self.slept))
    }

    fn due(&self) -> Option<Instant> {
        let exports = || self.outbox.in_flight().iter().map(|flight| flight.due).min();
        let retries =
            || self.outbox.next_retry().filter(|_| self.breaker.is_closed() || self.phase == Phase::Draining);
        match self.phase {
            Phase::Starting | Phase::Exited => None,
            Phase::Draining if matches!(self.gate, Gate::Closing | Gate::Leaving) => None,
            Phase::Waiting if !self.config.is_managed() => None,
            Phase::Waiting => {
                let is_idle = self.outbox.is_all_sent() && self.unjudged(Signal::Traces) == 0;
                let beat = (!is_idle).then_some(self.next_beat);
                [beat, exports()].into_iter().flatten().min()
            }
            Phase::Running => {
                let grace = self.done_since.map(|since| since + RECEIVING_GRACE);
                let done = Some(grace.map_or(self.give_up_at, |grace| grace.min(self.give_up_at)));
                let probe = self.breaker.probe_at().filter(|_| self.has_for_probe());
                [done, exports(), retries(), probe, self.shelf.wakes_at()].into_iter().flatten().min()
            }
            Phase::Flushing => [Some(self.flush_end), exports(), retries()].into_iter().flatten().min(),
            Phase::Draining => {
                let words = self.shutdown.is_some().then_some(self.last_words_end);
                let rest = self.shelf.wakes_at();
                [Some(self.flush_end), words, exports(), retries(), rest].into_iter().flatten().min()
            }
        }
    }

    /// What the ids of this environment's spans are made from: [`Config::seed`], or what a restore brought.
    pub const fn seed(&self) -> u64 {
        self.config.seed
    }

    /// The books so far.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Where the environment is in its life.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Items of `signal` that are held: must equal what the books say ([`crate::ledger::Counts::held`]).
    pub fn held_items(&self, signal: Signal) -> u64 {
        let waiting = self.unjudged(signal) + self.waiting_logs(signal);
        self.outbox.held_items(signal) + self.shelf.items(signal) + waiting
    }

    /// Spans that wait to be judged: they can be sent, and put on disk, when that is done.
    pub fn unjudged_spans(&self) -> u64 {
        self.unjudged(Signal::Traces)
    }

    /// Memory that is held, encoded bytes and bookkeeping; above the bound only by what is in flight. What an
    /// [`Output::Park`] hands over does not count: it is written, and let go of, before the next input.
    pub const fn held_bytes(&self) -> usize {
        self.outbox.held_bytes()
    }

    fn on_ready(&mut self, now: Instant) {
        self.enter(Event::Ready);
        self.ask_next(now);
        // What is open in a snapshot is dead in every environment restored from it.
        if self.config.init_type != InitType::SnapStart {
            self.outputs.push_back(Output::Connect);
        }
    }

    /// Every environment that is restored from one snapshot wakes up with the same state: what is drawn from here on
    /// must not be the same in all of them.
    fn on_restored(&mut self, seed: u64) {
        self.config.seed = seed;
        self.rng = Rng::new(seed);
    }

    fn on_invoke(&mut self, now: Instant, invoke: Invoke) {
        if !self.enter(Event::Invoke) {
            return;
        }
        self.after_wait(now, invoke.waited);
        // What its function had sent before it died would have been read by now.
        self.close(now, false);
        self.ledger.invocations += 1;
        self.forget_announced();
        self.metrics.on_time(now, invoke.received_at);
        self.metrics.on_invoke(&invoke.request_id);
        self.pace.on_invoke(now);
        self.done_since = self.is_unheard.then_some(now);
        self.deadline = invoke.deadline + self.slept;
        self.give_up_at = budget::give_up_at(&self.config, now, self.deadline);
        self.shelf.try_again(self.config.spool != SpoolMode::Off);
        self.is_crowded = false;
        // What is left from before goes out beside the handler, where it costs nothing; pauses longer than our own
        // the backend asked for.
        self.outbox.seal(false);
        self.outbox.end_pauses(now, OWN_PAUSE_MAX);
        self.shelf.end_rest(now, OWN_PAUSE_MAX);
        self.begin_judging(&invoke.request_id);
        self.invocations.begin(invoke);
    }

    fn on_shutdown(&mut self, now: Instant, shutdown: &Shutdown) {
        if !self.enter(Event::Shutdown) {
            return;
        }
        self.after_wait(now, shutdown.waited);
        self.metrics.on_time(now, shutdown.received_at);
        self.deadline = shutdown.deadline + self.slept;
        self.flush_began = now;
        self.flush_end = budget::shutdown_end(&self.config, now, self.deadline);
        self.last_words_end = budget::last_words_end(now, self.flush_end);
        self.outbox.begin_anew();
        self.shelf.end_rest(now, Duration::MAX);
        self.is_crowded = false;
        // An answer that is not there after half of the time will not come: there is still time for another try.
        let half = now + self.flush_end.since(now) / 2;
        for flight in self.outbox.in_flight_mut() {
            flight.due = flight.due.min(half);
        }
        self.shutdown = Some(shutdown.clone());
    }

    /// The environment may have been frozen: timers that ran before mean nothing now. An answer that came
    /// meanwhile is read in the next moments, so what is overdue gets until the end of this invocation.
    fn after_wait(&mut self, now: Instant, waited: Duration) {
        let is_restored = self.config.init_type == InitType::SnapStart && self.ledger.invocations == 0;
        let is_long = is_restored || waited >= self.config.thaw_gap;
        let timeouts = self.config.export_timeouts;
        let mut lost = Vec::new();
        for flight in self.outbox.in_flight_mut() {
            flight.due = now + timeouts[flight.batch.signal as usize];
            flight.waits += 1;
            if is_long {
                lost.push(flight.batch.id);
            }
        }
        if is_long {
            self.outputs.push_back(Output::Reconnect);
            // Beside the handler the new handshake costs nothing; in SHUTDOWN a request follows anyway.
            if self.phase == Phase::Running && self.breaker.is_closed() {
                self.outputs.push_back(Output::Connect);
            }
        }
        for id in lost {
            // Nobody knows whether it arrived; OTLP is at-least-once, and this is not the backend's failure.
            self.cancel(now, id);
            self.breaker.on_probe_lost(now);
        }
    }

    fn on_received(&mut self, now: Instant, mut receipt: Receipt<B>) {
        self.receiving = self.receiving.saturating_sub(1);
        for signal in Signal::ALL {
            self.ledger.of_mut(signal).received += receipt.count(signal);
        }
        self.drop_replaced(&mut receipt, StandIns::replace);
        for span in &receipt.spans {
            self.invocations.on_span(span);
            self.announced.on_span(span);
            self.metrics.on_span(span);
            self.logs.on_span(span);
        }
        self.judge_later(now, receipt);
    }

    fn take_in(&mut self, now: Instant, receipt: Receipt<B>) {
        for entry in receipt.into_entries() {
            self.store(now, entry);
        }
    }

    fn on_platform(&mut self, now: Instant, event: &PlatformEvent) {
        if let PlatformEvent::LogsDropped { records, .. } = event {
            self.ledger.platform_events_lost += records;
        }
        if self.config.is_managed() {
            self.begin_managed(now, event);
        }
        self.metrics.on_event(&self.config, event);
        (self.ledger.billed, self.ledger.billed_own) = self.metrics.billed();
        self.invocations.on_event(&self.config, event);
        self.weigh(now, event);
    }

    /// Managed Instances send no INVOKE: `platform.start` is where an invocation begins. It may be told twice.
    fn begin_managed(&mut self, now: Instant, event: &PlatformEvent) {
        let PlatformEvent::Start { request_id, at } = event else { return };
        if !self.invocations.has_begun(request_id) {
            self.begin_without_invoke(now, request_id, *at);
        }
    }

    fn begin_without_invoke(&mut self, now: Instant, request_id: &RequestId, at: UnixNanos) {
        self.ledger.invocations += 1;
        self.metrics.on_time(now, at);
        self.metrics.on_invoke(request_id);
        self.invocations.begin(Invoke {
            request_id: request_id.clone(),
            deadline: now,
            deadline_at: at,
            received_at: at,
            arn: "".into(),
            xray: None,
            waited: Duration::ZERO,
        });
    }

    /// Goes as far as it can without anything new happening.
    fn advance(&mut self, now: Instant) {
        match self.phase {
            Phase::Starting | Phase::Exited => {}
            Phase::Waiting => self.advance_waiting(now),
            Phase::Running => self.advance_running(now),
            Phase::Flushing => self.advance_flushing(now),
            Phase::Draining => self.advance_draining(now),
        }
    }

    fn advance_waiting(&mut self, now: Instant) {
        // Late words of the platform close what is open, and the spans wait in the outbox.
        self.close_known(now);
        if !self.config.is_managed() {
            return;
        }
        self.unpark(now);
        if now >= self.next_beat {
            self.next_beat = now + MANAGED_BEAT;
            self.invocations.settle_all(&self.config);
            self.store_made(now);
            self.store_logs(now);
            self.meter_if_due(now);
            self.outbox.seal(false);
        }
        // The beat cuts batches; what is cut leaves as soon as the backend has answered what was before it.
        self.export_or_probe(now);
    }

    fn advance_running(&mut self, now: Instant) {
        self.unpark(now);
        // What arrives with the end belongs to the flush, which has its own measure.
        if self.is_done(now) {
            return self.begin_flush(now);
        }
        self.outbox.seal(true);
        self.export_or_probe(now);
    }

    /// Whether the running invocation is over, by the first trustworthy signal.
    fn is_done(&mut self, now: Instant) -> bool {
        let told = self
            .invocations
            .current()
            .is_none_or(|open| open.entry.is_some() || open.finish.is_some() || open.flush_requested);
        if told {
            self.done_since.get_or_insert(now);
        }
        let is_received = self.receiving == 0;
        now >= self.give_up_at
            || self.done_since.is_some_and(|since| is_received || now >= since + RECEIVING_GRACE)
    }

    fn begin_flush(&mut self, now: Instant) {
        self.is_unheard |= self.done_since.is_none();
        self.enter(Event::Done);
        self.invocations.settle_before_current(&self.config, &self.announced);
        self.close_known(now);
        self.store_made(now);
        self.store_logs(now);
        self.meter_if_due(now);
        (self.flush_began, self.flush_has_sent) = (now, false);
        self.flush_end = budget::flush_end(&self.config, now, self.deadline);
        self.end_stale_exports(now);
        if self.pace.defers(&self.config, self.outbox.oldest(now)) || self.is_capped(now) {
            self.enter(Event::Flushed);
            self.ask_next(now);
        } else {
            self.outbox.seal(false);
            self.advance_flushing(now);
        }
    }

    /// Whether flushes have cost this minute what they may; if not, this one is bounded by what is left.
    fn is_capped(&mut self, now: Instant) -> bool {
        self.flush_is_cut = false;
        let Some(left) = self.cap.left(now) else { return false };
        self.flush_is_cut = now + left < self.flush_end;
        self.flush_end = self.flush_end.min(now + left);
        let is_capped = left.is_zero();
        if is_capped && !core::mem::replace(&mut self.said.cost_cap, true) {
            self.say(Notice::CostCapReached);
        }
        is_capped
    }

    fn advance_flushing(&mut self, now: Instant) {
        self.close_known(now);
        self.outbox.seal(false);
        if self.breaker.is_closed() {
            self.export_ready(now);
        }
        let is_safe = self.outbox.is_all_sent() && self.outbox.in_flight().is_empty();
        let is_over = now >= self.flush_end;
        if is_safe || is_over || !self.breaker.is_closed() || self.is_pointless() {
            // What our own cap cut short says nothing of the backend.
            if is_over && !self.flush_is_cut && !self.outbox.in_flight().is_empty() {
                self.note_late(now);
                self.count_failure(now);
            }
            self.end_flush(now);
        }
    }

    fn end_flush(&mut self, now: Instant) {
        let held = now.since(self.flush_began);
        self.ledger.flush += held;
        self.meter_flush(held);
        self.pace.on_flush(held);
        self.cap.on_flush(held);
        self.enter(Event::Flushed);
        if self.config.spool == SpoolMode::Outage {
            while self.park_oldest() {}
        }
        self.ask_next(now);
    }

    fn advance_draining(&mut self, now: Instant) {
        match self.gate {
            Gate::Closing => return,
            Gate::Leaving => return self.leave(),
            Gate::Open | Gate::Closed => {}
        }
        self.close_known(now);
        let is_bad_end = |shutdown: &Shutdown| shutdown.reason != ShutdownReason::Spindown;
        let may_be_untold =
            self.shutdown.as_ref().is_some_and(is_bad_end) && self.invocations.may_be_untold();
        let may_close = self.receiving == 0 && !self.invocations.has_unexplained() && !may_be_untold;
        if may_close || now >= self.last_words_end {
            self.close_all(now);
        }
        if !self.outbox.has_waiting(Signal::Metrics) {
            self.meter_news(now);
        }
        if now < self.flush_end {
            self.unpark(now);
        }
        self.outbox.seal(false);
        self.export_ready(now);
        let is_closed = self.shutdown.is_none();
        let is_sent = self.outbox.is_all_sent() && self.outbox.in_flight().is_empty();
        let is_safe = is_sent && self.shelf.is_empty();
        let wakes_in_time = self.shelf.wakes_at().is_some_and(|at| at < self.flush_end);
        let is_lost = self.is_pointless() && !self.shelf.is_busy() && !wakes_in_time;
        if is_closed && (is_safe || is_lost) || now >= self.flush_end {
            self.close_all(now);
            if self.gate == Gate::Closed {
                self.ledger.flush += now.since(self.flush_began);
                self.meter_news(now);
                self.gate = Gate::Leaving;
                return self.leave();
            }
            self.gate = Gate::Closing;
            self.outputs.push_back(Output::Close);
        }
    }

    /// What was handed over since is still sent, if there is time.
    fn on_closed(&mut self) {
        if self.gate == Gate::Closing {
            self.gate = Gate::Closed;
        }
    }

    fn close_all(&mut self, now: Instant) {
        if let Some(shutdown) = self.shutdown.take() {
            for (request_id, at) in self.invocations.untold(shutdown.reason != ShutdownReason::Spindown) {
                self.begin_without_invoke(now, &request_id, at);
            }
            self.invocations.close_all(&self.config, &shutdown, &self.announced);
            self.metrics.on_end(&self.config, &shutdown);
            self.store_made(now);
            self.bury_announced(now, &shutdown);
            self.judge_all(now, shutdown.reason);
            self.store_logs(now);
            self.meter_at_end(now);
        }
    }

    /// Puts what is left on disk, and leaves when that has it: what could not be written is in the books too, and what
    /// was being read goes back. The disk answers at once.
    fn leave(&mut self) {
        self.keep_the_rest();
        if self.shelf.is_busy() {
            return;
        }
        self.enter(Event::Drained);
        self.ledger.flush_mode_changes = self.pace.changes();
        self.ledger.is_continuous = self.pace.is_continuous();
        self.say(Notice::Summary(Box::new(self.ledger)));
        self.outputs.push_back(Output::Exit);
    }

    /// A function that has died may have left a request with us: until that is read, and while the platform has
    /// nothing more for us anyway, its own spans may come, and need not be made up.
    fn close_known(&mut self, now: Instant) {
        let is_idle = self.phase == Phase::Waiting && !self.config.is_managed();
        self.close(now, is_idle || self.receiving > 0);
    }

    fn close(&mut self, now: Instant, may_come: bool) {
        self.invocations.close_known(&self.config, &self.announced, may_come);
        self.store_made(now);
    }

    fn store_made(&mut self, now: Instant) {
        let made = self.invocations.take_made();
        self.remember_stand_ins();
        self.ledger.spans.made += made.len() as u64;
        for span in &made {
            self.metrics.on_made(span);
            self.logs.on_made(span);
        }
        if self.assembly.is_some() {
            self.store_deaths(now);
            self.judge_with(now, made);
        } else {
            drop(self.invocations.take_closed());
            made.into_iter().for_each(|span| self.store(now, Entry::made(span)));
            self.store_deaths(now);
        }
    }

    fn store(&mut self, now: Instant, entry: Entry<B>) {
        self.queue(now, entry);
        self.make_room(now);
    }

    fn queue(&mut self, now: Instant, entry: Entry<B>) {
        let signal = entry.signal;
        if !self.config.destinations.has(signal) {
            self.ledger.drop(signal, DropReason::NoDestination, u64::from(entry.count));
            if !core::mem::replace(&mut self.said.no_destination[signal as usize], true) {
                self.say(Notice::NoDestination(signal));
            }
            return;
        }
        self.push(now, entry);
    }

    fn ask_next(&mut self, now: Instant) {
        self.asked_at = now;
        self.outputs.push_back(Output::Next);
    }

    fn say(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Say(notice));
    }

    /// Moves to the phase after `event`; false, and no move, when the event means nothing now.
    fn enter(&mut self, event: Event) -> bool {
        let next = self.phase.after(event);
        self.phase = next.unwrap_or(self.phase);
        next.is_some()
    }
}
