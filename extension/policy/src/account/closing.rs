//! The end of an invocation in the account: its root is found, awaited or made, and its death is told.

use alloc::vec::Vec;

use super::awaited::Waiting;
use super::burying::{bury, dying};
use super::ending::Finish;
use super::invocation::{Finished, Invocation};
use super::relatives::{Family, Place, Window};
use super::{
    Account, END_SLACK, FINISHED_MAX, FINISHED_MAX_MANAGED, INVOCATION_MAX, INVOKE_DELAY_MAX, OPEN_MAX, root,
};
use crate::announced::Announced;
use crate::config::Config;
use crate::facts::Body;
use crate::platform::{EndStatus, Shutdown};
use crate::sampling::{Circumstances, failure_of};
use crate::span::{RequestId, Span, SpanId, TraceId};
use crate::time::{Duration, Instant, UnixNanos};

impl Account {
    /// Closes every invocation whose end, or whose own root, is known; those whose function has died only where nothing
    /// that it has sent may still come.
    pub(crate) fn close_known<B: Body>(
        &mut self,
        now: Instant,
        config: &Config,
        announced: &Announced<B>,
        may_come: bool,
    ) {
        let is_known = |open: &Invocation| {
            (open.finish.is_some() || open.entry.is_some()) && !(may_come && open.has_died())
        };
        while let Some(index) = self.open.iter().position(is_known) {
            let open = self.open.remove(index);
            self.close(now, config, open, announced);
        }
        // More than an environment can serve, or for longer than it may: what is told of the oldest was lost.
        let is_lost = |open: &Invocation| config.is_managed() && now.since(open.began) >= INVOCATION_MAX;
        while self.open.len() > OPEN_MAX || self.open.first().is_some_and(is_lost) {
            let oldest = self.open.remove(0);
            self.close(now, config, oldest, announced);
        }
        if !may_come {
            self.tell_late_death(config, announced);
        }
        self.tell_init(config);
    }

    /// Closes all but the last `rest` invocations that are open: the platform never told how they ended, and it has long
    /// gone on. That is a good end.
    pub(crate) fn close_older<B: Body>(
        &mut self,
        now: Instant,
        config: &Config,
        announced: &Announced<B>,
        rest: usize,
    ) {
        while self.open.len() > rest {
            let oldest = self.open.remove(0);
            self.close(now, config, oldest, announced);
        }
    }

    /// The invocation that runs is over: makes the roots of earlier ones that were awaited long enough. `is_underway` while a
    /// request of the function is being received.
    pub(crate) fn settle_ripe(&mut self, now: Instant, config: &Config, is_underway: bool) {
        let Some(current) = self.open.last() else { return };
        let (began, until) = (current.began, current.deadline_at.unwrap_or(UnixNanos(u64::MAX)));
        let ripe = self.awaited.ripe((began, now), until, &self.relatives, is_underway);
        self.settle(config, ripe);
    }

    /// The same where nothing freezes, and only time tells.
    pub(crate) fn settle_overdue(&mut self, now: Instant, config: &Config) {
        let overdue = self.awaited.overdue(now);
        self.settle(config, overdue);
    }

