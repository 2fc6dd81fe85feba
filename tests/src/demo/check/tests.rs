//! A complete run has no problem; every fault that is planted in it is found.

use std::time::Duration;

use sandbox::{EnvironmentId, Record, Status, Time, event_source::Summary};
use serde_json::{Value, json};

use super::*;
use crate::demo::{evidence::FUNCTIONS, extension::Tally, payments::Payment, play::Played};

fn payment(end: End) -> &'static Payment {
    PAYMENTS.iter().find(|payment| payment.end == end).expect("every end has a payment")
}

#[test]
fn a_cold_start_adds_its_init() {
    let part = Part::Payment(payment(End::Reconciled));
    assert_eq!((expected(&part, false).count(), expected(&part, true).count()), (4, 5));
}

#[test]
fn a_batch_has_a_span_per_message_and_one_per_failure() {
    let delivery = |payment, is_failed| Delivery { payment, is_failed };
    let batch = vec![delivery(&PAYMENTS[0], true), delivery(&PAYMENTS[1], false)];
    assert_eq!(
        expected(&Part::Batch(batch), false).to_string(),
        "CONSUMER process payments ERROR batch_item_failure\n  CLIENT ChangeMessageVisibility payments\n  \
         INTERNAL reconcile payment\n  INTERNAL reconcile payment ERROR no_account\n"
    );
}

#[test]
fn who_dies_leaves_what_was_open_closed() {
    assert_eq!(
        expected(&Part::Payment(payment(End::Crash)), false).to_string(),
        "SERVER POST /payments ERROR Runtime.ExitError\n  CLIENT POST /v1/scores ERROR Runtime.ExitError\n  \
         INTERNAL validate payment\n"
    );
}

#[test]
fn a_complete_run_has_no_problem() {
    assert_eq!(problems(&complete()), Vec::<String>::new());
}

#[test]
fn every_planted_fault_is_found() {
    // What the check must say, and what makes it say so.
    type Fault = (&'static str, fn(&mut Evidence));
    let faults: [Fault; 14] = [
        ("0 traces with request id p-2", |it| it.traces.retain(|trace| !trace.has_invocation("p-2"))),
        ("traces in the backend: 14 instead of 13", |it| {
            it.traces.push(trace("stray", &Shape::new("SERVER stray")));
        }),
        ("has 2 roots", |it| span(it, "p-2", "send payments").parent_id = None),
        ("has a parent that is not there", |it| {
            span(it, "p-2", "send payments").parent_id = Some("gone".into());
        }),
        ("instead of\nSERVER POST /payments", |it| span(it, "p-2", "validate payment").is_error = true),
        ("lies outside of its root", |it| span(it, "p-2", "validate payment").end_ns += 1_000),
        ("faas.coldstart is Some(true)", |it| {
            span(it, "p-2", "POST /payments").attributes.insert("faas.coldstart".into(), json!(true));
        }),
        ("links lead to", |it| span(it, "batch-1", "process payments").links.truncate(1)),
        ("p-4: 0 deliveries", |it| {
            let batch = it.played.invocations.iter_mut().find_map(|it| match &mut it.part {
                Part::Batch(batch) => Some(batch),
                _ => None,
            });
            batch.expect("there is a batch").retain(|delivery| delivery.payment.id != "p-4");
        }),
        ("0 dead letters instead of 1", |it| it.played.dead_letters = 0),
        ("answered Some(500) instead of Some(202)", |it| {
            it.played.invocations[1].answer = json!({ "statusCode": 500 });
        }),
        ("spans lost: 2 instead of 0", |it| it.functions[0].tally.held = 2),
        ("1 summaries of 2 extension processes", |it| it.functions[1].processes = 2),
        ("the extension says {}", |it| it.functions[2].complaints.push("{}".into())),
    ];
    for (complaint, plant) in faults {
        let mut evidence = complete();
        plant(&mut evidence);
        let found = problems(&evidence);
        assert!(found.iter().any(|problem| problem.contains(complaint)), "{complaint}: {found:#?}");
    }
}

fn span<'a>(evidence: &'a mut Evidence, request_id: &str, name: &str) -> &'a mut Span {
    let mut traces = evidence.traces.iter_mut();
    let trace = traces.find(|trace| trace.has_invocation(request_id)).expect("the invocation has a trace");
    trace.spans.iter_mut().find(|span| span.name == name).expect("the trace has the span")
}

