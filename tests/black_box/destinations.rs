//! Several destinations: each is served as if it were alone, and gets what is for it, and nothing else.

use std::net::TcpListener;

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use tests::collector::{Answer, Collector, Request, State};
use tests::otlp::{self, Ids, SpanExt};
use tests::platform::events::{now_unix_ms, runtime_done};
use tests::platform::{Platform, Reason, Script};

use super::world::{Summary, World, server_span, span};

/// Enough for a breaker to open, and for every slot of a lane to hang.
const INVOCATIONS: u64 = 8;
/// Spans of one invocation.
const SPANS: usize = 3;
/// Longer than a test waits for `/next`.
const CEILING_MS: &str = "30000";
const MODES: [&str; 3] = ["end", "adaptive", "continuous"];

/// What a backend answers.
type Choose = fn() -> Answer;

/// The first destination, and another one beside it.
struct Pair {
    world: World,
    other: Collector,
    script: Script,
}

impl Pair {
    /// `fields` are what the second one says of itself beside its name and endpoint.
    fn start(fields: Value, shape: impl FnOnce(Script) -> Script) -> Self {
        let other = Collector::start();
        let endpoint = other.endpoint();
        Self::beside(other, &endpoint, fields, shape)
    }

    fn beside(
        other: Collector,
        endpoint: &str,
        mut fields: Value,
        shape: impl FnOnce(Script) -> Script,
    ) -> Self {
        let first = Collector::start();
        (fields["name"], fields["endpoint"]) = ("other".into(), endpoint.into());
        let script = Script::new()
            .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", first.endpoint())
            .env("PREFREEZE_DESTINATIONS", Value::Array(vec![fields]).to_string());
        let script = shape(script);
        Self { world: World { platform: Platform::ready(&script), collector: first }, other, script }
    }

    /// Kills the extension, and starts another one in the same environment.
    fn reset(self) -> Self {
        self.world.platform.kill();
        let Self { world: World { platform, collector }, other, script } = self;
        drop(platform);
        let platform = Platform::ready(&script);
        Self { world: World { platform, collector }, other, script }
    }

    /// SHUTDOWN, the books of all, and those of each lane, which balance.
    fn close(&self) -> (Summary, Vec<Value>) {
        let summary = self.world.close();
        let lanes = self.world.platform.log("destination_summary");
        for lane in &lanes {
            let count = |key: &str| lane[key].as_u64().expect("a count");
            let dropped: u64 = reasons(lane).map(|(_, count)| count).sum();
            assert_eq!(count("taken"), count("exported") + dropped + count("held"), "{lane}");
        }
        (summary, lanes)
    }
}

fn reasons(lane: &Value) -> impl Iterator<Item = (&String, u64)> {
    let reasons = lane["dropped"].as_object().expect("an object");
    reasons.iter().map(|(reason, count)| (reason, count.as_u64().expect("a count")))
}

/// The books of the lane of the traces to this destination.
fn of<'a>(lanes: &'a [Value], destination: &str) -> &'a Value {
    let is_it = |lane: &&Value| lane["destination"] == destination && lane["signal"] == "traces";
    lanes.iter().find(is_it).unwrap_or_else(|| panic!("no {destination} in {lanes:?}"))
}

/// An invocation that sends spans, up to the next `/next`.
fn invoke(world: &World, number: u64) {
    let (request_id, root) = (format!("r-{number}"), Ids::new(number));
    world.invoke(&request_id);
    let children = (1..SPANS as u64).map(|child| span("child", root.sibling(child)).with_parent(root));
    let own = server_span(&request_id, root, &request_id);
    world.post_spans(children.chain([own]));
    world.platform.wait_next();
}

/// An invocation of one span of this name.
fn invoke_as(world: &World, number: u64, name: &str, change: impl FnOnce(Span) -> Span) {
    let request_id = format!("r-{number}");
    world.invoke(&request_id);
    world.post_spans([change(server_span(name, Ids::new(number), &request_id))]);
    world.platform.wait_next();
}

fn taken(state: &State) -> usize {
    state.spans().len()
}

fn names(collector: &Collector) -> Vec<String> {
    let mut names: Vec<_> = collector.spans().into_iter().map(|seen| seen.span.name).collect();
    names.sort();
    names
}

/// An address at which nobody listens.
fn nobody() -> String {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    format!("http://{}", free.expect("there is a free port"))
}

