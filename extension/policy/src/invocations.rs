//! The invocations of one environment: open until their end is known, then remembered for late data.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::announced::Announced;
use crate::config::Config;
use crate::facts::Body;
use crate::family::{Family, Place};
use crate::init::Init;
use crate::platform::{EndStatus, Ending, Invoke, PlatformEvent, Shutdown, ShutdownReason};
use crate::root;
use crate::sampling::{Circumstances, failure_of};
use crate::span::{PlatformSpan, RequestId, Span, TraceId};
use crate::stand_ins::Key;
use crate::time::{Duration, UnixNanos};

/// Finished invocations remembered for data that comes late: as many as a managed instance serves at once.
const FINISHED_MAX: usize = 64;
/// Invocations of which something is heard before they begin.
const EARLY_MAX: usize = 16;
/// Invocations open at once: one on demand; on Managed Instances as many as an environment serves.
const OPEN_MAX: usize = 1_024;

/// How an invocation has ended, as far as it is known.
#[derive(Clone, Debug)]
pub(crate) struct Finish {
    pub(crate) ending: Ending,
    /// When, where the platform told.
    pub(crate) at: Option<UnixNanos>,
    pub(crate) duration: Option<Duration>,
    pub(crate) produced_bytes: Option<u64>,
    /// Whether the process that ran it is gone: nothing more will come from it.
    pub(crate) has_died: bool,
}

/// An invocation whose end is not known yet.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) invoke: Invoke,
    pub(crate) is_first: bool,
    /// `platform.start`.
    pub(crate) started_at: Option<UnixNanos>,
    /// The function's own SERVER or CONSUMER span that names this invocation.
    pub(crate) entry: Option<Place>,
    pub(crate) family: Family,
    pub(crate) finish: Option<Finish>,
    /// The function said that it is done with it (`POST /v1/flush`).
    pub(crate) flush_requested: bool,
}

impl Open {
    /// Whether the process that ran it is known to be gone.
    pub(crate) fn has_died(&self) -> bool {
        self.finish.as_ref().is_some_and(|finish| finish.has_died)
    }

    /// Whether what begins at `start` comes after its end.
    fn is_before(&self, start: UnixNanos) -> bool {
        self.finish.as_ref().and_then(|finish| finish.at).is_some_and(|at| self.has_died() && at < start)
    }
}

/// The death of a function in one of its invocations.
#[derive(Clone, Debug)]
pub(crate) struct Death {
    pub(crate) at: UnixNanos,
    pub(crate) ending: Ending,
    /// The only trace that is concerned, where others run beside it.
    pub(crate) trace: Option<TraceId>,
}

/// What was heard of an invocation before its INVOKE: the platform hands INVOKE to the function and to us
/// at once, and the function may be done before our process has been scheduled to read it.
#[derive(Clone, Debug, Default)]
struct Early {
    request_id: RequestId,
    started_at: Option<UnixNanos>,
    entry: Option<Place>,
    finish: Option<Finish>,
    flush_requested: bool,
}

/// An invocation that is closed, and the root that was rebuilt for it but not sent yet.
#[derive(Clone, Debug)]
struct Finished {
    request_id: RequestId,
    received_at: UnixNanos,
    is_first: bool,
    deferred_root: Option<PlatformSpan>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Invocations {
    open: Vec<Open>,
    finished: VecDeque<Finished>,
    early: VecDeque<Early>,
    /// Spans that came while nothing was open, and that began after everything closed had ended.
    early_family: Family,
    /// When the last invocation that is closed ended.
    last_end: UnixNanos,
    init: Init,
    begun: u64,
    /// When the first one was received.
    first_received_at: Option<UnixNanos>,
    /// Whether this function has ever sent a span that names its invocation. Then a missing one is
    /// probably late, and rebuilding it at once would make two.
    sends_entries: bool,
    /// Whether the end of some invocation was heard since the last look.
    was_heard: bool,
    made: Vec<PlatformSpan>,
    deaths: Vec<Death>,
    /// Spans that were made in the place of the function's own.
    stand_ins: Vec<Key>,
    /// Those closed since the last look.
    closed: Vec<Circumstances>,
}

impl Invocations {
    /// An invocation begins.
    pub(crate) fn begin(&mut self, invoke: Invoke) {
        let is_first = self.begun == 0;
        self.begun += 1;
        self.first_received_at.get_or_insert(invoke.received_at);
        if self.open.len() == OPEN_MAX {
            self.open.remove(0);
        }
        let index = self.early.iter().position(|early| early.request_id == invoke.request_id);
        let early = index.and_then(|index| self.early.remove(index)).unwrap_or_default();
        self.open.push(Open {
            invoke,
            is_first,
            started_at: early.started_at,
            entry: early.entry,
            family: core::mem::take(&mut self.early_family),
            finish: early.finish,
            flush_requested: early.flush_requested,
        });
    }

