//! The verdict: what each invocation must have left behind, and where reality differs.

use super::{
    evidence::{Evidence, Function},
    functions::{AUTHORIZE, RECEIPT, RECONCILE},
    payments::{End, PAYMENTS},
    play::{Delivery, Invocation, Part},
    shape::Shape,
    trace::{Span, Target, Trace},
};

/// Cold starts by function: the first invocation of each, and for `authorize` those after the crash and after
/// the timeout.
const COLD_STARTS: [(&str, usize); 3] = [(AUTHORIZE, 3), (RECONCILE, 1), (RECEIPT, 1)];

/// Every difference, as a sentence; none is success.
pub(super) fn problems(evidence: &Evidence) -> Vec<String> {
    let mut problems = Vec::new();
    for invocation in &evidence.played.invocations {
        let of = format!("{} {}", invocation.function, invocation.part.name());
        problems.extend(answer(invocation).into_iter().map(|problem| format!("{of}: {problem}")));
        problems.extend(trace(evidence, invocation).into_iter().map(|problem| format!("{of}: {problem}")));
    }
    problems.extend(deliveries(evidence));
    problems.extend(cold_starts(evidence));
    problems.extend(evidence.functions.iter().flat_map(extension));
    problems.extend(counts(evidence));
    problems
}

/// The function's own answer: if that is wrong, its trace cannot be right.
fn answer(invocation: &Invocation) -> Option<String> {
    let error = invocation.function_error.as_deref();
    let expects_error = match &invocation.part {
        Part::Payment(payment) => payment.end.status_code().is_none(),
        Part::Batch(_) | Part::Receipt(_) => false,
    };
    if error.is_some() != expects_error {
        return Some(format!("function error {error:?}: {}", invocation.answer));
    }
    let Part::Payment(payment) = &invocation.part else { return None };
    let status = invocation.answer["statusCode"].as_u64();
    (status != payment.end.status_code())
        .then(|| format!("answered {status:?} instead of {:?}", payment.end.status_code()))
}

/// The invocation's trace: there is one, with one root, no orphan, the expected spans and the expected links.
fn trace(evidence: &Evidence, invocation: &Invocation) -> Vec<String> {
    let traces = evidence.traces(invocation);
    let [trace] = traces.as_slice() else {
        return vec![format!("{} traces with request id {}", traces.len(), invocation.request_id)];
    };
    let roots = trace.roots();
    let [root] = roots.as_slice() else {
        return vec![format!("trace {} has {} roots", trace.id, roots.len())];
    };
    let mut problems = Vec::new();
    for orphan in trace.orphans() {
        problems.push(format!("{} in trace {} has a parent that is not there", orphan.name, trace.id));
    }
    let Some(record) = evidence.record(invocation) else {
        return vec![format!("the platform has no record of {}", invocation.request_id)];
    };
    problems.extend(shape(trace, root, &expected(&invocation.part, record.cold_start)));
    problems.extend(times(trace, root));
    if root.is("faas.coldstart") != Some(record.cold_start) {
        problems.push(format!(
            "faas.coldstart is {:?}, the platform says {}",
            root.is("faas.coldstart"),
            record.cold_start
        ));
    }
    if let Part::Batch(deliveries) = &invocation.part {
        problems.extend(links(evidence, root, deliveries));
    }
    problems
}

fn shape(trace: &Trace, root: &Span, expected: &Shape) -> Option<String> {
    let actual = Shape::of(trace, root);
    (actual != *expected).then(|| format!("trace {} is\n{actual}instead of\n{expected}", trace.id))
}

/// The root ends last, and nothing but the init starts before it.
fn times(trace: &Trace, root: &Span) -> Vec<String> {
    let misplaced = |span: &&Span| {
        let is_init = span.name.starts_with("init ");
        span.end_ns > root.end_ns
            || span.start_ns > span.end_ns
            || (!is_init && span.start_ns < root.start_ns)
    };
    let problem = |span: &Span| format!("{} in trace {} lies outside of its root", span.name, trace.id);
    trace.spans.iter().filter(misplaced).map(problem).collect()
}

/// Each message of the batch has a link, and it leads to the span that sent it.
fn links(evidence: &Evidence, root: &Span, deliveries: &[Delivery]) -> Option<String> {
    let mut actual: Vec<Option<Target>> = root.links.iter().cloned().map(Some).collect();
    let mut expected: Vec<Option<Target>> =
        deliveries.iter().map(|it| evidence.producer(it.payment)).collect();
    actual.sort();
    expected.sort();
    (actual != expected || expected.contains(&None))
        .then(|| format!("links lead to {actual:?}, the senders are {expected:?}"))
}

/// The trace that this part must leave.
fn expected(part: &Part, is_cold: bool) -> Shape {
    let (function, shape) = match part {
        Part::Payment(payment) => (AUTHORIZE, authorize(payment.end)),
        Part::Batch(deliveries) => (RECONCILE, reconcile(deliveries)),
        Part::Receipt(_) => {
            let children = [Shape::new("INTERNAL load payment"), Shape::new("INTERNAL render receipt")];
            (RECEIPT, Shape::new("SERVER receipt").with(children))
        }
    };
    shape.with(is_cold.then(|| Shape::new(&format!("INTERNAL init {function}"))))
}