#[test]
fn a_destination_that_is_ill_costs_the_other_nothing() {
    let rows: [(&str, Option<Choose>); 4] = [
        ("refuses", None),
        ("hangs", Some(|| Answer::Hold)),
        ("resets", Some(|| Answer::Reset(usize::MAX))),
        ("answers 503", Some(|| Answer::status(503))),
    ];
    for (mode, (how, answer)) in MODES.into_iter().flat_map(|mode| rows.map(|row| (mode, row))) {
        let shape = |script: Script| {
            script.env("PREFREEZE_FLUSH_TIMEOUT_MS", CEILING_MS).env("PREFREEZE_FLUSH", mode)
        };
        let (fields, ill) = (json!({ "hold": false }), Collector::start());
        let endpoint = if answer.is_some() { ill.endpoint() } else { nobody() };
        if let Some(answer) = answer {
            ill.always_with(move |_| answer());
        }
        let pair = Pair::beside(ill, &endpoint, fields, shape);
        for number in 1..=INVOCATIONS {
            // Nobody waits for what is ill: its ceiling is longer than this test waits for `/next`.
            invoke(&pair.world, number);
            let due = if mode == "continuous" { number - 1 } else { number } as usize * SPANS;
            let what = format!("{how}, {mode}: {due} spans");
            if mode == "continuous" {
                pair.world.collector.expect(&what, |state| taken(state) >= due);
            } else {
                assert!(taken(&pair.world.collector.state()) >= due, "{what} before a freeze");
            }
        }
        let (summary, lanes) = pair.close();
        let all = INVOCATIONS * SPANS as u64;
        let (own, ill) = (of(&lanes, "default"), of(&lanes, "other"));
        assert_eq!((own["taken"].as_u64(), own["exported"].as_u64()), (Some(all), Some(all)), "{how} {mode}");
        assert_eq!((ill["taken"].as_u64(), ill["exported"].as_u64()), (Some(all), Some(0)), "{how} {mode}");
        assert_eq!(summary.count("copied"), all, "{how}, {mode}: {}", summary.0);
        assert_eq!(pair.world.collector.spans().len() as u64, all, "{how}, {mode}: each arrives once");
        for line in pair.world.platform.log("backend_down") {
            assert_eq!(line["destination"], "other", "{how}, {mode}: {line}");
        }
    }
}

/// What one is waited for does not come on top of what the other is waited for: both are sent before either has answered.
#[test]
fn both_are_sent_before_either_has_answered() {
    let pair = Pair::start(json!({}), |script| script.env("PREFREEZE_FLUSH_TIMEOUT_MS", CEILING_MS));
    for collector in [&pair.world.collector, &pair.other] {
        collector.always(Answer::Hold);
    }
    pair.world.invoke("r-1");
    pair.world.post_spans([server_span("one", Ids::new(1), "r-1")]);
    for collector in [&pair.world.collector, &pair.other] {
        collector.expect("the span is offered", |state| state.offered_spans().len() == 1);
    }
    for collector in [&pair.world.collector, &pair.other] {
        collector.always(Answer::ok());
        collector.release();
    }
    pair.world.platform.wait_next();
    let (_, lanes) = pair.close();
    for name in ["default", "other"] {
        assert_eq!(of(&lanes, name)["exported"], 1, "{lanes:?}");
    }
}

#[test]
fn after_a_kill_the_other_gets_everything_and_the_one_that_was_served_nothing_again() {
    for mode in ["end", "adaptive"] {
        let pair = Pair::start(json!({}), |script| script.env("PREFREEZE_FLUSH", mode));
        pair.other.always(Answer::status(503));
        for number in 1..=INVOCATIONS {
            invoke(&pair.world, number);
        }
        let all = INVOCATIONS as usize * SPANS;
        assert_eq!(taken(&pair.world.collector.state()), all, "{mode}");
        assert_eq!(pair.other.spans().len(), 0);
        pair.other.always(Answer::ok());
        let pair = pair.reset();
        invoke(&pair.world, INVOCATIONS + 1);
        let (summary, _) = pair.close();
        assert_eq!(summary.dropped(), 0, "{mode}: {}", summary.0);
        let mut roots = names(&pair.other);
        roots.retain(|name| name.starts_with("r-"));
        let expected: Vec<_> = (1..=INVOCATIONS + 1).map(|number| format!("r-{number}")).collect();
        assert_eq!(roots, expected, "{mode}: {}", summary.0);
        assert_eq!(pair.other.spans().len(), all + SPANS, "{mode}: each arrives once");
        assert_eq!(pair.world.collector.spans().len(), all + SPANS, "{mode}: nothing is sent again");
    }
}

/// In the middle of an invocation nothing is parted yet: both get what was not delivered to both, under the same ids.
#[test]
fn after_a_kill_in_an_invocation_nothing_is_lost_for_either() {
    let pair = Pair::start(json!({}), |script| script);
    invoke(&pair.world, 1);
    pair.world.invoke("r-2");
    let root = Ids::new(2);
    pair.world.post_spans([span("child", root.sibling(1)).with_parent(root)]);
    let pair = pair.reset();
    invoke(&pair.world, 3);
    pair.close();
    for collector in [&pair.world.collector, &pair.other] {
        let names = names(collector);
        for name in ["r-1", "r-3", "child"] {
            assert!(names.iter().any(|own| own == name), "{name} in {names:?}");
        }
    }
}

