//! The extension's own voice: one JSON line per thing worth saying, never one per span or batch.

use std::io::Write;
use std::sync::Arc;

use policy::sampling::Decision;
use policy::{ByteCost, DropReason, LaneId, Ledger, Notice, Prices, Signal};
use serde_json::{Map, Value, json};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Data is lost, or the extension does less than it should.
    Error,
    /// Something needs attention.
    Warn,
    /// What happened.
    Info,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
        }
    }
}

/// Says `message` about `event`, with `fields`, on one line.
pub fn say(level: Level, event: &str, message: &str, fields: Value) {
    let mut line = Map::new();
    line.insert("level".into(), level.as_str().into());
    line.insert("event".into(), event.into());
    line.insert("message".into(), message.into());
    if let Value::Object(fields) = fields {
        line.extend(fields);
    }
    let mut text = Value::Object(line).to_string();
    text.push('\n');
    // Nobody to tell when the log itself fails, and no reason to fail for it.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Says what went wrong in doing something, and what is done instead.
pub fn degraded(event: &str, message: &str, error: &dyn std::fmt::Display) {
    say(Level::Warn, event, message, json!({ "error": error.to_string() }));
}

/// Makes a panic one line as well: the log takes each line of Rust's own report for an event. What the panic said
/// is left out, because it may quote data; the place is what finds the bug.
pub fn panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let message = "a bug in Prefreeze; please report it with this line";
        say(Level::Error, "panic", message, json!({ "at": place }));
    }));
}

/// Says that data may not go where it was to go.
pub fn refused(refusal: &dyn std::fmt::Display) {
    let message = "data may not go there (PREFREEZE_ALLOWED_HOSTS), and does not";
    say(Level::Error, "destination_refused", message, json!({ "error": refusal.to_string() }));
}

/// Words policy's notices. `destinations` are the names of all, where there are several; `about` has what is known of a
/// backend: its host, and why the last request failed.
pub fn notice(notice: &Notice, prices: &Prices, destinations: &[Arc<str>], about: impl Fn(LaneId) -> Value) {
    match notice {
        Notice::NoMetrics(status) => say(
            Level::Info,
            "no_metrics",
            "the backend takes no metrics; Prefreeze makes none from now on (PREFREEZE_METRICS=none says so at once)",
            json!({ "status": status }),
        ),
        Notice::CostCapReached => say(
            Level::Warn,
            "cost_cap_reached",
            "flushes have cost what PREFREEZE_COST_CAP_MS_PER_MIN allows; data leaves beside the next invocations",
            Value::Null,
        ),
        // Said by the spool itself, with the reason.
        Notice::SpoolUnusable => {}
        Notice::Recovered(spans) => say(
            Level::Info,
            "recovered",
            "a process of ours was killed in this environment; what it had accepted is sent now",
            json!({ "spans": spans }),
        ),
        Notice::Summary(ledger) => summary(ledger, prices),
        Notice::NoDestination(signal) => say(
            Level::Warn,
            "no_destination",
            "data arrives and is dropped: no usable endpoint is set for it (PREFREEZE_EXPORTER_OTLP_ENDPOINT)",
            json!({ "signal": word(*signal) }),
        ),
        Notice::OutboxFull(signal) => say(
            Level::Warn,
            "outbox_full",
            "the bound on kept data is reached; the least valuable is dropped and counted",
            json!({ "signal": word(*signal) }),
        ),
        of_lane => lane_notice(of_lane, destinations, about),
    }
}

/// Words what a lane has to say.
fn lane_notice(notice: &Notice, destinations: &[Arc<str>], about: impl Fn(LaneId) -> Value) {
    let named = |mut fields: Value, lane: &LaneId| {
        fields["signal"] = word(lane.signal).into();
        if let Some(name) = destinations.get(usize::from(lane.destination)) {
            fields["destination"] = (**name).into();
        }
        fields
    };
    let with_status = |lane: &LaneId, status: u16| {
        let mut fields = named(about(*lane), lane);
        fields["status"] = status.into();
        fields
    };
    match notice {
        Notice::Rejected { lane, status } => say(
            Level::Error,
            "export_rejected",
            "the backend refused a request for good; its content is dropped and counted",
            with_status(lane, *status),
        ),
        Notice::Refused { lane, status } => say(
            Level::Error,
            "export_refused",
            "the backend, or a proxy before it, refuses the key, it has no right to this, or it could not be read; data is kept, and it is tried again once a minute",
            with_status(lane, *status),
        ),
        Notice::PartlyRejected(lane) => say(
            Level::Warn,
            "export_partly_rejected",
            "the backend accepted a request but not all of its content",
            named(about(*lane), lane),
        ),
        Notice::TooLarge(lane) => say(
            Level::Error,
            "export_too_large",
            "the backend refuses even a single item as too large; it is dropped and counted",
            named(about(*lane), lane),
        ),
        Notice::SpoolUnreadable(lane) => say(
            Level::Warn,
            "spool_unreadable",
            "what was put on disk cannot be read back; it is dropped and counted",
            named(json!({}), lane),
        ),
        Notice::BackendDown(lane) => say(
            Level::Warn,
            "backend_down",
            "requests of this signal fail one after the other; its data is kept, and functions do not wait for it",
            named(about(*lane), lane),
        ),
        Notice::BackendBack(lane) => {
            say(Level::Info, "backend_back", "the backend answers again", named(json!({}), lane));
        }
        Notice::LaneSummary(lane, books) => {
            let mut fields = json!({
                "taken": books.taken,
                "exported": books.delivered,
                "dropped": dropped(&books.dropped),
                "held": books.held(),
            });
            fields = named(fields, lane);
            say(Level::Info, "destination_summary", "what went to this destination, in items", fields);
        }
        _ => {}
    }
}

