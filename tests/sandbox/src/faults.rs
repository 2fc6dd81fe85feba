//! What the sandbox does wrong on purpose: the seam for fault injection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

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
    /// Milliseconds that SHUTDOWN's `deadlineMs` is wrong by; SIGKILL comes when it should.
    pub shutdown_deadline_shift_ms: i64,
    /// How `POST /register` is answered.
    pub register: RegisterAnswer,
    /// So many times, `GET /event/next` is answered 500 at once.
    pub next_failures: u32,
    /// What an on-demand environment may spend on init, instead of the service's own limit.
    pub init_timeout: Option<Duration>,
    /// When the extensions are killed: [`Moment::Register`] in the first init, or [`Moment::Shutdown`].
    pub kill: Option<Moment>,
    /// Kills the largest process while all of them together hold more than the function's memory.
    pub enforces_memory: bool,
    /// The processes run for so many milliseconds of every hundred, whether they have something to do or not.
    pub cpu_percent: Option<u8>,
}

/// What goes wrong in one invocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InvocationFaults {
    /// Delivered as telemetry when it begins: whole events, of any type and with any fields. A string goes into the
    /// batch as it is, and so makes it no JSON.
    pub forged: Vec<Value>,
    /// When the extensions are killed.
    pub kill: Option<Moment>,
    /// The extensions alone stand still (SIGSTOP) from [`Moment::Invoke`] or [`Moment::RuntimeDone`] on, for so long.
    pub stall: Option<(Moment, Duration)>,
    /// Milliseconds by which the clocks of the environment and of the platform differ in this invocation and in what
    /// follows it, until the next one: what a step of either looks like to those who read one and are told the other.
    pub clock_step_ms: i64,
}

impl Faults {
    /// What AWS's runtime interface emulator does otherwise than the platform: no Telemetry API, no freeze, and a word of
    /// its own for the end of the environment.
    pub fn emulator() -> Self {
        Self {
            subscribe: SubscribeAnswer::NotSupported,
            never_freeze: true,
            shutdown_reason: Some("SandboxTerminated".into()),
            ..Self::default()
        }
    }
}

impl InvocationFaults {
    /// The faults of invocation `number` of a run: the same for the same seed.
    ///
    /// Half of all invocations have none, and one in sixteen kills the extensions.
    pub fn seeded(seed: u64, number: u64) -> (Self, Vec<TelemetryFault>) {
        let mut dice = Dice(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut faults = Self::default();
        if dice.below(2) == 0 {
            return (faults, Vec::new());
        }
        if dice.below(8) == 0 {
            let moments = [Moment::Invoke, Moment::RuntimeDone, Moment::Frozen];
            faults.kill = Some(moments[dice.below(3)]);
        }
        if dice.below(8) == 0 {
            let moment = [Moment::Invoke, Moment::RuntimeDone][dice.below(2)];
            faults.stall = Some((moment, Duration::from_millis(150)));
        }
        if dice.below(4) == 0 {
            faults.clock_step_ms = [-60_000, -1_000, 1_000, 60_000][dice.below(4)];
        }
        if dice.below(4) == 0 {
            faults.forged = vec![
                json!({"time": "2026-11-22T08:00:00.000Z", "type": "platform.unheardOf", "record": {"a": 1}}),
                json!({"type": "platform.runtimeDone", "record": {"requestId": "nobody", "status": "unheardOf"}}),
            ];
        }
        let fates = [
            Fate::Drop,
            Fate::DropCounted,
            Fate::Delay(Duration::from_millis(40)),
            Fate::Duplicate(1),
            Fate::Swap,
            Fate::HoldUntilNext,
            Fate::HoldForTwo,
        ];
        let kinds = [EventKind::Start, EventKind::RuntimeDone, EventKind::Report];
        let mut telemetry = Vec::new();
        for kind in kinds {
            if dice.below(3) == 0 {
                telemetry.push(TelemetryFault { kind, fate: fates[dice.below(fates.len())] });
            }
        }
        (faults, telemetry)
    }
}

/// A stream of numbers that its seed decides (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % bound as u64) as usize
    }
}

/// A moment in which an extension can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It has registered.
    Register,
    /// It has been handed INVOKE.
    Invoke,
    /// The function is done, and it is not.
    RuntimeDone,
    /// It is frozen.
    Frozen,
    /// It has been handed SHUTDOWN.
    Shutdown,
}

/// How a registration is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegisterAnswer {
    /// As the platform would.
    #[default]
    Honest,
    /// 403 `Extension.RegistrationClosed`.
    Closed,
    /// 500 `InternalServerError`.
    ServerError,
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
    /// Never.
    Silence,
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
    /// It is never delivered, and `platform.logsDropped` says so.
    DropCounted,
    /// It enters the subscribers' buffers this much later.
    Delay(Duration),
    /// It is delivered this many times in addition to the first.
    Duplicate(usize),
    /// It is delivered after the event that follows it.
    Swap,
    /// It is delivered once the next invocation, or the shutdown, has begun.
    HoldUntilNext,
    /// It is delivered once the invocation after the next one, or the shutdown, has begun.
    HoldForTwo,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_faults_and_every_fault_comes_up() {
        let all: Vec<_> = (0..400).map(|number| InvocationFaults::seeded(7, number)).collect();
        assert_eq!(all, (0..400).map(|number| InvocationFaults::seeded(7, number)).collect::<Vec<_>>());
        assert_ne!(all, (0..400).map(|number| InvocationFaults::seeded(8, number)).collect::<Vec<_>>());
        for moment in [Moment::Invoke, Moment::RuntimeDone, Moment::Frozen] {
            assert!(all.iter().any(|(faults, _)| faults.kill == Some(moment)), "{moment:?}");
        }
        for moment in [Moment::Invoke, Moment::RuntimeDone] {
            let stalls = |faults: &InvocationFaults| faults.stall.is_some_and(|(when, _)| when == moment);
            assert!(all.iter().any(|(faults, _)| stalls(faults)), "{moment:?}");
        }
        assert!(all.iter().any(|(faults, _)| faults.clock_step_ms < 0));
        assert!(all.iter().any(|(faults, _)| !faults.forged.is_empty()));
        let fates = [Fate::Drop, Fate::DropCounted, Fate::Swap, Fate::Duplicate(1)];
        for fate in fates.into_iter().chain([Fate::HoldUntilNext, Fate::HoldForTwo]) {
            assert!(all.iter().any(|(_, rules)| rules.iter().any(|rule| rule.fate == fate)), "{fate:?}");
        }
    }
}
