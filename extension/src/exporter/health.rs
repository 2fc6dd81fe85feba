//! What became of the requests to one backend, and the lines about it: each cause is logged once for each signal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use policy::{Outcome, Signal};
use serde_json::{Value, json};

use super::failure::{Cause, Failure};
use crate::log::{self, Level};

/// See the module. Shared by the requests under way.
#[derive(Debug)]
pub(super) struct Health {
    /// Host and port, for people.
    host: String,
    /// The same of the proxy that requests go through, where there is one.
    proxy: Option<String>,
    /// Whether a connection was ever established.
    is_connected: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the backend ever answered, whatever it said.
    is_answered: bool,
    /// Requests without an answer since the last one that had one.
    unanswered: u32,
    logged: Vec<(Signal, Cause)>,
    last: [Option<Failure>; Signal::ALL.len()],
}

impl Health {
    /// Of the backend at this URL.
    pub(super) fn of(url: &str, proxy: Option<String>) -> Self {
        let uri: http::Uri = url.parse().unwrap_or_default();
        let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
        let host = uri.host().unwrap_or_default();
        let host = format!("{host}:{}", uri.port_u16().unwrap_or(default));
        Self { host, proxy, is_connected: AtomicBool::default(), state: Mutex::default() }
    }

    /// A connection was established.
    pub(super) fn note_connected(&self) {
        self.is_connected.store(true, Ordering::Relaxed);
    }

    /// A request of `signal` has ended.
    pub(super) fn note(&self, signal: Signal, outcome: Outcome, failure: Option<Failure>) {
        let mut state = self.state();
        let Some(failure) = failure else {
            (state.is_answered, state.unanswered) = (true, 0);
            return;
        };
        let is_answer = failure.status.is_some();
        state.is_answered |= is_answer;
        state.unanswered = if is_answer { 0 } else { state.unanswered.saturating_add(1) };
        // A backend closes a connection that idled through a freeze: once is nobody's failure.
        let is_usual = failure.cause == Cause::ConnectionClosed && state.unanswered < 2;
        // What is refused is logged by the agent's notice, which has the cause by `about`.
        let is_final =
            matches!(outcome, Outcome::Rejected { .. } | Outcome::Refused { .. } | Outcome::TooLarge);
        if !is_usual && !is_final {
            self.log_once(&mut state, signal, &failure);
        }
        state.last[signal as usize] = Some(failure);
    }

    /// A request of `signal` was let go of before it was answered. A freeze makes that usual, so it is logged when it
    /// happens again without an answer between.
    pub(super) fn note_cancelled(&self, signal: Signal) {
        let failure = Failure::of(self.silence());
        let mut state = self.state();
        state.unanswered = state.unanswered.saturating_add(1);
        if state.unanswered >= 2 {
            self.log_once(&mut state, signal, &failure);
        }
        state.last[signal as usize] = Some(failure);
    }

    /// The process ends. Where nothing was ever answered, and nothing logged of it, it is logged now.
    pub(super) fn conclude(&self) {
        let mut state = self.state();
        if state.is_answered || !state.logged.is_empty() {
            return;
        }
        for signal in Signal::ALL {
            if let Some(failure) = state.last[signal as usize].take() {
                self.log_once(&mut state, signal, &failure);
            }
        }
    }

    /// Fields for a line about this backend: its host, and why the last request of `signal` failed. Where none has ended
    /// yet, that is because nothing was answered.
    pub(super) fn about(&self, signal: Signal) -> Value {
        let state = self.state();
        let silence = || (!state.is_answered).then(|| Failure::of(self.silence()));
        let Some(failure) = state.last[signal as usize].clone().or_else(silence) else {
            return json!({ "host": self.host });
        };
        let mut fields = self.fields(&failure);
        fields["reason"] = failure.cause.sentence().into();
        fields
    }

    /// What it means that nothing was answered.
    pub(super) fn silence(&self) -> Cause {
        if self.is_connected.load(Ordering::Relaxed) { Cause::NoAnswer } else { Cause::NoConnection }
    }

    fn log_once(&self, state: &mut State, signal: Signal, failure: &Failure) {
        if state.logged.contains(&(signal, failure.cause)) {
            return;
        }
        state.logged.push((signal, failure.cause));
        let mut fields = self.fields(failure);
        fields["signal"] = log::word(signal).into();
        let message = format!("{}. The data is kept and will be sent again", failure.cause.sentence());
        log::say(Level::Warn, "export_failed", &message, fields);
    }

    fn fields(&self, failure: &Failure) -> Value {
        let mut fields = json!({ "host": self.host, "cause": failure.cause.name() });
        if let Some(proxy) = &self.proxy {
            fields["proxy"] = proxy.as_str().into();
        }
        if let Some(status) = failure.status {
            fields["status"] = status.into();
        }
        if !failure.detail.is_empty() {
            fields["error"] = failure.detail.as_str().into();
        }
        fields
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
