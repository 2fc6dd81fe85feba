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
mod tests {
    use super::super::series::Reading;
    use super::*;
    use alloc::format;

    fn config() -> Config {
        Config::default()
    }

    fn done(request_id: &str, status: EndStatus, class: Option<&str>) -> PlatformEvent {
        PlatformEvent::RuntimeDone {
            request_id: request_id.into(),
            at: UnixNanos(1),
            ending: Ending { status, error_type: class.map(Into::into) },
            duration: Some(Duration::from_millis(10)),
            produced_bytes: Some(7),
            response: Response::default(),
        }
    }

    fn report(request_id: &str, used: u64) -> PlatformEvent {
        PlatformEvent::Report {
            request_id: request_id.into(),
            at: UnixNanos(2),
            ending: Ending::SUCCESS,
            duration: Some(Duration::from_millis(25)),
            usage: Usage {
                billed: Some(Duration::from_millis(26)),
                memory_bytes: Some(128),
                memory_used_bytes: Some(used),
                init: Some(Duration::from_millis(300)),
                restore: None,
            },
        }
    }

    /// The count, or the number of values, of a metric over all of its series.
    fn total(points: &[super::super::Point], metric: Metric) -> i64 {
        let of_metric = points.iter().filter(|point| point.metric == metric);
        let counts = of_metric.map(|point| match &point.reading {
            Reading::Int(int) => *int,
            Reading::Histogram(histogram) => histogram.count as i64,
            Reading::Double(_) => panic!("{point:?}"),
        });
        counts.sum()
    }

    fn ends(store: &mut Store) -> [i64; 3] {
        let points = store.take();
        [Metric::Invocations, Metric::Errors, Metric::Timeouts].map(|metric| total(&points, metric))
    }

    #[test]
    fn every_end_is_counted_once_whatever_is_told_twice_or_early() {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        let rows = [
            ("ok", EndStatus::Success, None),
            ("bad", EndStatus::Error, Some("Function.Error")),
            ("slow", EndStatus::Timeout, None),
            ("gone", EndStatus::Failure, Some("Sandbox.Failure")),
        ];
        for (index, (request_id, status, class)) in rows.into_iter().enumerate() {
            if index % 2 == 0 {
                faas.on_invoke(&mut store, &request_id.into(), UnixNanos(0));
            }
            faas.on_event(&config(), &mut store, &done(request_id, status, class));
            faas.on_event(&config(), &mut store, &done(request_id, status, class));
            if index % 2 == 1 {
                faas.on_invoke(&mut store, &request_id.into(), UnixNanos(0));
            }
            faas.on_event(&config(), &mut store, &report(request_id, 90));
            faas.on_event(&config(), &mut store, &report(request_id, 90));
        }
        faas.settle_all(&config(), &mut store, ShutdownReason::Failure);
        let points = store.take();
        let counts = |metric| total(&points, metric);
        assert_eq!([Metric::Invocations, Metric::Errors, Metric::Timeouts].map(counts), [1, 2, 1]);
        assert_eq!(
            [Metric::InvokeDuration, Metric::Duration, Metric::PostRuntimeDuration].map(counts),
            [4, 4, 4]
        );
        assert_eq!(counts(Metric::InitDuration), 1);
    }

    #[test]
    fn what_is_never_told_follows_from_shutdown() {
        for (reason, expected) in [
            (ShutdownReason::Spindown, [2, 0, 0]),
            (ShutdownReason::Timeout, [1, 0, 1]),
            (ShutdownReason::Failure, [1, 1, 0]),
        ] {
            let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
            faas.on_invoke(&mut store, &"one".into(), UnixNanos(0));
            faas.on_invoke(&mut store, &"two".into(), UnixNanos(0));
            faas.settle_all(&config(), &mut store, reason);
            assert_eq!(ends(&mut store), expected, "{reason:?}");
        }
    }

    #[test]
    fn without_a_word_of_the_platform_ends_are_told_all_the_same() {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        for n in 0..1_000 {
            faas.on_time(Instant::from_nanos(n * 1_000_000_000));
            faas.on_invoke(&mut store, &format!("r{n}").as_str().into(), UnixNanos(0));
        }
        assert_eq!(ends(&mut store), [998, 0, 0]);
        assert!(faas.known.len() <= KNOWN_MAX);
        // With one word of it, they wait for theirs, within bounds.
        faas.on_event(
            &config(),
            &mut store,
            &PlatformEvent::Start { request_id: "x".into(), at: UnixNanos(1) },
        );
        for n in 1_000..3_000 {
            faas.on_invoke(&mut store, &format!("r{n}").as_str().into(), UnixNanos(0));
        }
        assert!(faas.known.len() <= KNOWN_MAX_MANAGED);
        faas.settle_all(&config(), &mut store, ShutdownReason::Spindown);
        assert_eq!(ends(&mut store), [2_002, 0, 0]);
    }

