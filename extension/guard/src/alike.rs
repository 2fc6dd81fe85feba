//! Data points that a rule has made alike, put together again: of one series a metric has one point.
//!
//! What adds up is added: sums, and histograms with the same bounds (of others the buckets go, and count and sum
//! stay). Of gauges the last one wins, and of a cumulative series that comes twice.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/otel/metrics/data-model/>

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use wire::proto::{Value, WireError, fields, put_bytes};

use crate::point::{Join, Point};
use crate::schema::{self, Message, Part};

/// What tells the series of a point from all others: a sum over its attributes, in whatever order they come. A list of
/// them would take eight times the bytes of small ones.
type Series = (u64, u64);

/// Data points of a metric that can be put together: each takes a hundred bytes beside its own, and may be as few as two
/// on the wire. A function that sends 10,000 series at once is far below.
pub(crate) const POINTS_MAX: usize = 131_072;

const POINTS: u32 = 1;
const TEMPORALITY: u32 = 2;
const DELTA: u64 = 1;
const GAUGE: u32 = 5;

/// The data of a metric, field `data` of it, in which points that were told apart `before` are alike `after`: with
/// one in place of each such group, and how many are gone by that. `None` when no points are.
///
/// # Errors
/// When the bytes are no message.
pub(crate) fn joined(data: u32, before: &[u8], after: &[u8]) -> Result<Option<(Vec<u8>, u64)>, WireError> {
    let kind = schema::point_of(data);
    let (olds, news) = (all_series(kind, before)?, all_series(kind, after)?);
    // Those that are alike are beside each other, in the order in which they came.
    let mut order: Vec<usize> = (0..news.len()).collect();
    order.sort_by_key(|index| news[*index]);
    // What the function itself sent twice, and no rule has touched, is its own affair.
    let is_alike =
        |group: &&[usize]| group.len() > 1 && group.iter().any(|index| olds[*index] != news[*index]);
    let groups = order.chunk_by(|one, two| news[*one] == news[*two]).filter(is_alike);
    let adding = adding_of(data, after)?;
    let contents = points(after)?;
    let mut instead: BTreeMap<usize, Option<Vec<u8>>> = BTreeMap::new();
    let mut gone = 0;
    for group in groups {
        let joined = join(kind, adding, group, &contents, &olds)?;
        gone += group.len() as u64 - 1;
        instead.extend(group[1..].iter().map(|index| (*index, None)));
        instead.insert(group[0], Some(joined));
    }
    if instead.is_empty() {
        return Ok(None);
    }
    Ok(Some((written(after, &instead)?, gone)))
}

/// How the points of different series become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Adding {
    /// They do not: the last one stays.
    Never,
    /// All are added.
    Each,
    /// The last of each series is.
    Last,
}

fn adding_of(data: u32, message: &[u8]) -> Result<Adding, WireError> {
    if data == GAUGE {
        return Ok(Adding::Never);
    }
    let mut temporality = 0;
    let mut walk = fields(message);
    while let Some(field) = walk.next()? {
        if let (TEMPORALITY, Value::Varint(said)) = (field.number, field.value) {
            temporality = said;
        }
    }
    Ok(if temporality == DELTA { Adding::Each } else { Adding::Last })
}

/// One point for the `group`, which are indices into `contents`, and were the series `olds`. No more than two points are
/// taken apart at a time.
fn join(
    kind: Message,
    adding: Adding,
    group: &[usize],
    contents: &[&[u8]],
    olds: &[Series],
) -> Result<Vec<u8>, WireError> {
    let mut group = group.to_vec();
    if adding == Adding::Last {
        // The points of each series are beside each other, and in the order in which they came.
        group.sort_by_key(|index| olds[*index]);
    }
    let mut whole: Option<Point<'_>> = None;
    let mut last: Option<(Series, Point<'_>)> = None;
    for index in group {
        let (series, point) = (olds[index], Point::read(kind, contents[index])?);
        match (adding, &mut last) {
            (Adding::Each, _) => add(&mut whole, point),
            (Adding::Last, Some((other, earlier))) if *other != series => {
                add(&mut whole, std::mem::replace(earlier, point));
                *other = series;
            }
            (_, Some((_, earlier))) => earlier.join(point, Join::Last),
            (_, None) => last = Some((series, point)),
        }
    }
    if let Some((_, point)) = last {
        add(&mut whole, point);
    }
    Ok(whole.expect("a group has points").write(kind))
}

/// Adds a point to those before it.
fn add<'a>(whole: &mut Option<Point<'a>>, point: Point<'a>) {
    match whole {
        Some(whole) => whole.join(point, Join::Add),
        None => *whole = Some(point),
    }
}

/// `message` with another content for some of its points, or without them.
fn written(message: &[u8], instead: &BTreeMap<usize, Option<Vec<u8>>>) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(message.len());
    let mut walk = fields(message);
    let mut index = 0;
    while let Some(field) = walk.next()? {
        let is_point = matches!((field.number, field.value), (POINTS, Value::Bytes(_)));
        match instead.get(&index).filter(|_| is_point) {
            Some(Some(content)) => put_bytes(&mut out, POINTS, content),
            Some(None) => {}
            None => out.extend_from_slice(&message[field.start..field.end]),
        }
        index += usize::from(is_point);
    }
    Ok(out)
}

fn points(message: &[u8]) -> Result<Vec<&[u8]>, WireError> {
    let mut found = Vec::new();
    let mut walk = fields(message);
    while let Some(field) = walk.next()? {
        if let (POINTS, Value::Bytes(content)) = (field.number, field.value) {
            found.push(content);
        }
    }
    Ok(found)
}

fn all_series(kind: Message, message: &[u8]) -> Result<Vec<Series>, WireError> {
    points(message)?.into_iter().map(|point| series(kind, point)).collect()
}

fn series(kind: Message, point: &[u8]) -> Result<Series, WireError> {
    let half = |which: u8, attribute: &[u8]| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(which);
        hasher.write(attribute);
        hasher.finish()
    };
    let mut sum: Series = (0, 0);
    let mut walk = fields(point);
    while let Some(field) = walk.next()? {
        if let (true, Value::Bytes(content)) = (field.number == schema::attributes(kind).field, field.value) {
            sum = (sum.0.wrapping_add(half(0, content)), sum.1.wrapping_add(half(1, content)));
        }
    }
    Ok(sum)
}

/// Whether a metric has more data points than can be put together.
///
/// # Errors
/// When the bytes are no message.
pub(crate) fn is_crowded(metric: &[u8]) -> Result<bool, WireError> {
    // The smallest point takes two bytes.
    if metric.len() <= 2 * POINTS_MAX {
        return Ok(false);
    }
    let mut count = 0;
    let mut walk = fields(metric);
    while let Some(field) = walk.next()? {
        let part = schema::part(policy::Signal::Metrics, Message::Metric, field.number);
        if let (Part::Message(Message::Data), Value::Bytes(data)) = (part, field.value) {
            let mut inner = fields(data);
            while let Some(field) = inner.next()? {
                count += usize::from(field.number == POINTS);
            }
        }
    }
    Ok(count > POINTS_MAX)
}
