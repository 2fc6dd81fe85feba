//! Requests of the function that were refused: the first of each kind is logged, and all are counted.
//!
//! A sender is answered, and most SDKs do not show what they were answered: a function whose exporter is set up wrongly
//! would be silent for ever.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use crate::http::Unserved;
use crate::log::{self, Level};

/// So many kinds are told apart; the rest counts as one.
const KINDS_MAX: usize = 32;
/// A path, a type or a reason is cut here, in characters.
const TEXT_MAX: usize = 120;

/// What speaks to us without a setting of its own is an exporter for gRPC, whose default is TLS.
const NOT_HTTP: &str =
    "it is not plain HTTP: as a rule it is TLS, for which an http:// endpoint or `insecure` is missing";

/// Shared by the listeners and the loop; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<BTreeMap<(u16, String), u64>>>);

impl Refusals {
    /// A request to `path` was answered with `status`, because of `reason`.
    ///
    /// Neither what the sender wrote into its path nor into its type is shown, for it may be a secret: of both, known
    /// words alone are.
    pub(super) fn note(&self, status: u16, path: &str, content_type: Option<&str>, reason: &str) {
        let mut kinds = self.kinds();
        let key = (status, cut(reason));
        let key = if kinds.len() < KINDS_MAX || kinds.contains_key(&key) { key } else { (0, String::new()) };
        let count = kinds.entry(key.clone()).or_default();
        *count += 1;
        if *count > 1 || key.0 == 0 {
            return;
        }
        drop(kinds);
        let message = "a request of the function was refused, and its telemetry is lost; the exporter of its OpenTelemetry \
                       SDK may be set up wrongly. Further requests like this are refused, counted and not logged";
        let mut fields = json!({ "status": status, "reason": key.1 });
        if !path.is_empty() {
            fields["path"] = known_path(path).into();
        }
        if let Some(content_type) = content_type {
            fields["content_type"] = known_type(content_type).into();
        }
        log::say(Level::Warn, "request_refused", message, fields);
    }

    /// A connection was closed before a request on it was read.
    pub(super) fn note_unserved(&self, why: Unserved) {
        match why {
            Unserved::NotHttp => self.note(400, "", None, NOT_HTTP),
            Unserved::HeadTooLong => self.note(431, "", None, "the head of the request is too long"),
        }
    }

    /// Spans of an accepted request were refused, because of `reason`.
    pub(super) fn note_items(&self, count: u32, path: &str, reason: &str) {
        if count == 0 {
            return;
        }
        let mut kinds = self.kinds();
        let known = kinds.entry((200, reason.to_owned())).or_default();
        let is_first = *known == 0;
        *known += u64::from(count);
        drop(kinds);
        if is_first {
            let message = "a request of the function was accepted, but for some items that no backend could accept. Further \
                           items like these are refused, counted and not logged";
            log::say(
                Level::Warn,
                "items_refused",
                message,
                json!({ "items": count, "path": known_path(path), "reason": reason }),
            );
        }
    }

    /// Logs how many there were of each kind, if there were any.
    pub fn summarize(&self) {
        let kinds = self.kinds();
        if kinds.is_empty() {
            return;
        }
        let kinds: Vec<_> = kinds
            .iter()
            .map(|((status, reason), count)| json!({ "status": status, "reason": reason, "count": count }))
            .collect();
        let message = "what was refused of the function's requests: requests by the status that they were answered with, \
                       and items of requests with status 200";
        log::say(Level::Info, "refusals", message, json!({ "refused": kinds }));
    }

    fn kinds(&self) -> MutexGuard<'_, BTreeMap<(u16, String), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Words of paths that senders of telemetry use.
const PATH_WORDS: [&str; 26] = [
    "v1",
    "v2",
    "v0.3",
    "v0.4",
    "v0.5",
    "v0.6",
    "v0.7",
    "api",
    "traces",
    "trace",
    "spans",
    "span",
    "metrics",
    "logs",
    "started",
    "flush",
    "otlp",
    "zipkin",
    "jaeger",
    "intake",
    "telemetry",
    "events",
    "batch",
    "push",
    "info",
    "config",
];

/// A path, with `…` for each word that is not known, and how it goes on left out.
fn known_path(path: &str) -> String {
    let known = |word: &str| {
        let is_known =
            word.is_empty() || PATH_WORDS.contains(&word) || word.starts_with("opentelemetry.proto.");
        if is_known { cut(word) } else { "…".to_owned() }
    };
    path.split('/').take(8).map(known).collect::<Vec<_>>().join("/")
}

/// The media type of a `Content-Type`, if it reads like one, without its parameters.
fn known_type(content_type: &str) -> String {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let kinds = ["application/", "text/", "multipart/", "image/"];
    let is_word = |byte: u8| byte.is_ascii_lowercase() || b".+-/".contains(&byte);
    let is_known = kinds.iter().any(|kind| media_type.starts_with(kind)) && media_type.bytes().all(is_word);
    if is_known && media_type.len() <= 40 { media_type.to_owned() } else { "…".to_owned() }
}

fn cut(text: &str) -> String {
    text.trim().chars().take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sender_wrote_is_shown_as_far_as_it_is_known() {
        let rows = [
            ("/", "/"),
            ("/v1/spans", "/v1/spans"),
            ("/tok-SECRET/v1/trace", "/…/v1/trace"),
            ("/v1/traces/4111111111111111/password=x", "/v1/traces/…/…"),
            ("/a/b/c/d/e/f/g/h/i", "/…/…/…/…/…/…/…"),
        ];
        for (path, shown) in rows {
            assert_eq!(known_path(path), shown, "{path}");
        }
        let rows = [
            ("application/xml", "application/xml"),
            ("application/x-protobuf; apikey=SECRET", "application/x-protobuf"),
            ("text/plain;charset=UTF-8", "text/plain"),
            ("application/SECRET1", "…"),
            ("secret", "…"),
        ];
        for (content_type, shown) in rows {
            assert_eq!(known_type(content_type), shown, "{content_type}");
        }
    }

    #[test]
    fn kinds_are_bounded_and_all_are_counted() {
        let refusals = Refusals::default();
        for number in 0..1_000 {
            refusals.note(400, "/v1/traces", None, &format!("reason {}", number % 50));
        }
        refusals.note_items(7, "/v1/traces", "no ids");
        let kinds = refusals.kinds();
        assert!(kinds.len() <= KINDS_MAX + 2, "{}", kinds.len());
        assert_eq!(kinds.values().sum::<u64>(), 1_007);
    }
}
