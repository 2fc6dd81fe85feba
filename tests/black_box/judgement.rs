//! Sampling in four services that share traces: every failure, the same hundredth of the rest, totals made up again, and
//! metrics that count them all.

use std::collections::BTreeSet;
use std::thread;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use tests::collector::SpanSeen;
use tests::metrics::Points;
use tests::otlp::{Ids, SpanExt, traces};
use tests::platform::events::{now_unix_ms, runtime_done, runtime_done_error};
use tests::platform::{Invoke, Script};

use super::world::{LONG, Summary, World, protobuf, server_span};

/// Traces, each of which goes through four services: 10,000 invocations.
const TRACES: u64 = 2_500;
const SERVICES: u64 = 4;
/// One in so many invocations of a service fails, and not the same ones in each.
const FAILS_EVERY: u64 = 50;
const SHARE: f64 = 0.01;
/// `th` of one hundredth, as OpenTelemetry writes it.
const THRESHOLD: &str = "fd70a";

fn sampled(script: Script) -> Script {
    ["COLD_STARTS", "SLOW", "RARE", "BOOST"]
        .iter()
        .fold(script, |script, name| script.env(&format!("PREFREEZE_SAMPLING_{name}"), "off"))
        .env("PREFREEZE_SAMPLING_RATIO", SHARE.to_string())
        .env("PREFREEZE_FLUSH", "end")
}

/// Invocations of one environment, one after the other, as fast as it asks for them.
struct Run {
    world: World,
    sent: usize,
}

impl Run {
    fn start(shape: impl FnOnce(Script) -> Script) -> Self {
        Self { world: World::with(shape), sent: 0 }
    }

    #[track_caller]
    fn invocation(&mut self, ids: Ids, fails: bool) {
        self.sent += 1;
        let sent = self.sent;
        let request_id = format!("r-{sent}");
        let platform = &self.world.platform;
        platform.queue_next(&Invoke::new(&request_id, LONG));
        platform.wait_events_sent(sent);
        let mut span = server_span("POST /payments", ids, &request_id);
        if fails {
            span = span.with_status(StatusCode::Error, "declined");
        }
        let answer = platform.post_otlp("/v1/traces", &traces([span]).encode_to_vec(), &protobuf());
        assert_eq!(answer.status, 200);
        platform.wait_next();
        let now = now_unix_ms();
        let done = if fails {
            runtime_done_error(now, &request_id, "error", 5.0, "Function.Declined")
        } else {
            runtime_done(now, &request_id, "success", 5.0)
        };
        platform.post_telemetry(&[done]);
    }
}

fn fails(service: u64, number: u64) -> bool {
    (number * 7 + service * 13).is_multiple_of(FAILS_EVERY)
}

/// The 56 bits of a trace that decide, as OpenTelemetry has them.
fn is_in_share(ids: Ids) -> bool {
    let [.., a, b, c, d, e, f, g] = ids.trace;
    let randomness = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
    let digits = u64::from_str_radix(THRESHOLD, 16).expect("hexadecimal");
    randomness >= digits << (4 * (14 - THRESHOLD.len()))
}

fn trace_of(seen: &SpanSeen) -> Vec<u8> {
    seen.span.trace_id.clone()
}

/// One service's part: what it kept, and its books.
fn serve(service: u64) -> (Vec<SpanSeen>, Summary) {
    let mut run = Run::start(|script| sampled(script).with_metrics());
    for number in 0..TRACES {
        run.invocation(Ids::new(number), fails(service, number));
    }
    let summary = run.world.close();
    assert_metrics(
        &Points::of(&run.world.collector),
        (0..TRACES).filter(|n| fails(service, *n)).count() as u64,
    );
    (run.world.collector.spans(), summary)
}

