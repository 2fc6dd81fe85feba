//! The Extensions API and the Telemetry API over HTTP: the contract, checked at each call.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::script::{Registration, Script, Subscription};
use super::state::{Call, Destination, Kind, Shared, State, Turn};
use crate::http1::{Connection, Head, Response, stop_listening};

/// What the platform issues to the one extension it knows.
const IDENTIFIER: &str = "7c1f5f8e-3b0a-4a39-9a5e-0c2f6f1d2e4b";

/// The file name of the extension in the layer, which is the name it must register under.
const NAME: &str = "prefreeze";

/// How long a probe of the extension's receiver may take to connect on this machine.
const PROBE_WAIT_MAX: Duration = Duration::from_millis(500);

/// The listening API.
#[derive(Debug)]
pub(super) struct Api {
    listener: TcpListener,
    shared: Arc<Shared>,
}

impl Api {
    pub(super) fn start(shared: &Arc<Shared>, script: &Script) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port of the loopback interface is free");
        let accepting = listener.try_clone().expect("a file descriptor is free");
        let server = Server {
            shared: Arc::clone(shared),
            registration: script.registration,
            subscription: script.subscription,
        };
        let server = Arc::new(server);
        thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let server = Arc::clone(&server);
                // A call that breaks off is seen by what is missing in the record.
                thread::spawn(move || server.serve(Connection::new(stream)).ok());
            }
        });
        Self { listener, shared: Arc::clone(shared) }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound listener has an address")
    }

    /// Ends the listener and every call that waits.
    pub(super) fn stop(&self) {
        stop_listening(&self.listener);
        self.shared.change(|state| state.is_stopped = true);
    }
}

/// Where a snapshot's environment has its credentials, and what it must say for them.
pub(super) const CREDENTIALS: &str = "/2021-04-23/credentials";
pub(super) const CREDENTIALS_TOKEN: &str = "token-of-the-environment";

/// No status: it stands for a reset of the connection.
const RESET: u16 = 0;

struct Server {
    shared: Arc<Shared>,
    registration: Registration,
    subscription: Subscription,
}

impl Server {
    fn serve(&self, mut connection: Connection) -> io::Result<()> {
        while let Some(head) = connection.read_head()? {
            let body = connection.read_body(&head)?;
            let index = self.record(&head, body);
            let Some(response) = self.respond(&head, index) else { return Ok(()) };
            if response.status == RESET {
                connection.reset();
                return Ok(());
            }
            self.shared.change(|state| {
                state.calls[index].answer = Some((Instant::now(), response.status));
            });
            connection.write(&response.to_bytes())?;
            self.shared.change(|state| {
                let is_event = state.calls[index].kind == Kind::Next && response.status == 200;
                state.events_sent += usize::from(is_event);
            });
        }
        Ok(())
    }

    fn record(&self, head: &Head, body: Vec<u8>) -> usize {
        let kind = kind_of(head);
        let at = Instant::now();
        let is_reachable = self.probe(kind, &body);
        self.shared.change(|state| {
            if head.headers.get("host").is_none() {
                state.violate(format!("{} without Host", head.line));
            }
            let headers = head.headers.clone();
            state.calls.push(Call { kind, at, headers, body, is_reachable, answer: None });
            state.calls.len() - 1
        })
    }

    /// Tries what the platform lets happen next: the runtime starts after the registration, telemetry flows after the
    /// subscription.
    fn probe(&self, kind: Kind, body: &[u8]) -> bool {
        let address = match kind {
            Kind::Register => Some(self.shared.receiver),
            Kind::Subscribe => {
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                parse_destination(&body["destination"]).ok().map(|it| ([127, 0, 0, 1], it.port).into())
            }
            _ => None,
        };
        address.is_some_and(|address| TcpStream::connect_timeout(&address, PROBE_WAIT_MAX).is_ok())
    }