/// Whether this text is anywhere in a request.
fn holds(request: &Request, text: &str) -> bool {
    let plain = request.plain.as_ref().map_or(&request.wire, |plain| plain);
    plain.windows(text.len()).any(|window| window == text.as_bytes())
}

fn only_payments() -> Value {
    json!({ "only": true, "match": { "name": "payment.*" } })
}

#[test]
fn what_may_be_in_one_place_only_is_nowhere_else_although_that_is_down_and_memory_is_full() {
    let small = |script: Script| {
        script
            .env("PREFREEZE_BUFFER_BYTES", "65536")
            .env("PREFREEZE_SPOOL", "off")
            .env("PREFREEZE_FLUSH_TIMEOUT_MS", "500")
    };
    let pair = Pair::beside(Collector::start(), &nobody(), only_payments(), small);
    let long = "x".repeat(4_000);
    for number in 1..=40 {
        let request_id = format!("r-{number}");
        pair.world.invoke(&request_id);
        let name = if number % 4 == 0 { "order.create" } else { "payment.create" };
        let root = Ids::new(number);
        let children = (1..4).map(|child| {
            span(&format!("{name} part"), root.sibling(child)).with_parent(root).with_text("body", &long)
        });
        // The span that tells what it is comes last, as the function's own does.
        pair.world.post_spans(children.chain([server_span(name, root, &request_id)]));
        pair.world.platform.wait_next();
    }
    let (summary, lanes) = pair.close();
    let requests = pair.world.collector.requests();
    let strange = requests.iter().filter(|request| holds(request, "payment.")).count();
    assert_eq!(strange, 0, "requests of {}", requests.len());
    assert_eq!(names(&pair.world.collector).iter().filter(|name| *name == "order.create").count(), 10);
    let other = of(&lanes, "other");
    assert_eq!((other["exported"].as_u64(), other["taken"].as_u64()), (Some(0), Some(30 * 4)), "{other}");
    assert!(other["dropped"]["outbox_full"].as_u64() > Some(0), "memory was full: {other}");
    assert_eq!(of(&lanes, "default")["exported"], 10 * 4, "{}", summary.0);
}

/// Its host is not allowed, its endpoint is no URL, or nobody can tell what it is for: it is counted, and sent nowhere else.
#[test]
fn what_has_no_place_where_it_may_be_is_counted_and_sent_nowhere() {
    let with = |change: Value| {
        let mut fields = only_payments();
        fields["name"] = "other".into();
        fields["endpoint"] = "http://127.0.0.2:1".into();
        for (key, value) in change.as_object().expect("an object") {
            fields[key] = value.clone();
        }
        Value::Array(vec![fields]).to_string()
    };
    let rows = [
        // The list, and what of an order and a payment the first destination gets.
        (with(json!({})), &["order.create"][..]),
        (with(json!({ "endpoint": "no URL" })), &["order.create"]),
        (with(json!({ "match": { "nmae": "payment.*" }, "endpoint": "no URL" })), &[]),
        (with(json!({ "only": "yes", "endpoint": "no URL" })), &["order.create"]),
        ("[{\"name\": \"other\", \"only\": true".to_owned(), &[]),
        ("[{\"name\": \"other\"".to_owned(), &["order.create", "payment.create"]),
    ];
    for (list, expected) in rows {
        let collector = Collector::start();
        let script = Script::new()
            .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
            .env("PREFREEZE_ALLOWED_HOSTS", "127.0.0.1")
            .env("PREFREEZE_DESTINATIONS", &list);
        let world = World { platform: Platform::ready(&script), collector };
        invoke_as(&world, 1, "payment.create", |span| span);
        invoke_as(&world, 2, "order.create", |span| span);
        let summary = world.close();
        assert_eq!(world.names(), expected, "{list}");
        let nowhere = 2 - expected.len() as u64;
        assert_eq!(summary.dropped_for("no_destination"), nowhere, "{list}: {}", summary.0);
        let said =
            world.platform.log("setting_ignored").len() + world.platform.log("destination_refused").len();
        assert!(said > 0, "{list}: a line says so");
    }
}

