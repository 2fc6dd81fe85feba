//! What the platform tells of invocations: when they begin, that and how they end.

use super::ending::Finish;
use super::invocation::Finished;
use super::{Account, END_SLACK, INVOKE_DELAY_MAX, Invocation, RETRIES_END, RETRY_PAUSE};
use crate::config::Config;
use crate::platform::PlatformEvent;
use crate::span::RequestId;
use crate::time::UnixNanos;

impl Account {
    /// Whether what `event` says is of an earlier try of a request id under which another one runs.
    pub(crate) fn is_of_earlier_try(&self, event: &PlatformEvent) -> bool {
        let (PlatformEvent::RuntimeDone { request_id, at, .. }
        | PlatformEvent::Report { request_id, at, .. }) = event
        else {
            return false;
        };
        let is_report = matches!(event, PlatformEvent::Report { .. });
        let is_it = |known: &Finished| known.request_id == *request_id;
        let is_its = |known: &Finished| *at <= known.ended_at || is_report && self.awaits_report(known, *at);
        self.is_open(request_id) && self.finished.iter().any(|known| is_it(known) && is_its(known))
    }

    /// The platform told something.
    pub(crate) fn on_event(&mut self, config: &Config, event: &PlatformEvent) {
        self.is_told = true;
        match event {
            PlatformEvent::Start { request_id, at } => {
                if let Some(ordinal) = self.started(request_id, *at) {
                    self.on_start(config, ordinal, Some(*at));
                } else if !self.is_over_at(request_id, *at)
                    && let Some(early) = self.unbegun.note(request_id)
                {
                    early.started_at = Some(*at);
                }
            }
            PlatformEvent::RuntimeDone { request_id, at, ending, duration, produced_bytes, .. } => {
                let finish =
                    Finish { produced_bytes: *produced_bytes, ..Finish::told(ending, *at, *duration) };
                self.finish(config, request_id, *at, finish);
            }
            // On demand it comes after `platform.runtimeDone`, unless that was lost. Its duration has our own time in it.
            PlatformEvent::Report { request_id, at, ending, duration, .. } => {
                let told =
                    Finish { is_overlong: !config.is_managed(), ..Finish::told(ending, *at, *duration) };
                self.explain(request_id, *at, &told);
                // Each invocation has one: the first try's is no word on a retry that has begun.
                let is_of_it =
                    |known: &Finished| known.request_id == *request_id && self.awaits_report(known, *at);
                let index = self.finished.iter().position(is_of_it);
                if let Some(known) = index.and_then(|index| self.finished.get_mut(index)) {
                    known.is_reported = true;
                    known.ended_at = known.ended_at.max(*at);
                    self.last_end = self.last_end.max(*at);
                    // One that is awaited without a word on its end has it here.
                    if self.awaited.find(request_id).is_none_or(|awaited| awaited.finish.is_some()) {
                        return;
                    }
                }
                self.finish(config, request_id, *at, told);
            }
            _ => self.init.on_event(config, event),
        }
    }

    /// Whether a report of this time may be on `known`: it is made before the next one begins. That of an earlier try may be
    /// lost.
    fn awaits_report(&self, known: &Finished, at: UnixNanos) -> bool {
        let began = |id: &RequestId, began_at: UnixNanos| {
            *id == known.request_id && began_at > known.began_at && began_at <= at
        };
        let mut open = self.open.iter().map(|open| &open.invoke);
        let is_retried = open.any(|invoke| began(&invoke.request_id, invoke.received_at))
            || self.finished.iter().any(|other| began(&other.request_id, other.began_at));
        !(known.is_reported || is_retried && at >= known.ended_at + RETRY_PAUSE)
    }

    /// The invocation of this request id that began at `at`: INVOKE reached us then, or later.
    fn started(&self, request_id: &RequestId, at: UnixNanos) -> Option<u64> {
        let is_it = |open: &&Invocation| open.invoke.request_id == *request_id;
        let mut tries = self.open.iter().filter(is_it);
        let is_sole = tries.clone().count() == 1 && !self.has_older(request_id);
        // What began after the deadline, or long after INVOKE, is a retry, whose own INVOKE is yet to be read.
        let may_be = |open: &Invocation| {
            let is_soon = at < open.invoke.received_at + RETRY_PAUSE;
            is_soon && open.deadline_at.is_none_or(|last| at <= last + INVOKE_DELAY_MAX)
        };
        let open = tries.find(|open| is_sole && may_be(open) || open.invoke.received_at + END_SLACK >= at);
        let open = open.filter(|_| !self.is_over_at(request_id, at)).map(|open| open.ordinal);
        let claimed = self.claimed.iter().filter(is_it);
        let mut claimed = claimed.filter(|open| {
            let received_at = open.invoke.received_at;
            received_at + END_SLACK >= at && at + INVOKE_DELAY_MAX >= received_at
        });
        let claimed = claimed.next().map(|open| open.ordinal);
        open.or(claimed).or_else(|| self.awaited.started(request_id, at))
    }

