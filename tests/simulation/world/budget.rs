//! What an invocation may be held for, and how long a request may stay without an answer.

use std::collections::VecDeque;

use policy::{DropReason, Duration, FlushMode, InitType, Input, Phase, Signal, SpoolMode, UnixNanos};

use super::super::checks::is_on;
use super::super::function::MS;
use super::super::function::character::{Entry, Pace, Traces};
use super::network::{HOLDER, Request};
use super::{Event, World};

/// After a signal said that the function is done, requests of it that are being received are waited for so long.
const GRACE: u64 = 100 * MS;

/// After so many waits and invocations, a request that has no answer when its time is over is given up.
const WAITS_MAX: u32 = 5;
/// For a single answer that a freeze has cut off before, an invocation is held no longer.
const PATIENCE_MAX: u64 = 1_000 * MS;
/// A span that names its invocation tells of its end when it comes by then.
const IN_TIME: Duration = Duration::from_millis(500);
/// The platform's events have whole milliseconds, at both ends of what is measured with them.
const RESOLUTION: u64 = 2 * MS;

/// How the running invocation is held.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    /// No invocation has begun in this process.
    pub(super) is_new: bool,
    /// When anything first said that the function is done, and when something did that the agent has to believe.
    may_end_at: Option<u64>,
    done_at: Option<u64>,
    /// The invocation in which the agent last said that the backend of a signal is back.
    pub(super) back_in: [u64; Signal::ALL.len()],
    /// Whether a request has been through a wait in this process.
    has_frozen: bool,
    /// Our CPU time when it began.
    cpu_before: u64,
    /// Whether a request of the function was being received then.
    receives: bool,
    /// Whether the agent has said that the backend of a signal is down.
    pub(super) down: [bool; Signal::ALL.len()],
    /// Whether it had said so, of the backend that an invocation may be held for, when the function was done, and nothing
    /// else since.
    pub(super) was_down: bool,
    pub(super) begun_at: u64,
    /// Whether an invocation was held in vain: nothing told of its end, and nothing has told of any since.
    is_unheard: bool,
    /// Whether that was so when this one began: then it is not held at all.
    begins_unheard: bool,
}

/// What flushes have cost.
#[derive(Debug, Default)]
pub(super) struct Costs {
    /// When each ended that cost anything, and how many nanoseconds; of the last minute.
    recent: VecDeque<(u64, u64)>,
    /// The same counted from the first word on the end, with our own work and all receipt: the agent counts no more.
    gross: VecDeque<(u64, u64)>,
    /// The last invocation in which the agent may have spent what it may in a minute.
    spent_in: u64,
}

impl Held {
    pub(super) fn of_a_new_process() -> Self {
        Self { is_new: true, ..Self::default() }
    }

    /// Whether the agent has said that the backend is down that an invocation may be held for.
    pub(super) const fn is_down(&self) -> bool {
        self.down[HOLDER as usize]
    }

    /// Whether the end of the running invocation is known for certain.
    pub(super) const fn is_certain(&self) -> bool {
        self.done_at.is_some()
    }
}

impl World {
    pub(super) fn note_begin(&mut self, number: u64) {
        let Held { down, is_unheard, back_in, has_frozen, .. } = self.held;
        let begins_unheard = is_unheard;
        let has_frozen = has_frozen || self.network.awaited().next().is_some();
        self.waited += self.now - self.asked_at;
        let (begun_at, cpu_before) = (self.now, self.cpu_spent);
        let kept = Held { down, is_unheard, begins_unheard, back_in, has_frozen, ..Held::default() };
        self.held = Held { begun_at, cpu_before, ..kept };
        self.network.live_mut().for_each(|request| request.waits += 1);
        self.each_destination(|world| {
            let came = Signal::ALL.map(|signal| world.came(signal));
            world.before = [world.before[1], world.before[2], world.before[3], (came, world.now)];
        });
        let Some(life) = self.truth.life(number) else { return };
        let (may, must) = (life.known_at.is_some(), life.done_told.is_some());
        if may {
            self.note_done(must || self.is_trusted());
        }
    }

    /// No timer has run before now.
    pub(super) const fn note_thaw(&mut self) {
        (self.held.begun_at, self.held.cpu_before) = (self.now, self.cpu_spent);
    }

