//! Signatures and secrets when several things go wrong together, as an attacker played them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use prost::Message;
use tests::aws::{Endpoint, Role};
use tests::collector::{Answer, Collector, Reply, Request};
use tests::otlp::{self, Ids};
use tests::platform::{Kind, Platform, Reason, Script};

use super::secrets::{NEW, OLD, REFERENCE, manager as vault};
use super::signed::with_role;
use super::world::{World, server_span};

fn aws(service: &'static str, region: &'static str, role: &Role, answers: &'static str) -> Endpoint {
    Endpoint { service, region, role: role.clone(), ahead: 0, answers }
}

fn bearer(script: Script, collector: &Collector, manager: &Collector) -> Script {
    script
        .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .env("PREFREEZE_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{REFERENCE}"))
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", manager.endpoint())
        .env("PREFREEZE_FLUSH", "end")
}

/// Old at the first reading, then what is in `later`, one each, then the new one.
fn rotating(manager: &Collector, role: &Role, later: Vec<Answer>) {
    let (asked, role) = (AtomicUsize::new(0), role.clone());
    manager.always_with(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => vault(&role, OLD),
        n => later.get(n - 1).cloned().unwrap_or_else(|| vault(&role, NEW)),
    });
}

/// 401 to the old key, after a while, so that requests overlap; 200 to the new one.
fn wants_new(collector: &Collector) {
    collector.always_with(|request| {
        if request.headers.get("authorization") == Some("Bearer k3y-new") {
            Answer::ok()
        } else {
            Answer::After(Duration::from_millis(400), Reply::new(401))
        }
    });
}

fn seen(collector: &Collector) -> Vec<(String, String, u16)> {
    let line = |request: &Request| {
        (
            request.path.clone(),
            request.headers.get("authorization").unwrap_or_default().chars().take(40).collect(),
            request.status.unwrap_or_default(),
        )
    };
    collector.requests().iter().map(line).collect()
}

fn all_signals(world: &World, id: &str, seed: u64) {
    world.post_spans([server_span(id, Ids::new(seed), id)]);
    assert_eq!(world.post("/v1/logs", &otlp::logs("a line").encode_to_vec()).status, 200);
    assert_eq!(world.post("/v1/metrics", &otlp::metrics("orders", 1).encode_to_vec()).status, 200);
}

/// Their requests are under way together, in an invocation or in SHUTDOWN, after which nobody comes.
#[test]
fn three_signals_with_one_rotated_key_are_all_sent_again() {
    for is_cut_off in [false, true] {
        let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
        rotating(&manager, &role, vec![]);
        let platform = Platform::ready(&with_role(bearer(Script::new(), &collector, &manager), &role));
        let world = World { platform, collector };
        world.invoke("r-1");
        all_signals(&world, "r-1", 1);
        world.platform.wait_next();
        wants_new(&world.collector);
        world.invoke("r-2");
        all_signals(&world, "r-2", 2);
        if is_cut_off {
            world.end(Reason::Timeout);
        } else {
            world.platform.wait_next();
            world.close();
        }
        assert!(world.platform.log("export_refused").is_empty());
        let requests = seen(&world.collector);
        let taken = |path: &str| requests.iter().filter(|row| row.0 == path && row.2 == 200).count();
        let found = ["/v1/traces", "/v1/logs", "/v1/metrics"].map(taken);
        assert!(found.iter().all(|count| *count >= 2), "{is_cut_off}: {found:?}");
    }
}

#[test]
fn a_rotation_that_meets_a_passing_failure_of_the_vault_loses_nothing() {
    let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
    rotating(&manager, &role, vec![Answer::status(503)]);
    let platform = Platform::ready(&with_role(bearer(Script::new(), &collector, &manager), &role));
    let world = World { platform, collector };
    world.invoke_well("r-1", 1);
    wants_new(&world.collector);
    world.invoke_well("r-2", 2);
    world.invoke_well("r-3", 3);
    world.end(Reason::Spindown);
    assert_eq!(world.names(), ["r-1", "r-2", "r-3"]);
}

