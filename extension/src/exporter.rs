//! The only client of the backend: OTLP over HTTP or gRPC, one task per request, no timer of its own.
//!
//! How long a request may take, and whether it is tried again, is the agent's business: here a request
//! runs until it is answered, breaks, or is cancelled.

mod backend;
mod call;
mod failure;
mod gzip;
mod health;
mod packing;
mod probe;
mod queue;
mod secrets;
mod signing;
mod trust;

pub use probe::Finding;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use policy::{BatchId, Effort, Entry, Input, LaneId, Outcome, Signal, UnixNanos};
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use tokio::task::AbortHandle;
use wire::collector::Answer;
use wire::otlp::{Body, Identity};

use self::backend::{Backend, Origin};
use self::failure::{Cause, Failure};
use self::gzip::Gzip;
use self::packing::{Agreement, may_be_packing, pack};
use self::secrets::{Secrets, Used};
use self::signing::{Signed, Signer, ToSign};
use crate::aws::{self, Keeper, Missing, Refusal};
use crate::caught::caught_async;
use crate::clock::{Clock, NEXT_FIRST, pause};
use crate::driver::{Inbox, Message};
use crate::settings::{Destination, Packing, Protocol, Vaults};

/// What of the files for TLS of `destination` is of no use, and why: the variable that names it, and a reason. For people: the
/// extension itself reads them when it first needs them.
pub fn unusable_files(destination: &Destination) -> Vec<(&'static str, String)> {
    trust::unusable(&destination.tls)
}

/// Answers are read up to here; a backend that says more says nothing that matters.
const ANSWER_MAX: usize = 64 << 10;

/// See the module.
pub struct Exporter {
    /// By lane.
    routes: BTreeMap<LaneId, Route>,
    /// Each is there once, whatever number of signals goes there, and they share its connections.
    backends: Vec<Backend>,
    running: HashMap<BatchId, Running>,
    gzip: Gzip,
    /// Who knows the secrets in headers, where there are any.
    secrets: Option<Secrets>,
    inbox: Inbox,
    clock: Clock,
}

/// A request under way.
struct Running {
    signal: Signal,
    /// Which of [`Exporter::backends`].
    backend: usize,
    task: AbortHandle,
    /// Whether it waits for a secret, and is not with the backend.
    is_waiting: Arc<AtomicBool>,
}

impl Running {
    fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    /// It has no answer, and nobody waits for one any more; that says nothing of the backend where it was not asked.
    fn note_unanswered(&self, backends: &[Backend]) {
        let health = &backends[self.backend].health;
        if self.is_waiting() {
            let failure = Some(Failure::of(Cause::SecretUnread));
            health.note(self.signal, Outcome::Refused { status: 0 }, failure);
        } else {
            health.note_cancelled(self.signal);
        }
    }
}

/// How requests of one lane reach their backend.
#[derive(Clone)]
struct Route {
    destination: Arc<Destination>,
    headers: HeaderMap,
    /// Which of [`Exporter::backends`].
    backend: usize,
    /// Who signs its requests, where they are signed.
    signer: Option<Signer>,
}

impl Exporter {
    /// Knows where to send; its clients are built when `/next` has been asked. What cannot be built is said once,
    /// and the rest works: a certificate file that cannot be read leaves the built-in roots.
    /// Requests that are signed are signed by `credentials`.
    pub fn new(
        destinations: impl IntoIterator<Item = (LaneId, Destination)>,
        credentials: Option<aws::Source>,
        vaults: Vaults,
        inbox: Inbox,
        clock: Clock,
    ) -> Self {
        let mut backends: Vec<Backend> = Vec::new();
        let keeper = credentials.map(Keeper::new);
        // Each backend has a clock of its own, as far as we are told.
        let signer = || keeper.clone().map(|keeper| Signer::new(keeper, clock));
        let routes = destinations.into_iter().map(|(lane, destination)| {
            let origin = Origin::of(&destination);
            let known = backends.iter().position(|backend| backend.origin == origin);
            let backend = known.unwrap_or_else(|| {
                backends.push(Backend::new(origin));
                backends.len() - 1
            });
            let headers = headers(&destination);
            let signer = signer().filter(|_| destination.scope.is_some());
            (lane, Route { destination: Arc::new(destination), headers, backend, signer })
        });
        let routes = routes.collect();
        let secrets = signer().map(|signer| Secrets::new(signer, vaults, clock));
        Self { routes, backends, running: HashMap::new(), gzip: Gzip::default(), secrets, inbox, clock }
    }