    /// The agent is about to be handed the platform's word that an invocation has ended.
    pub(super) fn note_end_told(&mut self, number: u64, is_report: bool) {
        // A report comes with the next invocation: whether that says that ends are heard again is left open.
        self.held.is_unheard &= is_report;
        if self.running.is_some() && self.current == number {
            self.note_done(true);
        }
    }

    /// The agent is about to be handed a span that names its invocation, and ended then.
    pub(super) fn note_named(&mut self, number: u64, end: UnixNanos) {
        let is_current = self.running.is_some() && self.current == number;
        // Whether one that comes later says that ends are heard again is left open.
        self.held.is_unheard &= !(is_current && self.wall().since(end) <= IN_TIME);
        if is_current {
            self.note_done(self.is_trusted());
        }
    }

    /// The function says that it is done with `request_id`, or with what runs.
    pub(super) fn note_flush_request(&mut self, request_id: Option<&str>) {
        let (now, current) = (self.now, self.current);
        let Some(life) = self.truth.life_mut(current) else { return };
        // Before INVOKE was read, only a word that names the invocation is kept for it.
        let is_meant = request_id.map_or(self.running.is_some(), |id| *life.request_id == *id);
        if is_meant {
            life.known_at.get_or_insert(now);
        }
        if is_meant && self.running.is_some() {
            self.note_done(self.is_trusted());
        }
    }

    /// Whether the function's own word for its end is never premature: nothing of it comes later.
    fn is_trusted(&self) -> bool {
        let faults = &self.faults;
        let is_late = faults.sends_late || faults.stalls_in_sending || faults.announces;
        let is_plain = self.character.entry == Entry::Named && self.character.traces == Traces::One;
        is_plain && !is_late && !self.character.sends_by_timer && !self.character.is_retried
    }

    fn note_done(&mut self, is_certain: bool) {
        // Where nothing was ever heard of an end, an invocation is not held until it is.
        if self.agent.phase() == Phase::Flushing {
            return;
        }
        let now = self.now;
        self.held.may_end_at.get_or_insert(now);
        if is_certain && self.held.done_at.is_none() {
            self.held.done_at = Some(now);
            self.held.receives = self.receiving > self.stalled;
            self.held.was_down = self.are_holders_down();
        }
    }

    /// `/next` is asked: the invocation was held for no longer than it may be.
    pub(super) fn check_held(&mut self) {
        if self.running.is_none() {
            return;
        }
        self.check_patience();
        self.check_fresh();
        let (now, deadline) = (self.now, self.deadline);
        let slack = self.cpu_spent - self.held.cpu_before;
        assert!(now <= deadline + slack, "/next was asked {} ms after the deadline", (now - deadline) / MS);
        let nanos = |duration: Duration| duration.as_nanos() as u64;
        let give_up = deadline - nanos(self.config.deadline_margin);
        let done = self.held.done_at.unwrap_or(give_up).min(give_up);
        let latest = done + if self.held.receives { GRACE } else { 0 } + slack;
        self.note_cost(now.saturating_sub(self.held.may_end_at.unwrap_or(done).min(done)));
        self.check_cost(now.saturating_sub(latest));
        self.check_books_of_time();
        self.coverage.note("held time checked");
        let is_free = self.config.flush == FlushMode::Continuous || self.held.was_down;
        // The answer to a request, or to a probe, that a freeze has cut off is waited for in every mode.
        let patience = if self.held.has_frozen { PATIENCE_MAX } else { 0 };
        let ceiling = if is_free { patience } else { nanos(self.config.flush_ceiling) };
        let end = (latest + ceiling).min((deadline + slack - nanos(self.config.safety)).max(latest));
        let (most, known) = (nanos(self.config.export_timeouts[0]), self.held.done_at);
        let is_stale = |request: &&Request| {
            request.waits >= WAITS_MAX && known.is_some_and(|at| at >= request.launched + most)
        };
        let stale = self.network.live().filter(is_stale).count();
        assert_eq!(stale, 0, "requests from before the wait are still there");
        assert!(now <= end, "held {} ms longer than it may be: {:?}", (now - end) / MS, self.held);
        let is_fresh = |request: &Request| request.waits == 0 && request.launched >= done;
        self.late += u64::from(now > done && self.network.awaited().any(is_fresh));
        if now > done {
            self.coverage.note("held for a flush");
        } else if self.held.was_down {
            self.coverage.note("nothing held: the backend is down");
        }
    }