#[test]
fn a_clock_is_corrected_once_for_requests_that_overlap() {
    for ahead in [600, -600] {
        let role = Role::named("F");
        let (traces, logs) = (Collector::start(), Collector::start());
        for (collector, service) in [(&traces, "xray"), (&logs, "logs")] {
            let endpoint = Endpoint { ahead, ..aws(service, "eu-west-1", &role, "") };
            collector.always(Answer::AwsAfter(Duration::from_millis(300), endpoint));
        }
        let script = with_role(Script::new(), &role)
            .env("PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", traces.endpoint()))
            .env("PREFREEZE_EXPORTER_OTLP_TRACES_AUTH", "sigv4:xray:eu-west-1")
            .env("PREFREEZE_EXPORTER_OTLP_LOGS_ENDPOINT", format!("{}/v1/logs", logs.endpoint()))
            .env("PREFREEZE_EXPORTER_OTLP_LOGS_AUTH", "sigv4:logs:eu-west-1")
            .env("PREFREEZE_FLUSH_TIMEOUT_MS", "8000")
            .env("PREFREEZE_FLUSH", "end");
        let world = World { platform: Platform::ready(&script), collector: traces };
        world.invoke("r-1");
        world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
        assert_eq!(world.post("/v1/logs", &otlp::logs("a line").encode_to_vec()).status, 200);
        world.platform.wait_next();
        let statuses = |collector: &Collector| {
            collector.requests().iter().filter_map(|request| request.status).collect::<Vec<_>>()
        };
        world.platform.spin_down();
        let found = (statuses(&world.collector), statuses(&logs));
        let said: Vec<_> =
            world.platform.log("clock_corrected").iter().map(|line| line["seconds"].clone()).collect();
        assert_eq!(found, (vec![403, 200], vec![403, 200]), "{ahead}: {said:?}");
    }
}

#[test]
fn a_host_is_signed_as_it_is_sent() {
    let role = Role::named("F");
    for host in ["127.0.0.1:PORT", "localhost:PORT", "localhost:0PORT", "LOCALHOST:PORT", "LocalHost:PORT"] {
        let collector = Collector::start();
        collector.always(Answer::Aws(aws("xray", "eu-west-1", &role, "")));
        let host = host.replace("PORT", &collector.address().port().to_string());
        let script = with_role(Script::new(), &role)
            .env("PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT", format!("http://{host}/v1/traces"))
            .env("PREFREEZE_EXPORTER_OTLP_TRACES_AUTH", "sigv4:xray:eu-west-1")
            .env("PREFREEZE_FLUSH", "end");
        let world = World { platform: Platform::ready(&script), collector };
        world.invoke_well("r-1", 1);
        let requests = world.collector.requests();
        let found: Vec<_> = requests
            .iter()
            .map(|r| (r.headers.get("host").unwrap_or_default().to_owned(), r.status))
            .collect();
        world.platform.spin_down();
        assert!(found.iter().all(|row| row.1 == Some(200)) && !found.is_empty(), "{host}: {found:?}");
    }
}

#[test]
fn a_rotated_secret_beside_a_signature_is_read_again() {
    let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
    rotating(&manager, &role, vec![]);
    let script = with_role(bearer(Script::new(), &collector, &manager), &role)
        .env("PREFREEZE_EXPORTER_OTLP_HEADERS", format!("x-api-key={REFERENCE}"))
        .env("PREFREEZE_EXPORTER_OTLP_AUTH", "sigv4:execute-api:eu-west-1");
    let world = World { platform: Platform::ready(&script), collector };
    world.invoke_well("r-1", 1);
    world.collector.always_with(|request| {
        Answer::status(if request.headers.get("x-api-key") == Some("k3y-new") { 200 } else { 403 })
    });
    world.invoke_well("r-2", 2);
    world.end(Reason::Spindown);
    assert_eq!(world.names(), ["r-1", "r-2"]);
}

#[test]
fn a_wrong_clock_does_not_keep_a_secret_from_being_read() {
    let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
    manager.always(Answer::Aws(Endpoint { ahead: 600, ..aws("secretsmanager", "ap-south-1", &role, OLD) }));
    let platform = Platform::ready(&with_role(bearer(Script::new(), &collector, &manager), &role));
    let world = World { platform, collector };
    world.invoke_well("r-1", 1);
    world.end(Reason::Spindown);
    assert_eq!(world.names(), ["r-1"]);
}

