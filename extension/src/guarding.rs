//! The guard where everything that comes in passes it: one for all listeners, and nothing at all when it has no rule.

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use guard::{Counts, Guard, Identifier, Limited, Refused, Rules};
use policy::{Guarded as Tally, Signal};
use serde_json::{Map, Value, json};
use wire::proto::WireError;

use crate::log::{self, Level};

/// Shared by the listeners and the loop; clones are the same guard.
#[derive(Clone, Debug, Default)]
pub struct Guarding(Option<Arc<Mutex<Guard>>>);

/// What has passed the guard: only this is kept, counted or sent.
#[derive(Clone, Debug)]
pub struct Guarded {
    bytes: Bytes,
    /// Spans, log records and metrics that the guard left out, because it cannot read them.
    pub(crate) refused: u32,
}

impl Deref for Guarded {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

impl Guarding {
    /// A guard for `rules`.
    pub fn new(rules: Rules) -> Self {
        Self(Guard::new(rules).map(|guard| Arc::new(Mutex::new(guard))))
    }

    /// What may go on of a request; see [`Guard::apply`].
    ///
    /// # Errors
    /// When the request cannot be read: nothing of it may go on.
    pub fn apply(&self, signal: Signal, body: Bytes) -> Result<Guarded, Refused> {
        let Some(mut guard) = self.lock() else { return Ok(Guarded { bytes: body, refused: 0 }) };
        let before = guard.limited();
        // A bug of ours in a span costs that span (`guard` sees to it); one outside of all spans costs the request, and
        // never more: nothing of it passes unsearched.
        let guarded = catch_unwind(AssertUnwindSafe(|| guard.apply(signal, body)));
        let (after, identifiers) = (guard.limited(), guard.take_identifiers());
        drop(guard);
        identifiers.iter().for_each(name_identifier);
        report_firsts(&before, &after);
        let refused = u32::try_from(after.refused - before.refused).unwrap_or(u32::MAX);
        let guarded = guarded.unwrap_or(Err(Refused::Malformed(WireError::Type)));
        guarded.map(|bytes| Guarded { bytes, refused })
    }

    /// What may go on of a text of the function's that came another way.
    pub fn text(&self, text: &str) -> Option<String> {
        self.lock()?.text(text)
    }

    /// What may go on of a resource's attribute that came another way; see [`Guard::value`].
    pub fn value(&self, key: &str, value: &str) -> Option<String> {
        match self.lock() {
            Some(mut guard) => guard.value(key, value),
            None => Some(value.to_owned()),
        }
    }

    /// What was done so far, for the metrics; `None` where nothing is ever done.
    pub fn tally(&self) -> Option<Tally> {
        self.lock().map(|guard| guard.guarded())
    }

    /// Says what was hidden and what was too large, if anything was: names of rules and counts, never a value.
    pub fn summarize(&self) {
        let Some(guard) = self.lock() else { return };
        let redacted: Map<String, Value> =
            guard.redacted().map(|(name, count)| (name.to_owned(), count.into())).collect();
        let (limited, counts) = (guard.limited(), guard.counts());
        drop(guard);
        if redacted.is_empty() && limited == Limited::default() && counts == Counts::default() {
            return;
        }
        let fields = json!({
            "redacted": redacted,
            "values_cut": limited.values,
            "attributes_left_out": limited.attributes,
            "events_left_out": limited.events,
            "links_left_out": limited.links,
            "items_too_large": limited.items,
            "items_refused": limited.refused,
            "values_unsearched": limited.unsearched,
            "attributes_ruled_out": counts.dropped,
            "attributes_hashed": counts.changed,
            "names_templated": counts.templated,
            "names_other": counts.other_names,
            "dimensions_other": counts.other_values,
            "points_merged": counts.merged_points,
            "identifiers": counts.identifiers,
        });
        log::say(Level::Info, "guarded", "what was hidden or left out of the function's telemetry", fields);
    }

    /// A guard that panicked holds nothing but counts and what it knows of keys: it goes on.
    fn lock(&self) -> Option<MutexGuard<'_, Guard>> {
        self.0.as_ref().map(|guard| guard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Logs what a limit or a fail-safe has done for the first time in this environment; later times are counted.
fn report_firsts(before: &Limited, after: &Limited) {
    if before.values == 0 && after.values > 0 {
        let message = "a value was cut, because it is longer than PREFREEZE_LIMIT_VALUE_BYTES or, in a stack trace, \
                       PREFREEZE_LIMIT_STACKTRACE_BYTES; raise the limit, or set it to 0, to send values whole";
        log::say(Level::Warn, "value_cut", message, json!({ "values_cut": after.values }));
    }
    if before.items == 0 && after.items > 0 {
        let message = "a span or log record lost its largest attributes, events or links, because it is larger than \
                       PREFREEZE_LIMIT_SPAN_BYTES; raise the limit, or set it to 0, to send spans whole";
        log::say(Level::Warn, "item_too_large", message, json!({ "items_too_large": after.items }));
    }
    if before.unsearched == 0 && after.unsearched > 0 {
        let message = "a value was hidden whole, because it is nested deeper or longer than what is searched of one \
                       request; shorten the function's attributes, or except the key in PREFREEZE_REDACT";
        log::say(Level::Warn, "value_unsearched", message, json!({ "values_unsearched": after.unsearched }));
    }
    if before.refused == 0 && after.refused > 0 {
        let message = "a span, log record or metric was refused, because it cannot be read; the rest of its request \
                       was accepted. The function's exporter wrote bytes that are not OTLP";
        log::say(Level::Warn, "item_refused", message, json!({ "items_refused": after.refused }));
    }
}

fn name_identifier(found: &Identifier) {
    let fields = json!({ "key": found.key, "distinct": found.distinct, "observed": found.observed });
    let message =
        "nearly every value of this attribute is another one: as a dimension of a metric it would be costly";
    log::say(Level::Info, "identifier_like_attribute", message, fields);
}
