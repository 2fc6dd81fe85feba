//! Log records that wait to learn which span they belong to: it is known when their invocation's own span has come.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::account::{INVOKE_DELAY_MAX, RETRIES_END};
use crate::config::BOOKKEEPING_BYTES;
use crate::config::Config;
use crate::facts::Body;
use crate::span::{Parcel, PlatformSpan, RequestId, Span, SpanId, TraceId};
use crate::time::UnixNanos;

/// Invocations whose span is remembered, for records that come late; on Managed Instances, those that end between two beats.
const PLACES_MAX: usize = 32;
const PLACES_MAX_MANAGED: usize = 1_024;
/// Memory for records that wait, bookkeeping included; further ones go on without a span.
const WAITING_BYTES_MAX: usize = 256 << 10;

/// The latest try of an invocation, and its span where that is known.
#[derive(Debug)]
struct Try {
    request_id: RequestId,
    began: UnixNanos,
    place: Option<(TraceId, SpanId)>,
}

impl Try {
    /// Whether a span that began at `start` is of a try before. What claims any time is of this one.
    fn is_after(&self, start: UnixNanos) -> bool {
        start + INVOKE_DELAY_MAX < self.began && self.began.since(start) <= RETRIES_END
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Correlation<B> {
    places: VecDeque<Try>,
    places_max: usize,
    waiting: Vec<(RequestId, Parcel<B>)>,
    waiting_bytes: usize,
}

impl<B: Body> Correlation<B> {
    pub(crate) fn new(config: &Config) -> Self {
        let places_max = if config.is_managed() { PLACES_MAX_MANAGED } else { PLACES_MAX };
        Self { places: VecDeque::new(), places_max, waiting: Vec::new(), waiting_bytes: 0 }
    }

    /// An invocation begins, at `began`. A retry has the request id of the first try, and a span of its own.
    pub(crate) fn begin(&mut self, request_id: &RequestId, began: UnixNanos) {
        self.places.retain(|known| known.request_id != *request_id);
        self.push(Try { request_id: request_id.clone(), began, place: None });
    }

    /// A span was received: one that names its invocation is what the records of that belong to.
    pub(crate) fn on_span(&mut self, span: &Span<B>) {
        if let Some(request_id) = &span.request_id {
            // Of two spans that name an invocation the outer one ends, and so comes, last.
            self.learn(request_id, span.start, (span.trace_id, span.span_id));
        }
    }

    /// A span was made for an invocation that sent none, or none that tells of its death.
    pub(crate) fn on_made(&mut self, span: &PlatformSpan) {
        if let Some(request_id) = span.invocation().filter(|request_id| !self.is_known(request_id)) {
            self.learn(request_id, span.start, (span.trace_id, span.span_id));
        }
    }

    fn learn(&mut self, request_id: &RequestId, start: UnixNanos, place: (TraceId, SpanId)) {
        let known = self.places.iter().position(|known| known.request_id == *request_id);
        if known.is_some_and(|index| self.places[index].is_after(start)) {
            return;
        }
        let began = known.and_then(|index| self.places.remove(index)).map(|known| known.began);
        let began = began.unwrap_or_default();
        self.push(Try { request_id: request_id.clone(), began, place: Some(place) });
    }

    fn push(&mut self, latest: Try) {
        if self.places.len() == self.places_max {
            self.places.pop_front();
        }
        self.places.push_back(latest);
    }

    /// Takes records of `request_id` in; gives them back when they need not, or may not, wait.
    pub(crate) fn add(&mut self, request_id: RequestId, parcel: Parcel<B>) -> Option<Parcel<B>> {
        let size = parcel.size as usize + BOOKKEEPING_BYTES;
        if self.is_known(&request_id) || self.waiting_bytes + size > WAITING_BYTES_MAX {
            return Some(self.placed(&request_id, parcel));
        }
        self.waiting_bytes += size;
        self.waiting.push((request_id, parcel));
        None
    }

    /// Everything that waits, with its span where that is known by now.
    pub(crate) fn release(&mut self) -> Vec<Parcel<B>> {
        self.waiting_bytes = 0;
        let waiting = core::mem::take(&mut self.waiting);
        waiting.into_iter().map(|(request_id, parcel)| self.placed(&request_id, parcel)).collect()
    }

    /// Memory that is held for records that wait.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Of that, the encoded bytes.
    pub(crate) const fn encoded_bytes(&self) -> usize {
        self.waiting_bytes - self.waiting.len() * BOOKKEEPING_BYTES
    }

    /// Records that wait.
    pub(crate) fn items(&self) -> u64 {
        self.waiting.iter().map(|(_, parcel)| u64::from(parcel.count)).sum()
    }

    fn is_known(&self, request_id: &RequestId) -> bool {
        self.place(request_id).is_some()
    }

    fn place(&self, request_id: &RequestId) -> Option<(TraceId, SpanId)> {
        self.places.iter().find(|known| known.request_id == *request_id)?.place
    }

    fn placed(&self, request_id: &RequestId, mut parcel: Parcel<B>) -> Parcel<B> {
        let place = self.place(request_id);
        if let Some((body, size)) =
            place.and_then(|(trace_id, span_id)| parcel.body.placed(&trace_id, &span_id))
        {
            (parcel.body, parcel.size) = (body, size);
        }
        parcel
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::{Kind, Signal, Value};

    /// A body that knows which span it was put under.
    #[derive(Clone, Debug, PartialEq)]
    struct Under(Option<SpanId>);

    impl Body for Under {
        fn placed(&self, _trace_id: &TraceId, span_id: &SpanId) -> Option<(Self, u32)> {
            Some((Self(Some(*span_id)), 126))
        }
    }

    fn id(number: u8) -> SpanId {
        SpanId::new([number; 8]).expect("not zero")
    }

    /// The span of the invocation of this number.
    fn span(number: u8) -> Span<Under> {
        Span {
            trace_id: TraceId::new([9; 16]).expect("not zero"),
            span_id: id(number),
            parent: None,
            parent_is_remote: None,
            kind: Kind::Server,
            start: UnixNanos(1),
            end: UnixNanos(2),
            is_error: false,
            request_id: Some(request_id(number)),
            size: 100,
            body: Under(None),
        }
    }

    fn request_id(number: u8) -> RequestId {
        alloc::format!("r-{number}").as_str().into()
    }

    fn record(size: u32) -> Parcel<Under> {
        Parcel { signal: Signal::Logs, count: 1, size, body: Under(None) }
    }

    #[test]
    fn what_waits_goes_under_the_span_of_its_own_invocation() {
        let mut logs = Correlation::new(&Config::default());
        for number in [1, 2, 3] {
            assert_eq!(logs.add(request_id(number), record(100)).map(|parcel| parcel.body), None, "it waits");
        }
        logs.on_span(&span(2));
        logs.on_span(&span(1));
        let released: Vec<_> = logs.release().into_iter().map(|parcel| (parcel.body, parcel.size)).collect();
        assert_eq!(released, [(Under(Some(id(1))), 126), (Under(Some(id(2))), 126), (Under(None), 100)]);
        assert_eq!((logs.held_bytes(), logs.encoded_bytes(), logs.items()), (0, 0, 0));
    }

    #[test]
    fn what_comes_later_does_not_wait_and_what_has_no_room_does_not_either() {
        let mut logs = Correlation::new(&Config::default());
        logs.on_span(&span(1));
        assert_eq!(logs.add(request_id(1), record(100)).map(|parcel| parcel.body), Some(Under(Some(id(1)))));
        let most = (WAITING_BYTES_MAX - BOOKKEEPING_BYTES) as u32;
        assert!(logs.add(request_id(2), record(most)).is_none());
        assert_eq!(logs.add(request_id(2), record(1)).map(|parcel| parcel.body), Some(Under(None)));
    }

    #[test]
    fn of_two_spans_that_name_it_the_last_counts_and_old_ones_are_forgotten() {
        let mut logs = Correlation::new(&Config::default());
        logs.on_span(&span(1));
        logs.on_span(&Span { span_id: id(7), ..span(1) });
        assert_eq!(logs.add(request_id(1), record(1)).map(|parcel| parcel.body), Some(Under(Some(id(7)))));
        (2..2 + PLACES_MAX as u8).for_each(|number| logs.on_span(&span(number)));
        assert!(logs.add(request_id(1), record(1)).is_none(), "as if nothing had come of it");
    }

    #[test]
    fn a_retry_does_not_go_under_the_span_of_the_first_try() {
        let mut logs = Correlation::new(&Config::default());
        logs.on_span(&span(1));
        logs.on_span(&span(2));
        logs.begin(&request_id(1), UnixNanos(0));
        assert!(logs.add(request_id(1), record(1)).is_none(), "its own span may still come");
        assert_eq!(logs.add(request_id(2), record(1)).map(|parcel| parcel.body), Some(Under(Some(id(2)))));
    }

    #[test]
    fn what_began_well_before_a_try_is_not_its_span_unless_it_claims_any_time() {
        let at = |seconds: u64| UnixNanos(seconds * 1_000_000_000);
        for (start, is_its) in [(29_998, false), (29_999, true), (8_400, false), (8_399, true)] {
            let mut logs = Correlation::new(&Config::default());
            logs.begin(&request_id(1), at(30_000));
            logs.on_span(&Span { start: at(start), ..span(1) });
            assert_eq!(logs.add(request_id(1), record(1)).is_some(), is_its, "{start}");
        }
    }

    #[test]
    fn a_span_that_is_made_beside_the_functions_own_takes_no_records() {
        let mut logs = Correlation::new(&Config::default());
        logs.on_span(&span(1));
        logs.on_made(&PlatformSpan {
            trace_id: span(1).trace_id,
            span_id: id(5),
            parent: None,
            name: "made".into(),
            kind: Kind::Server,
            start: UnixNanos(1),
            end: UnixNanos(2),
            error_type: None,
            attributes: alloc::vec![("faas.invocation_id", Value::Text(request_id(1)))],
            links: Vec::new(),
        });
        assert_eq!(logs.add(request_id(1), record(1)).map(|parcel| parcel.body), Some(Under(Some(id(1)))));
    }

    #[test]
    fn a_span_that_was_made_is_as_good_as_one_that_was_received() {
        let mut logs = Correlation::new(&Config::default());
        let made = |attributes| PlatformSpan {
            trace_id: TraceId::new([9; 16]).expect("not zero"),
            span_id: id(5),
            parent: None,
            name: "made".into(),
            kind: Kind::Server,
            start: UnixNanos(1),
            end: UnixNanos(2),
            error_type: None,
            attributes,
            links: Vec::new(),
        };
        logs.on_made(&made(alloc::vec![("faas.trigger", Value::Text(request_id(1)))]));
        assert!(logs.add(request_id(1), record(1)).is_none(), "it stands for no invocation");
        let attributes =
            [("faas.coldstart", Value::Flag(true)), ("faas.invocation_id", Value::Text(request_id(2)))];
        logs.on_made(&made(attributes.into()));
        assert_eq!(logs.add(request_id(2), record(1)).map(|parcel| parcel.body), Some(Under(Some(id(5)))));
    }

    #[test]
    fn records_wait_as_long_as_there_is_room_for_all() {
        let mut logs = Correlation::new(&Config::default());
        let half = (WAITING_BYTES_MAX / 2 - BOOKKEEPING_BYTES) as u32;
        assert!(logs.add(request_id(1), record(half)).is_none());
        assert!(logs.add(request_id(1), record(half)).is_none());
        let seen = (logs.held_bytes(), logs.encoded_bytes(), logs.items());
        assert_eq!(seen, (WAITING_BYTES_MAX, 2 * half as usize, 2));
        assert!(logs.add(request_id(1), record(0)).is_some());
    }
}