#[test]
fn credentials_that_the_vault_refuses_are_replaced() {
    let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("NEW"));
    manager.always(vault(&role, OLD));
    let script = bearer(Script::new(), &collector, &manager).credentials([Role::named("OLD"), role]);
    let world = World { platform: Platform::ready(&script), collector };
    world.invoke_well("r-1", 1);
    world.invoke_well("r-2", 2);
    world.end(Reason::Spindown);
    assert_eq!(world.names(), ["r-1", "r-2"]);
}

#[test]
fn credentials_that_are_good_are_kept_where_others_are_not_to_be_had() {
    let (traces, logs, role) = (Collector::start(), Collector::start(), Role::named("GOOD"));
    traces.always(Answer::Aws(aws("xray", "eu-west-1", &role, "")));
    logs.always(Answer::Reply(Reply::new(403).body(b"not authorized to perform: logs:PutLogEvents")));
    let script = Script::new()
        .credentials([role, Role::named("FAIL")])
        .env("PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", traces.endpoint()))
        .env("PREFREEZE_EXPORTER_OTLP_TRACES_AUTH", "sigv4:xray:eu-west-1")
        .env("PREFREEZE_EXPORTER_OTLP_LOGS_ENDPOINT", format!("{}/v1/logs", logs.endpoint()))
        .env("PREFREEZE_EXPORTER_OTLP_LOGS_AUTH", "sigv4:logs:eu-west-1")
        .env("PREFREEZE_FLUSH", "end");
    let world = World { platform: Platform::ready(&script), collector: traces };
    world.invoke_well("r-1", 1);
    world.invoke("r-2");
    assert_eq!(world.post("/v1/logs", &otlp::logs("a line").encode_to_vec()).status, 200);
    world.post_spans([server_span("r-2", Ids::new(2), "r-2")]);
    world.platform.wait_next();
    world.invoke_well("r-3", 3);
    world.invoke_well("r-4", 4);
    let before = world.names();
    world.end(Reason::Spindown);
    assert_eq!(before, ["r-1", "r-2", "r-3", "r-4"]);
}

#[test]
fn a_request_is_signed_when_it_is_sent() {
    let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
    let endpoint = aws("secretsmanager", "ap-south-1", &role, OLD);
    manager.always(Answer::AwsAfter(Duration::from_secs(3), endpoint));
    let script = with_role(bearer(Script::new(), &collector, &manager), &role)
        .env("PREFREEZE_EXPORTER_OTLP_HEADERS", format!("x-api-key={REFERENCE}"))
        .env("PREFREEZE_EXPORTER_OTLP_AUTH", "sigv4:execute-api:eu-west-1");
    let world = World { platform: Platform::ready(&script), collector };
    world.invoke_well("r-1", 1);
    world.collector.expect("the request", |state| !state.requests.is_empty());
    let request = world.collector.requests().remove(0);
    let nanos = request.arrived_wall.duration_since(std::time::UNIX_EPOCH).expect("now").as_nanos();
    let arrived = wire::time::basic_format(policy::UnixNanos(nanos as u64));
    let signed = request.headers.get("x-amz-date").unwrap_or_default().to_owned();
    world.platform.spin_down();
    let seconds =
        |text: &str| text[13..15].parse::<i64>().expect("s") + 60 * text[11..13].parse::<i64>().expect("m");
    assert!((seconds(&arrived) - seconds(&signed)).abs() <= 2, "signed {signed}, arrived {arrived}");
}