    #[test]
    fn a_report_is_of_the_try_that_had_ended_just_before() {
        let second = 1_000_000_000;
        let ended = |at: u64, status| PlatformEvent::RuntimeDone {
            request_id: "r".into(),
            at: UnixNanos(at * second),
            ending: Ending { status, error_type: None },
            duration: None,
            produced_bytes: None,
            response: Response::default(),
        };
        let report = |at: u64, status| PlatformEvent::Report {
            request_id: "r".into(),
            at: UnixNanos(at * second),
            ending: Ending { status, error_type: None },
            duration: None,
            usage: Usage::default(),
        };
        // When the retry begins: the clock was set back before.
        for begins in [1_100, 900] {
            let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
            faas.on_invoke(&mut store, &"r".into(), UnixNanos(1_000 * second));
            faas.on_event(&config(), &mut store, &ended(1_001, EndStatus::Error));
            faas.on_invoke(&mut store, &"r".into(), UnixNanos(begins * second));
            faas.on_event(&config(), &mut store, &report(1_002, EndStatus::Error));
            faas.on_event(&config(), &mut store, &ended(begins + 1, EndStatus::Success));
            faas.on_event(&config(), &mut store, &report(begins + 2, EndStatus::Success));
            assert_eq!(ends(&mut store), [1, 1, 0], "at {begins}");
        }
    }

    #[test]
    fn a_burst_is_over_before_the_platform_says_its_first_word() {
        let hour = Duration::from_secs(3_600);
        for (apart_ms, expected) in [(5, [0, 3, 0]), (125, [1, 2, 0]), (124, [0, 3, 0])] {
            let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
            for n in 0..3 {
                // The environment is frozen for an hour before each of them.
                faas.on_wait(hour);
                faas.on_time(Instant::from_nanos(n * apart_ms * 1_000_000) + hour * (n as u32 + 1));
                let at = UnixNanos(n * 3_600_000_000_000);
                faas.on_invoke(&mut store, &format!("r{n}").as_str().into(), at);
            }
            for n in 0..3 {
                let failed = done(&format!("r{n}"), EndStatus::Error, Some("Function.Error"));
                faas.on_event(&config(), &mut store, &failed);
            }
            assert_eq!(ends(&mut store), expected, "{apart_ms} ms apart");
        }
    }

    #[test]
    fn an_exit_with_all_memory_in_use_is_for_want_of_memory() {
        for (class, used, expected) in [
            ("Runtime.ExitError", 128, 1),
            ("Runtime.ExitError", 127, 0),
            ("Function.Error", 128, 0),
            ("Runtime.OutOfMemory", 128, 1),
        ] {
            let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
            faas.on_invoke(&mut store, &"r".into(), UnixNanos(0));
            faas.on_event(&config(), &mut store, &done("r", EndStatus::Error, Some(class)));
            faas.on_event(&config(), &mut store, &report("r", used));
            assert_eq!(total(&store.take(), Metric::OutOfMemory), expected, "{class} {used}");
        }
    }

    #[test]
    fn a_report_says_nothing_of_an_earlier_invocation_whose_own_was_lost() {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        for (id, status, class) in
            [("gone", EndStatus::Error, Some("Runtime.ExitError")), ("full", EndStatus::Success, None)]
        {
            faas.on_invoke(&mut store, &id.into(), UnixNanos(0));
            faas.on_event(&config(), &mut store, &done(id, status, class));
        }
        faas.on_event(&config(), &mut store, &report("full", 128));
        assert_eq!(total(&store.take(), Metric::OutOfMemory), 0, "it was another one that exited");
    }

    #[test]
    fn each_try_of_init_is_measured_once() {
        let tried = |at| PlatformEvent::InitReport {
            at: UnixNanos(at),
            phase: crate::platform::InitPhase::Init,
            restore: false,
            ending: Ending::SUCCESS,
            duration: Some(Duration::from_millis(300)),
        };
        for (events, expected) in [
            (alloc::vec![tried(1), tried(1), report("r", 1)], 1),
            (alloc::vec![report("r", 1), tried(1)], 1),
            (alloc::vec![tried(1), tried(2), tried(1)], 2),
        ] {
            let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
            faas.on_invoke(&mut store, &"r".into(), UnixNanos(0));
            events.iter().for_each(|event| faas.on_event(&config(), &mut store, event));
            assert_eq!(total(&store.take(), Metric::InitDuration), expected, "{events:?}");
        }
    }

