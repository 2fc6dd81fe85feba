//! Data points that a rule has made alike, put together again: of one series a metric has one point.
//!
//! What adds up is added: sums, and histograms with the same bounds (of others the buckets go, and count and sum
//! stay). Of gauges the last one wins, and of a cumulative series that comes twice.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/otel/metrics/data-model/>

use std::collections::BTreeMap;

use wire::proto::{Value, WireError, fields, put_bytes};

use crate::point::{Join, Point};
use crate::schema::{self, Message};

/// The attributes of a point, in one order: what makes a series.
type Series<'a> = Vec<&'a [u8]>;

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
    let mut groups: BTreeMap<&Series<'_>, Vec<usize>> = BTreeMap::new();
    for (index, series) in news.iter().enumerate() {
        groups.entry(series).or_default().push(index);
    }
    // What the function itself sent twice, and no rule has touched, is its own affair.
    let is_alike =
        |group: &Vec<usize>| group.len() > 1 && group.iter().any(|index| olds[*index] != news[*index]);
    groups.retain(|_, group| is_alike(group));
    if groups.is_empty() {
        return Ok(None);
    }
    let adding = adding_of(data, after)?;
    let contents = points(after)?;
    let mut instead: BTreeMap<usize, Option<Vec<u8>>> = BTreeMap::new();
    let mut gone = 0;
    for group in groups.into_values() {
        let joined = join(kind, adding, &group, &contents, &olds)?;
        gone += group.len() as u64 - 1;
        instead.extend(group[1..].iter().map(|index| (*index, None)));
        instead.insert(group[0], Some(joined));
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

/// One point for the `group`, which are indices into `contents`, and were the series `olds`.
fn join(
    kind: Message,
    adding: Adding,
    group: &[usize],
    contents: &[&[u8]],
    olds: &[Series<'_>],
) -> Result<Vec<u8>, WireError> {
    let mut parts: Vec<Point<'_>> = Vec::new();
    let mut places: BTreeMap<&Series<'_>, usize> = BTreeMap::new();
    for index in group {
        let point = Point::read(kind, contents[*index])?;
        let same = match adding {
            Adding::Never => parts.first_mut(),
            Adding::Each => None,
            Adding::Last => {
                let place = *places.entry(&olds[*index]).or_insert(parts.len());
                parts.get_mut(place)
            }
        };
        match same {
            Some(earlier) => earlier.join(point, Join::Last),
            None => parts.push(point),
        }
    }
    let whole = parts.into_iter().reduce(|mut whole, point| {
        whole.join(point, Join::Add);
        whole
    });
    Ok(whole.expect("a group has points").write(kind))
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

fn all_series(kind: Message, message: &[u8]) -> Result<Vec<Series<'_>>, WireError> {
    points(message)?.into_iter().map(|point| series(kind, point)).collect()
}

fn series(kind: Message, point: &[u8]) -> Result<Series<'_>, WireError> {
    let mut attributes = Vec::new();
    let mut walk = fields(point);
    while let Some(field) = walk.next()? {
        if let (true, Value::Bytes(content)) = (field.number == schema::attributes(kind).field, field.value) {
            attributes.push(content);
        }
    }
    attributes.sort_unstable();
    Ok(attributes)
}
