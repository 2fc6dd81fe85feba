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
