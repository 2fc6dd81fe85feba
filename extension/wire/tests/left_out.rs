//! The record of a request is told which of its spans sampling has left out, where it stays for the sake of others.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use policy::Signal;
use prost::Message;
use wire::otlp::{Body, Record, leave_out, scan};

/// Notes what it is told.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<Vec<u32>>>>);

impl Notes {
    fn take(&self) -> Vec<Vec<u32>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Record for Notes {
    fn leave_out(&self, spans: &[u32]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(spans.to_vec());
    }
}

/// The spans of a request, which is on record.
fn received(count: u8) -> (Vec<Body>, Notes) {
    let span = |number: u8| Span {
        trace_id: vec![1; 16],
        span_id: vec![number + 1; 8],
        name: "x".repeat(100),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: (0..count).map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let bytes = Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
    let spans = scan(Signal::Traces, &bytes).expect("valid").receipt.spans;
    let bodies: Vec<_> = spans.into_iter().map(|span| span.body).collect();
    let notes = Notes::default();
    bodies[0].keep(notes.clone());
    (bodies, notes)
}

/// Takes those of these numbers out.
fn take(bodies: &mut Vec<Body>, numbers: &[usize]) -> Vec<Body> {
    let mut taken = Vec::new();
    for number in numbers.iter().rev() {
        taken.push(bodies.remove(*number));
    }
    taken
}

#[test]
fn a_record_is_told_while_others_of_its_request_are_held() {
    let ((mut one, of_one), (mut two, of_two)) = (received(6), received(4));
    let mut left_out = take(&mut one, &[1, 4]);
    left_out.extend(take(&mut two, &[0]));
    left_out.extend(take(&mut one, &[0]));
    leave_out(left_out);
    assert_eq!((of_one.take(), of_two.take()), (vec![vec![0, 1, 4]], vec![vec![0]]));
    // The last ones: the record is settled.
    leave_out(one);
    assert!(of_one.take().is_empty());
    leave_out(take(&mut two, &[2]));
    assert_eq!(of_two.take(), [[3]]);
}

#[test]
fn what_was_copied_out_is_told_by_its_numbers_on_record() {
    let (mut bodies, notes) = received(40);
    // 10 to 19 are needed, of those 12, 15 and 18, and 3 of a copy that somebody else holds.
    bodies.drain(20..);
    let elsewhere = bodies[3].clone();
    bodies.drain(..10);
    policy::Body::condense(&mut bodies.iter_mut().collect::<Vec<_>>());
    leave_out(take(&mut bodies, &[0, 9]));
    assert_eq!(notes.take(), [[10, 19]]);
    leave_out(take(&mut bodies, &[0, 2, 3, 5, 6]));
    policy::Body::condense(&mut bodies.iter_mut().collect::<Vec<_>>());
    assert_eq!(notes.take(), [[11, 13, 14, 16, 17]]);
    leave_out(take(&mut bodies, &[1]));
    assert_eq!(notes.take(), [[15]]);
    // All that was copied out; what holds the record is another copy.
    leave_out(bodies);
    assert_eq!(notes.take(), [[12, 18]]);
    drop(elsewhere);
    assert_eq!(Arc::strong_count(&notes.0), 1);
}
