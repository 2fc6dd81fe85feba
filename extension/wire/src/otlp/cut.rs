//! Cutting a request of metrics or logs into several, for a backend that takes no more of them at once.
//!
//! Spans need none of it: they are kept one by one, and put into requests of any size.

use bytes::Bytes;
use policy::{RequestLimit, Signal};

use super::chunk::Places;
use super::scan::{DATA_POINTS, GROUP_SCOPES, METRIC_DATA, RESOURCE_GROUPS, SCOPE_ITEMS, points_of};
use crate::proto::{Value, WireError, fields, put_bytes};

/// What a group may get besides its own bytes: its envelope, and what is added to a resource that says too little.
const GROUP_ROOM: usize = 1_024;
/// Tags and lengths around one item.
const ENVELOPES: usize = 3 * 6;

/// `request` in pieces, in order, none of more than the `limit`; what is larger by itself is one. All that is around the items is in
/// each of the pieces that needs it.
///
/// # Errors
/// None that a scan of the same request has not had.
pub(super) fn cut(
    signal: Signal,
    request: &[u8],
    places: &Places,
    limit: RequestLimit,
) -> Result<Vec<Bytes>, WireError> {
    let mut cutter = Cutter { limit, pieces: Vec::new(), piece: Vec::new(), items: 0 };
    for group in &places.groups {
        cutter.group(signal, &request[group.content.range()])?;
        if limit.parts_resources {
            cutter.end();
        }
    }
    cutter.end();
    Ok(cutter.pieces)
}

struct Cutter {
    limit: RequestLimit,
    pieces: Vec<Bytes>,
    /// The groups of the piece that is being made, and how many items are in it.
    piece: Vec<u8>,
    items: usize,
}

/// A group or scope that is being filled: what all of its pieces begin with, and the rest of this one.
struct Filled {
    head: Vec<u8>,
    content: Vec<u8>,
}

impl Filled {
    /// All of `message` but its fields `number`.
    fn without(message: &[u8], number: u32) -> Result<Self, WireError> {
        let mut head = Vec::new();
        let mut walk = fields(message);
        while let Some(field) = walk.next()? {
            if field.number != number {
                head.extend_from_slice(&message[field.start..field.end]);
            }
        }
        Ok(Self { head, content: Vec::new() })
    }

    const fn len(&self) -> usize {
        self.head.len() + self.content.len()
    }

    /// Puts what there is into `out`, as its field `number`, and begins anew.
    fn put(&mut self, out: &mut Vec<u8>, number: u32) {
        if !self.content.is_empty() {
            put_bytes(out, number, &[&self.head[..], &self.content].concat());
            self.content.clear();
        }
    }
}

impl Cutter {
    fn group(&mut self, signal: Signal, message: &[u8]) -> Result<(), WireError> {
        let mut group = Filled::without(message, GROUP_SCOPES)?;
        let mut scopes = fields(message);
        while let Some(field) = scopes.next()? {
            if field.number != GROUP_SCOPES {
                continue;
            }
            let message = field.value.message()?;
            let mut scope = Filled::without(message, SCOPE_ITEMS)?;
            let mut items = fields(message);
            while let Some(item) = items.next()? {
                if item.number == SCOPE_ITEMS {
                    self.item(signal, &mut group, &mut scope, item.value.message()?)?;
                }
            }
            scope.put(&mut group.content, GROUP_SCOPES);
        }
        group.put(&mut self.piece, RESOURCE_GROUPS);
        Ok(())
    }

    fn item(
        &mut self,
        signal: Signal,
        group: &mut Filled,
        scope: &mut Filled,
        item: &[u8],
    ) -> Result<(), WireError> {
        let count = if signal == Signal::Metrics { points_of(item)? as usize } else { 1 };
        let around = group.head.len() + scope.head.len() + GROUP_ROOM;
        if count <= self.limit.items && (count < 2 || around + item.len() <= self.limit.bytes) {
            self.put(group, scope, item, count);
            return Ok(());
        }
        for (part, count) in self.parts(item, around)? {
            self.put(group, scope, &part, count);
        }
        Ok(())
    }

    /// Puts one item where it fits: into the piece that is being made, or into a new one.
    fn put(&mut self, group: &mut Filled, scope: &mut Filled, item: &[u8], count: usize) {
        let size = self.piece.len() + group.len() + scope.len() + item.len() + ENVELOPES + GROUP_ROOM;
        if self.items > 0 && (self.items + count > self.limit.items || size > self.limit.bytes) {
            scope.put(&mut group.content, GROUP_SCOPES);
            group.put(&mut self.piece, RESOURCE_GROUPS);
            self.end();
        }
        put_bytes(&mut scope.content, SCOPE_ITEMS, item);
        self.items += count;
    }

    fn end(&mut self) {
        if !self.piece.is_empty() {
            self.pieces.push(core::mem::take(&mut self.piece).into());
        }
        self.items = 0;
    }

    /// A metric as several of the same name and kind, with some of its points each.
    fn parts(&self, metric: &[u8], around: usize) -> Result<Vec<(Vec<u8>, usize)>, WireError> {
        let (mut head, mut datas, mut walk) = (Vec::new(), Vec::new(), fields(metric));
        while let Some(field) = walk.next()? {
            match field.value {
                Value::Bytes(data) if METRIC_DATA.contains(&field.number) => datas.push((field.number, data)),
                _ => head.extend_from_slice(&metric[field.start..field.end]),
            }
        }
        let mut parts = Vec::new();
        for (number, message) in datas {
            let mut data = Filled::without(message, DATA_POINTS)?;
            let (mut count, mut points) = (0, fields(message));
            let mut put = |data: &mut Filled, count: &mut usize| {
                let mut part = head.clone();
                data.put(&mut part, number);
                parts.push((part, core::mem::take(count)));
            };
            while let Some(point) = points.next()? {
                if point.number != DATA_POINTS {
                    continue;
                }
                let point = &message[point.start..point.end];
                let size = around + head.len() + data.len() + point.len() + ENVELOPES;
                if count > 0 && (count + 1 > self.limit.items || size > self.limit.bytes) {
                    put(&mut data, &mut count);
                }
                data.content.extend_from_slice(point);
                count += 1;
            }
            if count > 0 {
                put(&mut data, &mut count);
            }
        }
        Ok(parts)
    }
}
