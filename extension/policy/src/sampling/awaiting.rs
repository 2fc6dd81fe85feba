//! What was kept of traces whose invocations may still turn out to have failed, for destinations that take failures: their copies
//! wait for the platform's last word, and are sent or forgotten. They are in nobody's books before they are sent.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::item::Item;
use super::judge::Verdict;
use crate::facts::Body;
use crate::routing::Routes;
use crate::span::{RequestId, TraceId};
use crate::time::Instant;

/// What waits of a trace.
#[derive(Clone, Debug)]
pub(super) struct Part<B> {
    pub(super) items: Vec<Item<B>>,
    pub(super) verdict: Verdict,
    /// Where it goes if one of its invocations has failed.
    pub(super) routes: Routes,
    /// The invocations that may have.
    invocations: Vec<RequestId>,
    /// Invocations begun when it was judged, and when that was.
    begun: u64,
    at: Instant,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Awaiting<B> {
    /// What goes elsewhere is another part, although of one trace.
    parts: BTreeMap<(TraceId, Routes), Part<B>>,
    size: usize,
    items: usize,
}

impl<B: Body> Awaiting<B> {
    pub(super) const fn new() -> Self {
        Self { parts: BTreeMap::new(), size: 0, items: 0 }
    }

    /// Memory of all that waits.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Of that, the encoded bytes.
    pub(super) const fn encoded_bytes(&self) -> usize {
        self.size - self.items * Item::<B>::held_of(0)
    }

    pub(super) fn bodies_mut(&mut self) -> impl Iterator<Item = &mut B> {
        self.parts.values_mut().flat_map(|part| &mut part.items).filter_map(Item::body_mut)
    }

    /// These wait from now on; with what waits of their trace.
    pub(super) fn add(
        &mut self,
        (now, begun): (Instant, u64),
        trace_id: TraceId,
        items: impl Iterator<Item = Item<B>>,
        (verdict, routes): (Verdict, Routes),
        invocations: Vec<RequestId>,
    ) {
        let part = self.parts.entry((trace_id, routes)).or_insert_with(|| Part {
            items: Vec::new(),
            verdict,
            routes,
            invocations: Vec::new(),
            begun,
            at: now,
        });
        for id in invocations {
            if !part.invocations.contains(&id) {
                part.invocations.push(id);
            }
        }
        for item in items {
            self.size += item.held();
            self.items += 1;
            part.items.push(item);
        }
    }

    /// A late span of a trace, for `routes`: where something waits of it that goes there, it waits with that.
    pub(super) fn follow(&mut self, routes: Routes, item: &Item<B>) {
        if let Some(part) = self.parts.get_mut(&(item.trace_id(), routes)) {
            self.size += item.held();
            self.items += 1;
            part.items.push(item.clone());
        }
    }

    /// Takes out what waits of a trace.
    pub(super) fn take(&mut self, trace_id: TraceId) -> Vec<Part<B>> {
        let of_it = self.parts.range((trace_id, Routes::NONE)..).take_while(|((id, _), _)| *id == trace_id);
        let keys: Vec<_> = of_it.map(|(key, _)| *key).collect();
        keys.into_iter().filter_map(|key| self.take_part(key)).collect()
    }

    fn take_part(&mut self, key: (TraceId, Routes)) -> Option<Part<B>> {
        let part = self.parts.remove(&key)?;
        self.size -= part.items.iter().map(Item::held).sum::<usize>();
        self.items -= part.items.len();
        Some(part)
    }

    /// The last word on an invocation: the traces of which something waited for it, if it has failed. Else what waited for no other
    /// is forgotten.
    pub(super) fn resolve(&mut self, request_id: &RequestId, has_failed: bool) -> Vec<TraceId> {
        let of_it = self.parts.iter().filter(|(_, part)| part.invocations.contains(request_id));
        let keys: Vec<_> = of_it.map(|(key, _)| *key).collect();
        if has_failed {
            return keys.into_iter().map(|(trace_id, _)| trace_id).collect();
        }
        for key in keys {
            let Some(part) = self.parts.get_mut(&key) else { continue };
            part.invocations.retain(|id| id != request_id);
            if part.invocations.is_empty() {
                self.take_part(key);
            }
        }
        Vec::new()
    }

    /// Forgets what `is_over` says has waited long enough: asked when it was judged, and with how many invocations begun.
    pub(super) fn forget(&mut self, is_over: impl Fn(Instant, u64) -> bool) {
        let over = self.parts.iter().filter(|(_, part)| is_over(part.at, part.begun));
        let over: Vec<_> = over.map(|(key, _)| *key).collect();
        over.into_iter().for_each(|key| drop(self.take_part(key)));
    }

    /// Forgets everything, for want of room; false where there is nothing.
    pub(super) fn forget_all(&mut self) -> bool {
        let is_any = !self.parts.is_empty();
        *self = Self::new();
        is_any
    }

    /// What was known as `request_id` is another try, which is known as `name` from now on.
    pub(super) fn rename(&mut self, request_id: &RequestId, name: &RequestId) {
        let ids = self.parts.values_mut().flat_map(|part| &mut part.invocations);
        ids.filter(|id| *id == request_id).for_each(|id| *id = name.clone());
    }
}

#[cfg(test)]
mod tests;