    /// The platform says how an invocation ended of which its own span had told the end.
    fn explain(&mut self, request_id: &RequestId, at: UnixNanos, finish: &Finish) {
        let Some(open) = &mut self.claimed else { return };
        let is_after = at + INVOKE_DELAY_MAX > open.invoke.received_at;
        if open.invoke.request_id == *request_id && is_after {
            open.finish.get_or_insert_with(|| finish.clone());
        }
    }

    fn finish(&mut self, config: &Config, request_id: &RequestId, at: UnixNanos, finish: Finish) {
        self.was_heard = true;
        self.is_death_told |= finish.takes_all_along();
        self.explain(request_id, at, &finish);
        // Of an invocation that is over, and told of late or twice; the same id may have begun again since. What is told
        // twice has the same time: another one is of another try, whose clock may have been set back.
        let is_it = |known: &&mut Finished| {
            known.request_id == *request_id
                && at <= known.ended_at
                && at + INVOKE_DELAY_MAX >= known.began_at
                && known.told_at.is_none_or(|told| told == at || finish.is_overlong)
        };
        // One that is awaited without a word on its end is served below.
        // What happened before it is of an earlier try.
        let is_its = |awaited: &Invocation| {
            let received_at = awaited.invoke.received_at;
            let is_other =
                |known: &Finished| known.request_id == *request_id && known.began_at != received_at;
            at + INVOKE_DELAY_MAX > received_at || !self.finished.iter().any(is_other)
        };
        let is_unexplained =
            self.awaited.find(request_id).is_some_and(|awaited| awaited.finish.is_none() && is_its(awaited));
        if !is_unexplained && let Some(known) = self.finished.iter_mut().find(is_it) {
            known.on_told(at, &finish);
            return;
        }
        // A retry under the same id begins a minute later: what happened before is of the first try, and what happened
        // after the deadline of that one of a retry whose INVOKE is yet to be heard.
        let is_in_time =
            |deadline: Option<UnixNanos>| deadline.is_none_or(|last| at <= last + INVOKE_DELAY_MAX);
        let is_it = |open: &Invocation| open.invoke.request_id == *request_id;
        let after = self.open.iter().rposition(|open| {
            is_it(open) && is_in_time(open.deadline_at) && at + INVOKE_DELAY_MAX > open.invoke.received_at
        });
        // One whose deadline had passed before is a first try, of which nothing was told.
        let is_retry = |last: UnixNanos| at > last + INVOKE_DELAY_MAX && at <= last + RETRIES_END;
        let may_be = |open: &Invocation| is_it(open) && !open.deadline_at.is_some_and(is_retry);
        let first = || self.open.iter().position(may_be).filter(|_| !self.has_older(request_id));
        if let Some(index) = after.or_else(first) {
            let (ordinal, is_started) = (self.open[index].ordinal, self.open[index].started_at.is_some());
            let finish = self.open[index].finish.get_or_insert(finish);
            if let Some(began) = finish.began().filter(|_| !is_started) {
                self.on_start(config, ordinal, Some(began));
            }
        } else if let Some(awaited) =
            self.awaited.find(request_id).filter(|awaited| is_unexplained && is_in_time(awaited.deadline_at))
        {
            awaited.finish.get_or_insert(finish);
        } else if let Some(known) = self
            .finished
            .iter_mut()
            .rfind(|known| known.request_id == *request_id && !known.is_done && is_in_time(known.deadline_at))
        {
            known.is_done = true;
            known.ended_at = known.ended_at.max(at);
            self.last_end = self.last_end.max(at);
            known.on_told(at, &finish);
        } else if !finish.is_overlong
            && let Some(early) = self.unbegun.note(request_id)
        {
            early.finish.get_or_insert(finish);
        }
    }
}
