//! A strict fake of the Lambda platform around the real extension process: it records, it checks, the test decides.
//!
//! Written from AWS's documentation alone and sharing no code with `tests/sandbox`, so that a mistake in our
//! understanding has to be made twice. It knows no phases and no clock: a test hands out the events of its story one
//! by one, and every call that the real platform would refuse is a violation that fails the test at its end.

mod api;
pub mod events;
mod process;
mod script;
mod state;

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::api::Api;
pub use self::events::{Invoke, Reason};
use self::process::Process;
use self::script::Scratch;
pub use self::script::{Registration, Script, Subscription};
use self::state::Shared;
pub use self::state::{Call, Kind, Line, Output, State, Turn};
use crate::http1::{self, Headers, Reserved, Response};

/// How long any wait lasts: far more than any healthy run needs, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long something may take to show that must not happen, after the barrier behind which it would.
const GRACE: Duration = Duration::from_millis(100);

/// A started extension and the platform around it. Dropping it kills the process and fails the test over violations.
#[derive(Debug)]
pub struct Platform {
    shared: Arc<Shared>,
    api: Api,
    process: Process,
    receiver: Arc<Reserved>,
    grpc_receiver: Arc<Reserved>,
    /// The environment's `/tmp`, for as long as the process runs.
    scratch: Arc<Scratch>,
    /// Whether the end of the test asserts that there was no violation.
    is_strict: bool,
}

impl Platform {
    /// Starts the extension and returns at once.
    ///
    /// # Panics
    /// When there is no extension binary, see [`Script`].
    pub fn start(script: &Script) -> Self {
        let receiver = Arc::clone(&script.receiver);
        let shared = Arc::new(Shared::new(receiver.address(), script.roles.clone()));
        let is_strict = script.is_strict;
        let api = Api::start(&shared, script);
        let process = Process::spawn(&shared, script, api.address(), receiver.address());
        Self {
            shared,
            api,
            process,
            receiver,
            grpc_receiver: Arc::clone(&script.grpc_receiver),
            scratch: Arc::clone(&script.scratch),
            is_strict,
        }
    }

    /// Starts the extension and waits for its first `/next`: what it does before the first invocation is done.
    pub fn ready(script: &Script) -> Self {
        let platform = Self::start(script);
        platform.wait_next();
        platform
    }

    /// Where the function posts its spans: the address given to the extension.
    pub fn receiver(&self) -> SocketAddr {
        self.receiver.address()
    }

    /// The same for OTLP/gRPC.
    pub fn grpc_receiver(&self) -> SocketAddr {
        self.grpc_receiver.address()
    }

    /// The Unix socket that the extension binds when it is told nothing: in the environment's `/tmp`.
    pub fn socket(&self) -> PathBuf {
        self.scratch.0.join("prefreeze.sock")
    }

    /// The number of the extension's process, for what the system knows of it.
    pub fn process_id(&self) -> u32 {
        self.process.id
    }

    /// Everything that happened so far.
    pub fn state(&self) -> State {
        self.shared.state().clone()
    }

    /// Blocks until the extension asks for the next event, and says when it asked.
    ///
    /// # Panics
    /// After ten seconds, or when the process has ended.
    #[track_caller]
    pub fn wait_next(&self) -> Instant {
        self.expect("/next", |state| state.pending_next.is_some() || state.exit.is_some());
        let pending = self.shared.state().pending_next;
        let index = pending.expect("the extension ended instead of asking for /next");
        self.shared.state().calls[index].at
    }

    /// Whether `/next` waits for an answer now.
    pub fn is_waiting(&self) -> bool {
        self.shared.state().pending_next.is_some()
    }

    /// Asserts that the extension does not ask for `/next`, whatever it was given until now.
    ///
    /// A round trip to its receiver is the barrier: what came before it has been read. A short grace covers the rest.
    ///
    /// # Panics
    /// When it asked.
    #[track_caller]
    pub fn assert_no_next(&self, why: &str) {
        self.barrier();
        let is_asked = self.shared.wait_for(|state| state.pending_next.is_some(), Instant::now() + GRACE);
        assert!(!is_asked, "/next was asked although {why}");
    }

    /// Waits for one round trip through the extension's receiver; for nothing where there is none.
    ///
    /// # Panics
    /// When somebody listens there who does not answer: that is no barrier, and costs a test minutes.
    #[track_caller]
    pub fn barrier(&self) {
        if let Err(error) = http1::send(self.receiver(), "GET", "/barrier", &Headers::default(), b"") {
            let is_silent = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            assert!(!is_silent, "the receiver of {} does not answer: {error}", self.receiver());
        }
    }

    /// Waits for `/next`, answers it, and lets the extension take that in; returns when the answer was sent.
    ///
    /// The function's requests and the platform's events race with INVOKE on their way to the extension. A story that
    /// is about something else must not depend on who wins; one that is about the race posts before it calls this.
    #[track_caller]
    pub fn answer_next(&self, invoke: &Invoke) -> Instant {
        self.wait_next();
        let count = self.shared.change(|state| {
            state.turns.push_back(Turn::Event(invoke.to_answer()));
            state.events_sent
        });
        self.wait_events_sent(count + 1)
    }

    /// Waits until this many events were sent and the last one was taken in; returns when it was sent.
    #[track_caller]
    pub fn wait_events_sent(&self, count: usize) -> Instant {
        self.expect("the answer to /next", |state| state.events_sent >= count);
        let sent = Instant::now();
        // The extension has read an event when it answers what was sent after it: once to empty the queue of its
        // sockets, once more for what that has set in motion.
        (0..3).for_each(|_| self.barrier());
        sent
    }