    /// Whether a span of the function's own is awaited.
    pub(crate) fn is_awaiting(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// The environment ends: everything open is closed with what SHUTDOWN says of it.
    pub(crate) fn close_all<B: Body>(
        &mut self,
        now: Instant,
        config: &Config,
        shutdown: &Shutdown,
        announced: &Announced<B>,
    ) {
        if let Some(open) = &mut self.claimed {
            open.finish.get_or_insert_with(|| Finish::of_shutdown(shutdown, open.deadline_at));
        }
        self.close_known(now, config, announced, false);
        // On demand it is the last that SHUTDOWN cuts off: those before it have long ended, and nobody told.
        for mut open in core::mem::take(&mut self.open) {
            let is_cut_off = config.is_managed() || open.ordinal == self.begun;
            open.finish = is_cut_off.then(|| Finish::of_shutdown(shutdown, open.deadline_at));
            self.close(now, config, open, announced);
        }
        let awaited = self.awaited.all();
        self.settle(config, awaited);
    }

    /// Whether some invocation is open without a word on how it ended.
    pub(crate) fn has_unexplained(&self) -> bool {
        self.open.iter().any(|open| open.finish.is_none() && open.entry.is_none())
    }

    /// The function's own span of the invocation of `request_id` that was received at `at`.
    pub(crate) fn own_root(&self, request_id: &RequestId, at: UnixNanos) -> Option<(TraceId, SpanId)> {
        let open =
            self.open.iter().map(|open| (&open.invoke.request_id, open.invoke.received_at, open.entry));
        let finished = self.finished.iter().map(|known| (&known.request_id, known.began_at, known.entry));
        let mut of_it = open.chain(finished).filter(|(id, began_at, _)| (*id, *began_at) == (request_id, at));
        of_it.find_map(|(_, _, entry)| entry).map(|entry| (entry.place.trace_id, entry.place.span_id))
    }

    fn close<B: Body>(
        &mut self,
        now: Instant,
        config: &Config,
        mut open: Invocation,
        announced: &Announced<B>,
    ) {
        if open.is_first() {
            // Spans of module initialisation are of no invocation.
            open.from = open.from.max(self.init.ended_at(config).unwrap_or_default());
        }
        let is_bare = open.entry.is_none() || open.has_died();
        let begun = dying(config, &open, announced);
        let family = if is_bare { self.family_of(&open, &begun) } else { Family::default() };
        self.close_with(now, config, open, &family, announced);
    }

    /// The spans of `open`, with those that had `begun` and were still open when its function died.
    fn family_of<B>(&self, open: &Invocation, begun: &[&Span<B>]) -> Family {
        let told = open.finish.as_ref().and_then(|finish| Some((finish.at?, finish.is_overlong)));
        // Of the next one, INVOKE may not have reached us when its first spans did. It begins after the report on this one, and
        // what came before `/next` was asked is of this one.
        let last = told.map_or(open.until + INVOKE_DELAY_MAX, |(at, _)| at + END_SLACK);
        // The next one may have begun in the millisecond of that report, unless its own begin is told.
        let may_overlap = |is_overlong: bool| is_overlong && !open.is_next_told;
        let end =
            told.map_or(open.until, |(at, is_overlong)| if may_overlap(is_overlong) { at } else { last });
        let until = open.until.min(end);
        let window = Window { until, ..open.window() };
        let (from, received_at) = (open.from, open.invoke.received_at);
        let family = self.relatives.family_before(window, last, open.turn + 1).since(open.turn);
        let is_others = |place: Place| {
            let is_other = |known: &&Finished| known.began_at != received_at;
            let mut entries = self.finished.iter().filter(is_other).filter_map(|known| known.entry);
            entries.any(|entry| entry.place.trace_id == place.trace_id)
        };
        // Where nobody said when it began, what is older than our INVOKE is not its, if its trace was there before, or has the
        // own span of another.
        let is_told = open.started_at.is_some();
        let family = family.without(|place, start| {
            let is_early = !is_told && start < received_at;
            is_early && (self.relatives.has_before(place.trace_id, from) || is_others(place))
        });
        // What its spans name as their parents is its all the same: clocks differ, and INVOKE may be late.
        let earliest = open.floor.max(received_at.minus(INVOKE_DELAY_MAX)).min(from);
        self.relatives.with_ancestors(family.and(begun), Window { from: earliest, until }).since(open.turn)
    }

    pub(super) fn close_with<B: Body>(
        &mut self,
        now: Instant,
        config: &Config,
        mut open: Invocation,
        family: &Family,
        announced: &Announced<B>,
    ) {
        let finish = open.finish.clone();
        let mut word = self.word(config, &open);
        word.failure =
            finish.as_ref().and_then(|finish| failure_of(finish.ending.outcome(), finish.has_died));
        // One that is closed because the next one is over may be told of yet.
        word.is_final = finish.is_some();
        self.closed.push(word);
        let has_died = open.has_died();
        // A process that serves several invocations is not ended for one that has run out of time.
        let is_timeout = finish.as_ref().is_some_and(|finish| finish.ending.outcome() == EndStatus::Timeout);
        let lives_on = config.is_managed() && is_timeout;
        if let Some(finish) = finish.filter(|finish| finish.has_died) {
            self.deaths.extend(bury(config, &mut open, family, &finish, announced));
        }
        let mut ended_at = ended_at(&open, family);
        if !open.is_end_told() {
            // No later than the next one was heard of, whose spans its latest may be.
            ended_at = ended_at.min(open.until).max(open.invoke.received_at);
        }
        self.part(config, &mut open, ended_at);
        // Where the function has died, and spans of the trace name a parent that never came, that was its root.
        let is_whole = |place: &Place| {
            let missing = family.missing_parents(place.trace_id, true);
            !has_died || missing.into_iter().all(|parent| announced.has_come(parent))
        };
        let own = open.entry.map(|entry| (entry.place, entry.tells_death));
        let own = own.or_else(|| family.entry().filter(|(place, _)| is_whole(place)));
        let is_dead = has_died && !lives_on;
        if let Some((place, _)) = own.filter(|(_, tells_death)| *tells_death || !is_dead) {
            self.placed(&open, place);
            if open.finish.is_none() && open.ordinal == self.begun && !config.is_managed() {
                self.claimed = Some(open.clone());
            }
            self.remember(config, open, ended_at);
        } else if (!has_died || lives_on) && (self.has_sdk || config.expects_spans) {
            let (earlier, id) = (self.awaited.add(now, ended_at, open.clone()), ended_at);
            self.remember(config, open, id);
            self.settle(config, earlier.into_iter().collect());
        } else {
            self.make(config, &open, own.map(|(place, _)| place), family, announced);
            self.remember(config, open, ended_at);
        }
        self.tell_init(config);
    }

    /// Makes the root of `open`, or what tells of its death below its `own`, and what else is missing above its `family`.
    fn make<B: Body>(
        &mut self,
        config: &Config,
        open: &Invocation,
        own: Option<Place>,
        family: &Family,
        announced: &Announced<B>,
    ) {
        let has_come = |span_id| {
            announced.has_come(span_id) || self.stand_ins.iter().any(|(_, other)| *other == span_id)
        };
        let is_cold = self.is_cold(config, open);
        let rebuilt = root::rebuild(config, open, family, is_cold, has_come).below(own);
        if open.has_died() {
            self.stand_ins.extend(rebuilt.stand_ins());
        }
        self.placed(open, rebuilt.place());
        self.made.push(rebuilt.root);
        self.made.extend(rebuilt.placeholders);
    }

    /// The function has died in an invocation of which its own span had said that it was over: where no span tells of that, one
    /// is made.
    fn tell_late_death<B: Body>(&mut self, config: &Config, announced: &Announced<B>) {
        let Some(mut open) = self.claimed.take_if(|open| open.has_died()) else { return };
        let family = self.family_of(&open, &dying(config, &open, announced));
        if let Some(finish) = open.finish.clone() {
            self.deaths.extend(bury(config, &mut open, &family, &finish, announced));
        }
        if open.entry.is_none_or(|entry| !entry.tells_death) {
            self.make(config, &open, open.entry.map(|entry| entry.place), &family, announced);
        }
    }

    /// Parts the spans of `open`, which ended at `ended_at` as far as is known, from those of the next invocation.
    fn part(&mut self, config: &Config, open: &mut Invocation, ended_at: UnixNanos) {
        let (end, slack) = match &open.finish {
            None => (ended_at, Duration::ZERO),
            // When every extension had asked for the next: no later than that one began.
            Some(Finish { is_overlong: true, at, .. }) => (at.unwrap_or(ended_at), Duration::ZERO),
            Some(_) => (ended_at, END_SLACK),
        };
        // Where nothing told of it, its latest span is no border: that may be of the next one, whose INVOKE was read late.
        if open.is_end_told() {
            self.last_end = self.last_end.max(end + slack);
        }
        let next = self.open.iter_mut().chain(self.awaited.iter_mut());
        for next in next.filter(|next| !config.is_managed() && next.ordinal == open.ordinal + 1) {
            if open.is_end_told() {
                // Its own begin parts them better, where that is told.
                let slack = if next.started_at.is_some() { Duration::ZERO } else { slack };
                let border = end + slack + Duration::from_nanos(1);
                next.from = next.from.max(border).min(next.invoke.received_at);
                next.floor = end;
            }
            open.until = next.from;
        }
    }

    /// Makes the roots of invocations that were awaited in vain: of what has come of them by now.
    fn settle(&mut self, config: &Config, awaited: Vec<Invocation>) {
        for open in awaited {
            let family = self.family_of::<()>(&open, &[]);
            if let Some((place, _)) = family.entry() {
                self.placed(&open, place);
                continue;
            }
            let is_cold = self.is_cold(config, &open);
            let rebuilt = root::rebuild(config, &open, &family, is_cold, |_| false);
            self.placed(&open, rebuilt.place());
            self.made.push(rebuilt.root);
        }
        self.forget_relatives(config);
        self.tell_init(config);
    }

    /// Spans that began before every invocation whose root is still open tell nothing any more.
    fn forget_relatives(&mut self, config: &Config) {
        if !config.is_managed() {
            let open = self.open.iter().map(|open| open.from).min();
            let claimed = self.claimed.as_ref().map(|open| open.from);
            let oldest = [open, claimed, Waiting::oldest_from(&self.awaited)].into_iter().flatten().min();
            self.relatives.forget_before(oldest.unwrap_or(self.last_end).minus(Duration::from_secs(1)));
        }
    }

    /// The place of an invocation's root is certain.
    pub(super) fn placed(&mut self, open: &Invocation, place: Place) {
        if open.is_first() {
            self.init.on_first_placed(&open.ids, open.invoke.received_at, place);
        }
    }

    fn remember(&mut self, config: &Config, open: Invocation, ended_at: UnixNanos) {
        let most = if config.is_managed() { FINISHED_MAX_MANAGED } else { FINISHED_MAX };
        if self.finished.len() >= most {
            self.finished.pop_front();
        }
        let began_at = open.invoke.received_at;
        let told_at = open.finish.as_ref().and_then(|finish| finish.at);
        let ended_at = told_at.map_or(ended_at, |at| at.max(ended_at));
        // Only the platform's own events have a duration.
        let done = open.finish.as_ref().filter(|finish| !finish.is_overlong && finish.duration.is_some());
        let told_at = done.and_then(|finish| finish.at);
        self.finished.push_back(Finished {
            request_id: open.invoke.request_id,
            began_at,
            ended_at,
            deadline_at: open.deadline_at,
            told_at,
            entry: open.entry,
            is_done: open.finish.is_some(),
            // A report that closed it is no word on a retry.
            is_reported: open.finish.as_ref().is_some_and(|finish| config.is_managed() || finish.is_overlong),
        });
    }

    pub(super) fn tell_init(&mut self, config: &Config) {
        self.made.extend(self.init.tell(config));
    }

    fn is_cold(&self, config: &Config, open: &Invocation) -> bool {
        open.is_first() && self.init.is_cold_for(config, open.invoke.received_at)
    }

    /// What is known of an invocation but its end.
    fn word(&self, config: &Config, open: &Invocation) -> Circumstances {
        Circumstances {
            request_id: open.invoke.request_id.clone(),
            at: Some(open.invoke.received_at),
            is_cold: self.is_cold(config, open),
            xray: open.invoke.xray.as_ref().and_then(|xray| xray.sampled),
            ..Circumstances::default()
        }
    }

    /// The invocation that runs now, if the function has said that it is done with it.
    pub(crate) fn flushed(&self, config: &Config) -> Option<Circumstances> {
        self.current().filter(|open| open.flush_requested).map(|open| self.word(config, open))
    }
}

/// When an invocation ended that is being closed; never after its deadline, whatever its spans claim.
pub(super) fn ended_at(open: &Invocation, family: &Family) -> UnixNanos {
    let deadline = open.deadline_at.unwrap_or(UnixNanos(u64::MAX)).max(open.invoke.received_at);
    let own = open.entry.map(|entry| entry.end).filter(|end| *end <= deadline);
    let latest = family.latest(deadline).max(own);
    open.end(open.start(family.earliest()), latest)
}