fn authorize(end: End) -> Shape {
    let server = "SERVER POST /payments";
    let validate = Shape::new("INTERNAL validate payment");
    let score = Shape::new("CLIENT POST /v1/scores");
    match end {
        End::Reconciled | End::DeadLetter => {
            Shape::new(server).with([validate, score, Shape::new("PRODUCER send payments")])
        }
        End::Declined => Shape::new(server).with([validate, score]),
        End::Unavailable => {
            Shape::failed(server, "503").with([validate, Shape::failed("CLIENT POST /v1/scores", "503")])
        }
        // The function could not send these two: it had announced them, and the extension closed them.
        End::Crash | End::Timeout => {
            let class = if end == End::Crash { "Runtime.ExitError" } else { "timeout" };
            let open = Shape::failed("CLIENT POST /v1/scores", class);
            Shape::failed(server, class).with([validate, open])
        }
    }
}

fn reconcile(deliveries: &[Delivery]) -> Shape {
    let name = "CONSUMER process payments";
    let is_failed = deliveries.iter().any(|delivery| delivery.is_failed);
    let consumer = if is_failed { Shape::failed(name, "batch_item_failure") } else { Shape::new(name) };
    consumer.with(deliveries.iter().flat_map(|delivery| {
        if delivery.is_failed {
            vec![
                Shape::failed("INTERNAL reconcile payment", "no_account"),
                Shape::new("CLIENT ChangeMessageVisibility payments"),
            ]
        } else {
            vec![Shape::new("INTERNAL reconcile payment")]
        }
    }))
}

/// Every message was delivered as often as it should, and failed when it should.
fn deliveries(evidence: &Evidence) -> Vec<String> {
    let delivered: Vec<&Delivery> = evidence
        .played
        .invocations
        .iter()
        .filter_map(|invocation| if let Part::Batch(batch) = &invocation.part { Some(batch) } else { None })
        .flatten()
        .collect();
    let mut problems = Vec::new();
    for payment in &PAYMENTS {
        let of_it = || delivered.iter().filter(|delivery| delivery.payment.id == payment.id);
        let (count, failed) = (of_it().count(), of_it().filter(|delivery| delivery.is_failed).count());
        let expected_failed = if payment.end == End::DeadLetter { payment.deliveries() } else { 0 };
        if (count, failed) != (payment.deliveries(), expected_failed) {
            problems.push(format!("{}: {count} deliveries, {failed} of them failed", payment.id));
        }
    }
    let dead = PAYMENTS.iter().filter(|payment| payment.end == End::DeadLetter).count();
    if evidence.played.dead_letters != dead {
        problems.push(format!("{} dead letters instead of {dead}", evidence.played.dead_letters));
    }
    if let Some(error) = &evidence.played.queue.last_error {
        problems.push(format!("polling the queue failed {} times: {error}", evidence.played.queue.errors));
    }
    problems
}

fn cold_starts(evidence: &Evidence) -> Vec<String> {
    let differs = |(name, expected): (&str, usize)| {
        let of_it = |function: &&Function| function.name == name;
        let actual = evidence.functions.iter().find(of_it).map_or(0, |function| function.cold_starts);
        (actual != expected).then(|| format!("{name}: {actual} cold starts instead of {expected}"))
    };
    COLD_STARTS.into_iter().filter_map(differs).collect()
}

/// Each extension process said what it did, and complained of nothing.
fn extension(function: &Function) -> Vec<String> {
    let mut problems: Vec<String> = function
        .complaints
        .iter()
        .map(|line| format!("{}: the extension says {line}", function.name))
        .collect();
    let (processes, summaries) = (function.processes, function.tally.summaries);
    if processes != summaries || processes == 0 {
        problems.push(format!("{}: {summaries} summaries of {processes} extension processes", function.name));
    }
    problems
}

/// Three countings of the spans agree: what the functions must have sent, what the extension says it did, and
/// what the backend holds.
fn counts(evidence: &Evidence) -> Vec<String> {
    let total = evidence.total();
    let expected = Expected::of(evidence);
    let held = evidence.span_count() as u64;
    let duplicates: usize = evidence.traces.iter().map(Trace::duplicates).sum();
    let invocations = evidence.played.invocations.len() as u64;
    let rows = [
        ("traces in the backend", evidence.traces.len() as u64, invocations),
        ("invocations that the extension saw", total.invocations, invocations),
        ("spans that the extension received", total.received, expected.sent),
        ("spans that the extension made", total.made, expected.made),
        ("spans that the extension exported", total.exported, expected.sent + expected.made),
        ("spans in the backend", held, expected.sent + expected.made),
        ("spans that came twice", duplicates as u64, 0),
        ("spans sampled out", total.sampled_out, 0),
        ("spans lost", total.lost(), 0),
    ];
    let differs = |(what, actual, expected)| {
        (actual != expected).then(|| format!("{what}: {actual} instead of {expected}"))
    };
    rows.into_iter().filter_map(differs).collect()
}

/// How many spans there must be.
struct Expected {
    /// By the functions.
    sent: u64,
    /// By the extension: each init, and what was open where a function died: its root, and what it waited for.
    made: u64,
}

impl Expected {
    fn of(evidence: &Evidence) -> Self {
        let mut counts = Self { sent: 0, made: 0 };
        for invocation in &evidence.played.invocations {
            let is_cold = evidence.record(invocation).is_some_and(|record| record.cold_start);
            let died = matches!(&invocation.part, Part::Payment(p) if p.end.status_code().is_none());
            let made = u64::from(is_cold) + 2 * u64::from(died);
            counts.made += made;
            counts.sent += expected(&invocation.part, is_cold).count() as u64 - made;
        }
        counts
    }
}

#[cfg(test)]
mod tests;