#[test]
fn a_secret_that_is_refused_is_asked_for_once_a_minute() {
    let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
    manager.always(Answer::Reply(Reply::new(400).body(br#"{"__type":"AccessDeniedException"}"#)));
    let platform = Platform::ready(&with_role(bearer(Script::new(), &collector, &manager), &role));
    let world = World { platform, collector };
    for number in 1..=6 {
        let id = format!("r-{number}");
        world.invoke(&id);
        all_signals(&world, &id, number);
        world.platform.wait_next();
    }
    let asked = manager.requests().len();
    manager.always(vault(&role, OLD));
    world.end(Reason::Spindown);
    assert_eq!(world.names().len(), 6);
    assert!(asked <= 1, "asked {asked} times within seconds");
}

#[test]
fn shutdown_with_an_unread_secret() {
    for answer in [Answer::Hold, Answer::status(500)] {
        let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
        manager.always(answer);
        let platform = Platform::ready(&with_role(bearer(Script::new(), &collector, &manager), &role));
        let world = World { platform, collector };
        world.invoke("r-1");
        all_signals(&world, "r-1", 1);
        world.platform.wait_next();
        world.end(Reason::Spindown);
        assert_eq!(world.summary().dropped(), 0);
        drop(manager);
    }
}

#[test]
fn a_secret_of_one_signal_costs_that_one_alone() {
    let (collector, logs, manager, role) =
        (Collector::start(), Collector::start(), Collector::start(), Role::named("F"));
    manager.always(Answer::Hold);
    let script = with_role(Script::new(), &role)
        .env("PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", collector.endpoint()))
        .env("PREFREEZE_EXPORTER_OTLP_LOGS_ENDPOINT", format!("{}/v1/logs", logs.endpoint()))
        .env("PREFREEZE_EXPORTER_OTLP_LOGS_HEADERS", format!("authorization=Bearer%20{REFERENCE}"))
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", manager.endpoint())
        .env("PREFREEZE_FLUSH", "end");
    let world = World { platform: Platform::ready(&script), collector };
    for number in 1..=8 {
        let id = format!("r-{number}");
        world.invoke(&id);
        assert_eq!(world.post("/v1/logs", &otlp::logs("a line").encode_to_vec()).status, 200);
        world.post_spans([server_span(&id, Ids::new(number), &id)]);
        world.platform.wait_next();
        assert_eq!(world.names().len() as u64, number);
    }
    manager.always(vault(&role, OLD));
    manager.release();
    world.end(Reason::Spindown);
}

#[test]
fn a_refusal_for_ever_is_cheap() {
    let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
    manager.always(vault(&role, OLD));
    collector.always(Answer::status(403));
    let platform = Platform::ready(&with_role(bearer(Script::new(), &collector, &manager), &role));
    let world = World { platform, collector };
    for number in 1..=30 {
        let id = format!("r-{number}");
        world.invoke(&id);
        all_signals(&world, &id, number);
        world.platform.wait_next();
    }
    let (sent, asked) = (world.collector.requests().len(), manager.requests().len());
    world.collector.always(Answer::ok());
    world.end(Reason::Spindown);
    assert_eq!(world.names().len(), 30);
    // Each signal has its key read again once.
    assert!(sent <= 3 && asked <= 4, "{sent} {asked}");
}

#[test]
fn doctor_tells_what_is_wrong_with_a_secret() {
    for (name, answer, is_well, word) in [
        ("good", None, true, "well"),
        (
            "denied",
            Some(Answer::Reply(Reply::new(400).body(br#"{"__type":"AccessDeniedException"}"#))),
            false,
            "secret_unread",
        ),
        ("hangs", Some(Answer::Hold), false, "secret_unread"),
    ] {
        let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
        manager.always(answer.unwrap_or_else(|| vault(&role, OLD)));
        let script = with_role(bearer(Script::new(), &collector, &manager), &role);
        let config = script.run(&["config"]);
        let doctor = script.run(&["doctor"]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&doctor.stdout), text(&doctor.stderr));
        let config = text(&config.stdout) + &text(&config.stderr);
        assert!(
            !(out.clone() + &err + &config).contains("k3y")
                && !config.contains("secret/F+key")
                && !config.contains("token//F"),
            "{config}"
        );
        assert_eq!(doctor.status.success(), is_well, "{name}");
        assert!(out.contains(word), "{name}: {out}");
        if name == "good" {}
    }
}

#[test]
fn a_backend_with_a_wrong_clock_costs_itself_alone() {
    let role = Role::named("F");
    let (traces, logs) = (Collector::start(), Collector::start());
    traces.always(Answer::Aws(aws("xray", "eu-west-1", &role, "")));
    logs.always(Answer::Aws(Endpoint { ahead: 600, ..aws("logs", "eu-west-1", &role, "") }));
    let script = with_role(Script::new(), &role)
        .env("PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", traces.endpoint()))
        .env("PREFREEZE_EXPORTER_OTLP_TRACES_AUTH", "sigv4:xray:eu-west-1")
        .env("PREFREEZE_EXPORTER_OTLP_LOGS_ENDPOINT", format!("{}/v1/logs", logs.endpoint()))
        .env("PREFREEZE_EXPORTER_OTLP_LOGS_AUTH", "sigv4:logs:eu-west-1")
        .env("PREFREEZE_FLUSH", "end");
    let world = World { platform: Platform::ready(&script), collector: traces };
    for number in 1..=8 {
        let id = format!("r-{number}");
        world.invoke(&id);
        assert_eq!(world.post("/v1/logs", &otlp::logs("a line").encode_to_vec()).status, 200);
        world.post_spans([server_span(&id, Ids::new(number), &id)]);
        world.platform.wait_next();
    }
    let taken = world.names().len();
    let statuses = |collector: &Collector| {
        collector.requests().iter().filter_map(|request| request.status).collect::<Vec<_>>()
    };
    let said = world.platform.log("clock_corrected").len();
    let found = (statuses(&world.collector), statuses(&logs));
    world.platform.spin_down();
    assert!(found.0.iter().all(|status| *status == 200), "{found:?}");
    assert!(taken == 8 && said <= 1, "{taken} {said}");
}

fn traces_only(script: Script, collector: &Collector, manager: &Collector) -> Script {
    script
        .env("PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", collector.endpoint()))
        .env("PREFREEZE_EXPORTER_OTLP_TRACES_HEADERS", format!("authorization=Bearer%20{REFERENCE}"))
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", manager.endpoint())
        .env("PREFREEZE_FLUSH", "end")
}

#[test]
fn several_headers_and_a_secret_for_each_signal() {
    let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
    manager.always(vault(&role, r#"{"SecretString":"{\"api_key\":\"k3y-a\",\"other\":12}"}"#));
    let id = "secret://arn:aws:secretsmanager:ap-south-1:111122223333:secret:otlp-AbCdEf";
    let script = with_role(bearer(Script::new(), &collector, &manager), &role)
        .env(
            "PREFREEZE_EXPORTER_OTLP_HEADERS",
            format!("authorization=Bearer%20{id}#api_key,x-other={id}#other"),
        )
        .env("PREFREEZE_EXPORTER_OTLP_LOGS_HEADERS", format!("x-logs={id}-2#api_key"));
    let world = World { platform: Platform::ready(&script), collector };
    for number in 1..=3 {
        let id = format!("r-{number}");
        world.invoke(&id);
        all_signals(&world, &id, number);
        world.platform.wait_next();
    }
    world.close();
    for request in world.collector.requests() {
        let header = |name| request.headers.get(name).unwrap_or_default().to_owned();
        let found = ["authorization", "x-other", "x-logs"].map(header);
        let own = if request.path == "/v1/logs" { ["", "", "k3y-a"] } else { ["Bearer k3y-a", "12", ""] };
        assert_eq!(found, own, "{request}");
    }
    assert_eq!(manager.requests().len(), 3, "one reading for each");
}

#[test]
fn missing_credentials_are_not_asked_for_and_said_without_end() {
    let (traces, role) = (Collector::start(), Role::named("GOOD"));
    traces.always(Answer::Aws(aws("xray", "eu-west-1", &role, "")));
    let logs = Collector::start();
    let script = Script::new()
        .credentials([Role::named("FAIL")])
        .env("PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", traces.endpoint()))
        .env("PREFREEZE_EXPORTER_OTLP_TRACES_AUTH", "sigv4:xray:eu-west-1")
        .env("PREFREEZE_EXPORTER_OTLP_LOGS_ENDPOINT", format!("{}/v1/logs", logs.endpoint()))
        .env("PREFREEZE_EXPORTER_OTLP_LOGS_AUTH", "sigv4:logs:eu-west-1")
        .env("PREFREEZE_FLUSH", "end");
    let world = World { platform: Platform::ready(&script), collector: traces };
    for number in 1..=4 {
        let id = format!("r-{number}");
        world.invoke(&id);
        assert_eq!(world.post("/v1/logs", &otlp::logs("a line").encode_to_vec()).status, 200);
        world.post_spans([server_span(&id, Ids::new(number), &id)]);
        world.platform.wait_next();
    }
    let before = world.platform.log("credentials_missing").len();
    world.end(Reason::Spindown);
    let after = world.platform.log("credentials_missing").len();
    let asked = world.platform.state().calls_of(Kind::Credentials).len();
    assert!(after <= 2, "{before} {after} {asked}");
}

#[test]
fn a_renewal_that_is_denied_is_said() {
    let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
    rotating(
        &manager,
        &role,
        vec![Answer::Reply(Reply::new(400).body(br#"{"__type":"AccessDeniedException"}"#))],
    );
    let platform = Platform::ready(&with_role(traces_only(Script::new(), &collector, &manager), &role));
    let world = World { platform, collector };
    world.invoke_well("r-1", 1);
    wants_new(&world.collector);
    world.invoke_well("r-2", 2);
    world.invoke_well("r-3", 3);
    let lines = world.platform.stdout();
    world.platform.spin_down();
    assert!(lines.iter().any(|line| line.contains("secret_refused")));
}

#[test]
fn a_signal_that_is_refused_does_not_use_up_the_readings_of_another() {
    let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
    let is_rotated = Arc::new(AtomicBool::new(false));
    let (rotated, other, its) = (is_rotated.clone(), is_rotated.clone(), role.clone());
    manager.always_with(move |_| vault(&its, if rotated.load(Ordering::SeqCst) { NEW } else { OLD }));
    collector.always_with(move |request| {
        let good = if other.load(Ordering::SeqCst) { "Bearer k3y-new" } else { "Bearer k3y-old" };
        let is_good = request.path == "/v1/traces" && request.headers.get("authorization") == Some(good);
        Answer::status(if is_good { 200 } else { 403 })
    });
    let platform = Platform::ready(&with_role(bearer(Script::new(), &collector, &manager), &role));
    let world = World { platform, collector };
    world.invoke("r-1");
    all_signals(&world, "r-1", 1);
    world.platform.wait_next();
    manager.expect("the key is read again for the logs", |state| state.requests.len() >= 2);
    world.platform.barrier();
    is_rotated.store(true, Ordering::SeqCst);
    world.invoke_well("r-2", 2);
    world.invoke_well("r-3", 3);
    world.end(Reason::Spindown);
    assert_eq!(world.names(), ["r-1", "r-2", "r-3"]);
}

#[test]
fn shutdown_reads_a_secret_though_the_reading_ahead_hangs() {
    let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
    manager.always(vault(&role, OLD));
    manager.answer([Answer::Hold]);
    let platform = Platform::ready(&with_role(traces_only(Script::new(), &collector, &manager), &role));
    let world = World { platform, collector };
    world.invoke_well("r-1", 1);
    world.end(Reason::Spindown);
    assert_eq!(world.names(), ["r-1"]);
}

#[test]
fn shutdown_waits_for_a_vault_that_answers_within_it() {
    let mut lost = Vec::new();
    for wait in [100, 300] {
        let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("F"));
        manager.always(Answer::AwsAfter(
            Duration::from_millis(wait),
            aws("secretsmanager", "ap-south-1", &role, OLD),
        ));
        manager.answer([Answer::status(503), Answer::status(503)]);
        let platform = Platform::ready(&with_role(traces_only(Script::new(), &collector, &manager), &role));
        let world = World { platform, collector };
        world.invoke_well("r-1", 1);
        world.end(Reason::Spindown);
        if world.names() != ["r-1"] {
            lost.push(wait);
        }
    }
    assert!(lost.is_empty(), "lost with {lost:?} ms");
}
