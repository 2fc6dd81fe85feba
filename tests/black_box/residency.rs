//! Data goes to listed hosts only: not by configuration, not by redirect, not through a proxy.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prost::Message;
use tests::collector::{Answer, Collector};
use tests::http1::Response;
use tests::otlp::{self, Ids};
use tests::platform::{Platform, Script};

use super::world::{World, server_span};

const ALLOWED: &str = "PREFREEZE_ALLOWED_HOSTS";
const BASE: &str = "PREFREEZE_EXPORTER_OTLP_ENDPOINT";

/// A listening socket that counts who connects, and hangs up on everyone.
struct Tripwire {
    port: u16,
    touched: Arc<AtomicUsize>,
}

impl Tripwire {
    fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("bound").port();
        let touched = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&touched);
        std::thread::spawn(move || {
            for _connection in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, touched }
    }

    fn touched(&self) -> usize {
        self.touched.load(Ordering::SeqCst)
    }
}

/// An invocation with something of every signal.
fn send_everything(world: &World, request_id: &str, seed: u64) {
    world.invoke(request_id);
    assert_eq!(world.post("/v1/metrics", &otlp::metrics("payments", 1).encode_to_vec()).status, 200);
    assert_eq!(world.post("/v1/logs", &otlp::logs("paid").encode_to_vec()).status, 200);
    world.post_spans([server_span(request_id, Ids::new(seed), request_id)]);
    world.platform.wait_next();
}

fn refusals(world: &World) -> Vec<String> {
    let lines = world.platform.log("destination_refused");
    assert!(lines.iter().all(|line| line["level"] == "error"), "{lines:?}");
    lines.iter().map(|line| line["error"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_listed_host_gets_everything() {
    let world = World::with(|script| script.env(ALLOWED, "otlp.example.in, 127.0.0.1"));
    send_everything(&world, "r-1", 1);
    world.span("r-1");
    assert_eq!(world.close().dropped(), 0);
    assert_eq!(refusals(&world), Vec::<String>::new());
}

#[test]
fn a_host_that_is_not_listed_gets_no_connection_and_the_function_runs_on() {
    for list in ["otlp.example.in,.example.com,ap-south-1", "localhost", "not a host"] {
        let world = World::with(|script| script.env(ALLOWED, list));
        send_everything(&world, "r-1", 1);
        send_everything(&world, "r-2", 2);
        let summary = world.close();
        assert_eq!(summary.dropped_for("no_destination"), summary.count("received"), "{}", summary.0);
        assert_eq!(summary.0["logs"]["dropped"]["no_destination"], 2, "{}", summary.0);
        assert_eq!(world.collector.state().connections.len(), 0, "{list}");
        let said = refusals(&world);
        assert_eq!(said.len(), 1, "one line: {said:?}");
        assert!(said[0].starts_with("PREFREEZE_EXPORTER_OTLP_ENDPOINT: 127.0.0.1 is not in"), "{said:?}");
    }
}

#[test]
fn each_signal_is_held_to_the_list_on_its_own() {
    for signal in ["TRACES", "METRICS", "LOGS"] {
        let wire = Tripwire::new();
        let variable = format!("PREFREEZE_EXPORTER_OTLP_{signal}_ENDPOINT");
        let strange = format!("http://localhost:{}/v1/x", wire.port);
        let world = World::with(|script| script.env(ALLOWED, "127.0.0.1").env(&variable, strange));
        send_everything(&world, "r-1", 1);
        let summary = world.close();
        let counts = if signal == "TRACES" { &summary.0 } else { &summary.0[signal.to_lowercase()] };
        assert!(counts["dropped"]["no_destination"].as_u64().is_some_and(|count| count > 0), "{}", summary.0);
        assert_eq!(wire.touched(), 0, "{signal}");
        assert!(!world.collector.state().connections.is_empty(), "the others go where they may");
        assert_eq!(refusals(&world).len(), 1, "{signal}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let wire = Tripwire::new();
    let world = World::with(|script| script.env(ALLOWED, "127.0.0.1"));
    let away = format!("http://localhost:{}/v1/traces", wire.port);
    for status in [301, 302, 303, 307, 308] {
        world.collector.always(Answer::Reply(Response::new(status).header("Location", &away)));
        let request_id = format!("r-{status}");
        world.invoke(&request_id);
        world.post_spans([server_span(&request_id, Ids::new(u64::from(status)), &request_id)]);
        world.platform.wait_next();
    }
    let summary = world.close();
    assert!(summary.dropped_for("rejected") >= 5, "{}", summary.0);
    assert_eq!(wire.touched(), 0);
}

/// The backend under a name that does not say that it is here: a proxy would be asked for it. And a proxy from this
/// variable.
fn with_proxy(variable: &str, proxy: &str, allowed: Option<&str>) -> World {
    let collector = Collector::start();
    let endpoint = collector.endpoint().replace("127.0.0.1", "[::ffff:127.0.0.1]");
    let script = Script::new().env(BASE, endpoint).env(variable, proxy);
    let script = allowed.into_iter().fold(script, |script, list| script.env(ALLOWED, list));
    World { platform: Platform::ready(&script), collector }
}

#[test]
fn a_proxy_that_is_not_listed_is_passed_by() {
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let wire = Tripwire::new();
        let proxy = format!("http://127.0.0.1:{}", wire.port);
        let world = with_proxy(variable, &proxy, Some("[::ffff:127.0.0.1]"));
        world.invoke_well("r-1", 1);
        world.span("r-1");
        world.close();
        assert_eq!(wire.touched(), 0, "{variable}");
        assert!(refusals(&world)[0].starts_with(&format!("{variable}: this proxy is not in")), "{variable}");
    }
}

#[test]
fn a_proxy_is_used_where_it_is_listed_or_nothing_is() {
    for allowed in [None, Some("[::ffff:127.0.0.1],127.0.0.1")] {
        let wire = Tripwire::new();
        let world = with_proxy("http_proxy", &format!("http://127.0.0.1:{}", wire.port), allowed);
        world.invoke_well("r-1", 1);
        world.platform.spin_down();
        assert!(wire.touched() > 0, "{allowed:?}");
        assert_eq!(refusals(&world), Vec::<String>::new());
        assert_eq!(world.collector.state().connections.len(), 0);
    }
}

#[test]
fn grpc_is_held_to_the_list_too() {
    for (allowed, is_reached) in [("otlp.example.in", false), ("127.0.0.1", true)] {
        let wire = Tripwire::new();
        let script = Script::new()
            .env(BASE, format!("http://127.0.0.1:{}", wire.port))
            .env("PREFREEZE_EXPORTER_OTLP_PROTOCOL", "grpc")
            .env(ALLOWED, allowed);
        let platform = Platform::ready(&script);
        let world = World { platform, collector: Collector::start() };
        send_everything(&world, "r-1", 1);
        world.platform.spin_down();
        assert_eq!(wire.touched() > 0, is_reached, "{allowed}");
        assert_eq!(refusals(&world).len(), usize::from(!is_reached));
    }
}