    /// The answer to a call; `None` when there is to be none.
    fn respond(&self, head: &Head, index: usize) -> Option<Response> {
        let kind = self.shared.state().calls[index].kind;
        if !matches!(kind, Kind::Register | Kind::Credentials | Kind::Unknown)
            && let Err(refusal) = self.shared.change(|state| check_identifier(state, index))
        {
            return Some(refusal);
        }
        match kind {
            Kind::Register => Some(self.shared.change(|state| self.register(state, index))),
            Kind::Subscribe => self.subscribe(index),
            Kind::Next => self.next(index),
            Kind::InitError | Kind::ExitError => Some(self.shared.change(|state| {
                state.violate(format!("{kind:?}: reporting an error resets the customer's environment"));
                Response::new(202).body(r#"{"status":"OK"}"#)
            })),
            Kind::Credentials => Some(self.shared.change(|state| credentials(state, index))),
            Kind::Unknown => Some(self.shared.change(|state| {
                state.violate(format!("there is no {}", head.line));
                Response::new(404).body("404 page not found")
            })),
        }
    }

    fn register(&self, state: &mut State, index: usize) -> Response {
        let call = &state.calls[index];
        let (name, body) = (call.headers.get("lambda-extension-name").map(str::to_owned), call.json());
        let wants_account =
            call.headers.get("lambda-extension-accept-feature").is_some_and(|f| f.contains("accountId"));
        let events: Vec<String> = body["events"].as_array().map_or_else(Vec::new, |events| {
            events.iter().map(|event| event.as_str().unwrap_or_default().to_owned()).collect()
        });
        if let Registration::Named(expected) = self.registration {
            if name.as_deref() != Some(expected) {
                return error(403, "Extension.InvalidEventType");
            }
        } else if name.as_deref() != Some(NAME) {
            state.violate(format!("registered as {name:?}, but the file is {NAME}"));
        }
        if state.registered.is_some() {
            state.violate("registered twice");
            return error(403, "Extension.InvalidExtensionState");
        }
        if events.iter().any(|event| event != "INVOKE" && event != "SHUTDOWN") {
            state.violate(format!("registered for {events:?}"));
            return error(403, "Extension.InvalidEventType");
        }
        match self.registration {
            Registration::Status(status) => return error(status, "InternalServerError"),
            Registration::RefuseInvoke if events.iter().any(|event| event == "INVOKE") => {
                let body = r#"{"errorMessage":"INVOKE: ErrorInvalidEventType","errorType":"Extension.InvalidEventType"}"#;
                return Response::new(403).header("Content-Type", "application/json").body(body);
            }
            Registration::Accept | Registration::RefuseInvoke | Registration::Named(_) => {
                state.registered = Some(events);
            }
        }
        let mut answer =
            json!({"functionName": "orders", "functionVersion": "$LATEST", "handler": "app.handler"});
        if wants_account {
            answer["accountId"] = "123456789012".into();
        }
        Response::new(200)
            .header("Content-Type", "application/json")
            .header("Lambda-Extension-Identifier", IDENTIFIER)
            .body(answer.to_string())
    }

    fn subscribe(&self, index: usize) -> Option<Response> {
        let status = match (self.subscription, self.is_first(index)) {
            (Subscription::Silence, _) => {
                self.shared.take(|state| state.is_stopped.then_some(()));
                return None;
            }
            (Subscription::HangUp, _) | (Subscription::FirstHangUp, true) => return None,
            (Subscription::Status(status), _) | (Subscription::First(status), true) => status,
            (Subscription::First(_) | Subscription::FirstHangUp, false) => 200,
            (Subscription::Before(schema), _) => {
                let asked = self.shared.state().calls[index].json();
                let is_older = asked["schemaVersion"].as_str().is_some_and(|asked| asked < schema);
                if is_older { 200 } else { 400 }
            }
        };
        Some(self.shared.change(|state| {
            let is_accepted = |call: &&Call| call.answer.is_none_or(|(_, status)| status == 200);
            if state.calls_of(Kind::Next).into_iter().any(|call| is_accepted(&call)) {
                state.violate("subscribed after the first /next, when the initialisation may have ended");
            }
            let destination = match parse_subscription(&state.calls[index]) {
                Ok(destination) => destination,
                Err(problem) => {
                    state.violate(format!("subscription: {problem}"));
                    return error(400, "ValidationError");
                }
            };
            if state.destination.is_some() {
                state.violate("subscribed twice");
            }
            if status == 200 {
                state.destination = Some(destination);
            }
            subscription_answer(status)
        }))
    }

    /// Whether no subscription was asked for before this call.
    fn is_first(&self, index: usize) -> bool {
        self.shared.state().calls[..index].iter().all(|call| call.kind != Kind::Subscribe)
    }

    fn next(&self, index: usize) -> Option<Response> {
        let refusal = self.shared.change(|state| {
            if state.is_shutdown_sent {
                state.violate("/next after SHUTDOWN");
            }
            if state.pending_next.is_some() {
                state.violate("a second /next while one waits");
                return Some(error(403, "Extension.InvalidExtensionState"));
            }
            state.pending_next = Some(index);
            None
        });
        if refusal.is_some() {
            return refusal;
        }
        let turn = self.shared.take(|state| {
            if state.is_stopped {
                return Some(Turn::HangUp);
            }
            let turn = state.turns.pop_front()?;
            state.pending_next = None;
            if matches!(&turn, Turn::Event(event) if event["eventType"] == "SHUTDOWN") {
                state.is_shutdown_sent = true;
                state.is_end_expected = true;
            }
            Some(turn)
        });
        match turn {
            Turn::Event(event) => Some(event_answer(&event)),
            Turn::Fail(status) => Some(error(status, "InternalServerError")),
            Turn::HangUp => None,
            // Whoever gets this answer resets the connection instead of writing it.
            Turn::Reset => Some(Response::new(RESET)),
        }
    }
}

/// As the platform's own emulator does: a SHUTDOWN has no identifier, and is not called JSON.
fn event_answer(event: &Value) -> Response {
    let response = match event["eventType"].as_str() {
        Some("SHUTDOWN") => Response::new(200).header("Content-Type", "text/plain; charset=utf-8"),
        _ => Response::new(200)
            .header("Content-Type", "application/json")
            .header("Lambda-Extension-Event-Identifier", "b7a1c2d3-2f6e-4f0a-9d55-6c1e0f9a7b21"),
    };
    response.body(event.to_string())
}

fn kind_of(head: &Head) -> Kind {
    match (head.method(), head.path()) {
        ("POST", "/2020-01-01/extension/register") => Kind::Register,
        ("GET", "/2020-01-01/extension/event/next") => Kind::Next,
        ("POST", "/2020-01-01/extension/init/error") => Kind::InitError,
        ("POST", "/2020-01-01/extension/exit/error") => Kind::ExitError,
        ("PUT", "/2022-07-01/telemetry") => Kind::Subscribe,
        ("GET", CREDENTIALS) => Kind::Credentials,
        _ => Kind::Unknown,
    }
}

/// The role of the environment, to whoever knows the token: each of those that the script has once, and the last for ever.
fn credentials(state: &mut State, index: usize) -> Response {
    if state.calls[index].headers.get("authorization") != Some(CREDENTIALS_TOKEN) {
        return error(404, "unknown token");
    }
    let role = if state.roles.len() > 1 { state.roles.pop_front() } else { state.roles.front().cloned() };
    let Some(role) = role else { return error(500, "InternalServerError") };
    // One of this name stands for a failure of the platform.
    if role.key_id.starts_with("AKIAFAIL") {
        return error(500, "InternalServerError");
    }
    let answer = json!({
        "AccessKeyId": role.key_id,
        "SecretAccessKey": role.secret_key,
        "Token": role.token,
        "Expiration": "2037-01-01T00:00:00Z",
    });
    Response::new(200).header("Content-Type", "application/json").body(answer.to_string())
}

/// Every call but the registration carries the identifier that was issued.
fn check_identifier(state: &mut State, index: usize) -> Result<(), Response> {
    let call = &state.calls[index];
    let (kind, sent) = (call.kind, call.headers.get("lambda-extension-identifier").map(str::to_owned));
    match sent.as_deref() {
        Some(IDENTIFIER) if state.registered.is_some() => Ok(()),
        Some(other) => {
            state.violate(format!("{kind:?} with the identifier {other}, which was not issued"));
            Err(error(403, "Extension.UnknownExtensionIdentifier"))
        }
        None => {
            state.violate(format!("{kind:?} without an identifier"));
            Err(error(403, "Extension.MissingExtensionIdentifier"))
        }
    }
}

fn error(status: u16, error_type: &str) -> Response {
    let body = json!({"errorMessage": format!("refused: {error_type}"), "errorType": error_type});
    Response::new(status).header("Content-Type", "application/json").body(body.to_string())
}

fn subscription_answer(status: u16) -> Response {
    let refused = |error_type: &str, message: &str| {
        json!({"errorMessage": message, "errorType": error_type}).to_string()
    };
    let (content_type, body) = match status {
        200 => ("text/plain", "\"OK\"".to_owned()),
        202 => ("application/json", refused("Telemetry.NotSupported", "Telemetry API is not supported")),
        400 => ("application/json", refused("ValidationError", "schemaVersion is not supported")),
        403 => ("application/json", refused("Telemetry.SubscriptionClosed", "the subscription is closed")),
        404 => ("text/plain", "404 page not found".to_owned()),
        _ => ("application/json", refused("InternalServerError", "something went wrong")),
    };
    Response::new(status).header("Content-Type", content_type).body(body)
}

/// Checks a subscription against the documented bounds.
fn parse_subscription(call: &Call) -> Result<Destination, String> {
    let body = call.json();
    let is_json = call.headers.get("content-type").is_some_and(|value| value.starts_with("application/json"));
    if !is_json {
        return Err("the content type is not application/json".to_owned());
    }
    if !matches!(body["schemaVersion"].as_str(), Some("2022-07-01" | "2022-12-13" | "2025-01-29")) {
        return Err(format!("schemaVersion {}", body["schemaVersion"]));
    }
    let types = body["types"].as_array().cloned().unwrap_or_default();
    let is_known = |kind: &Value| matches!(kind.as_str(), Some("platform" | "function" | "extension"));
    if types.is_empty() || !types.iter().all(is_known) {
        return Err(format!("types {}", body["types"]));
    }
    let bounds = [("maxItems", 1000, 10_000), ("maxBytes", 262_144, 1_048_576), ("timeoutMs", 25, 30_000)];
    for (name, least, most) in bounds {
        let value = &body["buffering"][name];
        let is_within = value.as_u64().is_some_and(|value| (least..=most).contains(&value));
        if !value.is_null() && !is_within {
            return Err(format!("{name} {value}"));
        }
    }
    parse_destination(&body["destination"])
}

fn parse_destination(destination: &Value) -> Result<Destination, String> {
    if destination["protocol"] != "HTTP" {
        return Err(format!("protocol {}", destination["protocol"]));
    }
    let uri = destination["URI"].as_str().unwrap_or_default();
    let rest = uri.strip_prefix("http://").ok_or_else(|| format!("URI {uri:?}"))?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let (host, port) = authority.split_once(':').ok_or_else(|| format!("no port in {uri:?}"))?;
    if host != "sandbox.localdomain" && host != "sandbox" {
        return Err(format!("host {host:?}"));
    }
    let port = port.parse().map_err(|_| format!("port {port:?}"))?;
    if port == 9001 {
        return Err("port 9001 is the platform's own".to_owned());
    }
    Ok(Destination { authority: authority.to_owned(), port, path: path.to_owned() })
}
