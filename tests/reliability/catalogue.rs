//! Every fault of the platform reference (`lambda-platform.md` §7.2), and what plays it: a row, or a test of the real binary.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::faults;

/// One fault.
#[derive(Debug)]
pub(crate) struct Item {
    /// In the words of the reference.
    pub(crate) fault: &'static str,
    /// Rows of the tables, `who what`.
    pub(crate) rows: &'static [&'static str],
    /// Tests, `file::function`, of which the file is a path below `tests/`.
    pub(crate) tests: &'static [&'static str],
    /// Why it is not played, or is played otherwise.
    pub(crate) note: &'static str,
}

const fn rows(fault: &'static str, rows: &'static [&'static str]) -> Item {
    Item { fault, rows, tests: &[], note: "" }
}

const fn tests(fault: &'static str, tests: &'static [&'static str]) -> Item {
    Item { fault, rows: &[], tests, note: "" }
}

const fn both(fault: &'static str, rows: &'static [&'static str], tests: &'static [&'static str]) -> Item {
    Item { fault, rows, tests, note: "" }
}

const fn absent(fault: &'static str, note: &'static str) -> Item {
    Item { fault, rows: &[], tests: &[], note }
}

const FUNCTION: &[Item] = &[
    rows("timeout", &["function times out"]),
    rows(
        "slow init > 10 s",
        &["function takes longer to initialise than it may, and is initialised again in the invocation"],
    ),
    rows(
        "crash with code or signal, before the response or after it",
        &[
            "function exits",
            "function exits with 0 and never responds",
            "function aborts",
            "function exits when it has responded",
        ],
    ),
    rows("handler error", &["function fails, and says so"]),
    rows(
        "never calls next",
        &[
            "function responds and never asks for the next event",
            "function asks for the next event and never responds",
        ],
    ),
    rows("OOM", &["function is killed for want of memory"]),
    rows("mid-stream abort", &["function ends its stream with an error"]),
    Item {
        note: "To the extension it is an exit; what the caller sees hangs on who is noticed first.",
        ..both(
            "truncated body",
            &["function exits"],
            &["sandbox/tests/it/invoking::a_stream_can_fail_in_the_middle"],
        )
    },
    absent(
        "fork bomb, descriptor leak",
        "Lambda bounds processes and descriptors of an environment, and the sandbox has no such bound: a fork bomb would \
         be one for the machine that tests. What it comes to for the extension is played: no descriptors, no CPU, no \
         memory, and a process of the function's that outlives it.",
    ),
    tests(
        "writes 10k log lines",
        &["black_box/logs::thousands_of_lines_are_neither_lost_nor_held_without_bound"],
    ),
    rows("responds 3 MB", &["function responds with 3 MiB"]),
    rows("responds 6 MB + 1", &["function responds with more than 6 MiB"]),
];

const EXTENSION: &[Item] = &[
    rows(
        "killed at each state",
        &[
            "sandbox the extension is killed when it has registered",
            "sandbox the extension is killed when INVOKE has come",
            "sandbox the extension is killed while the handler runs, data unsent",
            "sandbox the extension is killed when the function is done, data unsent",
            "sandbox the extension is killed while it is frozen, data unsent",
        ],
    ),
    rows(
        "SIGSTOP for t",
        &[
            "sandbox the extension alone stands still for 300 ms when INVOKE has come",
            "sandbox the extension alone stands still for 300 ms when the function is done",
        ],
    ),
    Item {
        note: "SIGKILL is all that a process sees of it.",
        ..rows("OOM victim", &["sandbox the extension is killed while the handler runs, data unsent"])
    },
    both(
        "EMFILE",
        &["sandbox 20 descriptors for the extension"],
        &["black_box/bounds::more_connections_than_descriptors_cost_no_span"],
    ),
    rows("full /tmp", &["sandbox the disk is full after half a kilobyte, data unsent"]),
    both(
        "unwritable /tmp",
        &["sandbox no disk can be written"],
        &["black_box/spool::a_disk_that_cannot_be_written_costs_one_line"],
    ),
    both(
        "port already in use",
        &["platform has given the receiver's port to another"],
        &[
            "black_box/start::a_receiver_port_that_is_taken_harms_nothing",
            "black_box/listeners::a_taken_port_of_grpc_and_a_living_socket_harm_nothing",
        ],
    ),
    rows(
        "clock step before or after next",
        &[
            "sandbox the clock is a minute ahead of the platform's",
            "sandbox the clock is a minute behind the platform's",
        ],
    ),
];

const TELEMETRY: &[Item] = &[
    rows(
        "delay of n ms … until the next invocation",
        &[
            "platform delays its telemetry by 100 ms",
            "platform holds its telemetry until the next invocation",
        ],
    ),
    both(
        "reorder",
        &["platform delivers its telemetry out of order"],
        &["black_box/telemetry::events_may_come_in_any_order"],
    ),
    both(
        "duplicate batch",
        &["platform delivers its telemetry three times"],
        &["black_box/telemetry::a_batch_that_is_delivered_twice_counts_once"],
    ),
    rows("drop with logsDropped", &["platform drops its telemetry, and says so (logsDropped)"]),
    rows(
        "drop silently",
        &["platform drops its telemetry", "platform drops its telemetry, and the function sends nothing"],
    ),
    both(
        "runtimeDone before the spans",
        &["function sends a span when the extension is done"],
        &[
            "black_box/late::spans_that_come_after_the_end_leave_with_the_next_invocation",
            "black_box/undescribed::a_server_span_that_comes_late_is_not_doubled",
        ],
    ),
    tests(
        "spans after SHUTDOWN begins",
        &["reliability/closing::what_is_answered_200_in_the_last_moment_is_accounted_for"],
    ),
    rows("report never", &["platform never reports"]),
    rows("report two invocations late", &["platform reports two invocations late"]),
    rows("initReport missing", &["platform says nothing of init"]),
    both(
        "unknown event types, fields, enum values",
        &["platform tells of other requests, and of unknown events"],
        &["black_box/telemetry::unknown_events_are_skipped_and_what_follows_is_read"],
    ),
    both(
        "malformed JSON batch",
        &["platform delivers telemetry that is no JSON"],
        &["black_box/telemetry::a_broken_batch_is_accepted_and_forgotten"],
    ),
    tests(
        "10 MB batch",
        &["black_box/bounds::a_batch_of_telemetry_that_is_too_long_is_accepted_and_forgotten"],
    ),
    tests("forged POST by the function", &["black_box/telemetry::what_a_function_forges_costs_no_span"]),
    rows(
        "subscription answers 202/403/404/500",
        &[
            "platform answers the subscription 202",
            "platform answers the subscription 403",
            "platform answers the subscription 404",
            "platform answers the subscription 500",
        ],
    ),
    rows("subscription slow", &["platform does not answer the subscription"]),
];

const API: &[Item] = &[
    tests("next connection reset", &["black_box/next::a_connection_that_breaks_is_replaced"]),
    rows("500", &["platform answers /next 500 twice"]),
    tests("very large tracing header", &["black_box/next::an_invoke_with_more_than_is_known_is_served"]),
    tests(
        "missing tracing",
        &["black_box/undescribed::an_invocation_without_a_tracing_header_is_described_as_well"],
    ),
    tests(
        "register 403/500",
        &[
            "black_box/start::where_invoke_is_refused_it_registers_for_shutdown_alone",
            "black_box/start::a_platform_that_refuses_every_registration_is_left_with_a_word",
        ],
    ),
    absent(
        "host:port at a link-local address",
        "Giving an interface such an address needs root. The extension takes host and port from AWS_LAMBDA_RUNTIME_API \
         as they are; every test has another port.",
    ),
    tests(
        "HTTP_PROXY set",
        &[
            "black_box/start::a_proxy_of_the_customer_is_not_used_for_the_platform",
            "black_box/residency::a_proxy_is_used_where_it_is_listed_or_nothing_is",
        ],
    ),
];

const FREEZE: &[Item] = &[
    rows("right after next", &["nobody all is well"]),
    both(
        "in the middle of an export",
        &["sandbox frozen with a request in flight, its connection cut meanwhile"],
        &[
            "reliability/freezes::short_handlers_before_a_slower_backend_deliver_in_end_mode",
            "reliability/freezes::short_handlers_before_a_slower_backend_deliver_in_continuous_mode",
            "reliability/freezes::short_handlers_before_a_slower_backend_deliver_in_adaptive_mode",
        ],
    ),
    both(
        "for 0 s, 1 s, 10 min (simulated)",
        &["platform two INVOKEs back to back", "sandbox frozen for 21 s with a request in flight"],
        &["simulation/simulation::every_seed_keeps_every_promise"],
    ),
    tests(
        "idle peer closes silently",
        &["black_box/connections::a_connection_over_which_nothing_comes_any_more_costs_no_span"],
    ),
    both(
        "peer closes with FIN while frozen",
        &["sandbox frozen with a request in flight, its connection cut meanwhile"],
        &[
            "black_box/backend::a_pooled_connection_that_died_is_replaced_at_once",
            "black_box/calls::a_connection_that_was_lost_in_a_freeze_costs_another_and_no_span",
        ],
    ),
    absent(
        "DNS answer changes",
        "No answer is kept: each new connection asks the system again, and a connection that is lost is replaced, which \
         is played. Another answer needs a resolver of the test's own, and so root.",
    ),
    tests(
        "credentials expire meanwhile",
        &[
            "black_box/signed::expired_credentials_are_replaced_at_once",
            "black_box/secrets::a_key_that_was_rotated_is_read_again_and_nothing_is_lost",
        ],
    ),
    rows(
        "real-time clock jump forward or back",
        &[
            "sandbox the clock is a minute ahead of the platform's",
            "sandbox the clock is a minute behind the platform's",
        ],
    ),
    Item {
        note: "A time namespace takes its offsets before its first process starts, so that no process can be given \
               another monotonic clock while it runs, as a restore does. The simulation's clock stands still in \
               freezes; the row is the restore without it.",
        ..tests(
            "monotonic reset (time namespace at restore)",
            &[
                "simulation/simulation::every_seed_keeps_every_promise",
                "reliability/kinds::a_restored_environment_tells_of_its_restore_once",
            ],
        )
    },
];

const SHUTDOWN: &[Item] = &[
    tests(
        "SHUTDOWN without INVOKE",
        &["black_box/shutdown::without_any_invocation_it_ends_and_describes_none"],
    ),
    both(
        "SIGKILL with no SHUTDOWN",
        &["sandbox the extension is killed while it is frozen, data unsent"],
        &["black_box/spool::what_a_dead_backend_did_not_take_outlives_a_kill"],
    ),
    both(
        "deadline already nearly passed",
        &["platform SHUTDOWN with a deadline that has passed, data unsent"],
        &["black_box/shutdown::with_little_time_left_it_still_ends_in_time"],
    ),
    tests("two invokes, then a timeout", &["black_box/shutdown::two_good_invocations_and_then_a_time_out"]),
    tests(
        "shutdown during retry back-off",
        &["black_box/shutdown::in_the_middle_of_a_back_off_it_tries_once_more_and_ends_in_time"],
    ),
];

const BACKEND: &[Item] = &[
    rows("refuse", &["backend refuses connections"]),
    rows("accept and hang", &["backend accepts and never answers"]),
    both("slow header", &["backend takes 400 ms"], &["black_box/backend::a_slow_backend_is_waited_for"]),
    tests("slow body", &["black_box/answers::a_body_that_drips_is_waited_for_within_the_ceiling"]),
    rows("RST mid-body", &["backend resets in the middle of the body", "backend cuts its answer short"]),
    both(
        "400/401/403/404/408/413/429/500/502/503/504",
        &["backend 400", "backend 401", "backend 413, whatever the size", "backend 429", "backend 503"],
        &["black_box/answers::every_status_has_its_meaning"],
    ),
    both(
        "Retry-After: seconds, HTTP-date, absurd, negative",
        &["backend 429, Retry-After in seconds", "backend 503, Retry-After as a date"],
        &["black_box/answers::a_pause_of_any_size_is_survived"],
    ),
    both(
        "200 with partial_success, with and without message",
        &["backend takes all spans but one"],
        &[
            "black_box/backend::what_the_backend_did_not_take_is_counted_and_not_repeated",
            "black_box/backend::a_warning_without_rejected_spans_loses_nothing",
        ],
    ),
    tests(
        "200 with garbage or empty body, gzip response",
        &["black_box/answers::the_body_of_a_success_makes_it_no_failure"],
    ),
    tests(
        "redirects",
        &[
            "black_box/answers::redirects_are_refusals_wherever_they_lead",
            "black_box/residency::a_redirect_is_not_followed",
        ],
    ),
    tests("TLS: expired", &["black_box/tls::a_certificate_that_has_expired_gets_nothing"]),
    tests("TLS: wrong host", &["black_box/tls::a_backend_under_another_name_gets_nothing"]),
    tests(
        "TLS: unknown CA",
        &["black_box/tls::a_backend_of_an_unknown_authority_gets_nothing_and_stops_nobody"],
    ),
    tests(
        "TLS: handshake stall",
        &[
            "black_box/tls::a_handshake_that_goes_wrong_costs_no_more_than_the_ceiling",
            "black_box/connections::a_handshake_that_hangs_during_start_up_holds_up_nothing",
        ],
    ),
    tests(
        "TLS 1.0 only, SNI mismatch",
        &["black_box/tls::a_handshake_that_goes_wrong_costs_no_more_than_the_ceiling"],
    ),
    tests("HTTP/2 GOAWAY", &["black_box/calls::a_connection_that_says_goodbye_is_left_in_peace"]),
    tests(
        "HTTP/2 max concurrent streams 1",
        &["black_box/calls::a_connection_for_one_call_at_a_time_carries_all_of_them"],
    ),
    tests(
        "gRPC status RESOURCE_EXHAUSTED with RetryInfo",
        &["clients/export::statuses_are_retried_or_not_as_the_specification_says"],
    ),
    Item {
        note: "The system's resolver makes one error of NXDOMAIN, SERVFAIL and a time-out; the last also takes its time, \
               which the ceiling bounds as it does a connection that hangs.",
        ..both(
            "DNS NXDOMAIN/SERVFAIL/timeout",
            &["backend its name is not known (DNS)"],
            &["black_box/connections::a_black_hole_costs_no_more_than_the_ceiling"],
        )
    },
    tests("SigV4 clock-skew 403", &["black_box/signed::a_wrong_clock_is_corrected_by_awss_own"]),
    tests(
        "blackhole (SYN drop) as in a VPC without NAT",
        &["black_box/connections::a_black_hole_costs_no_more_than_the_ceiling"],
    ),
];

const INPUT: &[Item] = &[
    both(
        "gzip bomb",
        &["function sends a gzip bomb"],
        &["black_box/receiver::a_gzip_bomb_is_refused_and_survived"],
    ),
    tests(
        "deep JSON or protobuf",
        &["black_box/abuse::what_is_deep_or_no_text_is_answered_and_spoils_nothing_else"],
    ),
    tests("10^5 attributes", &["black_box/abuse::a_span_with_a_hundred_thousand_attributes_arrives"]),
    tests(
        "invalid UTF-8",
        &[
            "black_box/abuse::what_is_deep_or_no_text_is_answered_and_spoils_nothing_else",
            "black_box/abuse::a_span_that_no_backend_can_read_costs_itself_alone",
        ],
    ),
    tests(
        "duplicate or invalid traceparent",
        &["black_box/abuse::trace_headers_of_a_request_are_not_believed"],
    ),
    tests(
        "baggage of 64 KB",
        &[
            "black_box/bounds::headers_of_more_than_64_kib_are_refused",
            "black_box/abuse::trace_headers_of_a_request_are_not_believed",
        ],
    ),
    tests("trace id zero", &["black_box/receiver::spans_with_invalid_ids_are_rejected_by_number"]),
    tests("slowloris on the OTLP port", &["black_box/bounds::heads_that_never_end_make_room"]),
    tests("1000 connections", &["black_box/bounds::a_thousand_connections_that_only_sit_there_make_room"]),
    both(
        "partial chunk, then silence",
        &["function sends half a body, and nothing more"],
        &["black_box/abuse::half_a_chunk_and_then_silence_holds_up_nothing"],
    ),
];

/// All of them, as the reference groups them.
pub(crate) const GROUPS: [(&str, &[Item]); 8] = [
    ("function", FUNCTION),
    ("extension", EXTENSION),
    ("telemetry", TELEMETRY),
    ("API", API),
    ("freeze", FREEZE),
    ("shutdown", SHUTDOWN),
    ("backend", BACKEND),
    ("input", INPUT),
];

/// Whether the test sources have this test, `file::function`.
fn is_there(test: &str) -> bool {
    let (file, function) = test.rsplit_once("::").expect("file::function");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file).with_extension("rs");
    let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {function}(");
    lines.windows(2).any(|pair| {
        let is_test = pair[0].starts_with("#[test]") || pair[0].starts_with("#[tokio::test");
        is_test && pair[1].trim_start_matches("async ").starts_with(&head)
    })
}

#[test]
fn every_fault_of_the_reference_is_played_or_says_why_not() {
    let played: BTreeSet<String> =
        faults::all().iter().map(|fault| format!("{} {}", fault.who, fault.what)).collect();
    let mut names = BTreeSet::new();
    for (group, item) in GROUPS.iter().flat_map(|(group, items)| items.iter().map(move |item| (group, item)))
    {
        let Item { fault, rows, tests, note } = item;
        assert!(names.insert((group, fault)), "{group}: {fault} is listed twice");
        assert!(!(rows.is_empty() && tests.is_empty() && note.is_empty()), "{group}: nothing plays {fault}");
        for row in *rows {
            assert!(played.contains(*row), "{group}: {fault}: there is no row {row:?}");
        }
        for test in *tests {
            assert!(is_there(test), "{group}: {fault}: there is no test {test}");
        }
    }
    assert!(!is_there("black_box/backend::there_is_none"), "what is not there must not be found");
}