    /// Nothing has said that the function is done: then its deadline is near.
    fn check_patience(&mut self) {
        // Where data leaves beside the next invocation, and where nothing will ever tell, nothing is waited for.
        let is_free = self.config.flush != FlushMode::End || self.faults.refuses_subscription;
        let (now, deadline) = (self.now, self.deadline);
        let margin = self.config.deadline_margin.as_nanos() as u64;
        let patience = deadline - margin.min((deadline - self.held.begun_at) / 4);
        self.held.is_unheard |= now >= patience && self.held.done_at.is_none();
        if self.held.may_end_at.is_some() || self.held.begins_unheard || is_free {
            return;
        }
        // An end that is told by what another span stands for is not heard.
        let is_told = self.books(Signal::Traces).dropped_for(DropReason::Replaced) > 0;
        let is_over = now >= patience || is_told;
        assert!(is_over, "/next was asked {} ms before anything told of the end", (patience - now) / MS);
    }

    /// An invocation that is held for its data is known to be over, or taken to be.
    pub(super) fn note_regarded_as_over(&mut self) {
        let (now, current) = (self.now, self.current);
        if self.agent.phase() == Phase::Flushing
            && let Some(life) = self.truth.life_mut(current)
        {
            life.known_at.get_or_insert(now);
        }
    }

    /// What has been waited for once is not waited for again; and an invocation that is let go of is known to be over.
    pub(super) fn note_next(&mut self) {
        if self.held.receives {
            self.stalled = self.receiving;
        }
        let (now, current) = (self.now, self.current);
        if let Some(life) = self.truth.life_mut(current).filter(|_| self.running.is_some()) {
            life.known_at.get_or_insert(now);
            life.asked_at = Some(now);
            self.true_held += life.ended.map_or(0, |(_, at)| now - at);
        }
    }

    /// The books count the time from the end of the invocation to `/next`, where the platform told that end first.
    fn check_books_of_time(&self) {
        let counted = (self.agent.ledger().held - self.held_before).as_nanos() as u64;
        let Some(life) = self.truth.life(self.current) else { return };
        let (Some((_, ended_at)), Some(told)) = (life.ended, life.done_told) else { return };
        let is_first = self.held.may_end_at == Some(told.max(self.held.begun_at));
        let is_off = self.faults.steps_clock || self.config.is_managed() || !is_on("held time");
        if !is_first || is_off {
            return;
        }
        let (held, slack) = (self.now - ended_at, RESOLUTION + self.cpu_spent - self.held.cpu_before);
        assert!(
            held.abs_diff(counted) <= slack,
            "held for {} us by the books, and for {} us in truth",
            counted / 1_000,
            held / 1_000
        );
    }

    /// An invocation is held only while an answer is awaited, or a retry that comes in time.
    pub(super) fn check_reason_to_hold(&self) {
        if self.agent.phase() != Phase::Flushing {
            return;
        }
        let is_asked = self.network.awaited().next().is_some();
        let is_read = |event: &Event| matches!(event, Event::Spool(Input::Unparked { lane, .. }) if lane.signal == HOLDER);
        let reads = self.pending.values().any(is_read);
        // Our own work may keep us from looking at the clock.
        let slack = self.own_work();
        let may_retry = self.deliveries.retries_until[HOLDER as usize] + slack >= self.now;
        let may_retry =
            may_retry || self.second.as_ref().is_some_and(|second| second.may_retry(self.now, slack));
        assert!(is_asked || reads || may_retry, "an invocation is held, and nothing is under way");
    }

    /// Flushes cost no more in a minute than they may; two of the agent's minutes meet in one of ours.
    fn check_cost(&mut self, cost: u64) {
        let Some(cap) = self.config.cost_cap else { return };
        self.coverage.note("cost capped");
        self.costs.recent.push_back((self.now, cost));
        while self.costs.recent.front().is_some_and(|(at, _)| at + 60_000 * MS < self.now) {
            self.costs.recent.pop_front();
        }
        let sum: u64 = self.costs.recent.iter().map(|(_, cost)| *cost).sum();
        let cap = cap.as_nanos() as u64 + MS / 10;
        assert!(cost <= cap && sum <= cap * 2, "a flush has cost {cost} ns, those of a minute {sum} ns");
    }