    /// Invocations that the platform told the start of, in an environment that has had no INVOKE: its runtime died in an
    /// init that ran inside of them. They ended badly, by their own word or else by `is_bad_end`.
    pub(crate) fn untold(&self, is_bad_end: bool) -> Vec<(RequestId, UnixNanos)> {
        if self.begun > 0 {
            return Vec::new();
        }
        let is_bad = |early: &&Early| {
            let finish = early.finish.as_ref();
            finish.map_or(is_bad_end, |finish| finish.ending.status != EndStatus::Success)
        };
        let started = |early: &Early| Some((early.request_id.clone(), early.started_at?));
        self.early.iter().filter(is_bad).filter_map(started).collect()
    }

    /// Whether the platform may yet tell of such an invocation, or of its end.
    pub(crate) fn may_be_untold(&self) -> bool {
        self.begun == 0 && !self.early.iter().any(|early| early.finish.is_some())
    }

    /// Where to note what is heard of `request_id` before it begins; `None` when it has begun.
    fn early(&mut self, request_id: &RequestId) -> Option<&mut Early> {
        if self.has_begun(request_id) {
            return None;
        }
        let known = self.early.iter().position(|early| early.request_id == *request_id);
        let index = known.unwrap_or_else(|| {
            if self.early.len() == EARLY_MAX {
                self.early.pop_front();
            }
            self.early.push_back(Early { request_id: request_id.clone(), ..Early::default() });
            self.early.len() - 1
        });
        self.early.get_mut(index)
    }

    /// The function says that it is done with `request_id`, or with whatever runs.
    pub(crate) fn on_flush_request(&mut self, request_id: Option<&RequestId>) {
        let running = self.open.last_mut();
        let is_meant = |open: &Open| request_id.is_none_or(|id| open.invoke.request_id == *id);
        if let Some(open) = running.filter(|open| is_meant(open)) {
            open.flush_requested = true;
        } else if let Some(early) = request_id.and_then(|id| self.early(id)) {
            early.flush_requested = true;
        }
    }

    /// Whether the first invocation waited for a cold start; `None` before it has begun, and, unless nothing more will
    /// be told, before the platform has said when init ended.
    pub(crate) fn first_is_cold(&self, config: &Config, is_final: bool) -> Option<bool> {
        let received_at = self.first_received_at.filter(|_| is_final || self.init.is_known())?;
        Some(self.init.is_cold_for(config, received_at))
    }

    /// An invocation that a killed process leaves behind, with the spans it had accepted: it has failed.
    pub(crate) fn recover<B: Body>(
        &mut self,
        config: &Config,
        invoke: Invoke,
        spans: &[Span<B>],
        announced: &Announced<B>,
    ) {
        let begun = core::mem::replace(&mut self.begun, 1);
        let first_received_at = self.first_received_at;
        self.begin(invoke);
        (self.begun, self.first_received_at) = (begun, first_received_at);
        for span in spans {
            self.on_span(span);
        }
        if let Some(mut open) = self.open.pop() {
            let ending = Ending { status: EndStatus::Failure, error_type: None };
            let begun = announced.in_order(None).into_iter().map(|span| span.start).max();
            let at = open.family.latest().max(begun);
            let finish = Finish { ending, at, duration: None, produced_bytes: None, has_died: true };
            open.finish = Some(finish);
            self.close(config, open, announced);
        }
    }

