//! Distributions: exponential histograms that keep their error however wide the values spread, or given buckets.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram>

use alloc::vec::Vec;

/// Buckets of one exponential histogram: the size OpenTelemetry's SDKs use. 160 buckets hold 1 ms to 100 s with an
/// error of 4 %, and values of one invocation's kind, which lie closer together, with far less.
pub(crate) const BUCKETS_MAX: usize = 160;
/// The finest scale, at which every histogram begins; indices of all `f64` fit into 32 bits there.
const SCALE_MAX: i32 = 20;

/// What was measured, as a distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The least of them.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Where they lie.
    pub buckets: Buckets,
}

/// Where values lie.
#[derive(Clone, Debug, PartialEq)]
pub enum Buckets {
    /// Bucket `offset + i` holds `counts[i]` values in (base^index, base^(index+1)], base = 2^(2^-scale).
    Exponential {
        /// The finer, the greater; 20 at the most.
        scale: i32,
        /// Values that are zero (a negative one counts as zero: nothing measured here can be).
        zeros: u64,
        /// The index of the first bucket.
        offset: i32,
        /// 160 at the most.
        counts: Vec<u64>,
    },
    /// `counts[i]` values are at most `bounds[i]` and above the bound before; the last count has no bound.
    Explicit {
        /// Ascending.
        bounds: &'static [f64],
        /// One more than there are bounds.
        counts: Vec<u64>,
    },
}

impl Histogram {
    /// An empty one that keeps its relative error small for any values; `room` is empty, and used for its buckets.
    pub(crate) const fn exponential(room: Vec<u64>) -> Self {
        let buckets = Buckets::Exponential { scale: SCALE_MAX, zeros: 0, offset: 0, counts: room };
        Self { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, buckets }
    }

    /// An empty one with these buckets.
    pub(crate) fn explicit(bounds: &'static [f64]) -> Self {
        let buckets = Buckets::Explicit { bounds, counts: alloc::vec![0; bounds.len() + 1] };
        Self { buckets, ..Self::exponential(Vec::new()) }
    }

    /// Takes `value` in, `times` times. What is not a number is no measurement.
    pub(crate) fn record(&mut self, value: f64, times: u64) {
        if !value.is_finite() || times == 0 {
            return;
        }
        let value = value.max(0.0);
        self.count += times;
        self.sum += value * times as f64;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        match &mut self.buckets {
            Buckets::Explicit { bounds, counts } => {
                counts[bounds.partition_point(|bound| *bound < value)] += times;
            }
            Buckets::Exponential { zeros, .. } if value == 0.0 => *zeros += times,
            Buckets::Exponential { scale, offset, counts, .. } => {
                put(scale, offset, counts, finest_index(value), times);
            }
        }
    }

    /// Takes everything in that `other` holds, which must be of the same kind.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        match (&mut self.buckets, &other.buckets) {
            (Buckets::Explicit { counts, .. }, Buckets::Explicit { counts: more, .. }) => {
                counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
            }
            (
                Buckets::Exponential { scale, zeros, offset, counts },
                Buckets::Exponential { scale: theirs, zeros: more_zeros, offset: first, counts: more },
            ) => {
                *zeros += more_zeros;
                let shift = scale.saturating_sub(*theirs).max(0) as u32;
                coarsen(scale, offset, counts, shift);
                for (index, times) in (*first..).zip(more).filter(|(_, times)| **times > 0) {
                    // The lowest finest index of a coarse bucket falls into it at every scale up to its own.
                    let finest = index << (SCALE_MAX - theirs);
                    put(scale, offset, counts, finest, *times);
                }
            }
            _ => {}
        }
    }

    /// The value below which a share of `q` lies, as far as the buckets tell; zero when nothing was measured.
    ///
    /// Shape: between `min` and `max`; in exponential buckets within [`Histogram::error`] of the exact one, in given
    /// ones the upper bound of its bucket.
    pub fn quantile(&self, q: f64) -> f64 {
        let rank = libm::ceil(q.clamp(0.0, 1.0) * self.count as f64).max(1.0) as u64;
        let mut seen = 0;
        let reached = self.values(usize::MAX).into_iter().find(|(_, times)| {
            seen += times;
            seen >= rank
        });
        reached.map_or(0.0, |(value, _)| value)
    }

    /// The most by which a quantile may be off, relative to the exact value; one for given buckets.
    ///
    /// # Source
    /// (base − 1) / (base + 1), <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponential-scale>;
    /// the middle taken here is the geometric one, whose error is √base − 1.
    pub fn error(&self) -> f64 {
        match &self.buckets {
            Buckets::Exponential { scale, .. } => libm::exp2(libm::exp2(-f64::from(*scale)) / 2.0) - 1.0,
            Buckets::Explicit { .. } => 1.0,
        }
    }

    /// Values to stand for the buckets that are not empty, with how many each stands for; the finest that fit into
    /// `max` pairs. For CloudWatch, which takes values and not buckets.
    pub fn values(&self, max: usize) -> Vec<(f64, u64)> {
        let mut pairs = Vec::new();
        match &self.buckets {
            Buckets::Exponential { scale, zeros, offset, counts } => {
                pairs.extend((*zeros > 0).then_some((0.0, *zeros)));
                let (mut scale, mut offset, mut counts) = (*scale, *offset, counts.clone());
                let filled = |counts: &[u64]| counts.iter().filter(|count| **count > 0).count();
                while filled(&counts) + pairs.len() > max.max(2) {
                    coarsen(&mut scale, &mut offset, &mut counts, 1);
                }
                let of_bucket = |(index, times)| (middle(scale, index).clamp(self.min, self.max), times);
                pairs.extend((offset..).zip(counts).filter(|(_, times)| *times > 0).map(of_bucket));
            }
            Buckets::Explicit { bounds, counts } => {
                let bounds = bounds.iter().copied().chain([f64::INFINITY]);
                let of_bucket = |(bound, times): (f64, &u64)| (bound.clamp(self.min, self.max), *times);
                pairs.extend(bounds.zip(counts).filter(|(_, times)| **times > 0).take(max).map(of_bucket));
            }
        }
        pairs
    }
}