    /// An invocation was held for `gross`: perhaps for all that is left of the cap, or nothing was left before.
    fn note_cost(&mut self, gross: u64) {
        let Some(cap) = self.config.cost_cap else { return };
        self.costs.gross.push_back((self.now, gross));
        while self.costs.gross.front().is_some_and(|(at, _)| at + 60_000 * MS < self.now) {
            self.costs.gross.pop_front();
        }
        let sum: u64 = self.costs.gross.iter().map(|(_, gross)| *gross).sum();
        if sum >= cap.as_nanos() as u64 {
            self.costs.spent_in = self.invocations;
        }
    }

    /// No request outlives its time, counted from its beginning or from the last thaw; none outlives some
    /// waits and invocations as well.
    pub(super) fn check_requests(&self) {
        let most = self.config.export_timeouts[0].as_nanos() as u64;
        let is_managed = self.config.init_type == InitType::ManagedInstances;
        if self.has_exited || (self.agent.phase() == Phase::Waiting && !is_managed) {
            return;
        }
        // Our own work may keep us from looking at the clock.
        let slack = self.own_work();
        for request in self.network.live() {
            let since = request.launched.max(self.held.begun_at);
            assert!(
                self.now <= since + most + slack,
                "{:?} has been under way for {} ms",
                request.id,
                (self.now - since) / MS
            );
        }
    }

    /// Items of `signal` that have come into the books of this process.
    fn came(&self, signal: Signal) -> u64 {
        let books = self.books(signal);
        books.received + books.recovered + books.made
    }

    /// Whether something of `signal` may still be here that came before the last four invocations, although its backend has been
    /// well.
    fn may_be_left(&self, signal: Signal) -> bool {
        if !self.recovers(signal) || self.is_left_alone(signal) {
            return true;
        }
        let (is_down, index) = (self.held.down[signal as usize], signal as usize);
        // Where nothing tells of ends, no invocation is held, and what is left over leaves when there is time.
        let is_unknown = self.row.is_some() || self.faults.has_no_telemetry;
        // What is larger than all that may be held has no claim to room beside what is ill.
        let is_unknown = is_unknown || (self.faults.sends_outsize && self.others.is_any());
        if is_unknown || self.invocations < self.healthy_from + super::HEALTHY {
            return true;
        }
        // Beside handlers of some milliseconds, a backlog of thousands leaves slowly: the rows of `livelock` are about that.
        let is_brief = matches!(self.character.pace, Pace::Fast | Pace::Uneven);
        let is_much = self.faults.sends_much || self.faults.is_tight;
        let is_in_pieces = self.faults.answers_413 && is_much;
        // Where nothing tells of its end, an invocation is let go of at once.
        let is_let_go = self.config.flush != FlushMode::End || self.faults.has_no_telemetry;
        if (is_let_go && (is_brief || is_much)) || (is_brief && is_much) || is_in_pieces {
            return true;
        }
        // No invocation is held for it: brief handlers have time for little, and many pieces take long.
        if (is_brief || self.faults.answers_413) && !self.is_held_for(signal) {
            return true;
        }
        // What went to the disk is read back beside the handlers, record by record: brief ones have time for a few each.
        if is_brief && !self.disk.found().is_empty() {
            return true;
        }
        // Once flushes have cost what they may in a minute, an invocation is let go of at once as well: handlers that are
        // shorter than answers take have their requests, and their probes, cut off by the freezes between them. Where a freeze
        // loses the answers, too, handlers that are shorter than the grace for those are of no use.
        let is_spent =
            self.config.cost_cap.is_some() && self.invocations < self.costs.spent_in + super::HEALTHY;
        if is_spent && (is_brief || self.faults.freezes_machine) {
            return true;
        }
        // A probe is waited for after ever more invocations that do without, and no other is answered there.
        if is_down && is_brief && self.faults.freezes_machine {
            return true;
        }
        // Some invocations must follow on the one in which it was found well.
        if self.invocations < self.held.back_in[index] + 4 {
            return true;
        }
        // The backend has asked for patience, in an answer that was read after the respite: what it has asked for is sent beside
        // the invocations that follow.
        let since = if self.config.is_managed() { self.now } else { self.before[0].1 };
        if since < self.deliveries.retries_until[index] {
            return true;
        }
        // The probe was sent before the last four began, and its answer takes longer than they did all together.
        let is_on_its_way =
            |request: &Request| request.launched <= self.before[0].1 && request.will_be_answered();
        let mut own = self.network.live().filter(|request| request.id.lane.signal == signal);
        if is_down && own.any(is_on_its_way) {
            return true;
        }
        // A probe that freezes have cut off is followed by a pause of the breaker's, 30 s at the most; whether it was given up,
        // or its connection broke after the thaw. The answer to the next one comes in a freeze where handlers are brief, and is
        // read in one of the invocations that follow.
        let failed_at = self.cancelled_at.max(self.deliveries.excused_at[index]);
        is_down && (if is_brief { since } else { self.now }) < failed_at + 31_000 * MS
    }