    /// Whether the end of some invocation was heard since the last call.
    pub(crate) fn take_heard(&mut self) -> bool {
        core::mem::take(&mut self.was_heard)
    }

    /// The invocation that runs now: on demand there is only one.
    pub(crate) fn current(&self) -> Option<&Open> {
        self.open.last()
    }

    /// Whether `request_id` has begun, as far as is remembered.
    pub(crate) fn has_begun(&self, request_id: &RequestId) -> bool {
        self.is_open(request_id) || self.finished.iter().any(|finished| finished.request_id == *request_id)
    }

    /// Whether `request_id` is open.
    pub(crate) fn is_open(&self, request_id: &RequestId) -> bool {
        self.open.iter().any(|open| open.invoke.request_id == *request_id)
    }

    /// A span was received.
    pub(crate) fn on_span<B>(&mut self, span: &Span<B>) {
        let place = Place { trace_id: span.trace_id, span_id: span.span_id, parent: span.parent };
        if let Some(request_id) = &span.request_id {
            self.sends_entries = true;
            self.was_heard = true;
            if let Some(open) = self.find(request_id) {
                open.family.add(span);
                // Of two that name it, the outer one stands for it: a CONSUMER span inside a SERVER span.
                let is_outer = open.entry.is_none_or(|known| known.parent == Some(place.span_id));
                open.entry = if is_outer { Some(place) } else { open.entry };
            } else {
                self.on_late_entry(request_id, place);
                if let Some(early) = self.early(request_id) {
                    early.entry =
                        early.entry.filter(|known| known.parent != Some(place.span_id)).or(Some(place));
                }
            }
        } else if span.start > self.last_end {
            // What began before the last invocation ended is a late part of that one.
            let open = self.open.last_mut().filter(|open| !open.is_before(span.start));
            let family = open.map_or(&mut self.early_family, |open| &mut open.family);
            family.add(span);
        }
    }

    /// The root of a closed invocation came after all: the rebuilt one is not needed.
    fn on_late_entry(&mut self, request_id: &RequestId, place: Place) {
        let finished = self.finished.iter_mut().find(|finished| finished.request_id == *request_id);
        if let Some(finished) = finished.filter(|finished| finished.deferred_root.is_some()) {
            finished.deferred_root = None;
            if finished.is_first {
                self.init.on_first_placed(request_id, finished.received_at, place);
            }
        }
    }

    /// The platform told something.
    pub(crate) fn on_event(&mut self, config: &Config, event: &PlatformEvent) {
        match event {
            PlatformEvent::Start { request_id, at } => {
                if let Some(open) = self.find(request_id) {
                    open.started_at = Some(*at);
                } else if let Some(early) = self.early(request_id) {
                    early.started_at = Some(*at);
                }
            }
            PlatformEvent::RuntimeDone { request_id, at, ending, duration, produced_bytes, .. } => {
                let finish = Finish {
                    has_died: has_died(ending),
                    ending: ending.clone(),
                    at: Some(*at),
                    duration: *duration,
                    produced_bytes: *produced_bytes,
                };
                self.finish(request_id, finish);
            }
            PlatformEvent::Report { request_id, at, ending, duration, .. } if config.is_managed() => {
                let has_died = has_died(ending);
                let (ending, at, duration) = (ending.clone(), Some(*at), *duration);
                self.finish(request_id, Finish { ending, at, duration, produced_bytes: None, has_died });
            }
            _ => self.init.on_event(config, event),
        }
    }

    fn finish(&mut self, request_id: &RequestId, finish: Finish) {
        self.was_heard = true;
        if let Some(open) = self.find(request_id) {
            open.finish.get_or_insert(finish);
        } else if let Some(early) = self.early(request_id) {
            early.finish.get_or_insert(finish);
        }
    }

