//! What the sandbox does wrong on purpose: the seam for fault injection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::{EventKind, TelemetryEvent};

/// Deliberate deviations of a function's environments from the platform's normal behaviour.
///
/// The default deviates in nothing. Set it on [`FunctionSpec::faults`](crate::FunctionSpec::faults);
/// [`InvokeRequest::telemetry_faults`](crate::InvokeRequest::telemetry_faults) adds rules for one invocation.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// How `PUT /2022-07-01/telemetry` is answered.
    pub subscribe: SubscribeAnswer,
    /// What happens to telemetry events, first matching rule first.
    pub telemetry: Vec<TelemetryFault>,
    /// Decides over every event that no entry of `telemetry` matched; see [`TelemetryRule`].
    pub telemetry_rule: Option<TelemetryRule>,
    /// Leaves idle environments running, as if the next invocation always came at once.
    pub never_freeze: bool,
    /// Sent as `shutdownReason` whatever the reason is.
    pub shutdown_reason: Option<String>,
    /// Time between the trigger of a shutdown and SIGKILL, instead of 2000 ms.
    pub shutdown_budget: Option<Duration>,
}

/// How a telemetry subscription is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubscribeAnswer {
    /// As the platform would.
    #[default]
    Honest,
    /// 202 `Telemetry.NotSupported`: a local emulator; nothing is ever delivered.
    NotSupported,
    /// 403 `Telemetry.SubscriptionClosed`.
    Closed,
    /// 404, as environments without the API answer.
    NotFound,
    /// 500 `InternalServerError`.
    ServerError,
}

/// One rule: what happens to the events of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelemetryFault {
    /// The events concerned.
    pub kind: EventKind,
    /// What happens to them.
    pub fate: Fate,
}

/// What happens to one telemetry event on its way to the subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is delivered as usual.
    Deliver,
    /// It is never delivered.
    Drop,
    /// It enters the subscribers' buffers this much later.
    Delay(Duration),
    /// It is delivered this many times in addition to the first.
    Duplicate(usize),
    /// It is delivered after the event that follows it.
    Swap,
    /// It is delivered once the next invocation, or the shutdown, has begun.
    HoldUntilNext,
}

/// A function that decides the [`Fate`] of each telemetry event; called in the order of production.
#[derive(Clone)]
pub struct TelemetryRule(Arc<dyn Fn(&TelemetryEvent) -> Fate + Send + Sync>);

impl TelemetryRule {
    /// A rule from a function.
    pub fn new(rule: impl Fn(&TelemetryEvent) -> Fate + Send + Sync + 'static) -> Self {
        Self(Arc::new(rule))
    }
}

impl fmt::Debug for TelemetryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TelemetryRule(..)")
    }
}

impl Faults {
    /// The fate of `event`, given the rules of the invocation under way.
    pub(crate) fn fate(&self, of_invocation: &[TelemetryFault], event: &TelemetryEvent) -> Fate {
        let listed = of_invocation.iter().chain(&self.telemetry).find(|fault| fault.kind == event.kind);
        match (listed, &self.telemetry_rule) {
            (Some(fault), _) => fault.fate,
            (None, Some(rule)) => (rule.0)(event),
            (None, None) => Fate::Deliver,
        }
    }
}
