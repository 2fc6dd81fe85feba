//! The parts of traces that wait to be judged, and where to find those that are ready: each input asks, and there may be
//! thousands.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::item::Item;
use super::judge::Verdict;
use crate::facts::Body;
use crate::span::{RequestId, TraceId};
use crate::time::{Instant, UnixNanos};

/// What a trace that waits costs in memory beside its spans: its places in the indexes below, which are trees whose nodes are
/// not full, and the lists of its spans and invocations. Many traces are of one small span, and cost more than that.
pub(super) const TRACE_BYTES: usize = 256;

/// What this function did of a trace.
#[derive(Clone, Debug)]
pub(super) struct Fragment<B> {
    pub(super) items: Vec<Item<B>>,
    pub(super) size: usize,
    pub(super) since: Instant,
    /// The invocations that it is part of, as far as they are known: usually one, and several where a trace spans them. It is
    /// judged when all are done, and kept where one has failed.
    pub(super) invocations: Vec<RequestId>,
    /// Left out, unless the platform says that the invocation failed.
    pub(super) doubt: Option<Doubt>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    pub(super) verdict: Verdict,
    /// Invocations begun when it was judged; where they overlap, one of these may turn out to have failed.
    pub(super) begun: u64,
    pub(super) at: Instant,
}

/// Those of each invocation, and those of none.
type Groups = BTreeMap<Option<RequestId>, BTreeSet<TraceId>>;

/// See the module. An entry of an index costs less than a span.
#[derive(Clone, Debug)]
pub(super) struct Fragments<B> {
    all: BTreeMap<TraceId, Fragment<B>>,
    /// Those that are not judged yet, the oldest first.
    unjudged: BTreeSet<(Instant, TraceId)>,
    /// Of these, those that were not found to be worth more than others yet ([`Fragments::oldest_plain`]).
    plain: BTreeSet<(Instant, TraceId)>,
    /// Those in doubt, of no invocation and of some: those that were judged first come first.
    doubts: [BTreeSet<(Instant, u64, TraceId)>; 2],
    /// Those that are not judged yet, and those in doubt: of these there may be many that no input concerns.
    by_invocation: [Groups; 2],
    /// Those of which something came while no invocation was known to run, and when the latest of that began: the next
    /// invocation may be its.
    unknown: BTreeMap<TraceId, UnixNanos>,
    size: usize,
    doubted: usize,
    count: u64,
}

impl<B: Body> Fragments<B> {
    pub(super) const fn new() -> Self {
        Self {
            all: BTreeMap::new(),
            unjudged: BTreeSet::new(),
            plain: BTreeSet::new(),
            doubts: [BTreeSet::new(), BTreeSet::new()],
            by_invocation: [BTreeMap::new(), BTreeMap::new()],
            unknown: BTreeMap::new(),
            size: 0,
            doubted: 0,
            count: 0,
        }
    }

    /// Memory of all; of those in doubt; and their spans.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Encoded bytes of all.
    pub(super) fn encoded_bytes(&self) -> usize {
        self.size - self.all.len() * TRACE_BYTES - self.count as usize * Item::<B>::held_of(0)
    }

