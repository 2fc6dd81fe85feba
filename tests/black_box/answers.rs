//! Every answer that a backend may give, in a table: what becomes of the span that it was given to.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tests::collector::{Answer, Reply};
use tests::otlp::Ids;

use super::world::{World, server_span};

/// What becomes of a span whose request was answered so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It was taken: nothing is repeated.
    Taken,
    /// It is sent again, and taken then.
    Later,
    /// It is given up, for this reason.
    Dropped(&'static str),
}

/// The span of the first invocation meets `answer`, once; two more invocations follow, and the end.
#[track_caller]
fn assert_fate(what: &str, answer: Answer, fate: Fate) {
    let world = World::start();
    world.collector.answer([answer]);
    world.invoke("r-1");
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    world.invoke_well("r-2", 2);
    world.invoke_well("r-3", 3);
    let summary = world.close();
    let first = world.collector.offered_spans().iter().filter(|seen| seen.span.name == "r-1").count();
    let (dropped, reason) = match fate {
        Fate::Taken | Fate::Later => (0, ""),
        Fate::Dropped(reason) => (1, reason),
    };
    assert_eq!((summary.dropped(), summary.dropped_for(reason)), (dropped, dropped), "{what}: {}", summary.0);
    assert_eq!(summary.count("exported"), 3 - dropped, "{what}: {}", summary.0);
    assert_eq!(first, if fate == Fate::Later { 2 } else { 1 }, "{what}: how often it was sent");
}

#[test]
fn every_status_has_its_meaning() {
    for status in [200, 202, 204] {
        assert_fate(&status.to_string(), Answer::status(status), Fate::Taken);
    }
    // Of a proxy that wants a login, of who does not stand for the backend, and of Cloudflare that does not reach it.
    for status in
        [401, 403, 407, 408, 421, 425, 429, 502, 503, 504, 511, 520, 521, 522, 523, 524, 525, 526, 530]
    {
        assert_fate(&status.to_string(), Answer::status(status), Fate::Later);
    }
    for status in [400, 404, 405, 415, 500, 501] {
        assert_fate(&status.to_string(), Answer::status(status), Fate::Dropped("rejected"));
    }
    assert_fate("413", Answer::status(413), Fate::Dropped("too_large"));
}

#[test]
fn redirects_are_refusals_wherever_they_lead() {
    for status in [301, 302, 303, 307, 308] {
        let to_itself = Reply::new(status).header("Location", "/v1/traces");
        assert_fate(&status.to_string(), Answer::Reply(to_itself), Fate::Dropped("rejected"));
    }
    assert_fate("304", Answer::Reply(Reply::new(304)), Fate::Dropped("rejected"));
}

#[test]
fn a_pause_of_any_size_is_survived() {
    let absurd = ["0", "-1", "1e9", "99999999999", "340282366920938463463374607431768211456", "", "\u{fc}"];
    let dates =
        ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 32 Foo 2026 25:61:61 GMT"];
    for value in absurd.into_iter().chain(dates) {
        assert_fate(&format!("Retry-After: {value}"), Answer::retry_after(503, value), Fate::Later);
    }
}

#[test]
fn the_body_of_a_success_makes_it_no_failure() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&[0x0a, 0x02, 0x12, 0x00]).expect("memory takes it");
    let gzip = gzip.finish().expect("memory takes it");
    let zipped = |body: Vec<u8>| Answer::Reply(Reply::new(200).header("Content-Encoding", "gzip").body(body));
    let bodies = [
        ("empty", Answer::ok()),
        ("garbage", Answer::body([0xff; 100])),
        ("a megabyte", Answer::body(vec![0x0a; 1 << 20])),
        ("gzip", zipped(gzip)),
        ("gzip that is none", zipped(b"plain".to_vec())),
        ("a negative number refused", Answer::partial_success(-1, "")),
        ("a warning", Answer::partial_success(0, "deprecated")),
        ("no error", Answer::body(r#"{"error":null,"errors":[]}"#)),
    ];
    for (what, answer) in bodies {
        assert_fate(what, answer, Fate::Taken);
    }
}

#[test]
fn a_web_page_is_no_success() {
    // A login page, a captive portal, a user interface: none of them took the data.
    let types = [Some("text/html; charset=utf-8"), None, Some("text/plain"), Some("application/xhtml+xml")];
    let pages = [
        "<!doctype html><title>Log in</title>",
        "\u{feff}<html>",
        "<!-- portal --><html>",
        "<?xml version=\"1.0\"?><Error/>",
    ];
    for (content_type, page) in types.into_iter().zip(pages) {
        let reply = Reply::new(200).body(page);
        let reply = content_type.into_iter().fold(reply, |reply, value| reply.header("Content-Type", value));
        assert_fate(page, Answer::Reply(reply), Fate::Later);
    }
}

#[test]
fn an_error_in_the_body_of_a_success_is_none() {
    for body in [
        r#"{"error":{"code":401,"message":"no such key"}}"#,
        r#"{"errors":["quota"]}"#,
        r#"{"errorMessage":"Task timed out","errorType":"Sandbox.Timedout"}"#,
    ] {
        let reply = Reply::new(200).header("Content-Type", "application/json").body(body);
        assert_fate(body, Answer::Reply(reply), Fate::Later);
    }
}

/// Go says `text/plain` of every body that it is not told the type of.
#[test]
fn a_partial_success_counts_whatever_it_is_called() {
    let protobuf = [0x0a, 2, 0x08, 1].to_vec();
    let json = |number: &str| format!(r#"{{"partialSuccess":{{"rejectedSpans":{number}}}}}"#).into_bytes();
    let rows = [
        ("text/plain; charset=utf-8", json("\"1\"")),
        ("application/octet-stream", json("1")),
        ("application/x-protobuf", json("\"1\"")),
        ("application/json", json("1.0")),
        ("application/json", ["\u{feff}".as_bytes(), &json("1")].concat()),
        ("application/json", protobuf.clone()),
        ("text/plain; charset=utf-8", protobuf),
    ];
    for (content_type, body) in rows {
        let what = format!("{content_type}: {}", String::from_utf8_lossy(&body));
        let reply = Reply::new(200).header("Content-Type", content_type).body(body);
        assert_fate(&what, Answer::Reply(reply), Fate::Dropped("partly_rejected"));
    }
}

/// Servers that are sent plain HTTP where they expect TLS say so in words of their own.
#[test]
fn what_a_port_for_tls_answers_to_plain_http_costs_nothing() {
    for words in [
        "Client sent an HTTP request to an HTTPS server.\n",
        "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head>",
    ] {
        assert_fate(words, Answer::Reply(Reply::new(400).body(words)), Fate::Later);
    }
}

#[test]
fn a_body_that_drips_is_waited_for_within_the_ceiling() {
    let world = World::start();
    let reply = Reply::new(200).body(vec![0; 60]);
    world.collector.answer([Answer::Dripping(Duration::from_millis(100), reply)]);
    let began = world.invoke("r-1");
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    let next = world.platform.wait_next();
    // Six seconds of body; the status was good, but nobody holds an invocation to see the end of it.
    assert!(next - began < Duration::from_secs(3), "it took {:?}", next - began);
    world.invoke_well("r-2", 2);
    let summary = world.close();
    assert_eq!((summary.count("received"), summary.dropped()), (2, 0), "{}", summary.0);
}
