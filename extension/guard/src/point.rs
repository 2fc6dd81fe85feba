//! One data point of a metric, taken apart as far as adding to it needs, and written again.

use wire::proto::{
    Field, Value, WireError, fields, put_bytes, put_double, put_fixed64, put_number, put_signed, put_varint,
};

use crate::buckets::{Exponential, Run};
use crate::schema::{self, Message};

const START: u32 = 2;
const TIME: u32 = 3;
const COUNT: u32 = 4;
const SUM: u32 = 5;
const AS_DOUBLE: u32 = 4;
const AS_INT: u32 = 6;
const BUCKETS: u32 = 6;
const BOUNDS: u32 = 7;
const SCALE: u32 = 6;
const ZEROS: u32 = 7;
const POSITIVE: u32 = 8;
const NEGATIVE: u32 = 9;
const THRESHOLD: u32 = 14;
/// The lowest bit of the flags: the point says that there is nothing to say.
const NO_VALUE: u64 = 1;
/// Exemplars that a joined point keeps; an SDK keeps about as many.
const EXEMPLARS_MAX: usize = 16;

/// How two points become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    Add,
    /// The one of the later time stays; at the same time, the one that came later.
    Last,
}

/// What was measured, beside count and sum.
#[derive(Clone, Debug, PartialEq)]
enum Reading {
    None,
    Int(i64),
    Double(f64),
    Explicit { counts: Vec<u64>, bounds: Vec<f64> },
    Exponential(Exponential),
}

/// See the module. Fields that are not known here are not kept.
#[derive(Clone, Debug)]
pub(crate) struct Point<'a> {
    /// As they are written: a list of small ones would take eight times their bytes.
    attributes: Vec<u8>,
    exemplars: Vec<&'a [u8]>,
    start: u64,
    time: u64,
    flags: u64,
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    reading: Reading,
}

/// The numbers of fields that are not the same in every kind of point; 0 where there is none.
struct Numbers {
    flags: u32,
    exemplars: u32,
    min: u32,
    max: u32,
}

const fn numbers(kind: Message) -> Numbers {
    match kind {
        Message::HistogramPoint => Numbers { flags: 10, exemplars: 8, min: 11, max: 12 },
        Message::ExponentialPoint => Numbers { flags: 10, exemplars: 11, min: 12, max: 13 },
        Message::SummaryPoint => Numbers { flags: 8, exemplars: 0, min: 0, max: 0 },
        _ => Numbers { flags: 8, exemplars: 5, min: 0, max: 0 },
    }
}

impl<'a> Point<'a> {
    /// Takes `content` apart, a data point of `kind`.
    ///
    /// # Errors
    /// When it is no message.
    pub(crate) fn read(kind: Message, content: &'a [u8]) -> Result<Self, WireError> {
        let mut point = Self {
            attributes: Vec::new(),
            exemplars: Vec::new(),
            start: 0,
            time: 0,
            flags: 0,
            count: 0,
            sum: None,
            min: None,
            max: None,
            reading: match kind {
                Message::HistogramPoint => Reading::Explicit { counts: Vec::new(), bounds: Vec::new() },
                Message::ExponentialPoint => Reading::Exponential(Exponential::default()),
                _ => Reading::None,
            },
        };
        let mut walk = fields(content);
        while let Some(field) = walk.next()? {
            point.take(kind, &field)?;
        }
        if let Reading::Exponential(shape) = &mut point.reading {
            shape.levelled();
        }
        Ok(point)
    }

    fn take(&mut self, kind: Message, field: &Field<'a>) -> Result<(), WireError> {
        let at = numbers(kind);
        match (field.number, field.value) {
            (number, Value::Bytes(content)) if number == schema::attributes(kind).field => {
                put_bytes(&mut self.attributes, number, content);
            }
            (number, Value::Bytes(content)) if number == at.exemplars => {
                if self.exemplars.len() < EXEMPLARS_MAX {
                    self.exemplars.push(content);
                }
            }
            (number, Value::Varint(flags)) if number == at.flags => self.flags = flags,
            (number, Value::Fixed64(bits)) if number == at.min => self.min = Some(f64::from_bits(bits)),
            (number, Value::Fixed64(bits)) if number == at.max => self.max = Some(f64::from_bits(bits)),
            (START, Value::Fixed64(time)) => self.start = time,
            (TIME, Value::Fixed64(time)) => self.time = time,
            (AS_DOUBLE, Value::Fixed64(bits)) if kind == Message::NumberPoint => {
                self.reading = Reading::Double(f64::from_bits(bits));
            }
            (AS_INT, Value::Fixed64(bits)) if kind == Message::NumberPoint => {
                self.reading = Reading::Int(bits.cast_signed());
            }
            (COUNT, Value::Fixed64(count)) => self.count = count,
            (SUM, Value::Fixed64(bits)) => self.sum = Some(f64::from_bits(bits)),
            _ => match &mut self.reading {
                Reading::Explicit { counts, bounds } => match field.number {
                    BUCKETS => eights(field.value, |bits| counts.push(bits)),
                    BOUNDS => eights(field.value, |bits| bounds.push(f64::from_bits(bits))),
                    _ => {}
                },
                Reading::Exponential(shape) => match (field.number, field.value) {
                    (SCALE, Value::Varint(scale)) => shape.scale = signed(scale),
                    (ZEROS, Value::Fixed64(zeros)) => shape.zeros = zeros,
                    (POSITIVE, Value::Bytes(run)) => shape.positive = Run::read(run)?,
                    (NEGATIVE, Value::Bytes(run)) => shape.negative = Run::read(run)?,
                    (THRESHOLD, Value::Fixed64(bits)) => shape.threshold = f64::from_bits(bits),
                    _ => {}
                },
                _ => {}
            },
        }
        Ok(())
    }