    /// Sends `entries` as one request and reports how it ended.
    pub fn export(
        &mut self,
        id: BatchId,
        lane: LaneId,
        entries: Arc<[Entry<Body>]>,
        effort: Effort,
        identity: Arc<Identity>,
    ) {
        self.running.retain(|_, running| !running.task.is_finished());
        let inbox = self.inbox.clone();
        let Some((route, client)) = self.routes.get(&lane).cloned().and_then(|route| {
            let client = self.backends[route.backend].client()?;
            Some((route, client))
        }) else {
            inbox.send(exported(id, Outcome::Rejected { status: 0 }, 0, 0));
            return;
        };
        let backend = route.backend;
        let agreement = self.backends[backend].agreement.clone();
        let (health, signal) = (self.backends[backend].health.clone(), lane.signal);
        let sender = self.sender(lane.signal, route, client, agreement);
        let is_waiting = sender.is_waiting.clone();
        let task = tokio::spawn(async move {
            let delivered = caught_async(sender.deliver(&entries, &identity, effort)).await;
            // A request in which a bug shows would show it again: its content is dropped and counted.
            let (Ended { outcome, failure, .. }, raw_bytes, sent_bytes) =
                delivered.unwrap_or((Ended::unusable(), 0, 0));
            // What was not asked says nothing of the backend.
            if sent_bytes > 0 || outcome != Outcome::TooLarge {
                health.note(signal, outcome, failure);
            }
            inbox.send(exported(id, outcome, raw_bytes, sent_bytes));
        });
        self.running.insert(id, Running { signal, backend, task: task.abort_handle(), is_waiting });
    }

    fn sender(&self, signal: Signal, route: Route, client: reqwest::Client, agreement: Agreement) -> Sender {
        let (gzip, clock, secrets) = (self.gzip.clone(), self.clock, self.secrets.clone());
        Sender { signal, route, client, agreement, gzip, clock, secrets, is_waiting: Arc::default() }
    }

    /// Lets go of a request: its connection is not used again, and nothing is reported.
    pub fn cancel(&mut self, id: BatchId) {
        if let Some(running) = self.running.remove(&id) {
            if !running.task.is_finished() {
                running.note_unanswered(&self.backends);
            }
            running.task.abort();
            self.backends[running.backend].on_cancelled();
        }
    }

    /// The process is about to end: a backend that never answered anything is logged now or never.
    pub fn conclude(&self) {
        for running in self.running.values().filter(|running| !running.task.is_finished()) {
            running.note_unanswered(&self.backends);
        }
        self.backends.iter().for_each(|backend| backend.health.conclude());
    }

    /// Fields for a log line about the backend of `lane`: its host, and why the last request failed.
    pub fn about(&self, lane: LaneId) -> serde_json::Value {
        let waiting = self.running.iter().filter(|(id, running)| id.lane == lane && running.is_waiting());
        waiting.for_each(|(_, running)| running.note_unanswered(&self.backends));
        let about = |route: &Route| self.backends[route.backend].health.about(lane.signal);
        self.routes.get(&lane).map_or_else(|| serde_json::json!({}), about)
    }

    /// Opens a connection to the backend of `lane`, for the exports to come. Nobody waits for it, and a failure is
    /// found out again, and said, by the export that meets it.
    pub fn connect(&mut self, lane: LaneId) {
        let Some(route) = self.routes.get(&lane) else { return };
        self.backends.get_mut(route.backend).into_iter().for_each(Backend::connect);
        if let Some(secrets) = self.secrets.clone()
            && !route.destination.secrets.is_empty()
        {
            let destination = route.destination.clone();
            tokio::spawn(async move {
                pause(NEXT_FIRST).await;
                secrets.prepare(&destination.secrets);
            });
        }
    }

