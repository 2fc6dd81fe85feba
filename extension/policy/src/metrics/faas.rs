//! What the platform tells of invocations and init, each told once however often it is delivered.
//!
//! # Source
//! `faas.*`: <https://opentelemetry.io/docs/specs/semconv/faas/faas-metrics/>

use alloc::collections::VecDeque;

use super::known::{Done, Known, error_type, hash};
use super::series::{Label, Store};
use super::table::Metric;
use crate::account::counts_as_init;
use crate::config::Config;
use crate::platform::{EndStatus, Ending, InitType, PlatformEvent, Response, ShutdownReason, Usage};
use crate::span::RequestId;
use crate::time::{Duration, Instant, UnixNanos};

/// Invocations remembered for what comes late, or twice. The platform tells of one before the next but one begins;
/// on Managed Instances an environment runs so many at once.
const KNOWN_MAX: usize = 64;
const KNOWN_MAX_MANAGED: usize = 1_024;
/// Where the platform has never said a word, an invocation has ended well when so many have begun after it, and the
/// environment was awake for this time since it began: the platform tells of an end within 25 ms, but nothing while the
/// environment is frozen, and in a burst 25 ms are longer than several invocations.
const SILENT_AFTER: usize = 2;
const SILENT_FOR: Duration = Duration::from_millis(250);
/// Reports on init that are told apart by their times: one for each try, and there are two.
const INITS_MAX: usize = 4;
/// See the module.
#[derive(Debug, Default)]
pub(super) struct Faas {
    known: VecDeque<Known>,
    /// The time of the last input that has one, less all waits for `/next`, in which the environment may have been frozen.
    awake: Instant,
    waited: Duration,
    /// Whether the platform has ever told anything.
    is_told: bool,
    is_first_counted: bool,
    /// When init, or restores, were reported.
    inits: VecDeque<UnixNanos>,
    has_init: bool,
    has_restore: bool,
    /// Billed time, and our share in it.
    billed: (Duration, Duration),
}

impl Faas {
    /// A wait for `/next` is over.
    pub(super) fn on_wait(&mut self, waited: Duration) {
        self.waited += waited;
    }

    pub(super) fn on_time(&mut self, now: Instant) {
        self.awake = now.minus(self.waited);
    }

    pub(super) fn on_invoke(&mut self, store: &mut Store, request_id: &RequestId, at: UnixNanos) {
        let id = hash(request_id);
        // Lambda retries an asynchronous invocation under the same id: another invocation. Its end may have been told.
        if self.known.iter().rfind(|known| known.request_id == id).is_some_and(Known::is_begun) {
            self.add(store, id);
        }
        let awake = self.awake;
        let known = self.entry(store, request_id);
        (known.begun_at, known.begun) = (Some(at), awake);
        if let Some(done) = known.early.take() {
            known.on_done(store, &done);
        }
        if !self.is_told {
            let silent = self.known.len().saturating_sub(SILENT_AFTER);
            let is_long_ago = |known: &&mut Known| known.is_begun() && awake.since(known.begun) >= SILENT_FOR;
            let long_ago = self.known.iter_mut().take(silent).filter(is_long_ago);
            long_ago.for_each(|known| known.settle(store, EndStatus::Success));
        }
    }

    /// Our own process was killed in it, and the invocation failed by that.
    pub(super) fn on_recovered(&mut self, store: &mut Store, request_id: &RequestId, at: UnixNanos) {
        let known = self.entry(store, request_id);
        known.begun_at = Some(at);
        known.settle(store, EndStatus::Failure);
    }

    pub(super) fn on_event(&mut self, config: &Config, store: &mut Store, event: &PlatformEvent) {
        self.is_told = true;
        match event {
            PlatformEvent::RuntimeDone { request_id, at, ending, duration, produced_bytes, response } => {
                let (ending, response) = (ending.clone(), *response);
                let done =
                    Done { at: *at, ending, duration: *duration, produced_bytes: *produced_bytes, response };
                self.on_runtime_done(store, request_id, done);
            }
            PlatformEvent::Report { request_id, at, ending, duration, usage } => {
                if config.is_managed() {
                    let (ending, response) = (ending.clone(), Response::default());
                    let done = Done { at: *at, ending, duration: *duration, produced_bytes: None, response };
                    self.on_runtime_done(store, request_id, done);
                }
                self.on_report(config, store, (request_id, *at), ending, *duration, usage);
            }
            PlatformEvent::InitReport { at, restore, ending, duration, .. }
                if counts_as_init(config, *restore) =>
            {
                self.on_init_report(config, store, *at, *restore, ending, *duration);
            }
            _ => {}
        }
    }