    /// Every point, as a line.
    fn lines(store: &mut Store) -> alloc::vec::Vec<alloc::string::String> {
        let mut lines: alloc::vec::Vec<_> = store.take().iter().map(super::super::Point::line).collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_is_told_of_one_invocation_is_measured() {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        faas.on_invoke(&mut store, &"r".into(), UnixNanos(0));
        let ms = |ms| Some(Duration::from_millis(ms));
        let done = PlatformEvent::RuntimeDone {
            request_id: "r".into(),
            at: UnixNanos(1),
            ending: Ending { status: EndStatus::Error, error_type: Some("E".into()) },
            duration: ms(10),
            produced_bytes: Some(7),
            response: Response { latency: ms(3), duration: ms(2) },
        };
        faas.on_event(&config(), &mut store, &done);
        faas.on_held(Duration::from_millis(4));
        faas.on_held(Duration::from_millis(5));
        let usage = Usage {
            billed: ms(46),
            memory_bytes: Some(128),
            memory_used_bytes: Some(90),
            init: ms(300),
            restore: ms(200),
        };
        let report = |at, duration, usage| PlatformEvent::Report {
            request_id: "r".into(),
            at: UnixNanos(at),
            ending: Ending::SUCCESS,
            duration,
            usage,
        };
        faas.on_event(&config(), &mut store, &report(2, ms(45), usage));
        let expected = [
            "aws.lambda.billed_duration [] 1 values, 0.046000 in all",
            "aws.lambda.duration [] 1 values, 0.045000 in all",
            "aws.lambda.post_runtime_duration [] 1 values, 0.035000 in all",
            "aws.lambda.produced_bytes [] 1 values, 7.000000 in all",
            "aws.lambda.response_duration [] 1 values, 0.002000 in all",
            "aws.lambda.response_latency [] 1 values, 0.003000 in all",
            "aws.lambda.restore_duration [] 1 values, 0.200000 in all",
            "faas.errors [error.type=E] 1",
            "faas.init_duration [aws.lambda.initialization_type=on-demand] 1 values, 0.300000 in all",
            "faas.invoke_duration [error.type=E] 1 values, 0.010000 in all",
            "faas.mem_usage [] 1 values, 90.000000 in all",
            "prefreeze.billed.duration [owner=function] 0.037000",
            "prefreeze.billed.duration [owner=prefreeze] 0.009000",
        ];
        assert_eq!(lines(&mut store), expected);
        assert_eq!(faas.billed(), (Duration::from_millis(46), Duration::from_millis(9)));
    }

    #[test]
    fn our_share_is_what_we_held_within_what_ran_after_the_function_and_was_billed() {
        for (held, whole, billed, own) in [(4, 45, 46, 4), (50, 45, 46, 35), (50, 45, 20, 20)] {
            let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
            faas.on_invoke(&mut store, &"r".into(), UnixNanos(0));
            faas.on_event(&config(), &mut store, &done("r", EndStatus::Success, None));
            faas.on_held(Duration::from_millis(held));
            let usage = Usage { billed: Some(Duration::from_millis(billed)), ..Usage::default() };
            let (request_id, ending) = ("r".into(), Ending::SUCCESS);
            let duration = Some(Duration::from_millis(whole));
            let report = PlatformEvent::Report { request_id, at: UnixNanos(2), ending, duration, usage };
            faas.on_event(&config(), &mut store, &report);
            let expected = (Duration::from_millis(billed), Duration::from_millis(own));
            assert_eq!(faas.billed(), expected, "held for {held} ms");
        }
    }

    #[test]
    fn one_in_which_our_process_was_killed_has_failed_and_is_told_of_once() {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        faas.on_recovered(&mut store, &"r".into(), UnixNanos(0));
        faas.on_event(&config(), &mut store, &report("r", 1));
        faas.settle_all(&config(), &mut store, ShutdownReason::Spindown);
        let lines = lines(&mut store);
        assert!(lines.contains(&"faas.errors [error.type=_OTHER] 1".into()), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("faas.invocations")), "{lines:?}");
    }

    #[test]
    fn a_cold_start_is_counted_with_the_first_invocation_only() {
        for (told, count) in [([true, true], 1), ([false, true], 0), ([true, false], 1)] {
            let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
            told.iter().for_each(|is_cold| faas.on_first(&config(), &mut store, *is_cold));
            let expected = ["faas.coldstarts [aws.lambda.initialization_type=on-demand] 1"];
            assert_eq!(lines(&mut store), expected[..count], "{told:?}");
        }
    }

