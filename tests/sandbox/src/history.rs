//! The bounded record of what happened: a timeline for people, one record per invocation for assertions.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use crate::clock::Time;
use crate::telemetry::EventKind;

/// One execution environment, numbered in the order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentId(pub u32);

impl fmt::Display for EnvironmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "env-{}", self.0)
    }
}

/// How an invocation, or an init, ended; the wire names of the Telemetry API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It ended well.
    Success,
    /// The handler or the runtime failed.
    Error,
    /// The platform failed.
    Failure,
    /// The deadline passed.
    Timeout,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Failure => "failure",
            Self::Timeout => "timeout",
        }
    }
}

/// One line of the timeline.
#[derive(Clone, Debug)]
pub struct TimelineEntry {
    /// When.
    pub at: Time,
    /// Where; `None` for the service itself.
    pub environment: Option<EnvironmentId>,
    /// The function concerned.
    pub function: String,
    /// The invocation concerned.
    pub request_id: Option<String>,
    /// What.
    pub what: What,
}

/// What a timeline entry tells; its `Display` is a short sentence.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named after what they hold")]
pub enum What {
    /// Init began: `init`, or `invoke` for a suppressed init.
    InitStart { phase: &'static str },
    /// A process was started.
    Spawned { process: String, pid: u32 },
    /// A process could not be started.
    LaunchFailed { process: String, error: String },
    /// An extension registered.
    Registered { extension: String, events: Vec<&'static str> },
    /// An extension subscribed to telemetry.
    Subscribed { extension: String, types: Vec<String> },
    /// The runtime asked for its first event.
    RuntimeReady,
    /// Init ended well.
    InitDone { ms: f64 },
    /// Init did not end well.
    InitFailed { status: Status, error_type: String, ms: f64 },
    /// An invocation was handed out.
    Invoke { cold_start: bool },
    /// The runtime's answer is on its way to the caller.
    Responded { bytes: Option<usize>, error_type: Option<String> },
    /// The runtime is done with the invocation.
    RuntimeDone { status: Status, error_type: Option<String>, ms: f64 },
    /// An extension asked for the next event.
    ExtensionNext { extension: String },
    /// The invocation is over.
    Report { status: Status, ms: f64, billed_ms: u64, extension_ms: Option<f64> },
    /// Every process is stopped (state T); `processes` counts them.
    Frozen { processes: usize },
    /// The processes run again.
    Thawed,
    /// Bytes arrived over the uplink while the processes were stopped; none stand for the end of a connection.
    ArrivedFrozen { bytes: usize },
    /// A process ended while it should have run.
    Crashed { process: String, exit: String },
    /// A shutdown began.
    Shutdown { reason: String },
    /// SHUTDOWN was handed to an extension.
    ShutdownDelivered { extension: String },
    /// A signal was sent to a process group.
    Signalled { process: String, signal: &'static str },
    /// A process ended.
    Exited { process: String, exit: String },
    /// All processes are gone; the environment stays for a later, suppressed init.
    Reset,
    /// The environment is gone.
    Gone,
    /// A line on stdout or stderr of the runtime.
    FunctionLog { line: String },
    /// A line on stdout or stderr of an extension.
    ExtensionLog { extension: String, line: String },
    /// A telemetry event was produced.
    Telemetry { kind: EventKind },
    /// A batch was acknowledged, or not, by a subscriber; `answer` is the HTTP status or the error.
    Delivery { extension: String, events: usize, answer: String },
    /// The processes hold more memory than the function has.
    OutOfMemory { mb: u64 },
    /// An API call was refused.
    Refused { call: &'static str, status: u16, error: String },
    /// An invocation waits because every environment is busy.
    Queued,
    /// An invocation was throttled.
    Throttled,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = |error: &Option<String>| error.as_ref().map(|e| format!(" {e}")).unwrap_or_default();
        match self {
            Self::InitStart { phase } => write!(f, "init starts (phase {phase})"),
            Self::Spawned { process, pid } => write!(f, "{process} started, pid {pid}"),
            Self::LaunchFailed { process, error } => write!(f, "{process} cannot be started: {error}"),
            Self::Registered { extension, events } => write!(f, "{extension} registered for {events:?}"),
            Self::Subscribed { extension, types } => write!(f, "{extension} subscribed to {types:?}"),
            Self::RuntimeReady => f.write_str("runtime is ready"),
            Self::InitDone { ms } => write!(f, "init done in {ms:.1} ms"),
            Self::InitFailed { status, error_type, ms } => {
                write!(f, "init failed after {ms:.1} ms: {} {error_type}", status.name())
            }
            Self::Invoke { cold_start } => {
                write!(f, "INVOKE ({})", if *cold_start { "cold" } else { "warm" })
            }
            Self::Responded { bytes, error_type } => {
                let size = bytes.map_or("a stream".to_owned(), |n| format!("{n} bytes"));
                write!(f, "response: {size}{}", typed(error_type))
            }
            Self::RuntimeDone { status, error_type, ms } => {
                write!(f, "runtime done: {}{} {ms:.1} ms", status.name(), typed(error_type))
            }
            Self::ExtensionNext { extension } => write!(f, "{extension} asks for the next event"),
            Self::Report { status, ms, billed_ms, extension_ms } => {
                write!(f, "report: {} {ms:.1} ms", status.name())?;
                if *billed_ms > 0 {
                    write!(f, ", billed {billed_ms} ms")?;
                }
                extension_ms.map_or(Ok(()), |ms| write!(f, ", extensions {ms:.1} ms"))
            }
            Self::Frozen { processes } => write!(f, "frozen ({processes} processes)"),
            Self::Thawed => f.write_str("thawed"),
            Self::ArrivedFrozen { bytes } => write!(f, "{bytes} bytes arrived over the uplink while frozen"),
            Self::Crashed { process, exit } => write!(f, "{process} crashed: {exit}"),
            Self::Shutdown { reason } => write!(f, "shutdown starts ({reason})"),
            Self::ShutdownDelivered { extension } => write!(f, "SHUTDOWN handed to {extension}"),
            Self::Signalled { process, signal } => write!(f, "{signal} to {process}"),
            Self::Exited { process, exit } => write!(f, "{process} exited: {exit}"),
            Self::Reset => f.write_str("reset: waiting for a suppressed init"),
            Self::Gone => f.write_str("environment gone"),
            Self::FunctionLog { line } => write!(f, "function | {line}"),
            Self::ExtensionLog { extension, line } => write!(f, "{extension} | {line}"),
            Self::Telemetry { kind } => write!(f, "telemetry {kind}"),
            Self::Delivery { extension, events, answer } => {
                write!(f, "telemetry: {events} events to {extension}: {answer}")
            }
            Self::OutOfMemory { mb } => write!(f, "out of memory: {mb} MB are held"),
            Self::Refused { call, status, error } => write!(f, "{call} refused: {status} {error}"),
            Self::Queued => f.write_str("invocation waits for an environment"),
            Self::Throttled => f.write_str("invocation throttled"),
        }
    }
}

/// One finished invocation.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The request id.
    pub request_id: String,
    /// The function.
    pub function: String,
    /// Where it ran.
    pub environment: EnvironmentId,
    /// Whether it waited for an init, suppressed or not.
    pub cold_start: bool,
    /// `Init Duration`: only on the first invocation of an on-demand environment.
    pub init_ms: Option<f64>,
    /// When the invocation was handed out (for a suppressed init: when that began).
    pub started_at: Time,
    /// When the runtime's answer began to reach the caller.
    pub response_at: Option<Time>,
    /// When the runtime was done: its next `/next` (on Managed Instances its answer), its death, or the deadline.
    pub runtime_done_at: Time,
    /// When the last INVOKE extension asked for its next event; `None` when one never did.
    pub last_next_at: Option<Time>,
    /// Start to the last `/next`.
    pub duration_ms: f64,
    /// Duration and init, rounded up; 0 on Managed Instances, where it is the instance that is paid for.
    pub billed_ms: u64,
    /// Runtime done to the last extension's `/next`.
    pub extension_overhead_ms: f64,
    /// How it ended.
    pub status: Status,
    /// Why it failed.
    pub error_type: Option<String>,
    /// Bytes of the response.
    pub produced_bytes: usize,
    /// Largest resident set of the environment's processes together.
    pub max_memory_used_mb: u64,
    /// What the function logged while it ran.
    pub logs: Vec<String>,
}

/// The store behind [`Lambda::history`](crate::Lambda::history) and [`Lambda::records`](crate::Lambda::records).
#[derive(Clone, Debug)]
pub(crate) struct History {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Held only to copy; never across an await.
    kept: Mutex<Kept>,
    /// Counts entries and records ever made; whoever waits compares before sleeping.
    made: watch::Sender<u64>,
}

#[derive(Debug)]
struct Kept {
    limit: usize,
    /// Number of entries dropped at the front.
    dropped: u64,
    entries: VecDeque<TimelineEntry>,
    records: VecDeque<Record>,
}

impl History {
    pub(crate) fn new(limit: usize) -> Self {
        let kept =
            Kept { limit: limit.max(1), dropped: 0, entries: VecDeque::new(), records: VecDeque::new() };
        Self { shared: Arc::new(Shared { kept: Mutex::new(kept), made: watch::Sender::new(0) }) }
    }

    pub(crate) fn push(&self, entry: TimelineEntry) {
        let mut kept = self.lock();
        if kept.entries.len() == kept.limit {
            kept.entries.pop_front();
            kept.dropped += 1;
        }
        kept.entries.push_back(entry);
        drop(kept);
        self.shared.made.send_modify(|made| *made += 1);
    }

    pub(crate) fn record(&self, record: Record) {
        let mut kept = self.lock();
        if kept.records.len() == kept.limit {
            kept.records.pop_front();
        }
        kept.records.push_back(record);
        drop(kept);
        self.shared.made.send_modify(|made| *made += 1);
    }

    pub(crate) fn entries(&self) -> Vec<TimelineEntry> {
        self.lock().entries.iter().cloned().collect()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.lock().records.iter().cloned().collect()
    }

    pub(crate) fn timeline(&self) -> Timeline {
        Timeline { history: self.clone(), made: self.shared.made.subscribe(), next: 0 }
    }

    /// Entries from number `from` on, and the number after the last of them.
    fn since(&self, from: u64) -> (Vec<TimelineEntry>, u64) {
        let kept = self.lock();
        let skip = usize::try_from(from.saturating_sub(kept.dropped)).unwrap_or(usize::MAX);
        let end = kept.dropped + kept.entries.len() as u64;
        (kept.entries.iter().skip(skip).cloned().collect(), end)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.shared.kept.lock().expect("nothing panics while it holds the history")
    }
}

/// Follows a history as it grows.
#[derive(Debug)]
pub struct Timeline {
    history: History,
    made: watch::Receiver<u64>,
    /// Number of the first entry not returned yet.
    next: u64,
}

impl Timeline {
    /// The entries made since the last call; waits until there is one. A reader slower than the history's
    /// bound misses the oldest.
    pub async fn next(&mut self) -> Vec<TimelineEntry> {
        loop {
            self.made.borrow_and_update();
            let entries = self.drain();
            if !entries.is_empty() {
                return entries;
            }
            self.made.changed().await.expect("the history, which sends, lives as long as this");
        }
    }

    /// The entries made since the last call; none if there are none.
    pub fn drain(&mut self) -> Vec<TimelineEntry> {
        let (entries, end) = self.history.since(self.next);
        self.next = end;
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn entry(n: u64) -> TimelineEntry {
        let at = Time::from_epoch(Duration::from_secs(n));
        TimelineEntry { at, environment: None, function: "f".into(), request_id: None, what: What::Queued }
    }

    #[test]
    fn the_oldest_entries_go_first() {
        let history = History::new(3);
        (0..5).for_each(|n| history.push(entry(n)));
        assert_eq!(history.entries().iter().map(|e| e.at.as_secs()).collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[tokio::test]
    async fn a_timeline_shows_every_entry_once() {
        let history = History::new(10);
        let mut timeline = history.timeline();
        history.push(entry(0));
        assert_eq!(timeline.next().await.len(), 1);
        history.push(entry(1));
        history.push(entry(2));
        let seen: Vec<_> = timeline.next().await.iter().map(|e| e.at.as_secs()).collect();
        assert_eq!(seen, [1, 2]);
    }
}
