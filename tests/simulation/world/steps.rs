//! What happens next: events in their order, the agent's deadlines, freezes and thaws.

use std::cmp::Reverse;

use policy::{InitType, Input, PlatformEvent, ShutdownReason};

use super::super::function::MS;
use super::super::function::character::Rhythm;
use super::{Event, MANAGED_END, RESPITE, World};

/// Lambda retries an asynchronous invocation a minute after it failed, at the earliest.
const RETRIED_AFTER: u64 = 60_000 * MS;

impl World {
    /// Takes the next event, or the agent's own deadline if that is first.
    pub(super) fn next_step(&mut self) {
        let event_at = self.events.peek().map(|Reverse((at, _))| *at);
        let due = self.agent.deadline().map(|at| at.as_nanos() + self.slept).filter(|_| !self.is_frozen);
        match (event_at, due) {
            (event, Some(due)) if event.is_none_or(|event| due <= event) => {
                self.now = self.now.max(due);
                self.step(Input::Tick);
                self.freeze_if_idle();
            }
            (Some(_), _) => self.take_event(),
            (None, None) => panic!("nothing will ever happen again in {:?}", self.agent.phase()),
            (None, Some(_)) => unreachable!("the first arm takes it"),
        }
    }

    fn take_event(&mut self) {
        let Some(Reverse((at, sequence))) = self.events.pop() else { return };
        let event = self.pending.remove(&sequence).expect("each event is queued once");
        let thaws = matches!(event, Event::Invoke | Event::Shutdown(_) | Event::Vanish);
        if let Event::Spool(input) = event {
            // The file was written before the freeze, and the answer lies in our own process.
            self.step(input);
            return;
        }
        if self.is_frozen && !thaws {
            return self.meet_freeze(at, event);
        }
        if self.is_frozen {
            self.thaw(at);
        }
        self.now = self.now.max(at);
        self.happen(event);
        self.freeze_if_idle();
    }

    /// Nothing runs in a frozen sandbox: what happens there happens right after the thaw. The network runs on.
    fn meet_freeze(&mut self, at: u64, event: Event) {
        match event {
            Event::Reach(serial) if self.is_written(serial) => self.reach(serial, at),
            Event::Answer(serial) if self.faults.freezes_machine => self.lose_answer(serial),
            event => self.frozen.push(event),
        }
    }

    fn thaw(&mut self, at: u64) {
        // Our own work may have taken longer than the wait.
        let at = at.max(self.now);
        self.is_frozen = false;
        let is_restore = self.config.init_type == InitType::SnapStart && !self.has_thawed;
        self.has_thawed = true;
        if is_restore {
            // The clock of a snapshot is that of another machine: it may be behind what was read before.
            self.slept = at - self.rng.below(self.monotonic() + 1);
            self.coverage.note("clock set back");
            self.now = at;
            // What no other copy of this snapshot is given.
            self.process_seed = self.config.seed ^ (self.copy << 32) ^ (u64::from(self.processes) << 40);
            self.step(Input::Restored { seed: self.process_seed });
            self.tell_restore();
        } else if self.faults.clock_stands_in_freeze {
            self.slept += at.saturating_sub(self.now);
            self.coverage.note("clock stood in a freeze");
        }
        for event in std::mem::take(&mut self.frozen) {
            // In a row, nothing else wants the processor.
            let jitter = match &event {
                _ if self.is_compared => MS,
                _ => self.rng.below(if self.row.is_some() { MS / 2 } else { 5 * MS }),
            };
            self.later(at + jitter, event);
        }
    }

    pub(super) fn freeze_if_idle(&mut self) {
        let is_idle = self.is_asked && !self.runs && !self.has_exited;
        if !is_idle || self.is_frozen || self.is_planned {
            return;
        }
        if self.config.is_managed() {
            return self.plan_next();
        }
        if self.faults.never_freezes && self.config.init_type != InitType::SnapStart {
            self.coverage.note("idle without a freeze");
        } else {
            (self.is_frozen, self.frozen_at) = (true, self.now);
        }
        self.plan_next();
    }

