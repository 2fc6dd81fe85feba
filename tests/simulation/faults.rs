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
    pub(crate) takes_part: bool,
    pub(crate) breaks_connections: bool,
    // The function.
    pub(crate) times_out: bool,
    pub(crate) crashes: bool,
    pub(crate) sends_nothing: bool,
    pub(crate) sends_late: bool,
    pub(crate) sends_much: bool,
    pub(crate) never_names_itself: bool,
    pub(crate) stalls_in_sending: bool,
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
    pub(crate) shuts_down_abruptly: bool,
    pub(crate) fails_init: bool,
    /// Init fails a second time, inside the invocation.
    pub(crate) fails_init_again: bool,
    pub(crate) tells_logs: bool,
    // The sandbox.
    pub(crate) clock_stands_in_freeze: bool,
    pub(crate) never_freezes: bool,
    pub(crate) freezes_long: bool,
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
        Self {
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
        }
    }
}
