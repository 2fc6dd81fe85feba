//! The guard where everything that comes in passes it: one for all listeners, and nothing at all when it has no rule.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use guard::{Counts, Guard, Identifier, Limited, Refused, Rules};
use policy::{Guarded as Tally, Signal};
use serde_json::{Map, Value, json};

use crate::log::{self, Level};

/// Shared by the listeners and the loop; clones are the same guard.
#[derive(Clone, Debug, Default)]
pub struct Guarding(Option<Arc<Mutex<Guard>>>);

/// What has passed the guard: only this is kept, counted or sent.
#[derive(Clone, Debug)]
pub struct Guarded(Bytes);

impl Deref for Guarded {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.0
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
        let Some(mut guard) = self.lock() else { return Ok(Guarded(body)) };
        let guarded = guard.apply(signal, body);
        let identifiers = guard.take_identifiers();
        drop(guard);
        identifiers.iter().for_each(name_identifier);
        guarded.map(Guarded)
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
        let (limited, counts) = (*guard.limited(), guard.counts());
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

fn name_identifier(found: &Identifier) {
    let fields = json!({ "key": found.key, "distinct": found.distinct, "observed": found.observed });
    let message =
        "nearly every value of this attribute is another one: as a dimension of a metric it would be costly";
    log::say(Level::Info, "identifier_like_attribute", message, fields);
}