/// What cannot tell what it belongs to after a kill is taken for what may be in one place only.
#[test]
fn what_a_kill_has_cut_off_from_its_root_stays_in_its_place() {
    let pair = Pair::start(only_payments(), |script| script);
    let root = Ids::new(1);
    pair.world.invoke("r-1");
    pair.world.post_spans([span("payment part", root.sibling(1)).with_parent(root)]);
    let pair = pair.reset();
    invoke_as(&pair.world, 2, "order.create", |span| span);
    pair.close();
    let first = pair.world.collector.requests();
    assert!(!first.iter().any(|request| holds(request, "payment")), "{:?}", names(&pair.world.collector));
    assert!(names(&pair.other).contains(&"payment part".to_owned()), "{:?}", names(&pair.other));
}

/// That an invocation failed may be told after its spans have left: a destination that takes failures gets them all the same.
#[test]
fn failures_that_are_told_late_are_at_the_destination_of_failures_as_a_whole() {
    let pair = Pair::start(json!({ "spans": "failures" }), |script| script.env("PREFREEZE_FLUSH", "end"));
    let ends = ["success", "timeout", "error"];
    for (number, end) in (1..).zip(ends) {
        invoke(&pair.world, number);
        pair.world.platform.post_telemetry(&[runtime_done(now_unix_ms(), &format!("r-{number}"), end, 12.5)]);
    }
    invoke(&pair.world, 4);
    pair.world.runtime_done("r-4");
    let (summary, lanes) = pair.close();
    // What is made here of a time-out comes beside these.
    let own = |collector| -> Vec<String> {
        names(collector).into_iter().filter(|name| name == "child" || name.starts_with("r-")).collect()
    };
    assert_eq!(own(&pair.world.collector).len(), 4 * SPANS, "{}", summary.0);
    let expected = ["child", "child", "child", "child", "r-2", "r-3"];
    assert_eq!(own(&pair.other), expected, "with all that belongs to them: {lanes:?}");
}

#[test]
fn metrics_and_logs_go_by_their_service() {
    let fields = |service: &str| json!({ "match": { "service": service }, "only": true });
    for (service, is_first) in [("orders", false), ("stock", true)] {
        let pair = Pair::start(fields(service), |script| script);
        pair.world.invoke("r-1");
        assert_eq!(pair.world.post("/v1/logs", &otlp::logs("a line").encode_to_vec()).status, 200);
        pair.world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
        pair.world.platform.wait_next();
        pair.world.end(Reason::Spindown);
        let (own, other) = if is_first {
            (&pair.world.collector, &pair.other)
        } else {
            (&pair.other, &pair.world.collector)
        };
        assert_eq!((own.state().logs().len(), own.spans().len()), (1, 1), "{service}");
        assert_eq!(other.requests().len(), 0, "{service}");
    }
}

/// Lines of the function and measurements have the resource that the environment's variables describe, and go by that.
#[test]
fn what_is_made_here_goes_by_the_resource_that_it_leaves_with() {
    let fields =
        |value: &str| json!({ "match": { "attributes": { "data.residency": value } }, "only": true });
    for (value, is_first) in [("in", false), ("eu", true)] {
        let pair = Pair::start(fields(value), |script| {
            script
                .env("OTEL_RESOURCE_ATTRIBUTES", "data.residency=in")
                .env("PREFREEZE_LOGS", "all")
                .env("PREFREEZE_METRICS", "otlp")
                .env("PREFREEZE_METRICS_INTERVAL_MS", "1")
        });
        pair.world.invoke("r-1");
        let line = json!({ "time": "2026-11-28T00:00:00.000Z", "type": "function", "record": "card 4711" });
        pair.world.platform.post_telemetry(&[line]);
        pair.world.runtime_done("r-1");
        pair.world.platform.wait_next();
        pair.world.end(Reason::Spindown);
        let (own, other) = if is_first {
            (&pair.world.collector, &pair.other)
        } else {
            (&pair.other, &pair.world.collector)
        };
        let paths: Vec<_> = own.requests().iter().map(|request| request.path.clone()).collect();
        assert!(own.requests().iter().any(|request| holds(request, "card 4711")), "{value}: {paths:?}");
        assert!(paths.iter().any(|path| path == "/v1/metrics"), "{value}: {paths:?}");
        assert_eq!(other.requests().len(), 0, "{value}");
    }
}

/// Metrics of spans have their names, and those of the servers that they asked.
#[test]
fn names_of_spans_are_in_no_metrics_elsewhere() {
    for (spans, is_elsewhere) in [("", false), ("on", true)] {
        let pair = Pair::start(only_payments(), |script| {
            script.env("PREFREEZE_METRICS", "otlp").env("PREFREEZE_METRICS_SPANS", spans)
        });
        invoke_as(&pair.world, 1, "payment.create", |span| span);
        pair.world.end(Reason::Spindown);
        let first = pair.world.collector.requests();
        assert!(first.iter().any(|request| request.path == "/v1/metrics"));
        assert_eq!(first.iter().any(|request| holds(request, "payment.create")), is_elsewhere);
    }
}
