//! The cold start: what the platform says of init or restore, until it is told once as a span.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::relatives::Place;
use crate::config::Config;
use crate::id::{Ids, Role};
use crate::platform::{Ending, InitPhase, InitType, PlatformEvent};
use crate::span::{Kind, PlatformSpan, Value};
use crate::time::{Duration, UnixNanos};

/// An environment whose first request comes later than this after init was made ahead of requests
/// ("proactive initialisation"): nobody waited for that init.
const PROACTIVE_AFTER: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
struct Started {
    at: UnixNanos,
    phase: InitPhase,
    is_restore: bool,
    runtime_version: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
struct Ended {
    at: UnixNanos,
    ending: Ending,
}

/// What is known of the init of this environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Init {
    started: Option<Started>,
    ended: Option<Ended>,
    /// Set once the first invocation's place in its trace is certain.
    first: Option<First>,
    is_told: bool,
}

#[derive(Clone, Debug)]
struct First {
    ids: Ids,
    received_at: UnixNanos,
    place: Place,
}

impl Init {
    /// Takes in what an event says of init; other events mean nothing here.
    pub(crate) fn on_event(&mut self, config: &Config, event: &PlatformEvent) {
        match event {
            PlatformEvent::InitStart { at, phase, restore, runtime_version } if counts(config, *restore) => {
                self.started = Some(Started {
                    at: *at,
                    phase: *phase,
                    is_restore: *restore,
                    runtime_version: runtime_version.clone(),
                });
                // Batches may come in any order; only an end before this start is that of an earlier attempt.
                self.ended.take_if(|ended| ended.at < *at);
            }
            PlatformEvent::InitRuntimeDone { at, restore, ending } if counts(config, *restore) => {
                self.ended = Some(Ended { at: *at, ending: ending.clone() });
            }
            PlatformEvent::InitReport { at, restore, ending, duration, .. } if counts(config, *restore) => {
                self.on_report(*at, ending, *duration);
            }
            _ => {}
        }
    }

    fn on_report(&mut self, at: UnixNanos, ending: &Ending, duration: Option<Duration>) {
        if self.ended.is_none() {
            let start = self.started.as_ref().map(|started| started.at);
            let end = start.zip(duration).map_or(at, |(start, duration)| start + duration);
            self.ended = Some(Ended { at: end, ending: ending.clone() });
        }
    }

    /// Whether an invocation received at `received_at` waited for this init, as far as is known now.
    ///
    /// # Source
    /// `faas.coldstart`: <https://opentelemetry.io/docs/specs/semconv/faas/faas-spans/>
    pub(crate) fn is_cold_for(&self, config: &Config, received_at: UnixNanos) -> bool {
        let on_request = matches!(config.init_type, InitType::OnDemand | InitType::SnapStart);
        let ended = self.ended.as_ref().map(|ended| ended.at);
        on_request && ended.is_none_or(|ended| received_at.since(ended) <= PROACTIVE_AFTER)
    }

    /// When it ended, if the first invocation waited for it: no span that began before is of that invocation.
    pub(crate) fn ended_at(&self, config: &Config) -> Option<UnixNanos> {
        let is_waited_for = matches!(config.init_type, InitType::OnDemand | InitType::SnapStart);
        self.ended.as_ref().map(|ended| ended.at).filter(|_| is_waited_for)
    }

    /// Whether the platform has told when it ended.
    pub(crate) const fn is_known(&self) -> bool {
        self.ended.is_some()
    }

    /// The first invocation's place in its trace is certain.
    pub(crate) fn on_first_placed(&mut self, ids: &Ids, received_at: UnixNanos, place: Place) {
        self.first.get_or_insert_with(|| First { ids: ids.clone(), received_at, place });
    }

    /// The init span, the first time that everything about it is known.
    pub(crate) fn tell(&mut self, config: &Config) -> Option<PlatformSpan> {
        if self.is_told {
            return None;
        }
        let (started, ended, first) = (self.started.as_ref()?, self.ended.as_ref()?, self.first.as_ref()?);
        self.is_told = true;
        self.is_cold_for(config, first.received_at).then(|| span(config, started, ended, first))
    }
}

/// A restored environment replays the init events of its snapshot: only restore events count there.
pub(crate) fn counts(config: &Config, is_restore: bool) -> bool {
    is_restore == (config.init_type == InitType::SnapStart)
}

