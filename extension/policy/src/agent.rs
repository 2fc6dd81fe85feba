//! The one state machine: inputs in, outputs out, and when it wants to be woken.
//!
//! The only place in which the others meet. Contract: after every [`Agent::handle`], drain [`Agent::poll`]
//! until it is `None`; then wait for the next input or for [`Agent::deadline`], whichever is first.

mod announcing;
mod closing;
mod draining;
mod holding;
mod logging;
mod managed;
mod metering;
mod routing;
mod sampling;
mod spooling;
mod turning;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::account::Account;
use crate::announced::Announced;
use crate::cap::Cap;
use crate::config::Config;
use crate::correlation::Correlation;
use crate::entry::Entry;
use crate::facts::Body;
use crate::io::{Input, Output, Receipt};
use crate::lane::{Answer, Effects, Lane, Window};
use crate::lanes::Lanes;
use crate::ledger::Ledger;
use crate::lifecycle::Phase;
use crate::metrics::Metrics;
use crate::notice::Notice;
use crate::pace::Pace;
use crate::platform::{Invoke, PlatformEvent, Shutdown, Subscription};
use crate::routing::Router;
use crate::sampling::Assembly;
use crate::span::Signal;
use crate::stand_ins::StandIns;
use crate::time::{Duration, Instant};
use crate::turn::{Reception, Starting, Turn};

use holding::Hold;
/// Announced spans may take this part of what may be held, on top of it.
const ANNOUNCED_PART: usize = 8;
/// Everything that Prefreeze decides, for one execution environment. `B` is the body of a span or parcel.
#[derive(Debug)]
pub struct Agent<B> {
    config: Config,
    account: Account,
    announced: Announced<B>,
    /// Where spans wait to be judged; `None` where everything is kept.
    assembly: Option<Assembly<B>>,
    stand_ins: StandIns,
    lanes: Lanes<B>,
    router: Router,
    pace: Pace,
    cap: Cap,
    ledger: Ledger,
    metrics: Metrics,
    logs: Correlation<B>,
    turn: Turn,
    reception: Reception,
    /// What became of the subscription to the Telemetry API.
    subscription: Subscription,
    hold: Option<Hold>,
    /// Whether the last invocation was held until it was given up on, for nothing: neither the function nor
    /// the platform told of its end. Then the next ones are not held at all, until an end is heard again.
    is_unheard: bool,
    /// Time that the caller's clock has slept through in freezes.
    slept: Duration,
    /// When `/next` was last asked.
    asked_at: Instant,
    next_beat: Instant,
    said: Said,
    outputs: VecDeque<Output<B>>,
}

/// What has been said already, so that it is said once.
#[derive(Debug, Default)]
struct Said {
    no_destination: [bool; Signal::ALL.len()],
    outbox_full: bool,
    spool_unusable: bool,
    cost_cap: bool,
}

