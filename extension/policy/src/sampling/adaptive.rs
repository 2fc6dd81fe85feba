//! When an operation departs from its own baseline: errors or latency rise, and more of it is kept for a while.
//!
//! Counted in observations, not in seconds: a sandbox that is frozen between invocations learns nothing there.

use crate::time::Duration;

/// The present is the average over about so many observations.
const PRESENT: f32 = 16.0;
/// The baseline is the average over about so many.
const BASELINE: f32 = 512.0;
/// A baseline of fewer is none.
const BASELINE_MIN: u32 = 100;
/// The share of errors has departed when it is twice the baseline and this much more: four of the last
/// sixteen, where errors are unknown.
const ERRORS_RISE: f32 = 0.2;
/// It is back when it is one and a half times the baseline and this much more, or less.
const ERRORS_FALL: f32 = 0.1;
/// Latency has departed when it has doubled, in powers of two.
const LATENCY_RISE: f32 = 1.0;
/// It is back below 1.4 times the baseline.
const LATENCY_FALL: f32 = 0.5;
/// A rise lasts for at least so many observations: long enough to see something in it.
const RISEN_MIN: u32 = 64;
/// After so many, the present is the new baseline: nothing stays extraordinary for ever.
const RISEN_MAX: u32 = 4_096;

/// An average over the near past beside one over the far past.
#[derive(Clone, Copy, Debug, Default)]
struct Pulse {
    present: f32,
    baseline: f32,
}

impl Pulse {
    fn add(&mut self, value: f32, seen: u32, is_risen: bool) {
        let seen = seen as f32 + 1.0;
        self.present += (value - self.present) / seen.min(PRESENT);
        if !is_risen {
            self.baseline += (value - self.baseline) / seen.min(BASELINE);
        }
    }
}

/// The baseline of one operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baseline {
    errors: Pulse,
    /// The logarithm of the duration.
    latency: Pulse,
    seen: u32,
    /// For how many observations it has departed; `None` while it has not.
    risen: Option<u32>,
}

/// What an observation has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    None,
    Rises,
    Falls,
}

impl Baseline {
    /// Takes in one execution of the operation.
    pub(crate) fn add(&mut self, is_error: bool, duration: Duration) -> Turn {
        let is_risen = self.risen.is_some();
        self.errors.add(f32::from(u8::from(is_error)), self.seen, is_risen);
        self.latency.add(log2(duration), self.seen, is_risen);
        self.seen = self.seen.saturating_add(1);
        match self.risen {
            None if self.seen > BASELINE_MIN && self.has_departed() => {
                self.risen = Some(0);
                Turn::Rises
            }
            None => Turn::None,
            Some(lasted) if lasted >= RISEN_MAX || (lasted >= RISEN_MIN && self.is_back()) => {
                self.risen = None;
                if lasted >= RISEN_MAX {
                    (self.errors.baseline, self.latency.baseline) =
                        (self.errors.present, self.latency.present);
                }
                Turn::Falls
            }
            Some(lasted) => {
                self.risen = Some(lasted + 1);
                Turn::None
            }
        }
    }

    /// Whether more of it is kept now.
    pub(crate) const fn is_risen(&self) -> bool {
        self.risen.is_some()
    }

    fn has_departed(&self) -> bool {
        self.errors.present > 2.0 * self.errors.baseline + ERRORS_RISE
            || self.latency.present > self.latency.baseline + LATENCY_RISE
    }

    fn is_back(&self) -> bool {
        self.errors.present < 1.5 * self.errors.baseline + ERRORS_FALL
            && self.latency.present < self.latency.baseline + LATENCY_FALL
    }
}