    fn on_runtime_done(&mut self, store: &mut Store, request_id: &RequestId, done: Done) {
        let id = hash(request_id);
        if self.known.iter().any(|known| known.request_id == id && known.done_at == Some(done.at)) {
            return;
        }
        // Of several tries, the last that can have run then; where the clock was set since, the first that nothing was told of.
        let of_it = |known: &Known| known.request_id == id && !known.is_done;
        let running =
            self.known.iter().rposition(|known| known.request_id == id && known.may_run_at(done.at));
        let untold = running.filter(|index| !self.known[*index].is_done);
        let untold = untold.or_else(|| self.known.iter().position(of_it));
        let index = untold.unwrap_or_else(|| {
            // Of one that is told of already, and later than its end: of a retry, whose INVOKE was not read yet.
            let is_later = |known: &Known| known.done_at.is_none_or(|at| at < done.at);
            let told = self.known.iter().rposition(|known| known.request_id == id && !is_later(known));
            told.unwrap_or_else(|| self.add(store, id))
        });
        let known = &mut self.known[index];
        if known.is_begun() {
            known.on_done(store, &done);
        } else {
            known.early.get_or_insert(done);
        }
    }

    fn on_report(
        &mut self,
        config: &Config,
        store: &mut Store,
        (request_id, at): (&RequestId, UnixNanos),
        ending: &Ending,
        duration: Option<Duration>,
        usage: &Usage,
    ) {
        let request_id = hash(request_id);
        // A report comes after everything else: one of an invocation that never began here is of another process. It may be
        // told twice, and the id may be that of a retry.
        let of_it = |known: &Known| known.request_id == request_id && known.is_begun();
        if self.known.iter().any(|known| of_it(known) && known.reported_at == Some(at)) {
            return;
        }
        let is_open = |known: &Known| of_it(known) && known.reported_at.is_none();
        // Where the clock was set back since, it may seem to be of the next try, which has begun.
        let done = self.known.iter().position(|known| is_open(known) && known.is_reported_at(at));
        let running = self.known.iter().rposition(|known| of_it(known) && known.may_run_at(at));
        let running = running.filter(|index| is_open(&self.known[*index]));
        let index = done.or(running).or_else(|| self.known.iter().position(is_open));
        let Some(index) = index else { return };
        let known = &mut self.known[index];
        known.reported_at = Some(at);
        // Where `platform.runtimeDone` was lost, this says how it ended.
        known.count_end(store, ending.outcome(), ending.error_class().as_deref());
        let post_runtime = duration.zip(known.runtime).map(|(whole, runtime)| whole.saturating_sub(runtime));
        for (metric, value) in [
            (Metric::Duration, duration),
            (Metric::BilledDuration, usage.billed),
            (Metric::PostRuntimeDuration, post_runtime),
        ] {
            if let Some(value) = value {
                store.measure(metric, &[], value.as_secs_f64());
            }
        }
        if let Some(used) = usage.memory_used_bytes {
            store.measure(Metric::MemUsage, &[], used as f64);
            let is_full = usage.memory_bytes.is_some_and(|memory| used >= memory);
            store.count(Metric::OutOfMemory, &[], u64::from(known.has_exited && is_full));
        }
        if let Some(billed) = usage.billed {
            // Other extensions run after the function too: what we held it for is ours.
            let own = known.held.min(post_runtime.unwrap_or(known.held)).min(billed);
            self.billed = (self.billed.0.saturating_add(billed), self.billed.1.saturating_add(own));
            store.add(Metric::Billed, &[("owner", "function")], (billed - own).as_secs_f64());
            store.add(Metric::Billed, &[("owner", "prefreeze")], own.as_secs_f64());
        }
        self.on_report_of_init(config, store, usage);
    }

    /// The invocation that began last was held from its end to `/next`, for `held`.
    pub(super) fn on_held(&mut self, held: Duration) {
        if let Some(known) = self.known.iter_mut().rev().find(|known| known.is_begun()) {
            known.held += held;
        }
    }