    /// Whether an invocation may be held for `signal`, as far as it goes to the destination that is looked at.
    fn is_held_for(&self, signal: Signal) -> bool {
        signal == HOLDER && (self.at == 0 || self.second_holds())
    }

    /// How long our own work may keep us from looking at the clock.
    pub(super) const fn own_work(&self) -> u64 {
        MS + self.character.cpu.0 + self.character.cpu.1 * 100
    }

    /// Items of `signal` in requests whose answers may be lost, as the whole machine was frozen while they were under way.
    /// No invocation is held for this signal, so nothing but the request's own time-out tells (`check_requests`).
    fn cut_off(&self, signal: Signal) -> u64 {
        if !self.faults.freezes_machine || self.is_held_for(signal) {
            return 0;
        }
        let is_cut_off = |request: &&Request| request.id.lane.signal == signal && request.waits > 0;
        let requests = self.network.live().filter(is_cut_off);
        requests.flat_map(|request| request.entries.iter()).map(|entry| u64::from(entry.count)).sum()
    }

    /// The backend has been well for some invocations: nothing that came before the last four is still here.
    /// (Two that end within a millisecond may have frozen the requests that carried what was left.)
    pub(super) fn check_drained(&mut self) {
        for signal in Signal::ALL {
            if self.may_be_left(signal) {
                continue;
            }
            self.coverage.note(match signal {
                _ if self.at == 1 => "second destination drained before SHUTDOWN",
                Signal::Traces => "drained before SHUTDOWN",
                Signal::Metrics => "metrics drained before SHUTDOWN",
                Signal::Logs => "logs drained before SHUTDOWN",
            });
            let (books, held) = (self.books(signal), self.waiting_items(signal));
            let (held, came) = (held + self.disk.parked(signal), self.came(signal));
            // There, points are made once a second, and the last ones may be with their backend.
            let is_beating = self.config.is_managed() && signal == Signal::Metrics;
            let held = if is_beating { held - self.under_way(signal) } else { held };
            let held = held.saturating_sub(self.cut_off(signal));
            let came_before = if self.config.is_managed() { came } else { self.before[0].0[signal as usize] };
            let newest = came - came_before;
            assert!(
                held <= newest,
                "{held} held, {newest} new: the backend of {signal:?} is well and was not found: {books:?}"
            );
        }
        if self.at == 0 && !self.may_be_left(Signal::Traces) {
            self.check_old_spans();
        }
    }

    /// Spans that came before the last four invocations are delivered, or counted.
    fn check_old_spans(&self) {
        let spans = &self.books(Signal::Traces);
        // What waits to be judged may wait for the end of its invocation.
        let unjudged = self.agent.unjudged_spans();
        let last = if self.config.is_managed() { u64::MAX } else { self.before[0].1 };
        let dropped = self.dropped_before + spans.dropped.iter().sum::<u64>();
        let is_old = |(id, at): &(&u64, &u64)| **at <= last && !self.delivered.contains(*id);
        let old = self.accepted.iter().filter(is_old).count() as u64;
        // What could not be written at the end of an earlier process, or was only in the memory of a killed one.
        let can_lose = self.faults.disk_fails || self.kills > 0 && self.config.spool != SpoolMode::Always;
        let left_out = self.sampled_out_before + spans.sampled_out;
        let gone = dropped + left_out + unjudged;
        assert!(
            can_lose || old <= gone,
            "{old} old ones not delivered, {gone} dropped or left out: {spans:?}"
        );
    }
}
