//! What has happened in the worlds so far: a fault that never happens proves nothing.

use std::collections::BTreeMap;

/// Everything that must happen somewhere in a run of many seeds.
const EXPECTED: &[&str] = &[
    "a request that never ends",
    "a death told beside an own root",
    "a failure given up for want of room",
    "a span larger than memory",
    "an invocation of less than five milliseconds",
    "an invocation of more than ten seconds",
    "a lane with nothing under way",
    "announced",
    "announced span came after all",
    "announced span closed",
    "announced spans complete",
    "answer lost in a freeze",
    "backend answers 400",
    "backend answers 413",
    "backend answers 503",
    "backend asks for patience",
    "backend breaks a connection",
    "backend hangs",
    "backend is narrow",
    "backend is slow",
    "backend is well",
    "backend of one signal is dead for good",
    "backend of one signal is ill",
    "backend refuses",
    "backend refuses the key",
    "backend takes a part",
    "backend's answer is lost",
    "backends with faults of their own",
    "breaker closed again",
    "breaker opened",
    "burst",
    "clock set back",
    "clock stood in a freeze",
    "closed span and the real one",
    "connection reused",
    "cost capped",
    "delivered twice",
    "disk fails",
    "drained before SHUTDOWN",
    "environment from a snapshot",
    "environment managed",
    "environment on demand",
    "environment provisioned",
    "faults end with SHUTDOWN",
    "found in the spool",
    "frozen for an hour",
    "function asks for a flush",
    "function crashes",
    "function never answers",
    "function never names itself",
    "function sends late",
    "function sends much",
    "function sends nothing",
    "function stalls in sending",
    "function times out",
    "handler fails",
    "held for a flush",
    "held time checked",
    "host lost",
    "idle connection dies silently",
    "idle connection is reset",
    "idle without a freeze",
    "init fails again, in the invocation",
    "init fails, and runs again in the invocation",
    "invocation",
    "invocations at once",
    "INVOKE heard late",
    "killed",
    "killed for not asking",
    "logs complete",
    "logs drained before SHUTDOWN",
    "logs placed",
    "logs without a place",
    "many invocations at once",
    "metrics drained before SHUTDOWN",
    "metrics exact",
    "mode adaptive",
    "mode continuous",
    "mode end",
    "nothing held: the backend is down",
    "outbox full",
    "parked",
    "rare invocations",
    "reconnect",
    "recovered after a kill",
    "request arrives after its end",
    "request given up",
    "request on a dead connection",
    "request waits for a handshake",
    "restored",
    "retried under the same request id",
    "root checked",
    "SDK sends by its timer",
    "outbox full beside a second destination",
    "second destination",
    "second destination drained before SHUTDOWN",
    "second destination is down",
    "sent again",
    "several entry spans in an invocation",
    "something hidden",
    "spans of init",
    "spool always",
    "spool off",
    "spool outage",
    "spool unreadable",
    "started again after a reset",
    "subscription refused",
    "telemetry delayed",
    "telemetry doubled",
    "telemetry lost",
    "telemetry missing altogether",
    "two INVOKEs back to back",
    "unparked",
    "left out of what is on record",
    "wall clock stepped",
];

/// How often each thing has happened.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    /// It has happened once more.
    pub(crate) fn note(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&mut self, what: &'static str, times: u64) {
        debug_assert!(EXPECTED.contains(&what), "{what:?} is not expected of any world");
        *self.0.entry(what).or_default() += times;
    }

    /// Adds what happened elsewhere.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, times)| self.add(what, *times));
    }

    /// How often it has happened.
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// What has never happened and should have.
    pub fn missing(&self) -> Vec<&'static str> {
        EXPECTED.iter().copied().filter(|what| self.of(what) == 0).collect()
    }

    /// A line each.
    pub fn text(&self) -> String {
        self.0.iter().map(|(what, times)| format!("{times:>12}  {what}\n")).collect()
    }
}
