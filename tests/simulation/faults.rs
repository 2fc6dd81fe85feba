//! Which faults a world has: every seed picks its own few, so that they meet in ever new company.

use policy::Rng;

/// Switches, each on in some worlds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    // The backend.
    pub(crate) refuses: bool,
    pub(crate) hangs: bool,
    pub(crate) is_slow: bool,
    pub(crate) is_narrow: bool,
    pub(crate) answers_503: bool,
    pub(crate) asks_for_patience: bool,
    pub(crate) answers_400: bool,
    pub(crate) answers_413: bool,
    /// It refuses the key.
    pub(crate) answers_401: bool,
    pub(crate) takes_part: bool,
    pub(crate) breaks_connections: bool,
    /// It takes a request, and its answer never arrives.
    pub(crate) loses_answers: bool,
    /// Its faults are those of one signal.
    pub(crate) is_of_one_signal: bool,
    /// An idle connection dies, and nobody is told.
    pub(crate) kills_idle: bool,
    // The function.
    pub(crate) times_out: bool,
    pub(crate) crashes: bool,
    /// The handler fails, and its process lives on.
    pub(crate) errs: bool,
    pub(crate) sends_nothing: bool,
    pub(crate) sends_late: bool,
    pub(crate) sends_much: bool,
    pub(crate) never_names_itself: bool,
    pub(crate) stalls_in_sending: bool,
    /// A request that it begins, and never ends.
    pub(crate) sends_half: bool,
    /// It sends all it has, and its response never.
    pub(crate) never_answers: bool,
    pub(crate) announces: bool,
    /// At times it sends a span that is larger than all the memory that may be held.
    pub(crate) sends_outsize: bool,
    // The platform.
    pub(crate) loses_telemetry: bool,
    pub(crate) doubles_telemetry: bool,
    pub(crate) delays_telemetry: bool,
    pub(crate) has_no_telemetry: bool,
    /// The same, and the subscription was refused.
    pub(crate) refuses_subscription: bool,
    pub(crate) shuts_down_abruptly: bool,
    pub(crate) fails_init: bool,
    /// Init fails a second time, inside the invocation.
    pub(crate) fails_init_again: bool,
    pub(crate) tells_logs: bool,
    // The sandbox.
    pub(crate) clock_stands_in_freeze: bool,
    pub(crate) never_freezes: bool,
    pub(crate) freezes_long: bool,
    /// A freeze is that of a virtual machine: nothing that arrives is kept for us.
    pub(crate) freezes_machine: bool,
    /// The environment is lost without SHUTDOWN.
    pub(crate) loses_host: bool,
    pub(crate) wakes_late: bool,
    pub(crate) is_tight: bool,
    pub(crate) disk_fails: bool,
    pub(crate) is_killed: bool,
    pub(crate) steps_clock: bool,
}

impl Faults {
    /// The faults of a world: each on in one world of five.
    pub(crate) fn pick(rng: &mut Rng) -> Self {
        let mut on = || rng.below(5) == 0;
        let faults = Self {
            refuses: on(),
            hangs: on(),
            is_slow: on(),
            is_narrow: on(),
            answers_503: on(),
            asks_for_patience: on(),
            answers_400: on(),
            answers_413: on(),
            takes_part: on(),
            breaks_connections: on(),
            times_out: on(),
            crashes: on(),
            sends_nothing: on(),
            sends_late: on(),
            sends_much: on(),
            never_names_itself: on(),
            stalls_in_sending: on(),
            loses_telemetry: on(),
            doubles_telemetry: on(),
            delays_telemetry: on(),
            has_no_telemetry: on(),
            shuts_down_abruptly: on(),
            fails_init: on(),
            clock_stands_in_freeze: on(),
            never_freezes: on(),
            freezes_long: on(),
            wakes_late: on(),
            is_tight: on(),
            disk_fails: on(),
            is_killed: on(),
            never_answers: on(),
            announces: on(),
            sends_outsize: on(),
            fails_init_again: on(),
            tells_logs: on(),
            steps_clock: on(),
            loses_answers: on(),
            is_of_one_signal: on(),
            kills_idle: on(),
            errs: on(),
            sends_half: on(),
            refuses_subscription: on(),
            freezes_machine: on(),
            loses_host: on(),
            answers_401: false,
        };
        faults.limited(rng)
    }

    /// The same with a backend that is well.
    pub(crate) fn with_well_backend(self) -> Self {
        Self {
            refuses: false,
            hangs: false,
            is_slow: false,
            is_narrow: false,
            answers_503: false,
            asks_for_patience: false,
            answers_400: false,
            answers_413: false,
            answers_401: false,
            takes_part: false,
            breaks_connections: false,
            loses_answers: false,
            ..self
        }
    }

    /// Whether an answer may ask for a pause.
    pub(crate) const fn asks_to_be_left_alone(&self) -> bool {
        self.asks_for_patience || self.answers_401
    }

    /// Some faults hide all others if they are as frequent.
    fn limited(self, rng: &mut Rng) -> Self {
        let refuses_subscription = self.refuses_subscription && rng.below(2) == 0;
        Self {
            has_no_telemetry: (self.has_no_telemetry && rng.below(2) == 0) || refuses_subscription,
            loses_host: self.loses_host && rng.below(4) == 0,
            refuses_subscription,
            ..self
        }
    }
}
