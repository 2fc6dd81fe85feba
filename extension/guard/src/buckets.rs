//! Exponential buckets, and how two sets of them become one: at the coarser scale of the two, or a coarser one yet.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram>: of scale `s`, bucket `i` holds
//! what lies in (base^i, base^(i+1)], base = 2^(2^-s); one scale less, the buckets `2i` and `2i + 1` are one.

use wire::proto::{Value, WireError, fields, put_bytes, put_signed};

use crate::point::{packed, signed};

const OFFSET: u32 = 1;
const COUNTS: u32 = 2;
/// Buckets of a run made of two, unless one of them has more already: the size of OpenTelemetry's SDKs. However far
/// apart the two lie, there are never more.
const BUCKETS_MAX: usize = 160;
/// Buckets of a run as it is read: of one that has more, two become one until it has not. A bucket takes a byte on the wire
/// and eight here.
const READ_MAX: usize = 4_096;

/// Buckets side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    offset: i32,
    counts: Vec<u64>,
    /// How often two buckets became one as it was read.
    shift: u32,
}

/// A distribution.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exponential {
    pub(crate) scale: i32,
    pub(crate) zeros: u64,
    /// What counts as zero goes so far.
    pub(crate) threshold: f64,
    pub(crate) positive: Run,
    pub(crate) negative: Run,
}

impl Exponential {
    /// Brings what was read to one scale.
    pub(crate) fn levelled(&mut self) {
        let shift = self.positive.shift.max(self.negative.shift);
        for run in [&mut self.positive, &mut self.negative] {
            run.coarsen(i64::from(shift - run.shift));
            run.shift = 0;
        }
        self.scale = self.scale.saturating_sub(shift.cast_signed());
    }

    pub(crate) fn add(&mut self, mut other: Self) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        // Smaller values that the other one told apart stay told apart.
        self.threshold = self.threshold.max(other.threshold);
        let scale = self.scale.min(other.scale);
        self.coarsen_to(scale);
        other.coarsen_to(scale);
        // Ends: after 32 times there are two buckets at most, below and above.
        while !self.positive.fits(&other.positive) || !self.negative.fits(&other.negative) {
            self.coarsen(1);
            other.coarsen(1);
        }
        self.positive.add(&other.positive);
        self.negative.add(&other.negative);
    }

    fn coarsen_to(&mut self, scale: i32) {
        self.coarsen((i64::from(self.scale) - i64::from(scale)).max(0));
        self.scale = scale;
    }

    fn coarsen(&mut self, by: i64) {
        self.positive.coarsen(by.min(63));
        self.negative.coarsen(by.min(63));
        self.scale = self.scale.saturating_sub(i32::try_from(by).unwrap_or(i32::MAX));
    }
}

impl Run {
    /// # Errors
    /// When the bytes are no message.
    pub(crate) fn read(message: &[u8]) -> Result<Self, WireError> {
        let (mut run, mut count) = (Self::default(), 0_i64);
        // Which buckets become one follows from the offset, and that may come last.
        let mut walk = fields(message);
        while let Some(field) = walk.next()? {
            if let (OFFSET, Value::Varint(offset)) = (field.number, field.value) {
                run.offset = signed(offset);
            }
        }
        let first = i64::from(run.offset);
        let mut walk = fields(message);
        while let Some(field) = walk.next()? {
            match (field.number, field.value) {
                (COUNTS, Value::Varint(number)) => {
                    run.push(first + count, number);
                    count += 1;
                }
                (COUNTS, Value::Bytes(packed)) => {
                    let mut at = 0;
                    while at < packed.len() {
                        let (number, length) = varint(&packed[at..])?;
                        run.push(first + count, number);
                        count += 1;
                        at += length;
                    }
                }
                _ => {}
            }
        }
        Ok(run)
    }