    /// The environment was restored from a snapshot: what signs requests was the builder's.
    pub fn on_restored(&mut self) {
        self.routes.values().filter_map(|route| route.signer.as_ref()).for_each(Signer::begin_anew);
        self.secrets.iter().for_each(Secrets::begin_anew);
    }

    /// An invocation begins, perhaps after a freeze.
    pub fn on_invoke(&self) {
        self.secrets.iter().for_each(Secrets::on_invoke);
    }

    /// SHUTDOWN has come: what is not tried now is not tried.
    pub fn on_shutdown(&self) {
        self.secrets.iter().for_each(Secrets::begin_last);
    }

    /// Forgets idle connections: the next request opens a new one.
    pub fn reconnect(&mut self) {
        self.backends.iter_mut().for_each(Backend::reconnect);
    }
}

fn exported(id: BatchId, outcome: Outcome, raw_bytes: u64, sent_bytes: u64) -> Message {
    Message::Input(Input::Exported { id, outcome, raw_bytes, sent_bytes })
}

/// What one export needs of the exporter.
struct Sender {
    signal: Signal,
    route: Route,
    client: reqwest::Client,
    agreement: Agreement,
    gzip: Gzip,
    clock: Clock,
    secrets: Option<Secrets>,
    /// Whether it waits for a secret.
    is_waiting: Arc<AtomicBool>,
}

impl Sender {
    /// Sends `entries`, packed as asked; once more, at once and as gzip, to a backend that does not know zstd.
    /// Gives back how that ended, and the bytes of it, raw and sent.
    async fn deliver(
        &self,
        entries: &[Entry<Body>],
        identity: &Identity,
        effort: Effort,
    ) -> (Ended, u64, u64) {
        let packing = self.agreement.packing(self.route.destination.packing);
        let (first, raw_bytes, sent_bytes) = self.attempt(entries, identity, packing, effort).await;
        if packing != Packing::Zstd || !may_be_packing(first.outcome) {
            return (first, raw_bytes, sent_bytes);
        }
        // Spliced again rather than kept: 4 MiB less are held beside every export, for what happens once.
        let (second, raw_bytes, sent_bytes) = self.attempt(entries, identity, Packing::Gzip, effort).await;
        self.agreement.note_fallback(first.outcome, second.outcome);
        (second, raw_bytes, sent_bytes)
    }

    async fn attempt(
        &self,
        entries: &[Entry<Body>],
        identity: &Identity,
        packing: Packing,
        effort: Effort,
    ) -> (Ended, u64, u64) {
        let size = entries.iter().map(|entry| entry.size as usize).sum();
        let Route { destination, .. } = &self.route;
        let mut name = destination.queue.is_some().then(|| queue::Name::new(self.signal));
        let pieces = |take: &mut dyn FnMut(&[u8])| {
            wire::otlp::pieces(entries, identity, |piece| {
                name.iter_mut().for_each(|name| name.feed(piece));
                take(piece);
            });
        };
        let (packed, raw_bytes) = pack(pieces, size, packing, effort, &self.gzip);
        let body = match destination.queue.as_ref().zip(name) {
            None => Some(packed),
            Some((queue, name)) => {
                let service = identity.text("service.name");
                queue::message(queue, &packed, self.signal, name, service.as_deref()).map(Bytes::from)
            }
        };
        // It comes again, in two halves, or is given up where it is one thing.
        let Some(body) = body else { return (Ended::new(Outcome::TooLarge, None), raw_bytes, 0) };
        let sent_bytes = body.len() as u64;
        // With its resources and envelopes it may be more than policy has counted: it comes again, in two halves.
        if raw_bytes > destination.limit.bytes as u64 && entries.len() > 1 {
            return (Ended::new(Outcome::TooLarge, None), raw_bytes, 0);
        }
        let ended = self.send(packing, body).await;
        (ended, raw_bytes, sent_bytes)
    }

    /// Sends `body`; once more where it was refused, and what it was refused for could be mended.
    async fn send(&self, packing: Packing, body: Bytes) -> Ended {
        let Tried { ended, signed, used } = self.try_once(packing, body.clone()).await;
        let may_help = match (ended.refusal, &signed, &self.route.signer) {
            (Some(refusal), Some(signed), Some(signer)) => signer.mend(refusal, signed).await,
            _ => false,
        };
        // 407 is of a proxy, which is not sent the key.
        let is_refused = matches!(ended.outcome, Outcome::Refused { status } if status != 407);
        let may_help = may_help
            || match &self.secrets {
                Some(secrets) if is_refused => secrets.renew(&used, self.signal).await,
                _ => false,
            };
        if may_help { self.try_once(packing, body).await.ended } else { ended }
    }