/// A run in which everything is as it should be.
fn complete() -> Evidence {
    let queued = PAYMENTS.iter().filter(|payment| payment.deliveries() > 0);
    let delivery =
        |payment: &'static Payment| Delivery { payment, is_failed: payment.end == End::DeadLetter };
    let poison = PAYMENTS.iter().filter(|payment| payment.end == End::DeadLetter);
    let mut invocations: Vec<Invocation> = PAYMENTS.iter().map(authorized).collect();
    invocations.extend([
        invocation(RECONCILE, "batch-1", Part::Batch(queued.map(delivery).collect())),
        invocation(RECONCILE, "batch-2", Part::Batch(poison.map(delivery).collect())),
        invocation(RECEIPT, "receipt-1", Part::Receipt(&PAYMENTS[1])),
        invocation(RECEIPT, "receipt-2", Part::Receipt(&PAYMENTS[3])),
    ]);
    // The first of each function, and those after the crash and after the timeout.
    let is_cold = |request_id: &str| matches!(request_id, "p-1" | "p-7" | "p-9" | "batch-1" | "receipt-1");
    let records: Vec<Record> = invocations.iter().map(|it| record(it, is_cold(&it.request_id))).collect();
    let traces = invocations
        .iter()
        .map(|it| {
            described(&it.request_id, &expected(&it.part, is_cold(&it.request_id)), is_cold(&it.request_id))
        })
        .collect();
    let played = Played { invocations, queue: Summary::default(), dead_letters: 1 };
    let mut evidence = Evidence { played, records, traces, functions: Vec::new() };
    link(&mut evidence);
    evidence.functions = FUNCTIONS.map(|name| function(name, &evidence)).into();
    evidence
}

fn authorized(payment: &'static Payment) -> Invocation {
    let mut invocation = invocation(AUTHORIZE, payment.id, Part::Payment(payment));
    match payment.end.status_code() {
        Some(status) => invocation.answer = json!({ "statusCode": status }),
        None => invocation.function_error = Some("Unhandled".into()),
    }
    invocation
}

fn invocation(function: &'static str, request_id: &str, part: Part) -> Invocation {
    Invocation { function, request_id: request_id.into(), part, function_error: None, answer: Value::Null }
}

fn record(invocation: &Invocation, cold_start: bool) -> Record {
    let at = Time::from_epoch(Duration::ZERO);
    Record {
        request_id: invocation.request_id.clone(),
        function: invocation.function.into(),
        environment: EnvironmentId(0),
        cold_start,
        init_ms: None,
        started_at: at,
        response_at: None,
        runtime_done_at: at,
        last_next_at: None,
        duration_ms: 0.0,
        billed_ms: 0,
        extension_overhead_ms: 0.0,
        status: Status::Success,
        error_type: None,
        produced_bytes: 0,
        max_memory_used_mb: 0,
        logs: Vec::new(),
    }
}

/// A trace of this shape whose root says which invocation it is.
fn described(request_id: &str, shape: &Shape, is_cold: bool) -> Trace {
    let mut trace = trace(request_id, shape);
    let attributes = &mut trace.spans[0].attributes;
    attributes.insert("faas.invocation_id".into(), json!(request_id));
    attributes.insert("faas.coldstart".into(), json!(is_cold));
    trace
}

fn trace(id: &str, shape: &Shape) -> Trace {
    let span = |(place, (parent, text)): (usize, (Option<usize>, &str))| {
        let (what, error) =
            text.split_once(" ERROR ").map_or((text, None), |(what, error)| (what, Some(error)));
        let (kind, name) = what.split_once(' ').expect("a kind, then a name");
        let kinds = ["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
        Span {
            trace_id: id.into(),
            span_id: format!("{id}/{place}"),
            parent_id: parent.map(|parent| format!("{id}/{parent}")),
            name: name.into(),
            kind: kinds.into_iter().find(|known| *known == kind).expect("a known kind"),
            service: String::new(),
            start_ns: 1_000,
            end_ns: 2_000,
            is_error: error.is_some(),
            status_message: String::new(),
            links: Vec::new(),
            attributes: error.map(|error| ("error.type".into(), json!(error))).into_iter().collect(),
        }
    };
    Trace { id: id.into(), spans: shape.rows().into_iter().enumerate().map(span).collect() }
}

/// Gives each batch its links.
fn link(evidence: &mut Evidence) {
    for i in 0..evidence.played.invocations.len() {
        let Part::Batch(deliveries) = &evidence.played.invocations[i].part else { continue };
        let links = deliveries.iter().filter_map(|delivery| evidence.producer(delivery.payment)).collect();
        evidence.traces[i].spans[0].links = links;
    }
}

/// What the extension beside this function must have counted. All spans of a run that the functions sent are
/// booked on the first function: only their sum is checked.
fn function(name: &'static str, evidence: &Evidence) -> Function {
    let expected = Expected::of(evidence);
    let cold = |it: &&Record| it.function == name && it.cold_start;
    let mut tally = Tally { summaries: 1, ..Tally::default() };
    if name == FUNCTIONS[0] {
        tally.invocations = evidence.played.invocations.len() as u64;
        tally.received = expected.sent;
        tally.made = expected.made;
        tally.exported = expected.sent + expected.made;
    }
    Function {
        name,
        tally,
        processes: 1,
        complaints: Vec::new(),
        cold_starts: evidence.records.iter().filter(cold).count(),
        overheads_ms: Vec::new(),
    }
}