/// The index of the bucket that holds `value`, which is above zero, at the finest scale. Coarser ones are its upper
/// bits, so that a histogram says the same in whatever order its values came.
fn finest_index(value: f64) -> i32 {
    const MANTISSA_BITS: u32 = 52;
    let value = value.max(f64::MIN_POSITIVE);
    let bits = value.to_bits();
    let exponent = (bits >> MANTISSA_BITS) as i32 - 1_023;
    let mantissa = bits & ((1 << MANTISSA_BITS) - 1);
    // Buckets include their upper bound: a power of two is the last value of the bucket below.
    if mantissa == 0 {
        return (exponent << SCALE_MAX) - 1;
    }
    let fraction = f64::from_bits(mantissa | 1_023 << MANTISSA_BITS);
    let within = libm::log2(fraction) * f64::from(1 << SCALE_MAX);
    (exponent << SCALE_MAX) + (libm::ceil(within) as i32 - 1).clamp(0, (1 << SCALE_MAX) - 1)
}

/// Counts `times` at a finest index, with coarser buckets where it would need too many.
fn put(scale: &mut i32, offset: &mut i32, counts: &mut Vec<u64>, finest: i32, times: u64) {
    if counts.is_empty() {
        *offset = finest >> (SCALE_MAX - *scale);
        counts.push(times);
        return;
    }
    let mut shift = 0;
    loop {
        let index = finest >> (SCALE_MAX - *scale) >> shift;
        let first = (*offset >> shift).min(index);
        let last = ((*offset + counts.len() as i32 - 1) >> shift).max(index);
        if ((last - first) as usize) < BUCKETS_MAX {
            break;
        }
        shift += 1;
    }
    coarsen(scale, offset, counts, shift);
    let index = finest >> (SCALE_MAX - *scale);
    if index < *offset {
        let more = (*offset - index) as usize;
        counts.splice(0..0, core::iter::repeat_n(0, more));
        *offset = index;
    }
    let at = (index - *offset) as usize;
    if at >= counts.len() {
        counts.resize(at + 1, 0);
    }
    counts[at] += times;
}

/// Puts 2^`shift` neighbours together; exact, for bounds of a coarser scale are bounds of the finer one too.
fn coarsen(scale: &mut i32, offset: &mut i32, counts: &mut Vec<u64>, shift: u32) {
    if shift == 0 {
        return;
    }
    let first = *offset >> shift;
    let mut last = 0;
    // In place: a sum never lies behind what it is summed from.
    for at in 0..counts.len() {
        let times = core::mem::take(&mut counts[at]);
        last = (((*offset + at as i32) >> shift) - first) as usize;
        counts[last] += times;
    }
    counts.truncate(last + 1);
    (*scale, *offset) = (*scale - shift as i32, first);
}

/// The geometric middle of a bucket.
fn middle(scale: i32, index: i32) -> f64 {
    libm::exp2((f64::from(index) + 0.5) * libm::exp2(-f64::from(scale)))
}

#[cfg(test)]
mod tests;