fn span(config: &Config, started: &Started, ended: &Ended, first: &First) -> PlatformSpan {
    let word = if started.is_restore { "restore" } else { "init" };
    // Before the invocation, hence beside it under the caller's span; inside it when init ran again there.
    let parent = match started.phase {
        InitPhase::Init => first.place.parent.unwrap_or(first.place.span_id),
        InitPhase::Invoke => first.place.span_id,
    };
    PlatformSpan {
        trace_id: first.place.trace_id,
        span_id: first.ids.span_id(Role::Init),
        parent: Some(parent),
        name: format!("{word} {}", config.function_name),
        kind: Kind::Internal,
        start: started.at,
        end: ended.at.max(started.at),
        error_type: ended.ending.error_class(),
        attributes: attributes(config, started),
        links: Vec::new(),
    }
}

fn attributes(config: &Config, started: &Started) -> Vec<(&'static str, Value)> {
    let phase = match started.phase {
        InitPhase::Init => "init",
        InitPhase::Invoke => "invoke",
    };
    let mut attributes = alloc::vec![
        ("faas.coldstart", Value::Flag(true)),
        ("aws.lambda.initialization_type", Value::Text(config.init_type.as_str().into())),
        ("aws.lambda.init_phase", Value::Text(phase.into())),
    ];
    if let Some(version) = &started.runtime_version {
        attributes.push(("aws.lambda.runtime_version", Value::Text(version.clone())));
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::EndStatus;

    fn config(init_type: InitType) -> Config {
        Config { init_type, ..Config::default() }
    }

    fn start(at: u64, phase: InitPhase, restore: bool) -> PlatformEvent {
        PlatformEvent::InitStart {
            at: UnixNanos(at),
            phase,
            restore,
            runtime_version: Some("python:3.13.v7".into()),
        }
    }

    fn done(at: u64, restore: bool, status: EndStatus) -> PlatformEvent {
        PlatformEvent::InitRuntimeDone {
            at: UnixNanos(at),
            restore,
            ending: Ending { status, error_type: None },
        }
    }

    fn report(at: u64, restore: bool, duration: Option<u64>) -> PlatformEvent {
        PlatformEvent::InitReport {
            at: UnixNanos(at),
            phase: InitPhase::Init,
            restore,
            ending: Ending::SUCCESS,
            duration: duration.map(Duration::from_nanos),
        }
    }

    fn told(config: &Config, events: &[PlatformEvent]) -> Init {
        let mut init = Init::default();
        events.iter().for_each(|event| init.on_event(config, event));
        init
    }

    fn place(parent: Option<u8>) -> Place {
        let span_id = |id| crate::span::SpanId::new([id; 8]).expect("not zero");
        let trace_id = crate::span::TraceId::new([9; 16]).expect("not zero");
        Place { trace_id, span_id: span_id(1), parent: parent.map(span_id) }
    }

    fn ids() -> Ids {
        Ids { seed: 7, request_id: "r".into(), attempt: UnixNanos(1) }
    }

    #[test]
    fn it_ended_as_was_told_first_of_the_last_try() {
        let on_demand = config(InitType::OnDemand);
        let init = InitPhase::Init;
        let success = EndStatus::Success;
        // What was told, and when it ended.
        let rows: [(&[PlatformEvent], Option<u64>); 9] = [
            (&[], None),
            (&[start(10, init, false)], None),
            (&[start(10, init, false), done(50, false, success)], Some(50)),
            (&[done(50, false, success), start(10, init, false)], Some(50)),
            (&[done(5, false, success), start(10, init, false)], None),
            (&[done(10, false, success), start(10, init, false)], Some(10)),
            (&[start(10, init, false), report(70, false, Some(30))], Some(40)),
            (&[report(70, false, Some(30))], Some(70)),
            (&[start(10, init, false), done(50, false, success), report(70, false, Some(30))], Some(50)),
        ];
        for (events, ended) in rows {
            let init = told(&on_demand, events);
            assert_eq!(init.ended_at(&on_demand), ended.map(UnixNanos), "{events:?}");
            assert_eq!(init.is_known(), ended.is_some());
        }
    }

    #[test]
    fn a_restored_environment_hears_of_its_restore_only() {
        for (init_type, restore, counted) in [
            (InitType::SnapStart, true, true),
            (InitType::SnapStart, false, false),
            (InitType::OnDemand, true, false),
            (InitType::OnDemand, false, true),
        ] {
            let config = config(init_type);
            for event in [done(50, restore, EndStatus::Success), report(50, restore, None)] {
                assert_eq!(told(&config, &[event]).is_known(), counted, "{init_type:?} {restore}");
            }
            let init = told(&config, &[start(10, InitPhase::Init, restore)]);
            assert_eq!(init.started.is_some(), counted);
        }
    }

    #[test]
    fn the_first_invocation_waited_for_it_where_a_request_made_the_environment_and_not_long_after() {
        let soon = PROACTIVE_AFTER.as_nanos() as u64;
        for (init_type, waits) in [
            (InitType::OnDemand, true),
            (InitType::SnapStart, true),
            (InitType::ProvisionedConcurrency, false),
            (InitType::ManagedInstances, false),
        ] {
            let config = config(init_type);
            let init = told(&config, &[done(50, init_type == InitType::SnapStart, EndStatus::Success)]);
            let is_cold = [40, 50 + soon, 51 + soon].map(|at| init.is_cold_for(&config, UnixNanos(at)));
            assert_eq!(is_cold, [waits, waits, false], "{init_type:?}");
            assert_eq!(init.ended_at(&config), waits.then_some(UnixNanos(50)), "{init_type:?}");
            assert_eq!(Init::default().is_cold_for(&config, UnixNanos(1)), waits, "before anything is told");
        }
    }

    #[test]
    fn its_span_is_told_once_when_all_is_known_beside_the_invocation_or_inside() {
        for (phase, parent, expected, word) in [
            (InitPhase::Init, Some(2), 2, "init"),
            (InitPhase::Init, None, 1, "init"),
            (InitPhase::Invoke, Some(2), 1, "invoke"),
        ] {
            let config = config(InitType::OnDemand);
            let mut init = told(&config, &[start(10, phase, false)]);
            init.on_first_placed(&ids(), UnixNanos(60), place(parent));
            init.on_first_placed(&ids(), UnixNanos(60), place(Some(3)));
            assert_eq!(init.tell(&config), None, "its end is not known");
            init.on_event(&config, &done(50, false, EndStatus::Timeout));
            let span = init.tell(&config).expect("all is known");
            assert_eq!(span.parent, place(Some(expected)).parent, "{phase:?} {parent:?}");
            assert_eq!((span.start, span.end, span.kind), (UnixNanos(10), UnixNanos(50), Kind::Internal));
            assert_eq!((&*span.name, span.error_type.as_deref()), ("init function", Some("timeout")));
            assert_eq!((span.trace_id, span.span_id), (place(None).trace_id, ids().span_id(Role::Init)));
            let text = |text: &str| Value::Text(text.into());
            let attributes = [
                ("faas.coldstart", Value::Flag(true)),
                ("aws.lambda.initialization_type", text("on-demand")),
                ("aws.lambda.init_phase", text(word)),
                ("aws.lambda.runtime_version", text("python:3.13.v7")),
            ];
            assert_eq!(span.attributes, attributes);
            assert_eq!(init.tell(&config), None, "once");
        }
    }

    #[test]
    fn a_restore_is_called_one_and_what_nobody_waited_for_is_no_cold_start() {
        let snap_start = config(InitType::SnapStart);
        let events = [start(60, InitPhase::Init, true), done(50, true, EndStatus::Success)];
        let mut init = told(&snap_start, &events[..1]);
        init.ended = Some(Ended { at: UnixNanos(50), ending: Ending::SUCCESS });
        init.on_first_placed(&ids(), UnixNanos(70), place(None));
        let span = init.tell(&snap_start).expect("all is known");
        assert_eq!((&*span.name, span.end), ("restore function", UnixNanos(60)), "never before its start");
        let on_demand = config(InitType::OnDemand);
        let mut init =
            told(&on_demand, &[start(10, InitPhase::Init, false), done(50, false, EndStatus::Success)]);
        init.on_first_placed(&ids(), UnixNanos(51 + PROACTIVE_AFTER.as_nanos() as u64), place(None));
        assert_eq!(init.tell(&on_demand), None);
    }
}