    #[test]
    fn a_restore_is_measured_apart_from_init() {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        let snap_start = Config { init_type: InitType::SnapStart, ..config() };
        let told = |at, restore, status| PlatformEvent::InitReport {
            at: UnixNanos(at),
            phase: crate::platform::InitPhase::Init,
            restore,
            ending: Ending { status, error_type: None },
            duration: Some(Duration::from_millis(300)),
        };
        // The snapshot was made long before, and init with it.
        faas.on_event(&snap_start, &mut store, &told(3, false, EndStatus::Success));
        faas.on_event(&snap_start, &mut store, &told(1, true, EndStatus::Timeout));
        faas.on_event(&snap_start, &mut store, &told(2, true, EndStatus::Success));
        assert_eq!(
            lines(&mut store),
            [
                "aws.lambda.restore_duration [] 1 values, 0.300000 in all",
                "aws.lambda.restore_duration [error.type=timeout] 1 values, 0.300000 in all",
            ]
        );
    }

    #[test]
    fn on_managed_instances_a_report_is_the_end() {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        let managed = Config { init_type: InitType::ManagedInstances, ..config() };
        faas.on_invoke(&mut store, &"r".into(), UnixNanos(0));
        faas.on_event(&managed, &mut store, &report("r", 1));
        let lines = lines(&mut store);
        assert!(lines.contains(&"faas.invoke_duration [] 1 values, 0.025000 in all".into()), "{lines:?}");
        // And all that are open when it ends have ended with it.
        faas.on_invoke(&mut store, &"one".into(), UnixNanos(0));
        faas.on_invoke(&mut store, &"two".into(), UnixNanos(0));
        faas.settle_all(&managed, &mut store, ShutdownReason::Failure);
        assert_eq!(ends(&mut store), [0, 2, 0]);
    }

    #[test]
    fn those_that_have_ended_are_forgotten_first_and_those_that_run_not_before_there_are_too_many() {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        let id = |n: usize| RequestId::from(&*format!("r{n}"));
        let start = |n| PlatformEvent::Start { request_id: id(n), at: UnixNanos(1) };
        faas.on_event(&config(), &mut store, &start(0));
        faas.on_invoke(&mut store, &id(0), UnixNanos(0));
        let room = faas.known.capacity();
        for n in 1..200 {
            faas.on_invoke(&mut store, &id(n), UnixNanos(0));
            faas.on_event(&config(), &mut store, &done(&id(n), EndStatus::Success, None));
        }
        assert_eq!((faas.known.len(), faas.known.capacity()), (KNOWN_MAX, room));
        assert!(faas.known.iter().any(|known| known.request_id == hash("r0")), "it runs");
        assert_eq!(ends(&mut store), [199, 0, 0]);
        // As many at once as Managed Instances have.
        for n in 200..200 + KNOWN_MAX {
            faas.on_invoke(&mut store, &id(n), UnixNanos(0));
        }
        assert_eq!((faas.known.len(), ends(&mut store)), (KNOWN_MAX + 1, [0, 0, 0]));
        for n in 300..300 + 2 * KNOWN_MAX_MANAGED {
            faas.on_invoke(&mut store, &id(n), UnixNanos(0));
        }
        assert_eq!(faas.known.len(), KNOWN_MAX_MANAGED);
        assert_eq!(ends(&mut store), [(1 + KNOWN_MAX + KNOWN_MAX_MANAGED) as i64, 0, 0]);
    }

    #[test]
    fn one_that_is_counted_and_not_yet_told_of_is_remembered() {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        faas.on_recovered(&mut store, &"killed".into(), UnixNanos(0));
        for n in 0..2 * KNOWN_MAX {
            let id = RequestId::from(&*format!("r{n}"));
            faas.on_event(
                &config(),
                &mut store,
                &PlatformEvent::Start { request_id: id.clone(), at: UnixNanos(1) },
            );
            faas.on_invoke(&mut store, &id, UnixNanos(0));
            faas.on_event(&config(), &mut store, &done(&id, EndStatus::Success, None));
        }
        assert!(faas.known.iter().any(|known| known.request_id == hash("killed")));
    }

    #[test]
    fn an_init_that_failed_is_measured_with_its_class() {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        let failed = PlatformEvent::InitReport {
            at: UnixNanos(1),
            phase: crate::platform::InitPhase::Init,
            restore: false,
            ending: Ending { status: EndStatus::Timeout, error_type: None },
            duration: Some(Duration::from_secs(10)),
        };
        faas.on_event(&config(), &mut store, &failed);
        let labels = "aws.lambda.initialization_type=on-demand, error.type=timeout";
        assert_eq!(lines(&mut store), [format!("faas.init_duration [{labels}] 1 values, 10.000000 in all")]);
    }

    #[test]
    fn ids_are_told_apart_by_fnv_1a() {
        // Test vectors of its authors, <http://www.isthe.com/chongo/tech/comp/fnv/>.
        let hashes = ["", "a", "foobar"].map(hash);
        assert_eq!(hashes, [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8]);
    }
}
