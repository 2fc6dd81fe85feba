//! `report.json`, for machines: the figures and every trace; and `timeline.log`, for whoever looks for a fault.

use std::{fs, path::Path, time::Duration};

use sandbox::TimelineEntry;
use serde_json::{Value, json};

use super::{
    Trouble,
    evidence::{Evidence, Function},
    play::Invocation,
    table,
    trace::Trace,
};

pub(super) fn write(
    path: &Path,
    evidence: &Evidence,
    problems: &[String],
    took: Duration,
) -> Result<(), Trouble> {
    let report = report(evidence, problems, took);
    let text = serde_json::to_string_pretty(&report).expect("a report is plain data");
    fs::write(path, text + "\n")
        .map_err(|error| Trouble::new(format!("cannot write {}", path.display()), error))
}

/// The sandbox's timeline, a line per entry: what to read when a trace is not what it should be.
pub(super) fn write_timeline(path: &Path, history: &[TimelineEntry]) -> Result<(), Trouble> {
    let line = |entry: &TimelineEntry| {
        let environment = entry.environment.map(|id| id.to_string()).unwrap_or_default();
        format!("{} {:<10} {environment:<7} {}\n", entry.at, entry.function, entry.what)
    };
    let text: String = history.iter().map(line).collect();
    fs::write(path, text).map_err(|error| Trouble::new(format!("cannot write {}", path.display()), error))
}

fn report(evidence: &Evidence, problems: &[String], took: Duration) -> Value {
    let invocations = &evidence.played.invocations;
    let functions = evidence.functions.iter().map(|it| (it.name.to_owned(), function(it)));
    let queue = &evidence.played.queue;
    json!({
        "is_complete": problems.is_empty(),
        "problems": problems,
        "took_ms": took.as_secs_f64() * 1000.0,
        "extension": {
            "total": evidence.total().to_json(),
            "functions": functions.collect::<serde_json::Map<_, _>>(),
        },
        "queue": {
            "batches": queue.batches,
            "messages": queue.messages,
            "deleted": queue.deleted,
            "returned": queue.returned,
            "dead_letters": evidence.played.dead_letters,
        },
        "invocations": invocations.iter().map(|it| invocation(evidence, it)).collect::<Vec<_>>(),
        "traces": evidence.traces.iter().map(Trace::to_json).collect::<Vec<_>>(),
    })
}

fn function(function: &Function) -> Value {
    let mut json = function.tally.to_json();
    json["cold_starts"] = json!(function.cold_starts);
    json["overhead_ms"] = json!({
        "median": table::median(&function.overheads_ms),
        "worst": function.overheads_ms.last(),
    });
    json
}

fn invocation(evidence: &Evidence, invocation: &Invocation) -> Value {
    let record = evidence.record(invocation);
    json!({
        "function": invocation.function,
        "what": invocation.part.name(),
        "request_id": invocation.request_id,
        "trace_ids": evidence.traces(invocation).iter().map(|trace| &trace.id).collect::<Vec<_>>(),
        "function_error": invocation.function_error,
        "cold_start": record.map(|record| record.cold_start),
        "init_ms": record.and_then(|record| record.init_ms),
        "duration_ms": record.map(|record| record.duration_ms),
        "billed_ms": record.map(|record| record.billed_ms),
        "extension_overhead_ms": record.map(|record| record.extension_overhead_ms),
        "max_memory_used_mb": record.map(|record| record.max_memory_used_mb),
    })
}
