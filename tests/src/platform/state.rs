//! The record of a run: every call, line and violation with its moment, and the lock and signal around it.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::Value;

use crate::aws::Role;
use crate::http1::Headers;

/// Which call of the Extensions or Telemetry API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `POST /2020-01-01/extension/register`.
    Register,
    /// `PUT /2022-07-01/telemetry`.
    Subscribe,
    /// `GET /2020-01-01/extension/event/next`.
    Next,
    /// `POST /2020-01-01/extension/init/error`.
    InitError,
    /// `POST /2020-01-01/extension/exit/error`.
    ExitError,
    /// `GET /2021-04-23/credentials`.
    Credentials,
    /// Something that does not exist.
    Unknown,
}

/// One call of the extension.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which one.
    pub kind: Kind,
    /// When it arrived.
    pub at: Instant,
    /// Its header fields.
    pub headers: Headers,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether somebody could connect to the extension at that moment: the function to its receiver when it
    /// registers, the platform to its telemetry listener when it subscribes.
    pub is_reachable: bool,
    /// When it was answered, and with which status.
    pub answer: Option<(Instant, u16)>,
}

impl Call {
    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Which output of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output, which becomes the function's log.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line that the process wrote.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it was read.
    pub at: Instant,
    /// Where it was written.
    pub output: Output,
    /// What it says, without the line end.
    pub text: String,
}

/// How one `/next` is answered.
#[derive(Clone, Debug)]
pub enum Turn {
    /// With this event.
    Event(Value),
    /// With this status and the platform's body for it.
    Fail(u16),
    /// Not at all: the connection is closed.
    HangUp,
    /// Not at all: the connection is reset.
    Reset,
}

/// Where telemetry goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// Host and port as subscribed.
    pub(super) authority: String,
    pub(super) port: u16,
    pub(super) path: String,
}

/// Everything that happened, and what is to happen next.
#[derive(Clone, Debug)]
pub struct State {
    /// When the platform was made.
    pub started: Instant,
    /// The calls in the order of their arrival.
    pub calls: Vec<Call>,
    /// What the real platform would have refused, in words.
    pub violations: Vec<String>,
    /// What the process wrote.
    pub lines: Vec<Line>,
    /// How and when the process ended.
    pub exit: Option<(ExitStatus, Instant)>,
    /// The events of the accepted registration; `None` before.
    pub registered: Option<Vec<String>>,
    /// The call of `/next` that waits for an answer.
    pub(super) pending_next: Option<usize>,
    /// What to answer the next ones with.
    pub(super) turns: VecDeque<Turn>,
    /// How many were handed out.
    pub(super) events_sent: usize,
    pub(super) is_shutdown_sent: bool,
    /// SHUTDOWN was sent, or the test ends the process: from here on it may end.
    pub(super) is_end_expected: bool,
    pub(super) is_stopped: bool,
    pub(super) destination: Option<Destination>,
    /// What the platform hands out to sign requests with, one after the other.
    pub(super) roles: VecDeque<Role>,
}

impl State {
    /// The calls of one kind, in order.
    pub fn calls_of(&self, kind: Kind) -> Vec<&Call> {
        self.calls.iter().filter(|call| call.kind == kind).collect()
    }

    pub(super) fn violate(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |at: Instant| at.saturating_duration_since(self.started).as_millis();
        let mut story: Vec<(u128, String)> = Vec::new();
        for call in &self.calls {
            let body = String::from_utf8_lossy(&call.body);
            story.push((ms(call.at), format!("{:?} {body}", call.kind)));
            if let Some((at, status)) = call.answer {
                story.push((ms(at), format!("{:?} -> {status}", call.kind)));
            }
        }
        for line in &self.lines {
            story.push((ms(line.at), format!("{:?}: {}", line.output, line.text)));
        }
        if let Some((status, at)) = self.exit {
            story.push((ms(at), format!("process ended: {status}")));
        }
        story.sort_by_key(|(at, _)| *at);
        story.iter().try_for_each(|(at, what)| writeln!(f, "{at:>6} ms  {what}"))?;
        self.violations.iter().try_for_each(|violation| writeln!(f, "VIOLATION: {violation}"))
    }
}

/// The record, shared by the threads of the platform.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// The extension's receiver.
    pub(super) receiver: SocketAddr,
}

impl Shared {
    pub(super) fn new(receiver: SocketAddr, roles: VecDeque<Role>) -> Self {
        let state = State {
            started: Instant::now(),
            calls: Vec::new(),
            violations: Vec::new(),
            lines: Vec::new(),
            exit: None,
            registered: None,
            pending_next: None,
            turns: VecDeque::new(),
            events_sent: 0,
            is_shutdown_sent: false,
            is_end_expected: false,
            is_stopped: false,
            destination: None,
            roles,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), receiver }
    }

    /// A poisoned lock only says that another thread of the test failed: the record is still good to print.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the record and tells everyone who waits for that.
    pub(super) fn change<T>(&self, apply: impl FnOnce(&mut State) -> T) -> T {
        let result = apply(&mut self.state());
        self.changed.notify_all();
        result
    }

    pub(super) fn wait_for(&self, is_met: impl Fn(&State) -> bool, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let result = self.changed.wait_timeout_while(self.state(), left, |state| !is_met(state));
        is_met(&result.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Blocks until `take` has something.
    pub(super) fn take<T>(&self, mut take: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut state = self.state();
        loop {
            if let Some(taken) = take(&mut state) {
                drop(state);
                self.changed.notify_all();
                return taken;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