    fn plan_next(&mut self) {
        self.is_planned = true;
        let gap = self.gap();
        self.tell_report();
        if self.dies_in == Some(self.invocations) {
            self.network.silence_one();
        }
        if self.faults_now().kills_idle && self.rng.below(3) == 0 {
            self.kill_a_link();
        }
        if self.faults_now().loses_host && self.rng.below(20) == 0 {
            return self.later(self.now + 1, Event::Vanish);
        }
        let abrupt = self.faults.shuts_down_abruptly && self.rng.below(30) == 0;
        if self.invocations_left == 0 || abrupt {
            let running = self.last_end.saturating_sub(self.now);
            let rest = if self.config.is_managed() { running + MANAGED_END } else { 0 };
            self.later(self.now + gap + rest, Event::Shutdown(ShutdownReason::Spindown));
        } else {
            self.invocations_left -= 1;
            self.later(self.now + gap, Event::Invoke);
        }
    }

    /// From the end of an invocation to the next one.
    fn gap(&mut self) -> u64 {
        if let Some(row) = &self.row {
            return row.gap_ms * MS;
        }
        let is_first = self.held.is_new;
        let gap = match self.rng.below(4) {
            // Many at once, and at times a pause.
            0 if self.config.is_managed() => self.rng.below(5_000) * MS,
            _ if self.config.is_managed() => self.rng.below(600 * MS / self.character.crowd),
            _ if self.faults.freezes_long && self.rng.below(3) == 0 => {
                self.coverage.note("frozen for an hour");
                3_600_000 * MS
            }
            // Made ahead of requests, or a snapshot that is restored some day.
            _ if is_first && self.config.init_type != InitType::OnDemand => self.rng.below(3_600_000) * MS,
            _ if self.character.rhythm == Rhythm::Rare => {
                self.coverage.note("rare invocations");
                (30_000 + self.rng.below(300_000)) * MS
            }
            0 => {
                self.coverage.note("two INVOKEs back to back");
                0
            }
            _ if self.character.rhythm == Rhythm::Bursty && self.rng.below(12) > 0 => {
                self.coverage.note("burst");
                self.rng.below(3 * MS)
            }
            // An environment is made on demand: its first request waits for it.
            _ if is_first && !self.faults.freezes_long => 30 * MS,
            1 => self.rng.below(50) * MS,
            _ => self.rng.below(20_000) * MS,
        };
        let gap = if self.retry.is_some() { gap.max(RETRIED_AFTER) } else { gap };
        if self.invocations != self.healthy_from {
            return gap;
        }
        if self.config.is_managed() {
            // Nothing freezes there: what is sent during the respite must not meet a fault.
            self.well_from = self.now;
        }
        gap.max(RESPITE)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Invoke => self.invoke(),
            Event::Hear(number) => self.hear_invoke(number),
            Event::Does(number, deed) => self.does(number, deed),
            Event::Logs(request_id, parcel) => self.hear_logs(request_id, parcel),
            Event::Arrive(receipt) => self.arrive(receipt),
            Event::SdkTimer => self.send_buffered(),
            Event::Ends(plan) => self.end(&plan),
            Event::Tell(number, event) => {
                self.note_told_of(number, &event);
                let is_report = matches!(event, PlatformEvent::Report { .. });
                if is_report || matches!(event, PlatformEvent::RuntimeDone { .. }) {
                    self.note_end_told(number, is_report);
                }
                self.step(Input::Platform(event));
            }
            Event::Reach(serial) => self.reach(serial, self.now),
            Event::Answer(serial) => self.answer(serial),
            Event::Shutdown(reason) => self.shut_down(reason),
            Event::Vanish => {
                self.coverage.note("host lost");
                self.is_gone = true;
            }
            Event::Spool(_) => unreachable!("taken before the freeze is looked at"),
            Event::Kill => self.kill(),
        }
    }
}