    pub(super) const fn doubted(&self) -> usize {
        self.doubted
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// The function's own bytes in all that waits.
    pub(super) fn bodies_mut(&mut self) -> impl Iterator<Item = &mut B> {
        self.all.values_mut().flat_map(|fragment| &mut fragment.items).filter_map(Item::body_mut)
    }

    pub(super) fn get(&self, trace_id: TraceId) -> Option<&Fragment<B>> {
        self.all.get(&trace_id)
    }

    /// Puts `item` to what waits of its trace; `invocation` counts where nothing does.
    pub(super) fn push(&mut self, now: Instant, item: Item<B>, invocation: Option<&RequestId>) {
        let trace_id = item.trace_id();
        if !self.all.contains_key(&trace_id) {
            let (size, doubt, invocations) = (TRACE_BYTES, None, invocation.cloned().into_iter().collect());
            // Many traces are of one span: a list that grows by itself begins with room for four, which nobody counts.
            let items = Vec::with_capacity(1);
            let fragment = Fragment { items, size, since: now, invocations, doubt };
            self.size += size;
            self.enter(trace_id, &fragment);
            self.all.insert(trace_id, fragment);
        }
        if let Some(fragment) = self.all.get_mut(&trace_id) {
            let held = item.held();
            self.size += held;
            self.count += 1;
            self.doubted += if fragment.doubt.is_some() { held } else { 0 };
            fragment.size += held;
            if invocation.is_none() {
                let began = self.unknown.entry(trace_id).or_default();
                *began = item.start().max(*began);
            }
            fragment.items.push(item);
        }
    }

    /// Takes what waits of a trace out.
    pub(super) fn take(&mut self, trace_id: TraceId) -> Option<Fragment<B>> {
        let fragment = self.all.remove(&trace_id)?;
        self.leave(trace_id, &fragment);
        self.unknown.remove(&trace_id);
        self.size -= fragment.size;
        self.count -= fragment.items.len() as u64;
        Some(fragment)
    }

    /// What waits of a trace is of `invocations`, and in `doubt` or not.
    pub(super) fn set(&mut self, trace_id: TraceId, invocations: Vec<RequestId>, doubt: Option<Doubt>) {
        if let Some(mut fragment) = self.all.remove(&trace_id) {
            self.leave(trace_id, &fragment);
            (fragment.invocations, fragment.doubt) = (invocations, doubt);
            self.enter(trace_id, &fragment);
            self.all.insert(trace_id, fragment);
        }
    }

    /// What came while no invocation was known to run is of the one that `owner` finds for the time at which the last of it
    /// began. Where that is another than those that its trace was judged with, it is judged anew.
    pub(super) fn attribute(&mut self, owner: impl Fn(UnixNanos) -> Option<RequestId>) {
        for (trace_id, began) in core::mem::take(&mut self.unknown) {
            let Some(fragment) = self.all.get(&trace_id) else { continue };
            let (mut invocations, doubt) = (fragment.invocations.clone(), fragment.doubt);
            let Some(owner) = owner(began).filter(|owner| !invocations.contains(owner)) else { continue };
            let doubt = doubt.filter(|_| invocations.is_empty());
            invocations.push(owner);
            self.set(trace_id, invocations, doubt);
        }
    }

    /// Those of an invocation, or of none, that are in doubt, or are not judged yet.
    pub(super) fn of(&self, invocation: Option<&RequestId>, is_in_doubt: bool) -> Vec<TraceId> {
        let group = self.by_invocation[usize::from(is_in_doubt)].get(&invocation.cloned());
        group.into_iter().flatten().copied().collect()
    }

    /// Whether something of this trace came while no invocation was known to run.
    pub(super) fn is_unknown(&self, trace_id: TraceId) -> bool {
        self.unknown.contains_key(&trace_id)
    }

    /// What is known to be of `request_id` is of another try, which is known as `name` from now on.
    pub(super) fn rename(&mut self, request_id: &RequestId, name: &RequestId) {
        for is_in_doubt in [false, true] {
            for trace_id in self.of(Some(request_id), is_in_doubt) {
                let Some(fragment) = self.all.get(&trace_id) else { continue };
                let (mut invocations, doubt) = (fragment.invocations.clone(), fragment.doubt);
                invocations.iter_mut().filter(|id| *id == request_id).for_each(|id| *id = name.clone());
                self.set(trace_id, invocations, doubt);
            }
        }
    }

    /// Those not judged yet.
    pub(super) fn unjudged(&self) -> Vec<TraceId> {
        self.ready(|_| true, |_| true)
    }

    /// Those not judged yet that have waited long, or are of invocations that are done.
    pub(super) fn ready(
        &self,
        is_old: impl Fn(Instant) -> bool,
        is_done: impl Fn(&RequestId) -> bool,
    ) -> Vec<TraceId> {
        let old = self.unjudged.iter().take_while(|(since, _)| is_old(*since));
        let mut ready: BTreeSet<_> = old.map(|(_, trace_id)| *trace_id).collect();
        // Few invocations are open, and what is of none of them does not stay here.
        let is_whole = |trace_id: &&TraceId| {
            self.get(**trace_id).is_some_and(|fragment| fragment.invocations.iter().all(&is_done))
        };
        for (invocation, traces) in &self.by_invocation[0] {
            if invocation.as_ref().is_some_and(&is_done) {
                ready.extend(traces.iter().filter(is_whole));
            }
        }
        ready.into_iter().collect()
    }

    /// Those in doubt that are ripe. What was judged before something that is ripe is ripe, too, if both are of some
    /// invocation, or of none: `is_ripe` is asked when, with how many invocations begun, and whether it is of some.
    pub(super) fn ripe(&self, is_ripe: impl Fn(Instant, u64, bool) -> bool) -> Vec<TraceId> {
        let mut ripe = Vec::new();
        for (doubts, is_of_some) in self.doubts.iter().zip([false, true]) {
            let first = doubts.iter().take_while(|(at, begun, _)| is_ripe(*at, *begun, is_of_some));
            ripe.extend(first.map(|(_, _, trace_id)| *trace_id));
        }
        ripe.sort_unstable();
        ripe
    }

    /// The one in doubt that was judged first.
    pub(super) fn oldest_doubt(&self) -> Option<(TraceId, Doubt)> {
        let firsts = self.doubts.iter().filter_map(BTreeSet::first);
        let (_, _, trace_id) = firsts.min()?;
        Some((*trace_id, self.get(*trace_id)?.doubt?))
    }

    /// The one that has waited longest of those not judged yet.
    pub(super) fn oldest(&self) -> Option<TraceId> {
        self.unjudged.first().map(|(_, trace_id)| *trace_id)
    }

    /// The same of those that are not worth more than others. One that is found to be is not asked about again, so that many
    /// of them cost nothing each time that room is needed.
    pub(super) fn oldest_plain(&mut self, is_worth_more: impl Fn(&Fragment<B>) -> bool) -> Option<TraceId> {
        while let Some((since, trace_id)) = self.plain.first().copied() {
            if self.get(trace_id).is_some_and(|fragment| !is_worth_more(fragment)) {
                return Some(trace_id);
            }
            self.plain.remove(&(since, trace_id));
        }
        None
    }

    fn enter(&mut self, trace_id: TraceId, fragment: &Fragment<B>) {
        if let Some(doubt) = fragment.doubt {
            let doubts = &mut self.doubts[usize::from(!fragment.invocations.is_empty())];
            doubts.insert((doubt.at, doubt.begun, trace_id));
            self.doubted += fragment.size;
        } else {
            self.unjudged.insert((fragment.since, trace_id));
            self.plain.insert((fragment.since, trace_id));
        }
        let groups = &mut self.by_invocation[usize::from(fragment.doubt.is_some())];
        for group in fragment.groups() {
            groups.entry(group).or_default().insert(trace_id);
        }
    }

    fn leave(&mut self, trace_id: TraceId, fragment: &Fragment<B>) {
        if let Some(doubt) = fragment.doubt {
            let doubts = &mut self.doubts[usize::from(!fragment.invocations.is_empty())];
            doubts.remove(&(doubt.at, doubt.begun, trace_id));
            self.doubted -= fragment.size;
        } else {
            self.unjudged.remove(&(fragment.since, trace_id));
            self.plain.remove(&(fragment.since, trace_id));
        }
        let groups = &mut self.by_invocation[usize::from(fragment.doubt.is_some())];
        for group in fragment.groups() {
            if let Some(traces) = groups.get_mut(&group) {
                traces.remove(&trace_id);
                if traces.is_empty() {
                    groups.remove(&group);
                }
            }
        }
    }
}

impl<B> Fragment<B> {
    /// Where it is found: with each of its invocations, or with those of none.
    fn groups(&self) -> impl Iterator<Item = Option<RequestId>> {
        let none = self.invocations.is_empty().then_some(None);
        self.invocations.iter().cloned().map(Some).chain(none)
    }
}

#[cfg(test)]
mod tests;
