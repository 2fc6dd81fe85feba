//! When points are due, and which settings turn measuring off.

use super::*;
use crate::config::Destinations;
use crate::platform::{Ending, Response, ShutdownReason, Usage};
use crate::span::{Kind, SpanId, TraceId};
use alloc::vec::Vec;

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

/// Metrics that leave so, where there is a backend for them or not.
fn metrics(otlp: bool, emf: bool, has_backend: bool) -> Metrics {
    let measuring = Measuring { otlp, emf, ..Measuring::DEFAULT };
    let destinations = Destinations { metrics: has_backend, ..Destinations::ALL };
    Metrics::new(&Config { measuring, destinations, ..Config::default() })
}

#[test]
fn what_is_on_follows_from_the_settings_and_from_the_backend() {
    for (otlp, emf, has_backend, expected) in [
        // whether anything is on, as OTLP, as lines
        (true, false, true, [true, true, false]),
        (true, false, false, [false; 3]),
        (false, true, true, [true, false, true]),
        (true, true, false, [true, false, true]),
        (false, false, true, [false; 3]),
    ] {
        let metrics = metrics(otlp, emf, has_backend);
        assert_eq!([metrics.is_on(), metrics.has_otlp(), metrics.has_lines()], expected);
    }
    assert_eq!((Measuring::OFF.otlp, Measuring::OFF.emf), (false, false));
    let mut refused = metrics(true, false, true);
    refused.stop_otlp();
    assert!(!refused.has_otlp() && !refused.is_on());
}

#[test]
fn points_are_due_an_interval_after_the_last_ones_where_anything_is_measured() {
    let interval = Measuring::DEFAULT.interval.as_secs();
    let mut on = metrics(true, false, true);
    assert!(!on.is_due(at(1_000)), "nothing has begun");
    on.on_time(at(1), UnixNanos(0));
    on.on_time(at(30), UnixNanos(0));
    for (now, is_due) in [(1, false), (interval, false), (interval + 1, true), (interval + 9, true)] {
        assert_eq!(on.is_due(at(now)), is_due, "after {now} s");
    }
    let mut off = metrics(false, false, true);
    off.on_time(at(1), UnixNanos(0));
    assert!(!off.is_due(at(1_000)));
}

#[test]
fn what_was_hidden_is_news_where_anything_is_measured() {
    let (mut on, mut off) = (metrics(true, false, true), metrics(false, false, true));
    assert!(!on.has_news());
    on.on_guarded();
    off.on_guarded();
    assert_eq!((on.has_news(), off.has_news()), (true, false));
}

#[test]
fn intervals_follow_the_wall_clock_and_never_overlap() {
    let mut times = Times::default();
    let mut told = Vec::new();
    let of = |(begun, start, at): (UnixNanos, UnixNanos, UnixNanos)| (begun.0, start.0, at.0);
    told.push(of(times.interval(Instant::from_nanos(5))));
    times.on_time(Instant::from_nanos(10), UnixNanos(1_000));
    told.push(of(times.interval(Instant::from_nanos(15))));
    // The wall clock is set back.
    times.on_time(Instant::from_nanos(20), UnixNanos(900));
    told.push(of(times.interval(Instant::from_nanos(20))));
    times.on_time(Instant::from_nanos(30), UnixNanos(2_000));
    told.push(of(times.interval(Instant::from_nanos(32))));
    let expected = [(0, 0, 1), (1_000, 1_000, 1_005), (1_000, 1_005, 1_006), (1_000, 1_006, 2_002)];
    assert_eq!(told, expected);
}

#[test]
fn given_buckets_are_round_and_ascend() {
    const MIB: f64 = 1_024.0 * 1_024.0;
    let bytes = buckets("By");
    assert_eq!(bytes[..2], [1_024.0, 65_536.0]);
    let mebibytes: Vec<_> = bytes[2..].iter().map(|bound| bound / MIB).collect();
    let expected = [
        1.0, 6.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 768.0, 1_024.0, 2_048.0, 3_072.0, 4_096.0, 6_144.0,
        8_192.0, 10_240.0,
    ];
    assert_eq!(mebibytes, expected);
    assert_eq!((buckets("s").first(), buckets("s").last()), (Some(&0.005), Some(&900.0)));
    for unit in ["s", "By"] {
        assert!(buckets(unit).is_sorted_by(|low, high| low < high), "{unit}");
    }
    assert!(buckets("{span}").is_empty());
}