    /// Billed time so far, and our share in it.
    pub(super) const fn billed(&self) -> (Duration, Duration) {
        self.billed
    }

    /// The first report of an environment tells of init too, where `platform.initReport` was lost.
    fn on_report_of_init(&mut self, config: &Config, store: &mut Store, usage: &Usage) {
        if let Some(took) = usage.init.filter(|_| !core::mem::replace(&mut self.has_init, true)) {
            measure_init(config, store, Metric::InitDuration, took, None);
        }
        if let Some(took) = usage.restore.filter(|_| !core::mem::replace(&mut self.has_restore, true)) {
            measure_init(config, store, Metric::RestoreDuration, took, None);
        }
    }

    fn on_init_report(
        &mut self,
        config: &Config,
        store: &mut Store,
        at: UnixNanos,
        restore: bool,
        ending: &Ending,
        duration: Option<Duration>,
    ) {
        let Some(took) = duration.filter(|_| !self.inits.contains(&at)) else { return };
        let (metric, was_told) = if restore {
            (Metric::RestoreDuration, core::mem::replace(&mut self.has_restore, true))
        } else {
            (Metric::InitDuration, core::mem::replace(&mut self.has_init, true))
        };
        // Told by the first `platform.report` already, which had overtaken this.
        let is_known = was_told && self.inits.is_empty();
        if self.inits.len() == INITS_MAX {
            self.inits.pop_front();
        }
        self.inits.push_back(at);
        if !is_known {
            measure_init(config, store, metric, took, ending.error_class().as_deref());
        }
    }

    pub(super) fn on_first(&mut self, config: &Config, store: &mut Store, is_cold: bool) {
        if !core::mem::replace(&mut self.is_first_counted, true) && is_cold {
            store.count(Metric::Coldstarts, &[init_type(config)], 1);
        }
    }

    /// The environment ends: what was never told of the running invocation follows from why, the others went well.
    pub(super) fn settle_all(&mut self, config: &Config, store: &mut Store, reason: ShutdownReason) {
        let status = reason.status();
        let last = self.known.iter().rposition(Known::is_begun);
        for (index, known) in self.known.iter_mut().enumerate() {
            let is_meant = config.init_type == InitType::ManagedInstances || Some(index) == last;
            known.settle(store, if is_meant { status } else { EndStatus::Success });
        }
    }

    /// What is known of `request_id`, from now on at least.
    fn entry(&mut self, store: &mut Store, request_id: &RequestId) -> &mut Known {
        // What is told is nearly always of one of the last.
        let request_id = hash(request_id);
        let found = self.known.iter().rposition(|known| known.request_id == request_id);
        let index = found.unwrap_or_else(|| self.add(store, request_id));
        &mut self.known[index]
    }

    fn add(&mut self, store: &mut Store, request_id: u64) -> usize {
        // On demand there are never more than a few open; the larger bound costs nothing until it is needed.
        let open = self.known.iter().filter(|known| known.is_begun() && !known.is_counted).count();
        if self.known.len() >= KNOWN_MAX && (open < KNOWN_MAX || self.known.len() >= KNOWN_MAX_MANAGED) {
            self.forget_one(store);
        }
        self.known.reserve(if self.known.is_empty() { KNOWN_MAX } else { 0 });
        self.known.push_back(Known { request_id, ..Known::default() });
        self.known.len() - 1
    }

    /// Forgets the oldest one that nothing is to be told of any more, else the oldest.
    fn forget_one(&mut self, store: &mut Store) {
        let told = self.known.iter().position(|known| known.is_counted && known.is_done);
        if let Some(mut known) = self.known.remove(told.unwrap_or(0)) {
            known.settle(store, EndStatus::Success);
        }
    }
}

fn measure_init(config: &Config, store: &mut Store, metric: Metric, took: Duration, class: Option<&str>) {
    let class = error_type(class);
    let kind = init_type(config);
    let labels: &[Label<'_>] = match (metric, class.as_slice()) {
        (Metric::InitDuration, [class]) => &[kind, *class],
        (Metric::InitDuration, _) => &[kind],
        (_, [class]) => &[*class],
        _ => &[],
    };
    store.measure(metric, labels, took.as_secs_f64());
}

fn init_type(config: &Config) -> Label<'static> {
    ("aws.lambda.initialization_type", config.init_type.as_str())
}

#[cfg(test)]
mod tests;