    /// Makes one of two, with the attributes of this one.
    pub(crate) fn join(&mut self, other: Self, how: Join) {
        let is_void = |point: &Self| point.flags & NO_VALUE != 0;
        let takes_other = match how {
            _ if is_void(&other) => false,
            _ if is_void(self) => true,
            Join::Last => other.time >= self.time,
            Join::Add => return self.add(other),
        };
        if takes_other {
            *self = Self { attributes: std::mem::take(&mut self.attributes), ..other };
        }
    }

    fn add(&mut self, mut other: Self) {
        self.start = self.start.min(other.start);
        self.time = self.time.max(other.time);
        self.exemplars.append(&mut other.exemplars);
        self.exemplars.truncate(EXEMPLARS_MAX);
        self.count = self.count.saturating_add(other.count);
        // What one of them does not tell, the two cannot tell.
        self.sum = self.sum.zip(other.sum).map(|(one, two)| one + two);
        self.min = self.min.zip(other.min).map(|(one, two)| one.min(two));
        self.max = self.max.zip(other.max).map(|(one, two)| one.max(two));
        match (&mut self.reading, other.reading) {
            (Reading::Int(one), Reading::Int(two)) => *one = one.saturating_add(two),
            (Reading::Double(one), Reading::Double(two)) => *one += two,
            (one @ Reading::Int(_), Reading::Double(two)) => {
                let Reading::Int(whole) = *one else { return };
                *one = Reading::Double(whole as f64 + two);
            }
            (Reading::Double(one), Reading::Int(two)) => *one += two as f64,
            (Reading::Explicit { counts, bounds }, Reading::Explicit { counts: more, bounds: theirs }) => {
                if *bounds == theirs && counts.len() == more.len() {
                    counts.iter_mut().zip(more).for_each(|(one, two)| *one = one.saturating_add(two));
                } else {
                    counts.clear();
                    bounds.clear();
                }
            }
            (Reading::Exponential(one), Reading::Exponential(two)) => one.add(two),
            (one @ Reading::None, two) => *one = two,
            _ => {}
        }
    }

    /// The point, written as one of `kind`.
    pub(crate) fn write(&self, kind: Message) -> Vec<u8> {
        let (mut out, at) = (Vec::new(), numbers(kind));
        out.extend_from_slice(&self.attributes);
        put_fixed64(&mut out, START, self.start);
        put_fixed64(&mut out, TIME, self.time);
        self.exemplars.iter().for_each(|exemplar| put_bytes(&mut out, at.exemplars, exemplar));
        if self.flags != 0 {
            put_number(&mut out, at.flags, self.flags);
        }
        if kind != Message::NumberPoint {
            put_fixed64(&mut out, COUNT, self.count);
        }
        for (number, told) in [(SUM, self.sum), (at.min, self.min), (at.max, self.max)] {
            if let Some(told) = told.filter(|_| number != 0) {
                put_double(&mut out, number, told);
            }
        }
        match &self.reading {
            Reading::None => {}
            Reading::Int(whole) => put_fixed64(&mut out, AS_INT, whole.cast_unsigned()),
            Reading::Double(number) => put_double(&mut out, AS_DOUBLE, *number),
            Reading::Explicit { counts, bounds } => {
                let bytes =
                    |bits: &[u64]| bits.iter().flat_map(|bits| bits.to_le_bytes()).collect::<Vec<u8>>();
                let bounds: Vec<u64> = bounds.iter().map(|bound| bound.to_bits()).collect();
                put_bytes(&mut out, BUCKETS, &bytes(counts));
                put_bytes(&mut out, BOUNDS, &bytes(&bounds));
            }
            Reading::Exponential(shape) => write_exponential(&mut out, shape),
        }
        out
    }
}

fn write_exponential(out: &mut Vec<u8>, shape: &Exponential) {
    put_signed(out, SCALE, shape.scale);
    put_fixed64(out, ZEROS, shape.zeros);
    put_bytes(out, POSITIVE, &shape.positive.write());
    put_bytes(out, NEGATIVE, &shape.negative.write());
    put_double(out, THRESHOLD, shape.threshold);
}

/// Each number of eight bytes of a repeated field, packed or not.
fn eights(value: Value<'_>, mut put: impl FnMut(u64)) {
    match value {
        Value::Fixed64(bits) => put(bits),
        Value::Bytes(packed) => {
            for eight in packed.chunks_exact(8) {
                put(u64::from_le_bytes(eight.try_into().expect("chunks have eight bytes")));
            }
        }
        _ => {}
    }
}

/// A `sint32`.
pub(crate) const fn signed(number: u64) -> i32 {
    let number = number as u32;
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// Numbers of their own length, in one piece.
pub(crate) fn packed(numbers: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    numbers.iter().for_each(|number| put_varint(&mut out, *number));
    out
}