    fn find(&mut self, request_id: &RequestId) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.invoke.request_id == *request_id)
    }

    /// Closes every invocation whose end, or whose own root, is known; those whose function has died only where nothing
    /// that it has sent may still come.
    pub(crate) fn close_known<B: Body>(&mut self, config: &Config, announced: &Announced<B>, may_come: bool) {
        let is_known =
            |open: &Open| (open.finish.is_some() || open.entry.is_some()) && !(may_come && open.has_died());
        while let Some(index) = self.open.iter().position(is_known) {
            let open = self.open.remove(index);
            self.close(config, open, announced);
        }
        self.tell_init(config);
    }

    /// The current invocation is done: what was put off for those before it is due.
    pub(crate) fn settle_before_current<B: Body>(&mut self, config: &Config, announced: &Announced<B>) {
        let current = self.open.last().map(|open| open.invoke.request_id.clone());
        // The platform never told how an older one ended, and it has long gone on: a good end.
        while self.open.len() > 1 {
            let open = self.open.remove(0);
            self.close(config, open, announced);
        }
        self.settle(config, current.as_ref());
    }

    /// Sends every root that was put off.
    pub(crate) fn settle_all(&mut self, config: &Config) {
        self.settle(config, None);
    }

    /// Sends every root that was put off, but that of `except`.
    fn settle(&mut self, config: &Config, except: Option<&RequestId>) {
        for finished in self.finished.iter_mut().filter(|finished| Some(&finished.request_id) != except) {
            if let Some(root) = finished.deferred_root.take() {
                let place = Place { trace_id: root.trace_id, span_id: root.span_id, parent: root.parent };
                if finished.is_first {
                    self.init.on_first_placed(&finished.request_id, finished.received_at, place);
                }
                self.made.push(root);
            }
        }
        self.tell_init(config);
    }

    /// The environment ends: everything open is closed with what SHUTDOWN says of it.
    pub(crate) fn close_all<B: Body>(
        &mut self,
        config: &Config,
        shutdown: &Shutdown,
        announced: &Announced<B>,
    ) {
        self.close_known(config, announced, false);
        for mut open in core::mem::take(&mut self.open) {
            open.finish = Some(finish_of_shutdown(&open, shutdown));
            self.close(config, open, announced);
        }
        self.settle(config, None);
    }

    /// Whether some invocation is open without a word on how it ended.
    pub(crate) fn has_unexplained(&self) -> bool {
        self.open.iter().any(|open| open.finish.is_none() && open.entry.is_none())
    }

    fn close<B: Body>(&mut self, config: &Config, mut open: Open, announced: &Announced<B>) {
        let finish = open.finish.take();
        let mut word = self.word(config, &open);
        word.failure = finish.as_ref().and_then(|finish| failure_of(finish.ending.status, finish.has_died));
        // Without an entry, too, it is only closed when nothing more will be said.
        word.is_final = finish.is_some() || open.entry.is_none();
        self.closed.push(word);
        let told_end = finish.as_ref().and_then(|finish| finish.at).or(open.family.latest());
        self.last_end = self.last_end.max(told_end.unwrap_or(open.invoke.received_at));
        let has_died = finish.as_ref().is_some_and(|finish| finish.has_died);
        if let Some(finish) = finish.as_ref().filter(|finish| finish.has_died) {
            self.deaths.extend(bury(config, &mut open, finish, announced));
        }
        let own = open.entry.or_else(|| open.family.entry().filter(|_| !has_died));
        let mut deferred_root = None;
        if let Some(place) = own {
            self.place_first(&open, place);
        } else {
            let is_cold = open.is_first && self.init.is_cold_for(config, open.invoke.received_at);
            let rebuilt = root::rebuild(config, &open, finish.as_ref(), is_cold, |span_id| {
                announced.has_come(span_id) || self.stand_ins.iter().any(|(_, other)| *other == span_id)
            });
            if has_died {
                self.stand_ins.extend(rebuilt.stand_ins());
            }
            if self.sends_entries && !has_died {
                deferred_root = Some(rebuilt.root);
            } else {
                self.place_first(&open, rebuilt.place());
                self.made.push(rebuilt.root);
            }
            self.made.extend(rebuilt.placeholders);
        }
        self.remember(open, deferred_root);
        self.tell_init(config);
    }

    fn place_first(&mut self, open: &Open, place: Place) {
        if open.is_first {
            self.init.on_first_placed(&open.invoke.request_id, open.invoke.received_at, place);
        }
    }

    fn remember(&mut self, open: Open, deferred_root: Option<PlatformSpan>) {
        if self.finished.len() == FINISHED_MAX {
            self.made.extend(self.finished.pop_front().and_then(|finished| finished.deferred_root));
        }
        self.finished.push_back(Finished {
            request_id: open.invoke.request_id,
            received_at: open.invoke.received_at,
            is_first: open.is_first,
            deferred_root,
        });
    }

    fn tell_init(&mut self, config: &Config) {
        self.made.extend(self.init.tell(config));
    }

    /// The deaths found since the last call.
    pub(crate) fn take_deaths(&mut self) -> Vec<Death> {
        core::mem::take(&mut self.deaths)
    }

    /// Spans made since the last call in the place of the function's own.
    pub(crate) fn take_stand_ins(&mut self) -> Vec<Key> {
        core::mem::take(&mut self.stand_ins)
    }

    /// What is known of an invocation but its end.
    fn word(&self, config: &Config, open: &Open) -> Circumstances {
        Circumstances {
            request_id: open.invoke.request_id.clone(),
            is_cold: open.is_first && self.init.is_cold_for(config, open.invoke.received_at),
            xray: open.invoke.xray.as_ref().and_then(|xray| xray.sampled),
            ..Circumstances::default()
        }
    }

    /// The invocation that runs now, if the function has said that it is done with it.
    pub(crate) fn flushed(&self, config: &Config) -> Option<Circumstances> {
        self.current().filter(|open| open.flush_requested).map(|open| self.word(config, open))
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

/// The function has died in `open`: what it had announced belongs to the invocation as if it had been sent.
///
/// Shape: on Managed Instances, where other invocations run beside it, only the trace whose announced entry
/// names it is concerned; `None` where there is none.
fn bury<B: Body>(
    config: &Config,
    open: &mut Open,
    finish: &Finish,
    announced: &Announced<B>,
) -> Option<Death> {
    let names_it = |span: &&Span<B>| span.request_id.as_ref() == Some(&open.invoke.request_id);
    let all = announced.in_order(None);
    let trace = all.iter().copied().find(names_it).map(|span| span.trace_id);
    let trace = if config.is_managed() { Some(trace?) } else { None };
    for span in announced.in_order(trace) {
        let is_own = span.request_id.as_ref().is_none_or(|id| *id == open.invoke.request_id);
        if open.entry.is_none() && span.kind.is_entry() && is_own {
            open.entry = Some(Place { trace_id: span.trace_id, span_id: span.span_id, parent: span.parent });
        }
        open.family.add(span);
    }
    let at = root::ended_at(open, Some(finish), root::started_at(open));
    Some(Death { at, ending: finish.ending.clone(), trace })
}

/// Whether an ending means that the runtime's process is gone.
///
/// A handler that returned an error (`error` with the runtime's own `errorType`) leaves it running.
pub(crate) fn has_died(ending: &Ending) -> bool {
    match ending.status {
        EndStatus::Success => false,
        EndStatus::Timeout | EndStatus::Failure => true,
        EndStatus::Error => ending.error_type.as_deref().is_some_and(|class| {
            matches!(class, "Runtime.ExitError" | "Runtime.OutOfMemory" | "Extension.Crash")
                || class.starts_with("Sandbox.")
        }),
    }
}

fn finish_of_shutdown(open: &Open, shutdown: &Shutdown) -> Finish {
    let (status, at) = match shutdown.reason {
        ShutdownReason::Timeout => (EndStatus::Timeout, Some(open.invoke.deadline_at)),
        ShutdownReason::Failure => (EndStatus::Failure, Some(shutdown.received_at)),
        // Idle environments are spun down: an invocation whose end was never told has ended well.
        ShutdownReason::Spindown => (EndStatus::Success, open.family.latest()),
    };
    Finish {
        ending: Ending { status, error_type: None },
        at,
        duration: None,
        produced_bytes: None,
        has_died: status != EndStatus::Success,
    }
}