    /// Counts what is in bucket `index` of the run as it came.
    fn push(&mut self, index: i64, count: u64) {
        let mut place = ((index >> self.shift) - self.first()) as usize;
        while place >= READ_MAX {
            let shift = self.shift + 1;
            self.coarsen(1);
            self.shift = shift;
            place = ((index >> shift) - self.first()) as usize;
        }
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] = self.counts[place].saturating_add(count);
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_signed(&mut out, OFFSET, self.offset);
        put_bytes(&mut out, COUNTS, &packed(&self.counts));
        out
    }

    const fn first(&self) -> i64 {
        self.offset as i64
    }

    const fn end(&self) -> i64 {
        self.offset as i64 + self.counts.len() as i64
    }

    /// Whether both together are few enough.
    fn fits(&self, other: &Self) -> bool {
        if self.counts.is_empty() || other.counts.is_empty() {
            return true;
        }
        let span = self.end().max(other.end()) - self.first().min(other.first());
        span <= BUCKETS_MAX.max(self.counts.len()).max(other.counts.len()) as i64
    }

    fn coarsen(&mut self, shift: i64) {
        if shift == 0 || self.counts.is_empty() {
            return;
        }
        let (first, last) = (self.first() >> shift, (self.end() - 1) >> shift);
        let mut counts = vec![0_u64; (last - first + 1) as usize];
        for (index, count) in (self.first()..).zip(&self.counts) {
            let bucket = &mut counts[((index >> shift) - first) as usize];
            *bucket = bucket.saturating_add(*count);
        }
        *self = Self { offset: first as i32, counts, shift: self.shift };
    }

    fn add(&mut self, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            self.clone_from(other);
            return;
        }
        // Copied only where it gets longer, which is seldom: what does not fit makes it coarser instead.
        let first = self.first().min(other.first());
        let end = self.end().max(other.end());
        if (first, end) != (self.first(), self.end()) {
            let mut counts = vec![0_u64; (end - first) as usize];
            let place = (self.first() - first) as usize;
            counts[place..place + self.counts.len()].copy_from_slice(&self.counts);
            *self = Self { offset: first as i32, counts, shift: self.shift };
        }
        for (index, count) in (other.first() - first..).zip(&other.counts) {
            let bucket = &mut self.counts[index as usize];
            *bucket = bucket.saturating_add(*count);
        }
    }
}

/// The number at the beginning of `bytes`, and how many bytes it takes.
fn varint(bytes: &[u8]) -> Result<(u64, usize), WireError> {
    let mut number = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return Ok((number, index + 1));
        }
    }
    Err(if bytes.len() < 10 { WireError::Truncated } else { WireError::Varint })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(offset: i32, counts: &[u64]) -> Run {
        Run { offset, counts: counts.to_vec(), shift: 0 }
    }

    #[test]
    fn a_run_is_read_as_it_was_written() {
        for sample in [run(0, &[]), run(-7, &[1, 0, 300, u64::MAX]), run(i32::MIN, &[5])] {
            assert_eq!(Run::read(&sample.write()), Ok(sample));
        }
        assert_eq!(Run::read(&[0x12, 1, 0x80]), Err(WireError::Truncated));
    }

    #[test]
    fn a_long_run_is_read_coarse_and_loses_no_count() {
        for (offset, length) in [(0, READ_MAX), (-3, READ_MAX + 1), (5, 3 * READ_MAX), (-7, 9 * READ_MAX + 5)]
        {
            let long = run(offset, &vec![1; length]);
            let mut read = Exponential {
                scale: 9,
                positive: Run::read(&long.write()).expect("it is one"),
                negative: Run::read(&run(4, &[1, 1]).write()).expect("it is one"),
                ..Default::default()
            };
            read.levelled();
            assert!(read.positive.counts.len() <= READ_MAX);
            assert_eq!(read.positive.counts.iter().sum::<u64>(), length as u64);
            let mut expected =
                Exponential { scale: 9, positive: long, negative: run(4, &[1, 1]), ..read.clone() };
            expected.coarsen_to(read.scale);
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn runs_meet_at_the_coarser_scale_and_lose_no_count() {
        let mut one =
            Exponential { scale: 1, positive: run(-3, &[1, 2, 3, 4]), zeros: 1, ..Default::default() };
        let two = Exponential { scale: 0, positive: run(0, &[10]), zeros: 2, ..Default::default() };
        one.add(two);
        // -3 and -2, -1 becomes -1 and 0 stays: at half the scale -2: 1, -1: 2 + 3, 0: 4 + 10.
        assert_eq!((one.scale, one.zeros, &one.positive), (0, 3, &run(-2, &[1, 5, 14])));
    }

    #[test]
    fn runs_far_apart_become_coarse_and_not_large() {
        for (scale, theirs) in [(20, i32::MAX), (i32::MIN, i32::MIN), (i32::MIN, i32::MAX)] {
            let mut one = Exponential { scale, positive: run(i32::MIN, &[7; 160]), ..Default::default() };
            let positive = run(i32::MAX - 10, &[3; 10]);
            one.add(Exponential { scale: theirs, positive, ..Default::default() });
            assert!(one.positive.counts.len() <= BUCKETS_MAX, "{}", one.positive.counts.len());
            assert_eq!(one.positive.counts.iter().sum::<u64>(), 7 * 160 + 3 * 10);
        }
    }
}
