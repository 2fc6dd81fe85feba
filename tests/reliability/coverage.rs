//! The faults that the design must survive (`architecture.md`), and the rows that play them.

use std::collections::BTreeSet;

use super::faults;

/// Each fault of the list, in its order, and the rows, `who what`, in which it happens.
pub(crate) const LIST: [(&str, &[&str]); 48] = [
    ("backend refuses", &["backend refuses connections"]),
    ("backend accepts and never answers", &["backend accepts and never answers"]),
    ("backend is slow", &["backend takes 400 ms"]),
    ("429 and 503 without Retry-After", &["backend 429", "backend 503"]),
    (
        "429 and 503 with Retry-After in seconds",
        &["backend 429, Retry-After in seconds", "backend 503, Retry-After in seconds"],
    ),
    (
        "429 and 503 with Retry-After as a date",
        &["backend 429, Retry-After as a date", "backend 503, Retry-After as a date"],
    ),
    ("400", &["backend 400"]),
    ("401", &["backend 401"]),
    ("413", &["backend 413, whatever the size"]),
    ("partial success", &["backend takes all spans but one"]),
    (
        "backend resets mid-body",
        &["backend resets in the middle of the body", "backend cuts its answer short"],
    ),
    ("TLS failure", &["backend speaks no TLS where it should"]),
    ("DNS failure", &["backend its name is not known (DNS)"]),
    (
        "backend down for long, then back",
        &["backend down for five invocations", "backend down until SHUTDOWN"],
    ),
    ("function times out", &["function times out"]),
    (
        "function exits",
        &[
            "function exits",
            "function exits with 0 and never responds",
            "function asks for the next event and never responds",
            "function aborts",
        ],
    ),
    ("function is OOM-killed", &["function is killed for want of memory"]),
    ("function sends nothing", &["function sends nothing"]),
    ("function sends after it is done", &["function sends a span when the extension is done"]),
    ("function sends 10,000 spans", &["function sends 10 000 spans"]),
    ("function sends garbage", &["function sends garbage"]),
    ("function sends a gzip bomb", &["function sends a gzip bomb"]),
    ("function sends a body that never ends", &["function sends half a body, and nothing more"]),
    ("function sends JSON instead of protobuf", &["function sends JSON"]),
    ("function sends the same span twice", &["function sends a span twice"]),
    (
        "telemetry late",
        &[
            "platform delays its telemetry by 100 ms",
            "platform holds its telemetry until the next invocation",
        ],
    ),
    (
        "telemetry lost",
        &["platform drops its telemetry", "platform drops its telemetry, and the function sends nothing"],
    ),
    ("telemetry duplicated", &["platform delivers its telemetry three times"]),
    ("telemetry out of order", &["platform delivers its telemetry out of order"]),
    ("telemetry of another request", &["platform tells of other requests, and of unknown events"]),
    ("telemetry of an unknown type", &["platform tells of other requests, and of unknown events"]),
    ("telemetry that is malformed", &["platform delivers telemetry that is no JSON"]),
    (
        "no Telemetry API at all",
        &[
            "platform answers the subscription 202",
            "platform answers the subscription 403",
            "platform answers the subscription 404",
            "platform answers the subscription 500",
            "platform does not answer the subscription",
            "platform answers the subscription 404, and the function sends nothing",
        ],
    ),
    ("port already bound", &["platform has given the receiver's port to another"]),
    ("logsDropped", &["platform drops its telemetry, and says so (logsDropped)"]),
    ("SHUTDOWN with reason spindown", &["platform SHUTDOWN for spindown, data unsent"]),
    ("SHUTDOWN with reason timeout", &["platform SHUTDOWN for timeout, data unsent"]),
    ("SHUTDOWN with reason failure", &["platform SHUTDOWN for failure, data unsent"]),
    (
        "SHUTDOWN with a deadline already past",
        &["platform SHUTDOWN with a deadline that has passed, data unsent"],
    ),
    ("two INVOKEs back to back", &["platform two INVOKEs back to back"]),
    (
        "suppressed init",
        &["platform initialises inside the invocation", "function fails to initialise, twice"],
    ),
    (
        "frozen in the middle of a request",
        &["sandbox frozen with a request in flight, its connection cut meanwhile"],
    ),
    ("thawed after long", &["sandbox frozen for 21 s with a request in flight"]),
    (
        "clock jump",
        &[
            "sandbox the clock is a minute ahead of the platform's",
            "sandbox the clock is a minute behind the platform's",
        ],
    ),
    ("/tmp full", &["sandbox the disk is full after half a kilobyte, data unsent"]),
    ("/tmp read-only", &["sandbox no disk can be written"]),
    ("128 MB with a fraction of a CPU", &["sandbox 128 MB, and 7 ms of CPU in every 100"]),
    (
        "SIGKILL at any point",
        &[
            "sandbox the extension is killed when it has registered",
            "sandbox the extension is killed when INVOKE has come",
            "sandbox the extension is killed while the handler runs, data unsent",
            "sandbox the extension is killed when the function is done, data unsent",
            "sandbox the extension is killed while it is frozen, data unsent",
        ],
    ),
];

#[test]
fn every_fault_of_the_list_is_a_row() {
    let rows: BTreeSet<String> =
        faults::all().iter().map(|fault| format!("{} {}", fault.who, fault.what)).collect();
    let names: BTreeSet<&str> = LIST.iter().map(|(fault, _)| *fault).collect();
    assert_eq!(names.len(), LIST.len(), "a fault is listed twice");
    for (fault, played) in LIST {
        assert!(!played.is_empty(), "{fault}: no row plays it");
        for row in played {
            assert!(rows.contains(*row), "{fault}: there is no row {row:?}");
        }
    }
}