fn span(kind: Kind) -> Span<()> {
    Span {
        trace_id: TraceId::new([1; 16]).expect("not zero"),
        span_id: SpanId::new([1; 8]).expect("not zero"),
        parent: None,
        parent_is_remote: None,
        kind,
        start: UnixNanos(1),
        end: UnixNanos(2),
        is_error: false,
        request_id: None,
        size: 1,
        body: (),
    }
}

fn made() -> PlatformSpan {
    let Span { trace_id, span_id, kind, start, end, .. } = span(Kind::Server);
    let (attributes, links) = (Vec::new(), Vec::new());
    PlatformSpan {
        trace_id,
        span_id,
        parent: None,
        name: "f".into(),
        kind,
        start,
        end,
        error_type: None,
        attributes,
        links,
    }
}

#[test]
fn where_nothing_leaves_nothing_is_measured() {
    let config = Config::default();
    let shutdown = Shutdown {
        reason: ShutdownReason::Spindown,
        deadline: at(9),
        received_at: UnixNanos(1),
        waited: Duration::ZERO,
    };
    let start = PlatformEvent::Start { request_id: "r".into(), at: UnixNanos(1) };
    type Told<'a> = &'a dyn Fn(&mut Metrics);
    let ways: [(&str, Told<'_>, usize); 6] = [
        (
            "an invocation",
            &|metrics| {
                metrics.on_invoke(&"r".into(), UnixNanos(0));
                metrics.on_end(&config, &shutdown);
            },
            1,
        ),
        ("a recovered one", &|metrics| metrics.on_recovered(&"r".into(), UnixNanos(0)), 1),
        ("an event", &|metrics| metrics.on_event(&config, &start), 0),
        ("a cold start", &|metrics| metrics.on_first(&config, true), 1),
        ("a span", &|metrics| metrics.on_span(&span(Kind::Server)), 2),
        ("a span that was made", &|metrics| metrics.on_made(&made()), 2),
    ];
    for (way, tell, points) in ways {
        for (is_on, spans) in [(false, true), (true, true), (true, false)] {
            let mut metrics = metrics(is_on, false, true);
            metrics.measuring.spans = spans;
            tell(&mut metrics);
            let is_meant = is_on && (spans || !way.contains("span"));
            let expected = if is_meant { points } else { 0 };
            assert_eq!(metrics.store.take().len(), expected, "{way}, {is_on} {spans}");
            assert_eq!(metrics.has_news(), is_meant && way.contains("span"), "{way}, {is_on} {spans}");
        }
    }
}

#[test]
fn an_event_is_news_if_it_was_measured_and_our_own_exports_are_none() {
    let mut metrics = metrics(true, false, true);
    let config = Config::default();
    metrics.on_invoke(&"r".into(), UnixNanos(0));
    metrics.on_event(&config, &PlatformEvent::Start { request_id: "r".into(), at: UnixNanos(1) });
    assert!(!metrics.has_news(), "nothing is measured by it");
    let done = |at| PlatformEvent::RuntimeDone {
        request_id: "r".into(),
        at: UnixNanos(at),
        ending: Ending::SUCCESS,
        duration: Some(Duration::from_millis(5)),
        produced_bytes: None,
        response: Response::default(),
    };
    metrics.on_event(&config, &done(2));
    assert!(metrics.has_news());
    metrics.on_event(&config, &done(2));
    assert!(metrics.has_news(), "and it stays so, when it is told again");
    metrics.on_held(Duration::from_millis(1));
    let usage = Usage { billed: Some(Duration::from_millis(9)), ..Usage::default() };
    let (request_id, ending, duration) = ("r".into(), Ending::SUCCESS, Some(Duration::from_millis(8)));
    let report = PlatformEvent::Report { request_id, at: UnixNanos(3), ending, duration, usage };
    metrics.on_event(&config, &report);
    assert_eq!(metrics.billed(), (Duration::from_millis(9), Duration::from_millis(1)));
}