/// The logarithm of the microseconds, linear between powers of two: within a tenth of the real one.
fn log2(duration: Duration) -> f32 {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1);
    let exponent = micros.ilog2();
    let power = (1_u64 << exponent) as f32;
    exponent as f32 + (micros as f32 - power) / power
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const FAST: Duration = Duration::from_millis(10);

    /// Observes `count` executions, of which every `n`th fails; the turns that it took.
    fn observe(baseline: &mut Baseline, count: u32, fails_every: u32, duration: Duration) -> Vec<Turn> {
        let turns = (0..count).map(|n| baseline.add(fails_every > 0 && n % fails_every == 0, duration));
        turns.filter(|turn| *turn != Turn::None).collect()
    }

    #[test]
    fn rising_errors_raise_it_and_their_end_lets_it_fall() {
        let mut baseline = Baseline::default();
        assert!(observe(&mut baseline, 1_000, 50, FAST).is_empty(), "2 % is its ordinary rate");
        assert_eq!(observe(&mut baseline, 40, 2, FAST), [Turn::Rises]);
        assert!(baseline.is_risen());
        assert_eq!(observe(&mut baseline, 200, 50, FAST), [Turn::Falls]);
        assert!(observe(&mut baseline, 1_000, 50, FAST).is_empty());
    }

    #[test]
    fn so_does_latency() {
        let mut baseline = Baseline::default();
        assert!(observe(&mut baseline, 1_000, 0, FAST).is_empty());
        assert_eq!(observe(&mut baseline, 100, 0, FAST * 3), [Turn::Rises]);
        assert_eq!(observe(&mut baseline, 100, 0, FAST), [Turn::Falls]);
    }

    #[test]
    fn a_single_failure_or_an_unknown_operation_raises_nothing() {
        let mut baseline = Baseline::default();
        assert!(observe(&mut baseline, 99, 2, FAST).is_empty(), "no baseline yet");
        assert!(observe(&mut baseline, 2_000, 2, FAST).is_empty(), "half of it fails, and always did");
        let mut baseline = Baseline::default();
        assert!(observe(&mut baseline, 5_000, 40, FAST).is_empty());
    }

    #[test]
    fn what_stays_becomes_the_new_baseline() {
        let mut baseline = Baseline::default();
        observe(&mut baseline, 1_000, 0, FAST);
        assert_eq!(observe(&mut baseline, 20_000, 2, FAST), [Turn::Rises, Turn::Falls]);
    }

    #[test]
    fn the_logarithm_is_linear_between_powers_of_two() {
        for (micros, expected) in
            [(0, 0.0), (1, 0.0), (2, 1.0), (3, 1.5), (4, 2.0), (6, 2.5), (1_024, 10.0), (1_280, 10.25)]
        {
            let told = log2(Duration::from_micros(micros));
            assert!((told - expected).abs() < 1e-6, "{micros} µs: {told}");
        }
        assert!((log2(Duration::MAX) - 64.0).abs() < 0.1);
    }

    #[test]
    fn averages_are_over_what_was_seen_and_then_over_so_many() {
        let mut pulse = Pulse::default();
        let near = |one: f32, two: f32| (one - two).abs() < 1e-4;
        pulse.add(8.0, 0, false);
        assert!(near(pulse.present, 8.0) && near(pulse.baseline, 8.0), "{pulse:?}");
        pulse.add(4.0, 1, false);
        assert!(near(pulse.present, 6.0) && near(pulse.baseline, 6.0), "{pulse:?}");
        pulse.add(22.0, 99, false);
        assert!(
            near(pulse.present, 7.0) && near(pulse.baseline, 6.16),
            "a sixteenth, and a hundredth: {pulse:?}"
        );
        pulse.add(23.0, 9_999, true);
        assert!(
            near(pulse.present, 8.0) && near(pulse.baseline, 6.16),
            "a baseline waits for the rise to end: {pulse:?}"
        );
        pulse.add(8.0, 9_999, false);
        assert!(near(pulse.baseline, 6.16 + 1.84 / 512.0), "{pulse:?}");
    }

    /// A baseline that has seen enough, at these averages.
    fn at(errors: (f32, f32), latency: (f32, f32), risen: Option<u32>) -> Baseline {
        let pulse = |(present, baseline)| Pulse { present, baseline };
        Baseline { errors: pulse(errors), latency: pulse(latency), seen: 10_000, risen }
    }

    #[test]
    fn it_departs_and_is_back_beyond_its_bounds() {
        // Errors, latency (present, baseline): whether it has departed, and whether it is back.
        for (errors, latency, has_departed, is_back) in [
            ((0.0, 0.0), (5.0, 5.0), false, true),
            ((0.39, 0.1), (5.0, 5.0), false, false),
            ((0.41, 0.1), (5.0, 5.0), true, false),
            ((0.24, 0.1), (5.0, 5.0), false, true),
            ((0.26, 0.1), (5.0, 5.0), false, false),
            ((0.0, 0.0), (5.9, 5.0), false, false),
            ((0.0, 0.0), (6.1, 5.0), true, false),
            ((0.0, 0.0), (5.4, 5.0), false, true),
            ((0.0, 0.0), (5.6, 5.0), false, false),
            ((0.2, 0.0), (6.0, 5.0), false, false),
            ((0.1, 0.0), (5.0, 5.0), false, false),
            ((0.0, 0.0), (5.5, 5.0), false, false),
        ] {
            let baseline = at(errors, latency, None);
            assert_eq!(
                (baseline.has_departed(), baseline.is_back()),
                (has_departed, is_back),
                "{errors:?} {latency:?}"
            );
        }
    }

    #[test]
    fn a_rise_needs_a_baseline_lasts_a_while_and_not_for_ever() {
        let micros = log2(FAST);
        let calm = (0.0, 0.0);
        let steady = (micros, micros);
        let turn = |mut baseline: Baseline| (baseline.add(false, FAST), baseline.risen);
        let failing = |seen| Baseline { seen, ..at((0.9, 0.0), steady, None) };
        assert_eq!(turn(failing(BASELINE_MIN - 1)), (Turn::None, None), "a hundred are no baseline");
        assert_eq!(turn(failing(BASELINE_MIN)), (Turn::Rises, Some(0)));
        assert_eq!(turn(at(calm, steady, Some(RISEN_MIN - 1))), (Turn::None, Some(RISEN_MIN)));
        assert_eq!(turn(at(calm, steady, Some(RISEN_MIN))), (Turn::Falls, None));
        let rising = (0.9, 0.1);
        assert_eq!(turn(at(rising, steady, Some(RISEN_MIN))), (Turn::None, Some(RISEN_MIN + 1)));
        assert_eq!(turn(at(rising, steady, Some(RISEN_MAX - 1))), (Turn::None, Some(RISEN_MAX)));
        let mut last = at(rising, (micros, 0.0), Some(RISEN_MAX));
        assert_eq!(last.add(false, FAST), Turn::Falls);
        assert_eq!(
            (last.errors.baseline, last.latency.baseline),
            (last.errors.present, last.latency.present)
        );
        let mut back = at((0.0, 0.5), steady, Some(RISEN_MIN));
        assert_eq!(back.add(false, FAST), Turn::Falls);
        assert!((back.errors.baseline - 0.5).abs() < 1e-6, "it is back at the baseline that it had");
    }
}
