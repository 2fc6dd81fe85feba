//! The invocations of one environment: open until their end is known, awaited while the function's own span may come,
//! then remembered for late data.

mod awaited;
mod burying;
mod closing;
mod ending;
mod entries;
mod hearing;
mod init;
mod invocation;
mod over;
mod recovering;
mod relatives;
mod root;
#[cfg(test)]
mod tests;
mod unbegun;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::config::Config;
use crate::platform::Invoke;
use crate::sampling::Circumstances;
use crate::span::{PlatformSpan, RequestId, Span};
use crate::stand_ins::Key;
use crate::time::{Duration, Instant, UnixNanos};

pub(crate) use awaited::TIMERS_DUE;
use awaited::Waiting;
pub(crate) use burying::Death;
use ending::Finish;
pub(crate) use ending::has_died;
use init::Init;
pub(crate) use init::counts as counts_as_init;
use invocation::Finished;
pub(crate) use invocation::Invocation;
use relatives::{Place, Relatives};
use unbegun::Unbegun;

/// Finished invocations remembered for data that comes late, and for what is told twice: on demand, and where as many end
/// at once as a managed instance serves.
const FINISHED_MAX: usize = 64;
const FINISHED_MAX_MANAGED: usize = OPEN_MAX;
/// Invocations open at once: one on demand; on Managed Instances as many as an environment serves.
const OPEN_MAX: usize = 1_024;
/// No invocation lasts longer than 15 minutes; of one that is still open a minute later the end was lost.
///
/// # Source
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html>
pub(crate) const INVOCATION_MAX: Duration = Duration::from_secs(960);
/// The platform tells of ends in whole milliseconds: something may have begun this much later, and before the end.
const END_SLACK: Duration = Duration::from_millis(1);
/// An asynchronous invocation is retried for so long at the most. What claims to be later claims any time.
///
/// # Source
/// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>
pub(crate) const RETRIES_END: Duration = Duration::from_secs(6 * 3_600);
/// A retry begins this long after the end of the try before, at the earliest: Lambda waits for a minute, less what clocks and
/// spans are wrong by.
///
/// # Source
/// As above.
const RETRY_PAUSE: Duration = Duration::from_secs(50);
/// How much later than it happens INVOKE may reach us, where nothing else bounds when an invocation began.
pub(crate) const INVOKE_DELAY_MAX: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    open: Vec<Invocation>,
    /// The last invocation, closed because its own span told of its end: the platform has yet to say how it ended.
    claimed: Option<Invocation>,
    awaited: Waiting,
    finished: VecDeque<Finished>,
    unbegun: Unbegun,
    /// On demand, where a span that names no invocation is of the one during which it began. Where invocations overlap
    /// nothing tells, and this stays empty.
    relatives: Relatives,
    /// What a killed process had on record of the root of the invocation that it died in.
    rooted: Option<(RequestId, Place)>,
    /// When the last invocation that is closed ended.
    last_end: UnixNanos,
    init: Init,
    begun: u64,
    /// When the first one was received.
    first_received_at: Option<UnixNanos>,
    /// Whether the function has sent or announced a span in this process: its own may be late, and is awaited.
    has_sdk: bool,
    /// Whether the function has ever named its invocation in a span, or said that it is done with it: then it is what
    /// tells of ends.
    tells_ends: bool,
    /// Whether a span that named its invocation was followed, in another request, by one that it is not part of: such
    /// spans are no ends then.
    entries_mislead: bool,
    /// Requests received.
    receipts: u64,
    /// Whether the platform has told anything.
    is_told: bool,
    /// Whether the platform has told that the runtime has died.
    is_death_told: bool,
    /// Whether the end of some invocation was heard since the last look.
    was_heard: bool,
    made: Vec<PlatformSpan>,
    deaths: Vec<Death>,
    /// Spans that were made in the place of the function's own.
    stand_ins: Vec<Key>,
    /// Those closed since the last look.
    closed: Vec<Circumstances>,
}

