//! Which destinations an item is for: by what its trace or its resource is like, and by what each of them takes.

use alloc::sync::Arc;

use crate::config::{Config, Further, Takes};
use crate::facts::{Body, Fact};
use crate::sampling::{Condition, Item, Randomness, Threshold};
use crate::span::Signal;

/// Some of the destinations, the first of which is the one that is always there: a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Routes(u8);

impl Routes {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// The first, alone.
    pub const FIRST: Self = Self(1);

    /// The destination of this number, alone.
    const fn one(destination: u8) -> Self {
        Self(1 << destination)
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether the destination of this number is among them.
    pub const fn has(self, destination: u8) -> bool {
        self.0 & (1 << destination) != 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first of them, alone.
    pub(crate) const fn first(self) -> Self {
        Self(self.0 & self.0.wrapping_neg())
    }

    /// Whether it is some that have it for themselves: the first has all else.
    pub(crate) const fn is_exclusive(self) -> bool {
        !self.has(0)
    }

    /// Whether there are several.
    pub(crate) const fn is_several(self) -> bool {
        self.0.count_ones() > 1
    }
}

/// What becomes of a kept span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It goes there; the second are those that it goes to as one of a share, each with a threshold of its own.
    To(Routes, Routes),
    /// None of those that it is for takes it: it is left out.
    Nobody,
    /// Where it would have to go, nothing can be sent.
    Nowhere,
}

/// Where an earlier part of a trace went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) routes: Routes,
    /// Whether that was settled by the span that stands for the invocation which a later part is of. Another invocation says
    /// nothing of it.
    pub(crate) is_of_it: bool,
}

impl Before {
    /// The way of a part that cannot tell by itself, and would go its `own` way if nothing was before it.
    const fn or_own(self, own: Routes) -> Routes {
        if self.is_of_it || self.routes.is_exclusive() || !own.is_exclusive() { self.routes } else { own }
    }
}

/// See the module. Clones share what they know.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    further: Arc<[Further]>,
    /// `service.name` of what has none of its own.
    service: Arc<str>,
    /// The same of other attributes.
    resource: Arc<[(Arc<str>, Arc<str>)]>,
    /// Those that each signal can be sent to.
    reached: [Routes; Signal::ALL.len()],
}

impl Default for Router {
    /// One destination, which takes all.
    fn default() -> Self {
        Self {
            further: Arc::new([]),
            service: "".into(),
            resource: Arc::new([]),
            reached: [Routes::FIRST; Signal::ALL.len()],
        }
    }
}

impl Router {
    pub(crate) fn new(config: &Config) -> Self {
        let reached = Signal::ALL.map(|signal| {
            let further = (1..).zip(&config.further).filter(|(_, to)| to.reaches.has(signal));
            let first = if config.destinations.has(signal) { Routes::FIRST } else { Routes::NONE };
            further.fold(first, |all, (number, _)| all.and(Routes::one(number)))
        });
        let (service, resource) = (config.sampling.service.clone(), config.resource[..].into());
        Self { further: config.further[..].into(), service, resource, reached }
    }

    /// Whether there is one destination: then everything goes there, and nothing is asked.
    pub(crate) fn is_sole(&self) -> bool {
        self.further.is_empty()
    }

    /// Whether spans must wait until their trace is known.
    pub(crate) fn asks_traces(&self) -> bool {
        let of_traces = |to: &&Further| to.signals.has(Signal::Traces);
        self.further.iter().filter(of_traces).any(|to| !to.when.is_empty() || to.takes != Takes::Kept)
    }

    /// Those that something of `signal` is for. What one of them has for itself goes to no other.
    fn of(&self, signal: Signal, is_like: impl Fn(&Further) -> bool) -> Routes {
        let (mut all, mut exclusive) = (Routes::FIRST, Routes::NONE);
        for (number, to) in (1..).zip(self.further.iter()) {
            if to.signals.has(signal) && is_like(to) {
                all = all.and(Routes::one(number));
                exclusive = if to.is_exclusive { exclusive.and(Routes::one(number)) } else { exclusive };
            }
        }
        if exclusive.is_empty() { all } else { exclusive }
    }

    /// Those that a part of a trace is for, by the span that stands for the invocation. Without one that can, a destination that
    /// has what it takes for itself is taken to be meant: nothing of what is for it may be elsewhere. Where several can, as of
    /// invocations that share a trace, one that is meant for it is enough.
    pub(crate) fn of_trace<B: Body>(&self, items: &[Item<B>], root: usize) -> Routes {
        if self.is_sole() {
            return Routes::FIRST;
        }
        let is_known = Self::tells(items) || !items.iter().any(Item::is_received);
        // What was made here has no name of the function's own.
        let is_own = |item: &&Item<B>| item.is_received() && item.kind().is_entry();
        let first = items.iter().find(is_own).or_else(|| items.get(root));
        self.of(Signal::Traces, |to| {
            let is_like = |item: &Item<B>| {
                let holds = |when: &Condition| {
                    let is_doubtful = to.is_exclusive && !is_known && !matches!(when, Condition::Service(_));
                    is_doubtful || self.holds(when, item)
                };
                to.when.iter().all(holds)
            };
            first.is_some_and(is_like) || to.is_exclusive && items.iter().filter(is_own).any(is_like)
        })
    }