impl<B: Body> Agent<B> {
    /// An environment in which nothing has happened yet.
    pub fn new(config: Config) -> Self {
        Self {
            account: Account::default(),
            announced: Announced::new(config.bounds.held_bytes / ANNOUNCED_PART),
            assembly: Self::assembly(&config),
            stand_ins: StandIns::default(),
            lanes: Lanes::new(&config),
            router: Router::new(&config),
            pace: Pace::default(),
            cap: Cap::new(config.cost_cap),
            ledger: Ledger::default(),
            metrics: Metrics::new(&config),
            logs: Correlation::new(&config),
            turn: Turn::Starting(Starting::default()),
            reception: Reception::default(),
            subscription: Subscription::Accepted,
            hold: None,
            is_unheard: false,
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
        if matches!(self.turn, Turn::Exited) {
            return;
        }
        let now = self.with_freezes(now, &input);
        let is_read = matches!(input, Input::Unparked { .. });
        if !self.freezes() && now >= self.next_beat {
            // No INVOKE says when: a disk that was full once may have room again.
            self.try_disk_again();
        }
        match input {
            Input::Ready => self.on_ready(),
            Input::Restored { seed } => self.on_restored(seed),
            Input::Invoke(invoke) => self.on_invoke(now, invoke),
            Input::Shutdown(shutdown) => self.on_shutdown(now, &shutdown),
            Input::Receiving => self.reception.begin(),
            Input::Received(receipt) => self.on_received(now, receipt),
            Input::Logged { request_id, receipt } => self.on_logged(now, request_id.as_ref(), receipt),
            // Counts, that decide nothing: no output follows, and none need be asked for before the next input.
            Input::Guarded(guarded) => {
                self.ledger.guarded = guarded;
                self.metrics.on_guarded();
                return;
            }
            Input::Announced(spans) => self.on_announced(now, spans),
            Input::Flush { request_id } => self.account.on_flush_request(request_id.as_ref()),
            Input::Platform(event) => self.on_platform(now, &event),
            Input::Parked { lane, place } => self.on_parked(now, lane, place),
            Input::Unparked { lane, receipt } => self.on_unparked(now, lane, receipt),
            Input::Found(parked) => self.on_found(parked),
            Input::Rooted { request_id, trace_id, span_id } => {
                self.account.on_rooted(request_id, trace_id, span_id);
            }
            Input::Subscribed(subscription) => self.subscription = subscription,
            Input::Recovered { invoke, seed, earlier, receipt, announced } => {
                let begun = invoke.map(|invoke| (invoke, seed));
                self.on_recovered(now, begun, earlier, receipt, announced);
            }
            Input::Left(receipt) => self.on_left(now, receipt),
            Input::Exported { id, outcome, raw_bytes, sent_bytes } => {
                let (lanes, mut effects) = self.lanes();
                if let Some(lane) = lanes.get_mut(id.lane) {
                    lane.on_exported(now, id, Answer { outcome, raw_bytes, sent_bytes }, &mut effects);
                }
            }
            Input::Closed => self.on_closed(),
            Input::Tick => {}
        }
        if self.account.take_heard() {
            self.is_unheard = false;
        }
        if self.deadline().is_some() {
            let (lanes, mut effects) = self.lanes();
            lanes.iter_mut().for_each(|lane| lane.expire(now, &mut effects));
        }
        if !is_read {
            // What cannot wait in memory makes way before anything else is read back. What was read back is sent first.
            self.settle_outsize();
        }
        self.advance(now);
        // What was read back to be sent, and is not under way, must make room like anything else; and what was made.
        if !self.lanes.is_all_sent() || self.unjudged(Signal::Traces) > 0 {
            self.make_room(now);
            if self.phase() == Phase::Flushing {
                // What an invocation is held for may be what had to go.
                self.advance(now);
            }
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

    /// Whether the environment is frozen between invocations: neither Managed Instances nor a local emulator are.
    fn freezes(&self) -> bool {
        !(self.config.is_managed() || self.subscription == Subscription::Local)
    }

    /// When [`Input::Tick`] is due; `None` while nothing could be done about it, above all while the
    /// environment may be frozen.
    pub fn deadline(&self) -> Option<Instant> {
        self.due().map(|due| due.minus(self.slept))
    }

    fn due(&self) -> Option<Instant> {
        let exports = || self.lanes.iter().filter_map(Lane::flight_due).min();
        match &self.turn {
            Turn::Starting(_) | Turn::Exited => None,
            Turn::Waiting(_) if self.freezes() => None,
            Turn::Waiting(_) => {
                let is_idle = self.lanes.iter().all(|lane| lane.is_all_sent() && lane.has_none_on_disk())
                    && self.unjudged(Signal::Traces) == 0
                    && self.waiting_logs(Signal::Logs) == 0
                    && !self.account.is_awaiting();
                let beat = (!is_idle).then_some(self.next_beat);
                [beat, exports()].into_iter().flatten().min()
            }
            Turn::Running(running) => {
                let of_lane = |lane: &Lane<B>| {
                    let retry = lane.retry_due().filter(|_| lane.is_well());
                    [retry, lane.probe_due(), lane.rest_ends()].into_iter().flatten().min()
                };
                let lanes = self.lanes.iter().filter_map(of_lane).min();
                let over = running.over_at(self.reception.is_under_way());
                [Some(over), exports(), lanes].into_iter().flatten().min()
            }
            Turn::Flushing(flushing) => {
                let lanes = self.lanes.iter().filter_map(|lane| lane.flush_due(flushing.began)).min();
                [exports(), lanes].into_iter().flatten().min()
            }
            Turn::Draining(draining) if !draining.has_timers() => None,
            Turn::Draining(draining) => {
                let words = draining.shutdown.is_some().then_some(draining.last_words_end);
                let of_lane = |lane: &Lane<B>| lane.retry_due().into_iter().chain(lane.rest_ends()).min();
                let lanes = self.lanes.iter().filter_map(of_lane).min();
                [Some(draining.end), words, exports(), lanes].into_iter().flatten().min()
            }
        }
    }

    /// The lanes, and where they put what they want.
    const fn lanes(&mut self) -> (&mut Lanes<B>, Effects<'_, B>) {
        let effects =
            Effects { outputs: &mut self.outputs, ledger: &mut self.ledger, metrics: &mut self.metrics };
        (&mut self.lanes, effects)
    }

    /// Each lane goes as far as it can in this window.
    fn advance_lanes(&mut self, now: Instant, window: Window) {
        let (lanes, mut effects) = self.lanes();
        lanes.advance(now, window, &mut effects);
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
        self.turn.phase()
    }

    /// Items of `signal` that are held: must equal what the books say ([`crate::ledger::Counts::held`]).
    pub fn held_items(&self, signal: Signal) -> u64 {
        let waiting = self.unjudged(signal) + self.waiting_logs(signal);
        self.lanes.sum(signal, Lane::held_items) + waiting
    }

    /// Spans that wait to be judged: they can be sent, and put on disk, when that is done.
    pub fn unjudged_spans(&self) -> u64 {
        self.unjudged(Signal::Traces)
    }

    /// Log records that wait to learn under which span they belong: they can be sent when that is done.
    pub fn unplaced_logs(&self) -> u64 {
        self.waiting_logs(Signal::Logs)
    }

    /// Memory that is held, encoded bytes and bookkeeping; above the bound only by what is in flight. What an
    /// [`Output::Park`] hands over does not count: it is written, and let go of, before the next input.
    pub fn held_bytes(&self) -> usize {
        self.lanes.held_bytes()
    }

    /// Of that, what the lane of `signal` holds, with what waits to be judged, or to learn its span, and will be of it.
    pub fn held_bytes_of(&self, signal: Signal) -> usize {
        let beside = match signal {
            Signal::Traces => self.unjudged_bytes(),
            Signal::Metrics => 0,
            Signal::Logs => self.logs.held_bytes(),
        };
        self.lanes.sum(signal, |lane| lane.held_bytes() as u64) as usize + beside
    }

    /// Of all, the encoded bytes: what requests must be held for at the least. It costs a look at each batch that waits.
    pub fn encoded_bytes(&self) -> usize {
        let unjudged = self.assembly.as_ref().map(Assembly::encoded_bytes).unwrap_or_default();
        self.lanes.encoded_bytes() + unjudged + self.logs.encoded_bytes()
    }

    /// Lets go of memory that is held for nothing, as far as bodies can ([`Body::condense`]); decides nothing. It costs a look
    /// at all that is held: the caller knows how much there is to gain.
    pub fn condense(&mut self) {
        let waiting = self.assembly.iter_mut().flat_map(Assembly::bodies_mut);
        let queued = self.lanes.iter_mut().flat_map(Lane::bodies_mut);
        let mut bodies: Vec<&mut B> = waiting.chain(queued).chain(self.announced.bodies_mut()).collect();
        B::condense(&mut bodies);
    }

    fn on_received(&mut self, now: Instant, mut receipt: Receipt<B>) {
        self.reception.end();
        self.account.on_receipt();
        for signal in Signal::ALL {
            self.ledger.of_mut(signal).received += receipt.count(signal);
        }
        self.drop_replaced(&mut receipt);
        for span in &receipt.spans {
            self.account.on_span(now, &self.config, span);
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
        let is_of_earlier = self.account.is_of_earlier_try(event);
        self.account.on_event(&self.config, event);
        if let PlatformEvent::RuntimeDone { request_id, at, duration, .. } = event {
            if !is_of_earlier {
                self.note_late_end(request_id, *at);
            }
            self.pace.on_duration(*duration);
        }
        self.weigh(now, event, is_of_earlier);
    }

    fn store(&mut self, now: Instant, entry: Entry<B>) {
        self.queue(now, entry);
        self.make_room(now);
    }

    fn say(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Say(notice));
    }
}
