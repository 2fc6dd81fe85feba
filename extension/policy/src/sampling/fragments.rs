//! The parts of traces that wait to be judged, and where to find those that are ready: each input asks, and there may be
//! thousands.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::item::Item;
use super::judge::Verdict;
use crate::facts::Body;
use crate::span::{RequestId, TraceId};
use crate::time::{Instant, UnixNanos};

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

    /// Encoded bytes of all; of those in doubt; and their spans.
    pub(super) const fn size(&self) -> usize {
        self.size
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
            let (size, doubt, invocations) = (0, None, invocation.cloned().into_iter().collect());
            let fragment = Fragment { items: Vec::new(), size, since: now, invocations, doubt };
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
mod tests {
    use super::*;
    use crate::sampling::{Decision, Randomness, Threshold};
    use crate::span::{Kind, Span, SpanId};

    fn trace(number: u8) -> TraceId {
        TraceId::new([number; 16]).expect("not zero")
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    /// A span of this trace that begins then.
    fn item(trace_id: u8, start: u64) -> Item<()> {
        Item::Received(Span {
            trace_id: trace(trace_id),
            span_id: SpanId::new([1; 8]).expect("not zero"),
            parent: None,
            parent_is_remote: None,
            kind: Kind::Client,
            start: UnixNanos(start),
            end: UnixNanos(start),
            is_error: false,
            request_id: None,
            size: 100,
            body: (),
        })
    }

    fn doubt(seconds: u64, begun: u64) -> Option<Doubt> {
        let verdict = Verdict {
            decision: Decision::Unsampled,
            rule: None,
            threshold: Threshold::ALWAYS,
            randomness: Randomness::LEAST,
            is_counted: false,
        };
        Some(Doubt { verdict, begun, at: at(seconds) })
    }

    /// Traces 1 to 4, each a second later than the one before: of `a`, of `b` and of none; 3 and 4 are in doubt.
    fn fragments() -> Fragments<()> {
        let mut fragments = Fragments::new();
        for (number, invocation) in [(1, Some("a")), (2, None), (3, Some("b")), (4, None)] {
            let invocation = invocation.map(RequestId::from);
            fragments.push(at(number.into()), item(number, number.into()), invocation.as_ref());
            fragments.push(at(90), item(number, 50), Some(&"x".into()));
            if number > 2 {
                let invocations = invocation.into_iter().collect();
                fragments.set(trace(number), invocations, doubt(10 + u64::from(number), 7));
            }
        }
        fragments
    }

    fn numbers(traces: &[TraceId]) -> Vec<u8> {
        traces.iter().map(|trace| trace.bytes()[0]).collect()
    }

    #[test]
    fn its_books_balance_whatever_moves() {
        let mut fragments = fragments();
        let one = item(1, 1).held();
        assert_eq!((fragments.size(), fragments.doubted(), fragments.count()), (8 * one, 4 * one, 8));
        fragments.push(at(99), item(3, 9), None);
        assert_eq!((fragments.size(), fragments.doubted(), fragments.count()), (9 * one, 5 * one, 9));
        let taken = fragments.take(trace(3)).expect("it is there");
        assert_eq!((taken.items.len(), taken.size, taken.since), (3, 3 * one, at(3)));
        assert_eq!((fragments.size(), fragments.doubted(), fragments.count()), (6 * one, 2 * one, 6));
        fragments.set(trace(4), Vec::new(), None);
        assert_eq!(fragments.doubted(), 0);
        for number in [1, 2, 4] {
            fragments.take(trace(number));
        }
        assert_eq!((fragments.size(), fragments.doubted(), fragments.count()), (0, 0, 0));
        let is_empty = fragments.unjudged.is_empty()
            && fragments.plain.is_empty()
            && fragments.doubts.iter().all(BTreeSet::is_empty);
        assert!(is_empty && fragments.by_invocation.iter().all(Groups::is_empty));
        assert!(fragments.take(trace(1)).is_none() && fragments.get(trace(1)).is_none());
    }

    #[test]
    fn they_are_found_by_their_invocation_and_by_whether_they_are_judged() {
        let fragments = fragments();
        let of = |invocation: Option<&str>, is_in_doubt| {
            numbers(&fragments.of(invocation.map(Into::into).as_ref(), is_in_doubt))
        };
        assert_eq!(
            [of(Some("a"), false), of(Some("a"), true), of(None, false)],
            [alloc::vec![1], alloc::vec![], alloc::vec![2]]
        );
        assert_eq!(
            [of(Some("b"), true), of(None, true), of(Some("x"), false)],
            [alloc::vec![3], alloc::vec![4], alloc::vec![]]
        );
        assert_eq!(numbers(&fragments.unjudged()), [1, 2]);
        assert_eq!(
            fragments.oldest_doubt().map(|(trace_id, doubt)| (trace_id, doubt.at)),
            Some((trace(3), at(13)))
        );
        assert_eq!(fragments.oldest(), Some(trace(1)));
    }

    #[test]
    fn what_is_worth_more_is_asked_about_once_and_anew_when_it_has_changed() {
        let mut fragments = fragments();
        let asked = core::cell::Cell::new(0);
        let plain = |fragments: &mut Fragments<()>| {
            asked.set(0);
            let is_worth_more = |fragment: &Fragment<()>| {
                asked.set(asked.get() + 1);
                !fragment.invocations.is_empty()
            };
            (fragments.oldest_plain(is_worth_more), asked.get())
        };
        assert_eq!(plain(&mut fragments), (Some(trace(2)), 2));
        assert_eq!(plain(&mut fragments), (Some(trace(2)), 1), "the first is worth more");
        fragments.set(trace(1), Vec::new(), None);
        assert_eq!(plain(&mut fragments), (Some(trace(1)), 1));
        for number in [1, 2] {
            fragments.take(trace(number));
        }
        assert_eq!(plain(&mut fragments), (None, 0), "those in doubt are judged");
    }

    #[test]
    fn those_are_ready_that_are_old_or_whose_invocation_is_done() {
        let fragments = fragments();
        for (old_until, done, expected) in [
            (0, "none", &[][..]),
            (1, "none", &[1]),
            (2, "none", &[1, 2]),
            (0, "a", &[1]),
            (0, "b", &[]),
            (9, "a", &[1, 2]),
        ] {
            let ready = fragments.ready(|since| since <= at(old_until), |request_id| &**request_id == done);
            assert_eq!(numbers(&ready), expected, "{old_until} {done}");
        }
    }

    #[test]
    fn those_in_doubt_are_ripe_in_the_order_in_which_they_were_judged() {
        let fragments = fragments();
        let ripe = |is_ripe: &dyn Fn(Instant, u64, bool) -> bool| numbers(&fragments.ripe(is_ripe));
        assert_eq!(ripe(&|_, _, _| true), [3, 4]);
        assert_eq!(ripe(&|_, _, is_of_some| is_of_some), [3]);
        assert_eq!(ripe(&|_, _, is_of_some| !is_of_some), [4]);
        assert_eq!(ripe(&|when, begun, _| when <= at(13) && begun == 7), [3]);
        assert_eq!(ripe(&|_, begun, _| begun == 8), []);
    }

    #[test]
    fn what_came_while_none_ran_gets_the_owner_of_its_last_begin() {
        let mut fragments = fragments();
        for number in [1, 2, 4] {
            fragments.push(at(91), item(number, 60), None);
        }
        fragments.attribute(|began| (began == UnixNanos(60)).then(|| "c".into()));
        let of = |number| {
            let fragment = fragments.get(trace(number)).expect("it waits");
            (fragment.invocations.len(), fragment.doubt.is_some())
        };
        assert_eq!(numbers(&fragments.of(Some(&"c".into()), false)), [1, 2]);
        assert_eq!(numbers(&fragments.of(Some(&"c".into()), true)), [4]);
        assert_eq!([of(1), of(2), of(4)], [(2, false), (1, false), (1, true)]);
        fragments.attribute(|_| Some("d".into()));
        assert!(fragments.of(Some(&"d".into()), false).is_empty(), "once");
    }
}