impl Account {
    /// An invocation begins. `deadline_at` is `None` where no INVOKE brought it.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        config: &Config,
        invoke: Invoke,
        deadline_at: Option<UnixNanos>,
    ) {
        self.begun += 1;
        self.claimed = None;
        self.first_received_at.get_or_insert(invoke.received_at);
        // An end in the future is none: a span may claim any time, and clocks are set.
        self.last_end = self.last_end.min(invoke.received_at);
        let early = self.unbegun.take(&invoke.request_id);
        let mut open = Invocation::new(now, config.seed, self.begun, invoke, deadline_at);
        open.flush_requested = early.flush_requested;
        // What happened long before is of an earlier try under the same id; what happened still earlier claims any time.
        let earliest = open.invoke.received_at.minus(INVOKE_DELAY_MAX);
        let may_be_retry = self.has_older(&open.invoke.request_id)
            || self.open.iter().any(|other| other.invoke.request_id == open.invoke.request_id);
        let is_of_earlier = |end: UnixNanos| may_be_retry && end < earliest && end + RETRIES_END >= earliest;
        open.entry = early.entry.filter(|entry| !is_of_earlier(entry.end));
        open.finish = early.finish.filter(|finish| finish.at.is_none_or(|at| at >= earliest));
        if !config.is_managed() {
            // The clock was set back since: those spans are of earlier ones, and would seem to be of this. What begins in this
            // millisecond came before INVOKE was read, and its clock may count in whole ones.
            self.relatives.forget_from(open.invoke.received_at + END_SLACK);
            open.turn = self.relatives.turn();
            open.floor = self.last_end;
            open.from = self.begin_of_spans(&open);
        }
        let ordinal = open.ordinal;
        let began = early.started_at.or(open.finish.as_ref().and_then(Finish::began));
        self.open.push(open);
        self.on_start(config, ordinal, began);
    }

    /// `/next` is asked: what has come by now is of no invocation that begins later.
    pub(crate) fn on_asked(&mut self, now: Instant) {
        self.relatives.next_turn();
        if let Some(open) = self.open.last_mut() {
            open.asked_at.get_or_insert(open.invoke.received_at + now.since(open.began));
        }
    }

    /// When the spans of an invocation may begin that begins now, as long as nothing says when it did.
    fn begin_of_spans(&self, open: &Invocation) -> UnixNanos {
        let received_at = open.invoke.received_at;
        if !self.open.is_empty() || open.is_first() {
            // The one before, or init, may have run until then.
            received_at
        } else {
            let after = open.floor + Duration::from_nanos(1);
            after.max(received_at.minus(INVOKE_DELAY_MAX)).min(received_at)
        }
    }

    /// The platform says when an invocation began, or nothing yet: that parts its spans from those of the one before.
    fn on_start(&mut self, config: &Config, ordinal: u64, started_at: Option<UnixNanos>) {
        let Self { open, awaited, claimed, .. } = self;
        let mut border = None;
        let all = open.iter_mut().chain(awaited.iter_mut()).chain(claimed.as_mut());
        for open in all.filter(|open| open.ordinal == ordinal) {
            open.started_at = started_at.or(open.started_at);
            if let Some(at) = started_at.filter(|_| !config.is_managed()) {
                // INVOKE is never there before its invocation.
                open.from = at.max(open.floor.minus(END_SLACK)).min(open.invoke.received_at);
            }
            border = Some(open.from);
        }
        let before = open.iter_mut().chain(awaited.iter_mut()).find(|open| open.ordinal + 1 == ordinal);
        if let (Some(before), Some(border), false) = (before, border, config.is_managed()) {
            before.until = border;
            before.is_next_told |= started_at.is_some();
        }
    }

    /// Invocations that the platform told the start of, in an environment that has had no INVOKE: its runtime died in an
    /// init that ran inside of them. They ended badly, by their own word or else by `is_bad_end`.
    pub(crate) fn untold(&self, is_bad_end: bool) -> Vec<(RequestId, UnixNanos)> {
        if self.begun > 0 {
            return Vec::new();
        }
        self.unbegun.started_badly(is_bad_end)
    }

    /// Whether the platform may yet tell of such an invocation, or of its end.
    pub(crate) fn may_be_untold(&self) -> bool {
        self.begun == 0 && !self.unbegun.has_end()
    }

    /// Whether the platform, which tells of others, has yet to say how the last invocation ended. What it says is delivered
    /// after a freeze, where the function's own span said first that the invocation is over.
    pub(crate) fn awaits_last_word(&self, config: &Config) -> bool {
        let open = self.open.last().map(|open| open.finish.is_none());
        let last = open.or_else(|| self.finished.back().map(|known| !known.is_done));
        self.is_told && !config.is_managed() && last.unwrap_or(false)
    }

    /// Whether the platform, where several invocations share a runtime, has yet to say that this has died. It says so of each
    /// that was open, after the begins of all of them: once one is told of, those without an end are known to be open.
    pub(crate) fn awaits_death(&self, config: &Config) -> bool {
        config.is_managed() && !self.is_death_told
    }

    /// The function says that it is done with `request_id`, or with whatever runs.
    pub(crate) fn on_flush_request(&mut self, request_id: Option<&RequestId>) {
        self.tells_ends = true;
        let running = self.open.last_mut();
        let is_meant = |open: &Invocation| request_id.is_none_or(|id| open.invoke.request_id == *id);
        if let Some(open) = running.filter(|open| is_meant(open)) {
            open.flush_requested = true;
        } else if let Some(request_id) = request_id.filter(|id| !self.has_begun(id)) {
            self.unbegun.note(request_id).into_iter().for_each(|early| early.flush_requested = true);
        }
    }

    /// Whether the first invocation waited for a cold start; `None` before it has begun, and, unless nothing more will
    /// be told, before the platform has said when init ended.
    pub(crate) fn first_is_cold(&self, config: &Config, is_final: bool) -> Option<bool> {
        let received_at = self.first_received_at.filter(|_| is_final || self.init.is_known())?;
        Some(self.init.is_cold_for(config, received_at))
    }

    /// Whether the end of some invocation was heard since the last call.
    pub(crate) fn take_heard(&mut self) -> bool {
        core::mem::take(&mut self.was_heard)
    }

    /// The invocation that runs now: on demand there is only one.
    pub(crate) fn current(&self) -> Option<&Invocation> {
        self.open.last()
    }

    /// Whether something said that the invocation which runs now is over, or none runs. Spans that mislead are believed
    /// only where nothing else tells, because the platform's events are not `delivered`.
    pub(crate) fn is_current_over(&self, delivered: bool) -> bool {
        let is_believed = !(self.entries_mislead && delivered);
        self.current().is_none_or(|open| {
            is_believed && open.entry.is_some() || open.finish.is_some() || open.flush_requested
        })
    }

    /// When the invocation that runs now ended, where the platform or its own span told.
    pub(crate) fn current_ended_at(&self) -> Option<UnixNanos> {
        let open = self.current()?;
        let told = open.finish.as_ref().and_then(|finish| finish.at);
        told.or_else(|| open.entry.filter(|_| !self.entries_mislead).map(|entry| entry.end))
    }

    /// Whether a span that begins is a part of one that had ended by then: it is left over from that one's invocation, and
    /// no sign of another.
    pub(crate) fn is_left_over<B>(&self, span: &Span<B>) -> bool {
        self.relatives.has_ended_outer(span)
    }

    /// Whether the function itself says when its invocations are over.
    pub(crate) const fn tells_ends(&self) -> bool {
        self.tells_ends
    }

    /// Whether `request_id` is open.
    pub(crate) fn is_open(&self, request_id: &RequestId) -> bool {
        self.open.iter().any(|open| open.invoke.request_id == *request_id)
    }

    /// Another request of the function has come, whose spans follow.
    pub(crate) const fn on_receipt(&mut self) {
        self.receipts += 1;
    }

    /// The function has announced spans, or sent some to a process before this one: it has an SDK.
    pub(crate) const fn on_sdk(&mut self) {
        self.has_sdk = true;
    }

    /// The deaths found since the last call.
    pub(crate) fn take_deaths(&mut self) -> Vec<Death> {
        core::mem::take(&mut self.deaths)
    }

    /// Spans made since the last call in the place of the function's own.
    pub(crate) fn take_stand_ins(&mut self) -> Vec<Key> {
        core::mem::take(&mut self.stand_ins)
    }

    /// The invocations closed since the last call.
    pub(crate) fn take_closed(&mut self) -> Vec<Circumstances> {
        core::mem::take(&mut self.closed)
    }

    /// The spans made since the last call.
    pub(crate) fn take_made(&mut self) -> Vec<PlatformSpan> {
        core::mem::take(&mut self.made)
    }
}
