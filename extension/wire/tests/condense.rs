//! Requests of which little is needed are let go of. Alone in its process, because bytes are counted for all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use policy::Signal;
use prost::Message;
use wire::otlp::{Body, held_bytes, scan};

const SPANS: usize = 100;

/// Says when it is let go of.
struct Record(Arc<AtomicBool>);

impl wire::otlp::Record for Record {
    fn leave_out(&self, _spans: &[u32]) {}
}

impl Drop for Record {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The spans of one request, and its length.
fn received() -> (Vec<Body>, usize) {
    let span = |number: usize| Span {
        trace_id: vec![1; 16],
        span_id: (number as u64 + 1).to_be_bytes().into(),
        name: format!("{number:0>300}"),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: (0..SPANS).map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let bytes = Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
    let length = bytes.len();
    let spans = scan(Signal::Traces, &bytes).expect("valid").receipt.spans;
    (spans.into_iter().map(|span| span.body).collect(), length)
}

fn condense(bodies: &mut [Body]) {
    policy::Body::condense(&mut bodies.iter_mut().collect::<Vec<_>>());
}

#[test]
fn a_request_is_let_go_of_when_a_few_of_its_spans_are_kept_and_its_record_when_none_is() {
    // Spans kept, and the bytes of them that are held then, in hundredths of the request.
    for (kept, hundredths) in [(1, 2), (50, 51), (80, 81), (95, 100)] {
        let (mut bodies, length) = received();
        let is_settled = Arc::new(AtomicBool::new(false));
        bodies[0].keep(Record(is_settled.clone()));
        bodies.drain(..SPANS - kept);
        assert_eq!(held_bytes(), length, "a request is held as a whole");
        condense(&mut bodies);
        assert!(held_bytes() <= length * hundredths / 100, "{kept} kept: {} of {length}", held_bytes());
        let names: Vec<&str> = bodies.iter().map(policy::Body::name).collect();
        let expected: Vec<String> = (SPANS - kept..SPANS).map(|number| format!("{number:0>300}")).collect();
        assert_eq!(names, expected);
        assert!(!is_settled.load(Ordering::Relaxed), "what is on record is still held");
        bodies.pop();
        condense(&mut bodies);
        assert_eq!(is_settled.load(Ordering::Relaxed), kept == 1);
        drop(bodies);
        assert!(is_settled.load(Ordering::Relaxed));
        assert_eq!(held_bytes(), 0);
    }
}