/// Metrics are of all invocations, kept or not, whatever the ratio.
fn assert_metrics(points: &Points, failed: u64) {
    points.assert_intervals();
    let count = |name| points.sum(name) as u64;
    assert_eq!((count("faas.invocations"), count("faas.errors")), (TRACES - failed, failed));
    assert_eq!(points.distribution("faas.invoke_duration").count, TRACES);
    assert_eq!(count("traces.span.metrics.calls"), TRACES);
    let is_error = |seen: &tests::metrics::Seen| seen.text("status.code") == Some("STATUS_CODE_ERROR");
    assert_eq!(points.sum_where("traces.span.metrics.calls", is_error) as u64, failed);
}

#[test]
fn four_services_keep_their_failures_and_the_same_hundredth_of_the_rest() {
    let services: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..SERVICES).map(|service| scope.spawn(move || serve(service))).collect();
        running.into_iter().map(|service| service.join().expect("the service's story holds")).collect()
    });
    let ids = || (0..TRACES).map(|number| (number, Ids::new(number)));
    let shared: BTreeSet<_> =
        ids().filter(|(_, ids)| is_in_share(*ids)).map(|(_, ids)| ids.trace.to_vec()).collect();
    let mut estimate = 0.0;
    for (service, (spans, summary)) in (0..).zip(&services) {
        let failed: BTreeSet<_> =
            ids().filter(|(number, _)| fails(service, *number)).map(|(_, ids)| ids.trace.to_vec()).collect();
        let kept: BTreeSet<_> = spans.iter().map(trace_of).collect();
        assert_eq!(kept, failed.union(&shared).cloned().collect(), "service {service}");
        assert_eq!(spans.len(), kept.len(), "each span once");
        let by_chance = spans.iter().filter(|seen| seen.span.trace_state == format!("ot=th:{THRESHOLD}"));
        let by_chance: BTreeSet<_> = by_chance.map(trace_of).collect();
        assert_eq!(by_chance, shared, "the same traces in each service, and equal to the rule");
        estimate += by_chance.len() as f64 / SHARE;
        for seen in spans.iter().filter(|seen| !shared.contains(&trace_of(seen))) {
            let reason = Any::StringValue("error".to_owned());
            assert_eq!((seen.attribute("sampling.reason"), &*seen.span.trace_state), (Some(&reason), ""));
        }
        assert_eq!(summary.count("received"), TRACES);
        assert_eq!(summary.count("exported") + summary.count("sampled_out"), TRACES);
        assert_eq!(summary.0["sampling"]["kept"]["error"], failed.len());
    }
    // The services see the same traces: their estimates are one, four times. Five standard deviations.
    let bound = SERVICES as f64 * 5.0 * (TRACES as f64 * (1.0 - SHARE) / SHARE).sqrt();
    let total = (SERVICES * TRACES) as f64;
    assert!((estimate - total).abs() < bound, "{estimate} made up of {total}, {bound} allowed");
}

#[test]
fn rising_errors_raise_the_ratio_and_their_end_lets_it_fall() {
    let mut run = Run::start(|script| sampled(script).env("PREFREEZE_SAMPLING_BOOST", "0.5"));
    let mut number = 0;
    let mut invoke = |run: &mut Run, count: u64, fails_every: u64| {
        for n in 0..count {
            number += 1;
            run.invocation(Ids::new(number), n % fails_every == 0);
        }
    };
    invoke(&mut run, 150, 100);
    let calm = run.world.collector.spans().len();
    invoke(&mut run, 80, 2);
    let risen = run.world.collector.spans().len() - calm;
    invoke(&mut run, 150, 100);
    let before = run.world.collector.spans().len();
    invoke(&mut run, 100, 100);
    let after = run.world.collector.spans().len() - before;
    let summary = run.world.close();
    assert!(calm < 10 && after < 10, "{calm} of 150 and {after} of 100 in peace");
    assert!(risen > 50, "{risen} of 80, of which 40 failed, at every second of the others");
    let sampling = &summary.0["sampling"];
    assert_eq!((&sampling["boosts"], &sampling["boosted_now"]), (&1.into(), &0.into()), "{sampling}");
}