    /// Whether one of `items` can stand for the invocation: one of the function's own.
    pub(crate) fn tells<B: Body>(items: &[Item<B>]) -> bool {
        let stands = |item: &Item<B>| item.kind().is_entry() || item.parent().is_none();
        items.iter().any(|item| item.is_received() && stands(item))
    }

    /// The same of a part of a trace that an earlier part was `before`: what cannot tell by itself goes the same way, and what was
    /// kept for a destination alone stays with it.
    pub(crate) fn after<B: Body>(&self, before: Option<Before>, items: &[Item<B>], routes: Routes) -> Routes {
        match before {
            Some(before) if !(self.is_sole() || Self::tells(items)) => {
                let is_made = !items.iter().any(Item::is_received);
                if is_made && !before.routes.is_exclusive() { routes } else { before.or_own(routes) }
            }
            _ => routes,
        }
    }

    /// Where a span goes whose trace was judged, as it was `before`.
    pub(crate) fn late<B: Body>(&self, before: Before, item: &Item<B>) -> Routes {
        if self.is_sole() {
            return before.routes;
        }
        let item = core::slice::from_ref(item);
        let own = self.of_trace(item, 0);
        if Self::tells(item) && own.is_exclusive() { own } else { before.or_own(own) }
    }

    /// Those that something is for that waits for no trace.
    pub(crate) fn of_entry<B: Body>(&self, signal: Signal, body: Option<&B>) -> Routes {
        if self.is_sole() {
            return Routes::FIRST;
        }
        match body.map(|body| (body, body.resources())) {
            Some((body, count @ 1..)) => self.of(signal, |to| {
                (0..count).any(|index| self.is_like(to, |key| body.resource_at(index, key)))
            }),
            _ => self.of(signal, |to| self.is_like(to, |_| None)),
        }
    }

    /// Whether a resource of these facts is for a destination.
    fn is_like<'a>(&'a self, to: &Further, fact: impl Fn(&str) -> Option<Fact<'a>>) -> bool {
        let fact = |key: &str| fact(key).or_else(|| self.completed(key));
        to.when.iter().all(|when| when.holds_for_resource(fact, &self.service))
    }

    /// Whether a span is so, with its resource as it leaves.
    fn holds<B: Body>(&self, when: &Condition, item: &Item<B>) -> bool {
        match when {
            Condition::Attribute(key, test)
                if item.attribute(key).or_else(|| item.resource(key)).is_none() =>
            {
                test.holds(self.completed(key))
            }
            _ => when.holds(item, &self.service),
        }
    }

    /// What completes a resource that has no attribute of this name.
    fn completed(&self, key: &str) -> Option<Fact<'_>> {
        let known = self.resource.iter().find(|(known, _)| **known == *key);
        known.map(|(_, text)| Fact::Text(text))
    }

    /// What becomes of a span of a trace that is for `matched`.
    pub(crate) fn way(&self, matched: Routes, is_failure: bool, randomness: Randomness) -> Way {
        if self.is_sole() {
            return Way::To(Routes::FIRST, Routes::NONE);
        }
        let reached = matched.within(self.reached[Signal::Traces as usize]);
        let (mut all, mut shares) = (reached.within(Routes::FIRST), Routes::NONE);
        for (number, to) in (1..).zip(self.further.iter()).filter(|(number, _)| reached.has(*number)) {
            match to.takes {
                Takes::Kept => all = all.and(Routes::one(number)),
                Takes::Failures if is_failure => all = all.and(Routes::one(number)),
                Takes::Share(ratio) if Threshold::of(ratio).admits(randomness) => {
                    shares = shares.and(Routes::one(number));
                }
                Takes::Failures | Takes::Share(_) => {}
            }
        }
        match () {
            () if reached.is_empty() => Way::Nowhere,
            () if all.and(shares).is_empty() => Way::Nobody,
            () => Way::To(all, shares),
        }
    }

    /// Those of `matched` that take failures alone.
    pub(crate) fn of_failures(&self, matched: Routes) -> Routes {
        let reached = matched.within(self.reached[Signal::Traces as usize]);
        let of_them = (1..).zip(self.further.iter()).filter(|(_, to)| to.takes == Takes::Failures);
        of_them.fold(Routes::NONE, |all, (number, _)| all.and(Routes::one(number))).within(reached)
    }

    /// The numbers of `shares`, each with its threshold.
    pub(crate) fn thresholds(&self, shares: Routes) -> impl Iterator<Item = (Routes, Threshold)> {
        let of_them = (1..).zip(self.further.iter()).filter(move |(number, _)| shares.has(*number));
        of_them.filter_map(|(number, to)| match to.takes {
            Takes::Share(ratio) => Some((Routes::one(number), Threshold::of(ratio))),
            Takes::Kept | Takes::Failures => None,
        })
    }
}

impl Config {
    /// Whether a destination has spans for itself, and what is measured of them goes elsewhere, too: that has names of spans and of
    /// servers.
    pub fn tells_names_elsewhere(&self) -> bool {
        let own = Router::new(self).of_entry::<()>(Signal::Metrics, None);
        let mut further = (1..).zip(&self.further);
        further.any(|(number, to)| {
            to.is_exclusive && to.signals.has(Signal::Traces) && own != Routes::one(number)
        })
    }
}

#[cfg(test)]
mod tests;