/// How many were given up, by the reasons for which any were.
fn dropped(counts: &[u64; DropReason::ALL.len()]) -> Map<String, Value> {
    let counted = DropReason::ALL.into_iter().zip(counts).filter(|(_, count)| **count > 0);
    counted.map(|(reason, count)| (reason.as_str().into(), (*count).into())).collect()
}

fn summary(ledger: &Ledger, prices: &Prices) {
    let counts = |signal| {
        let counts = ledger.of(signal);
        let mut fields = json!({
            "received": counts.received,
            "recovered": counts.recovered,
            "made": counts.made,
            "exported": counts.delivered,
            "sampled_out": counts.sampled_out,
            "dropped": dropped(&counts.dropped),
            "held": counts.held(),
        });
        if counts.copied > 0 {
            fields["copied"] = counts.copied.into();
        }
        fields
    };
    let mut fields = counts(Signal::Traces);
    fields["metrics"] = counts(Signal::Metrics);
    fields["logs"] = counts(Signal::Logs);
    fields["invocations"] = ledger.invocations.into();
    fields["exports"] = ledger.exports.into();
    if ledger.resent > 0 {
        fields["resent"] = ledger.resent.into();
    }
    fields["raw_bytes"] = ledger.raw_bytes.into();
    fields["sent_bytes"] = ledger.sent_bytes.into();
    fields["post_runtime_ms"] = json!(ledger.held.as_secs_f64() * 1_000.0);
    let decisions = |is_keep: bool| -> Map<String, Value> {
        let meant = Decision::ALL.into_iter().filter(|decision| decision.is_keep() == is_keep);
        let counted =
            meant.map(|decision| (decision, ledger.decided(decision))).filter(|(_, count)| *count > 0);
        counted.map(|(decision, count)| (decision.as_str().into(), count.into())).collect()
    };
    let (kept, left_out) = (decisions(true), decisions(false));
    if !kept.is_empty() || !left_out.is_empty() {
        fields["sampling"] = json!({
            "kept": kept,
            "left_out": left_out,
            "boosts": ledger.boosts,
            "boosted_now": ledger.boosts - ledger.boosts_ended,
        });
    }
    fields["platform_events_lost"] = ledger.platform_events_lost.into();
    fields["flush_mode"] = if ledger.is_continuous { "continuous" } else { "end" }.into();
    fields["flush_mode_changes"] = ledger.flush_mode_changes.into();
    fields["cost"] = cost(ledger, prices);
    say(Level::Info, "summary", "what went through this environment, in spans", fields);
}

/// An estimate, with the date of its prices.
fn cost(ledger: &Ledger, prices: &Prices) -> Value {
    let cost = prices.of(ledger);
    let of_bytes = |bytes: &ByteCost| json!({ "ingestion": bytes.ingestion, "egress": bytes.egress, "storage": bytes.storage });
    json!({
        "currency": &*prices.currency,
        "prices_as_of": &*prices.as_of,
        "spent": of_bytes(&cost.sent),
        "avoided": of_bytes(&cost.avoided),
        "avoided_bytes": ledger.sampled_out_bytes,
        "function": cost.function,
        "extension": cost.extension,
        "billed_ms": ledger.billed.as_secs_f64() * 1_000.0,
        "billed_for_flushes_ms": ledger.billed_own.as_secs_f64() * 1_000.0,
    })
}

/// What lines call a signal.
pub const fn word(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "traces",
        Signal::Metrics => "metrics",
        Signal::Logs => "logs",
    }
}

/// Prints `text` as it is: for the commands that people run, and lines that CloudWatch reads.
pub fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