    async fn try_once(&self, packing: Packing, body: Bytes) -> Tried {
        let destination = &self.route.destination;
        let mut headers = self.route.headers.clone();
        let mut used = Vec::new();
        if let Some(secrets) = &self.secrets {
            self.is_waiting.store(true, Ordering::Relaxed);
            let filled_in = secrets.fill_in(&destination.secrets, &mut headers).await;
            self.is_waiting.store(false, Ordering::Relaxed);
            match filled_in {
                Ok(values) => used = values,
                Err(missing) => return Tried::without(missing),
            }
        }
        let mut signed = None;
        if let (Some(scope), Some(signer)) = (&destination.scope, &self.route.signer) {
            let of_body: &[_] = match destination.queue {
                Some(_) => {
                    headers.insert(TARGET, HeaderValue::from_static(aws::SEND_MESSAGE));
                    &[(CONTENT_TYPE.as_str(), aws::QUEUE_TYPE), (TARGET, aws::SEND_MESSAGE)]
                }
                None => &[(CONTENT_TYPE.as_str(), PROTOBUF)],
            };
            let to_sign = ToSign { url: &destination.url, headers: of_body, body: &body };
            signed = signer.sign(to_sign, scope, &mut headers).await;
            if signed.is_none() {
                let failure = Some(Failure::of(Cause::Unsigned));
                let ended = Ended::new(Outcome::Retry { after: None }, failure);
                return Tried { ended, signed, used };
            }
        }
        let (client, url, now) = (&self.client, &destination.url[..], self.clock.wall());
        let is_proxied = destination.proxy.is_some();
        let request = Request { client, url, headers, packing, body, now, is_proxied };
        let signed_by = signed.as_ref().zip(self.route.signer.as_ref());
        let ended = match destination.protocol {
            _ if destination.queue.is_some() => put(request, signed_by).await,
            Protocol::HttpProtobuf => post(request, signed_by).await,
            Protocol::Grpc => call::call(request).await,
        };
        Tried { ended, signed, used }
    }
}

/// One try: how it has ended, what it was signed with, and the secrets in it.
struct Tried {
    ended: Ended,
    signed: Option<Signed>,
    used: Vec<Used>,
}

impl Tried {
    /// A secret is not to be had. Where somebody has to mend that, data is held as with a key that is refused: so far there is none.
    fn without(missing: Missing) -> Self {
        let outcome = match missing.is_refused {
            true => Outcome::Refused { status: 401 },
            false => Outcome::Retry { after: None },
        };
        let failure = Failure { detail: missing.error, ..Failure::of(Cause::SecretUnread) };
        Self { ended: Ended::new(outcome, Some(failure)), signed: None, used: Vec::new() }
    }
}

/// The content type of what is sent over HTTP.
const PROTOBUF: &str = "application/x-protobuf";
/// What AWS's JSON services are asked for.
const TARGET: &str = "x-amz-target";

/// One try at one request.
struct Request<'a> {
    client: &'a reqwest::Client,
    url: &'a str,
    headers: HeaderMap,
    packing: Packing,
    body: Bytes,
    now: UnixNanos,
    /// Whether it goes through a proxy.
    is_proxied: bool,
}

/// How a try has ended: for the agent, and for people.
struct Ended {
    outcome: Outcome,
    failure: Option<Failure>,
    /// What AWS has against a request that was signed.
    refusal: Option<Refusal>,
}

impl Ended {
    const fn new(outcome: Outcome, failure: Option<Failure>) -> Self {
        Self { outcome, failure, refusal: None }
    }

    /// An answer with this status and these words means this.
    fn answered(outcome: Outcome, status: u16, words: &[u8]) -> Self {
        Self::new(outcome, Failure::in_answer(outcome, status, words))
    }

