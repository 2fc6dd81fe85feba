//! Keys of backends that are read from Secrets Manager: when, how often, and what if they are not to be had.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tests::aws::{Endpoint, Role};
use tests::collector::{Answer, Collector, Reply};
use tests::platform::{Platform, Reason, Script};

use super::world::World;

pub(super) const REFERENCE: &str =
    "secret://arn:aws:secretsmanager:ap-south-1:111122223333:secret:otlp-AbCdEf#api_key";
pub(super) const OLD: &str = r#"{"SecretString":"{\"api_key\":\"k3y-old\",\"other\":1}"}"#;
pub(super) const NEW: &str = r#"{"SecretString":"{\"api_key\":\"k3y-new\"}"}"#;

/// Secrets Manager in Mumbai, which answers so to this role.
pub(super) fn manager(role: &Role, answers: &'static str) -> Answer {
    let (service, region, role) = ("secretsmanager", "ap-south-1", role.clone());
    Answer::Aws(Endpoint { service, region, role, ahead: 0, answers })
}

fn denied() -> Answer {
    Answer::Reply(
        Reply::new(400).body(br#"{"__type":"com.amazonaws#AccessDeniedException","message":"k3y-old"}"#),
    )
}

/// An extension whose key is a secret, between a backend and Secrets Manager.
struct Story {
    world: World,
    manager: Collector,
    role: Role,
}

impl Story {
    fn new(manages: impl FnOnce(&Collector, &Role), shape: impl FnOnce(Script) -> Script) -> Self {
        let (collector, manager, role) = (Collector::start(), Collector::start(), Role::named("FUNCTION"));
        manages(&manager, &role);
        let script = Script::new()
            .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
            .env("PREFREEZE_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{REFERENCE}"))
            .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", manager.endpoint())
            .env("AWS_ACCESS_KEY_ID", &role.key_id)
            .env("AWS_SECRET_ACCESS_KEY", &role.secret_key)
            .env("AWS_SESSION_TOKEN", role.token.clone().unwrap_or_default())
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env("PREFREEZE_FLUSH", "end");
        let platform = Platform::ready(&shape(script));
        Self { world: World { platform, collector }, manager, role }
    }

    /// What each request to the backend said who it is, and how it was answered.
    fn keys(&self) -> Vec<(String, u16)> {
        let requests = self.world.collector.requests();
        let key = |request: &tests::collector::Request| {
            (
                request.headers.get("authorization").unwrap_or_default().to_owned(),
                request.status.unwrap_or_default(),
            )
        };
        requests.iter().map(key).collect()
    }

    fn asked(&self) -> usize {
        self.manager.requests().len()
    }
}

#[test]
fn a_key_is_read_once_and_is_nowhere_but_in_requests() {
    let story = Story::new(|manager, role| manager.always(self::manager(role, OLD)), |script| script);
    for number in 1..=3 {
        story.world.invoke_well(&format!("r-{number}"), number);
    }
    let process = story.world.platform.process_id();
    let environment = fs::read(format!("/proc/{process}/environ")).expect("it lives");
    assert!(!String::from_utf8_lossy(&environment).contains("k3y"));
    story.world.close();
    let expected = ("Bearer k3y-old".to_owned(), 200);
    assert_eq!(story.keys(), [expected.clone(), expected.clone(), expected]);
    assert_eq!(story.asked(), 1);
    assert!(!story.world.platform.stdout().join("\n").contains("k3y"));
}

/// It never answers: neither the first `/next` nor an invocation waits for longer than for a backend.
#[test]
fn nobody_waits_for_a_secret_that_does_not_come() {
    let story = Story::new(|manager, _| manager.always(Answer::Hold), |script| script);
    let begun = story.world.invoke("r-1");
    story.world.post_spans([super::world::server_span("r-1", tests::otlp::Ids::new(1), "r-1")]);
    let next = story.world.platform.wait_next();
    assert!(next - begun < super::world::LONG / 10, "a flush has its ceiling");
    assert_eq!(story.keys(), []);
    story.manager.always(manager(&story.role, OLD));
    story.manager.release();
    story.world.invoke_well("r-2", 2);
    let summary = story.world.close();
    assert_eq!((summary.dropped(), story.world.names()), (0, vec!["r-1".into(), "r-2".into()]));
}

#[test]
fn what_may_not_be_read_is_said_once_and_nothing_is_lost() {
    let story = Story::new(|manager, _| manager.always(denied()), |script| script);
    for number in 1..=3 {
        story.world.invoke_well(&format!("r-{number}"), number);
    }
    let lines = story.world.platform.expect_log("secret_refused", 1);
    assert_eq!(
        (&lines[0]["error"], &lines[0]["secret"]),
        (&"AccessDeniedException".into(), &REFERENCE.into())
    );
    assert_eq!(story.keys(), []);
    story.manager.always(manager(&story.role, OLD));
    story.world.end(Reason::Spindown);
    let summary = story.world.summary();
    assert_eq!((summary.dropped(), story.world.names().len()), (0, 3));
    assert!(!story.world.platform.stdout().join("\n").contains("k3y"), "an answer is not printed");
}

#[test]
fn a_key_that_was_rotated_is_read_again_and_nothing_is_lost() {
    let story = Story::new(
        |manager, role| {
            let (asked, role) = (Arc::new(AtomicUsize::new(0)), role.clone());
            manager.always_with(move |_| {
                let is_first = asked.fetch_add(1, Ordering::SeqCst) == 0;
                self::manager(&role, if is_first { OLD } else { NEW })
            });
        },
        |script| script,
    );
    story.world.invoke_well("r-1", 1);
    story.world.collector.always_with(|request| {
        let is_new = request.headers.get("authorization") == Some("Bearer k3y-new");
        Answer::status(if is_new { 200 } else { 401 })
    });
    story.world.invoke_well("r-2", 2);
    story.world.invoke_well("r-3", 3);
    story.world.close();
    let (old, new) = ("Bearer k3y-old".to_owned(), "Bearer k3y-new".to_owned());
    assert_eq!(story.keys(), [(old.clone(), 200), (old, 401), (new.clone(), 200), (new, 200)]);
    assert_eq!(story.asked(), 2);
    assert_eq!(story.world.names(), ["r-1", "r-2", "r-3"]);
}

/// A key that is wrong whatever is read is refused, and neither the backend nor Secrets Manager is asked again at once.
#[test]
fn a_key_that_stays_wrong_is_read_again_once() {
    let story = Story::new(|manager, role| manager.always(self::manager(role, OLD)), |script| script);
    story.world.collector.always(Answer::status(401));
    for number in 1..=4 {
        story.world.invoke_well(&format!("r-{number}"), number);
    }
    assert_eq!((story.keys().len(), story.asked()), (1, 2));
    story.world.collector.always(Answer::ok());
    assert_eq!(story.world.close().dropped(), 0);
}

#[test]
fn no_secret_is_read_where_data_may_not_go() {
    let story = Story::new(
        |manager, role| manager.always(self::manager(role, OLD)),
        |script| script.env("PREFREEZE_ALLOWED_HOSTS", "127.0.0.2"),
    );
    story.world.invoke_well("r-1", 1);
    story.world.close();
    assert_eq!((story.asked(), story.keys().len()), (0, 0));
}