    /// Answers the next `/next` that nobody else answers, whenever it is asked.
    pub fn queue_next(&self, invoke: &Invoke) {
        self.queue_turn(Turn::Event(invoke.to_answer()));
    }

    /// Does this to the next `/next` that nobody else answers: an event of the test's own making, or a failure.
    pub fn queue_turn(&self, turn: Turn) {
        self.shared.change(|state| state.turns.push_back(turn));
    }

    /// Answers the next `/next` with SHUTDOWN, whenever it is asked; `left` is what the deadline in it leaves.
    ///
    /// Returns the moment of that deadline.
    pub fn shutdown(&self, reason: Reason, left: Duration) -> Instant {
        let deadline = Instant::now() + left;
        self.queue_turn(Turn::Event(events::shutdown(reason.as_str(), left_ms(left))));
        deadline
    }

    /// SHUTDOWN with a deadline that lies `ago` in the past.
    pub fn shutdown_late(&self, reason: Reason, ago: Duration) {
        self.queue_turn(Turn::Event(events::shutdown(reason.as_str(), -left_ms(ago))));
    }

    /// Blocks until the process has ended: how, and when.
    ///
    /// # Panics
    /// After ten seconds.
    #[track_caller]
    pub fn wait_exit(&self) -> (ExitStatus, Instant) {
        self.expect("the end of the process", |state| state.exit.is_some());
        self.shared.state().exit.expect("waited for")
    }

    /// SHUTDOWN with two seconds, and the end of the process; asserts exit code 0 in time.
    #[track_caller]
    pub fn spin_down(&self) {
        self.wait_next();
        let deadline = self.shutdown(Reason::Spindown, Duration::from_secs(2));
        let (status, at) = self.wait_exit();
        assert!(status.success(), "the extension ended with {status}");
        assert!(at < deadline, "the extension ended {:?} after the deadline", at - deadline);
    }

    /// Ends the process with SIGKILL, as the platform does past a deadline.
    pub fn kill(&self) {
        self.shared.change(|state| state.is_end_expected = true);
        self.process.kill();
        self.expect("the end of the killed process", |state| state.exit.is_some());
    }

    /// Posts one batch of telemetry to the subscribed destination.
    ///
    /// # Panics
    /// Without a subscription, and when the answer is not 200: a real platform would deliver the batch for ever.
    #[track_caller]
    pub fn post_telemetry(&self, events: &[Value]) {
        let body = Value::from(events).to_string();
        let response = self.post_telemetry_bytes(body.as_bytes());
        assert_eq!(response.status, 200, "the answer to telemetry {body}");
    }

    /// Posts bytes to the subscribed destination, JSON or not.
    #[track_caller]
    pub fn post_telemetry_bytes(&self, body: &[u8]) -> Response {
        let state = self.state();
        let destination = state.destination.expect("the extension has subscribed to telemetry");
        // The platform's own resolver knows the name; the address behind it is this machine.
        let address = (Ipv4Addr::LOCALHOST, destination.port);
        let headers =
            Headers::from([("Host", destination.authority.as_str()), ("Content-Type", "application/json")]);
        let response = http1::send(address, "POST", &destination.path, &headers, body);
        response.expect("the telemetry listener answers")
    }

    /// Posts to the receiver as a function's SDK does.
    #[track_caller]
    pub fn post_otlp(&self, path: &str, body: &[u8], headers: &Headers) -> Response {
        self.try_post_otlp(path, body, headers).expect("the receiver answers")
    }

    /// Posts to the receiver.
    ///
    /// # Errors
    /// No connection or no answer.
    pub fn try_post_otlp(&self, path: &str, body: &[u8], headers: &Headers) -> io::Result<Response> {
        http1::send(self.receiver(), "POST", path, headers, body)
    }

    /// What was written to standard output so far, without the line ends.
    pub fn stdout(&self) -> Vec<String> {
        let state = self.shared.state();
        let of_stdout = state.lines.iter().filter(|line| line.output == Output::Stdout);
        of_stdout.map(|line| line.text.clone()).collect()
    }

    /// The lines of standard output that are JSON objects with this `event`.
    pub fn log(&self, event: &str) -> Vec<Value> {
        let parsed = self.stdout().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        parsed.filter(|line| line["event"] == event).collect()
    }

    /// The same, once there are so many: what was printed before a request may be read after it.
    #[track_caller]
    pub fn expect_log(&self, event: &str, count: usize) -> Vec<Value> {
        let is_it = |text: &str| serde_json::from_str::<Value>(text).is_ok_and(|line| line["event"] == event);
        self.expect(&format!("{count} lines {event:?}"), |state| {
            let of_stdout = state.lines.iter().filter(|line| line.output == Output::Stdout);
            of_stdout.filter(|line| is_it(&line.text)).count() >= count
        });
        self.log(event)
    }

    /// Blocks until `is_met` holds.
    ///
    /// # Panics
    /// After ten seconds; the history is printed when the platform is dropped.
    #[track_caller]
    pub fn expect(&self, what: &str, is_met: impl Fn(&State) -> bool) {
        let is_in_time = self.shared.wait_for(is_met, Instant::now() + PATIENCE);
        assert!(is_in_time, "waited {PATIENCE:?} for {what}");
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.shared.change(|state| state.is_end_expected = true);
        self.process.kill();
        self.api.stop();
        let state = self.state();
        if thread::panicking() {
            eprintln!("{state}");
        } else if self.is_strict {
            assert!(state.violations.is_empty(), "the extension broke the contract:\n{state}");
        }
    }
}

fn left_ms(left: Duration) -> i64 {
    i64::try_from(left.as_millis()).expect("a deadline within the age of the universe")
}

#[cfg(test)]
mod tests;