    /// Nothing was answered.
    fn unanswered(error: &reqwest::Error, is_proxied: bool) -> Self {
        let outcome = match error {
            // Built from checked settings, a request that cannot be made is a bug, and no retry mends it.
            _ if error.is_builder() => return Self::unusable(),
            _ if error.is_connect() => Outcome::Retry { after: None },
            _ => Outcome::Lost,
        };
        Self::new(outcome, Some(Failure::unanswered(error, error.is_connect(), is_proxied)))
    }

    /// No request could be made.
    const fn unusable() -> Self {
        Self::new(Outcome::Rejected { status: 0 }, Some(Failure::of(Cause::RefusedOtherwise)))
    }
}

async fn post(mut request: Request<'_>, signed: Option<(&Signed, &Signer)>) -> Ended {
    if let Some(name) = request.packing.name() {
        request.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    let now = request.now;
    let answered = match exchange(request, PROTOBUF).await {
        Ok(answered) => answered,
        Err(ended) => return ended,
    };
    let status = answered.status;
    let answer = Answer {
        status,
        retry_after: answered.retry_after.as_deref(),
        content_type: answered.content_type.as_deref(),
        body: &answered.body,
    };
    let outcome = answer.outcome(now);
    if let Some(denial) = answer.denial() {
        return Ended::new(outcome, Some(Failure::denied(denial, status)));
    }
    match answered.refusal(signed) {
        // Held, as with a key that is refused: somebody may switch it on.
        Some(Refusal::NoTransactionSearch) => {
            let failure = Failure { status: Some(status), ..Failure::of(Cause::NoTransactionSearch) };
            Ended::new(Outcome::Refused { status }, Some(failure))
        }
        refusal => {
            let mut ended = Ended { refusal, ..Ended::answered(outcome, status, answer.body) };
            if let Some(failure) = ended.failure.as_mut().filter(|failure| failure.cause == Cause::Redirected)
            {
                failure.detail = answered.location.as_deref().and_then(place_of).unwrap_or_default();
            }
            ended
        }
    }
}

/// Where a redirect leads: its scheme, host and port, for people. What is behind them may be a secret.
fn place_of(location: &str) -> Option<String> {
    let uri: http::Uri = location.parse().ok()?;
    let port = uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
    Some(format!("to {}://{}{port}", uri.scheme_str()?, uri.host()?))
}

/// Puts one message into a queue.
async fn put(request: Request<'_>, signed: Option<(&Signed, &Signer)>) -> Ended {
    match exchange(request, aws::QUEUE_TYPE).await {
        Ok(answered) => queue::ended(&answered, answered.refusal(signed)),
        Err(ended) => ended,
    }
}

/// What was answered over HTTP.
#[derive(Debug, Default)]
struct Answered {
    status: u16,
    retry_after: Option<String>,
    content_type: Option<String>,
    date: Option<String>,
    location: Option<String>,
    /// Or its beginning.
    body: Vec<u8>,
}

impl Answered {
    /// What AWS has against the request, where it was signed.
    fn refusal(&self, signed: Option<(&Signed, &Signer)>) -> Option<Refusal> {
        let (signed, signer) = signed?;
        signer.refusal(signed, self.status, self.date.as_deref(), &self.body)
    }
}

/// Sends a request and reads its answer; how it has ended where there is none.
async fn exchange(request: Request<'_>, content_type: &'static str) -> Result<Answered, Ended> {
    let Request { client, url, mut headers, body, is_proxied, .. } = request;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let sent = client.post(url).headers(headers).body(body).send().await;
    let mut response = sent.map_err(|error| Ended::unanswered(&error, is_proxied))?;
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (status, retry_after) = (response.status().as_u16(), text(RETRY_AFTER));
    let (content_type, date, location) = (text(CONTENT_TYPE), text(DATE), text(LOCATION));
    let mut body = Vec::new();
    while body.len() < ANSWER_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            // The status has been said: a body that breaks off takes nothing back.
            Ok(None) | Err(_) => break,
        }
    }
    Ok(Answered { status, retry_after, content_type, date, location, body })
}

fn headers(destination: &Destination) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &destination.headers {
        let parsed = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
        if let (Ok(name), Ok(mut value)) = parsed {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    headers
}
