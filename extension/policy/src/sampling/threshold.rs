//! Consistent probability: a trace's randomness against a threshold, the same in every function.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>

use core::fmt;

use crate::span::TraceId;

/// Randomness and thresholds have 56 bits.
const FULL: u64 = 1 << 56;
/// Hexadecimal digits of 56 bits.
const DIGITS: u32 = 14;
/// Digits of a threshold that are written, besides leading ones that say only that it is extreme. The
/// default of OpenTelemetry's own samplers, so that the same ratio gives the same threshold there and here.
const PRECISION: u32 = 4;

/// A share of traces, from none (0) to all (1).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Ratio {
    /// Every trace.
    pub const ALL: Self = Self(1.0);

    /// The share `share`; `None` when it is no number from 0 to 1.
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }

    /// The share as a number.
    pub const fn share(self) -> f64 {
        self.0
    }

    /// `factor` times this share, at most every trace.
    pub fn times(self, factor: f64) -> Self {
        Self((self.0 * factor).clamp(0.0, 1.0))
    }
}

/// The 56 bits of a trace that decide whether it is in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Randomness(u64);

impl Randomness {
    /// The one that every sample but the whole leaves out.
    pub const LEAST: Self = Self(0);

    /// The randomness of a trace that names none of its own: the last seven bytes of its id.
    pub fn of_trace(trace_id: &TraceId) -> Self {
        let [.., a, b, c, d, e, f, g] = *trace_id.bytes();
        Self(u64::from_be_bytes([0, a, b, c, d, e, f, g]))
    }

    /// An `rv` as it stands in a tracestate: exactly 14 lowercase hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        (text.len() == DIGITS as usize).then(|| hex(text)).flatten().map(Self)
    }
}

impl fmt::Display for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014x}", self.0)
    }
}

/// How much randomness a trace must have to be in a sample: zero for every trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold(u64);

impl Threshold {
    /// Every trace.
    pub const ALWAYS: Self = Self(0);

    /// The threshold of a share, rounded as OpenTelemetry's samplers round it.
    ///
    /// Shape: a share that is too small to be told from none is the smallest there is, one in 2^56; none at
    /// all is a threshold that no trace reaches, and that is never written.
    pub fn of(ratio: Ratio) -> Self {
        if ratio.0 <= 0.0 {
            return Self(FULL);
        }
        let taken = ((ratio.0 * FULL as f64 + 0.5) as u64).clamp(1, FULL);
        let threshold = FULL - taken;
        // A leading digit of zeros or of ones tells nothing of the value beside it: it is not counted.
        let extreme = |part: u64| 56_u32.saturating_sub(64 - part.leading_zeros()) / 4;
        let digits = PRECISION + extreme(taken).max(if threshold == 0 { 0 } else { extreme(threshold) });
        if digits >= DIGITS {
            return Self(threshold);
        }
        let shift = 4 * (DIGITS - digits);
        Self(((threshold + (1 << (shift - 1))) >> shift) << shift)
    }

    /// A `th` as it stands in a tracestate: 1 to 14 lowercase hexadecimal digits, trailing zeros left out.
    pub fn from_hex(text: &str) -> Option<Self> {
        let length = u32::try_from(text.len()).ok().filter(|length| (1..=DIGITS).contains(length))?;
        Some(Self(hex(text)? << (4 * (DIGITS - length))))
    }

    /// Whether a trace of this randomness is in the sample.
    pub const fn admits(self, randomness: Randomness) -> bool {
        randomness.0 >= self.0
    }

    /// The share of traces that are in the sample.
    pub fn share(self) -> f64 {
        (FULL - self.0.min(FULL)) as f64 / FULL as f64
    }
}

/// As it stands in a tracestate.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0");
        }
        let zeros = self.0.trailing_zeros() / 4;
        write!(f, "{:0width$x}", self.0 >> (4 * zeros), width = (DIGITS - zeros.min(DIGITS - 1)) as usize)
    }
}

fn hex(text: &str) -> Option<u64> {
    let is_lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.bytes().all(is_lower).then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn of(share: f64) -> Threshold {
        Threshold::of(Ratio::new(share).expect("a share"))
    }

    #[test]
    fn shares_are_written_as_opentelemetry_writes_them() {
        let rows = [
            (1.0, "0"),
            (0.5, "8"),
            (0.25, "c"),
            (0.1, "e666"),
            (0.05, "f3333"),
            (0.2, "cccd"),
            (0.02, "fae14"),
            (0.001, "ffbe77"),
            (0.01, "fd70a"),
            (0.999, "004189"),
        ];
        for (share, text) in rows {
            assert_eq!(of(share).to_string(), text, "{share}");
            assert_eq!(Threshold::from_hex(text), Some(of(share)), "{share}");
            assert!((of(share).share() - share).abs() < share * 1e-4, "{share}");
        }
    }

    #[test]
    fn the_ends_of_the_scale() {
        let (none, all) = (Randomness(0), Randomness(FULL - 1));
        assert!(of(1.0).admits(none));
        assert!(!of(0.0).admits(all), "nothing is in an empty sample");
        assert!(of(1e-300).admits(all) && !of(1e-300).admits(Randomness(FULL - 2)));
        assert_eq!(of(1e-300).to_string(), "ffffffffffffff");
        assert_eq!([-0.1, 1.1, f64::NAN].map(Ratio::new), [None; 3]);
    }

    #[test]
    fn only_what_the_specification_allows_is_read() {
        for text in ["", "F", "0x1", "fffffffffffffff", "g", "-1", " 8"] {
            assert_eq!(Threshold::from_hex(text), None, "{text:?}");
        }
        for text in ["", "8", "fffffffffffff", "FFFFFFFFFFFFFF", "fffffffffffffff"] {
            assert_eq!(Randomness::from_hex(text), None, "{text:?}");
        }
        assert_eq!(Randomness::from_hex("0000000000000f"), Some(Randomness(15)));
        assert_eq!(Randomness(15).to_string(), "0000000000000f");
    }

    #[test]
    fn a_trace_without_its_own_randomness_has_that_of_its_id() {
        let trace_id = TraceId::new([9; 16]).expect("not zero");
        assert_eq!(Randomness::of_trace(&trace_id), Randomness(0x0009_0909_0909_0909));
    }

    #[test]
    fn shares_near_the_ends_keep_their_precision() {
        // Computed in Python with exact fractions: four digits behind the leading ones that are all `f` or all `0`.
        let rows = [
            (1e-5, "ffff583a"),
            (1e-10, "ffffffff920d"),
            (1e-14, "fffffffffffd2f"),
            (0.99999, "0000a7c6"),
            (libm::exp2(-56.0), "ffffffffffffff"),
            (3.0 * libm::exp2(-56.0), "fffffffffffffd"),
            (1.0 - libm::exp2(-53.0), "00000000000008"),
            (0.75, "4"),
            (1.0 / 16.0, "f"),
            (15.0 / 16.0, "1"),
        ];
        for (share, text) in rows {
            assert_eq!(of(share).to_string(), text, "{share}");
        }
    }

    #[test]
    fn a_share_is_multiplied_up_to_all() {
        let times = |share, factor| Ratio::new(share).expect("a share").times(factor).share();
        assert_eq!([times(0.2, 3.0), times(0.5, 3.0), times(0.5, 0.0)], [0.6000000000000001, 1.0, 0.0]);
        assert_eq!(
            (Threshold(FULL + 5).share(), Threshold(FULL).share(), Threshold(FULL / 4).share()),
            (0.0, 0.0, 0.75)
        );
    }
}
