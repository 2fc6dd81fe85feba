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
mod trust;

pub use probe::Finding;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use policy::{BatchId, Effort, Entry, Input, LaneId, Outcome, Signal, UnixNanos};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use tokio::task::AbortHandle;
use wire::collector::Answer;
use wire::otlp::{Body, Identity};

use self::backend::{Backend, Origin};
use self::failure::{Cause, Failure};
use self::gzip::Gzip;
use self::packing::{Agreement, may_be_packing, pack};
use crate::caught::caught_async;
use crate::clock::Clock;
use crate::driver::{Inbox, Message};
use crate::settings::{Destination, Packing, Protocol};

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
    inbox: Inbox,
    clock: Clock,
}

/// A request under way.
struct Running {
    signal: Signal,
    /// Which of [`Exporter::backends`].
    backend: usize,
    task: AbortHandle,
}

/// How requests of one lane reach their backend.
#[derive(Clone)]
struct Route {
    destination: Arc<Destination>,
    headers: HeaderMap,
    /// Which of [`Exporter::backends`].
    backend: usize,
}

impl Exporter {
    /// Knows where to send; its clients are built when `/next` has been asked. What cannot be built is said once,
    /// and the rest works: a certificate file that cannot be read leaves the built-in roots.
    pub fn new(destinations: [Option<Destination>; Signal::ALL.len()], inbox: Inbox, clock: Clock) -> Self {
        let mut backends: Vec<Backend> = Vec::new();
        let with_lane = Signal::ALL.map(LaneId::of).into_iter().zip(destinations);
        let routes = with_lane.filter_map(|(lane, destination)| {
            let destination = destination?;
            let origin = Origin::of(&destination);
            let known = backends.iter().position(|backend| backend.origin == origin);
            let backend = known.unwrap_or_else(|| {
                backends.push(Backend::new(origin));
                backends.len() - 1
            });
            let headers = headers(&destination);
            Some((lane, Route { destination: Arc::new(destination), headers, backend }))
        });
        let routes = routes.collect();
        Self { routes, backends, running: HashMap::new(), gzip: Gzip::default(), inbox, clock }
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
        let (inbox, clock) = (self.inbox.clone(), self.clock);
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
        let sender = Sender { route, client, agreement, gzip: self.gzip.clone(), clock };
        let task = tokio::spawn(async move {
            let delivered = caught_async(sender.deliver(&entries, &identity, effort)).await;
            // A request in which a bug shows would show it again: its content is dropped and counted.
            let (Ended { outcome, failure }, raw_bytes, sent_bytes) =
                delivered.unwrap_or((Ended::unusable(), 0, 0));
            // What was not asked says nothing of the backend.
            if sent_bytes > 0 || outcome != Outcome::TooLarge {
                health.note(signal, outcome, failure);
            }
            inbox.send(exported(id, outcome, raw_bytes, sent_bytes));
        });
        self.running.insert(id, Running { signal, backend, task: task.abort_handle() });
    }

    /// Lets go of a request: its connection is not used again, and nothing is reported.
    pub fn cancel(&mut self, id: BatchId) {
        if let Some(Running { signal, backend, task }) = self.running.remove(&id) {
            if !task.is_finished() {
                self.backends[backend].health.note_cancelled(signal);
            }
            task.abort();
            self.backends[backend].on_cancelled();
        }
    }

    /// The process is about to end: a backend that never answered anything is logged now or never.
    pub fn conclude(&self) {
        for Running { signal, backend, task } in self.running.values() {
            if !task.is_finished() {
                self.backends[*backend].health.note_cancelled(*signal);
            }
        }
        self.backends.iter().for_each(|backend| backend.health.conclude());
    }

    /// Fields for a log line about the backend of `signal`: its host, and why the last request failed.
    pub fn about(&self, signal: Signal) -> serde_json::Value {
        let route = self.routes.get(&LaneId::of(signal));
        route.map_or_else(|| serde_json::json!({}), |route| self.backends[route.backend].health.about(signal))
    }

    /// Opens a connection to the backend of `lane`, for the exports to come. Nobody waits for it, and a failure is
    /// found out again, and said, by the export that meets it.
    pub fn connect(&mut self, lane: LaneId) {
        let backend = self.routes.get(&lane).and_then(|route| self.backends.get_mut(route.backend));
        backend.into_iter().for_each(Backend::connect);
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
    route: Route,
    client: reqwest::Client,
    agreement: Agreement,
    gzip: Gzip,
    clock: Clock,
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
        let pieces = |take: &mut dyn FnMut(&[u8])| wire::otlp::pieces(entries, identity, take);
        let (body, raw_bytes) = pack(pieces, size, packing, effort, &self.gzip);
        let sent_bytes = body.len() as u64;
        let Route { destination, headers, .. } = &self.route;
        // With its resources and envelopes it may be more than policy has counted: it comes again, in two halves.
        if raw_bytes > destination.limit.bytes as u64 && entries.len() > 1 {
            return (Ended { outcome: Outcome::TooLarge, failure: None }, raw_bytes, 0);
        }
        let url = &destination.url[..];
        let request = Request { client: &self.client, url, headers, packing, body, now: self.clock.wall() };
        let ended = match destination.protocol {
            Protocol::HttpProtobuf => post(request).await,
            Protocol::Grpc => call::call(request).await,
        };
        (ended, raw_bytes, sent_bytes)
    }
}

/// One try at one request.
struct Request<'a> {
    client: &'a reqwest::Client,
    url: &'a str,
    headers: &'a HeaderMap,
    packing: Packing,
    body: Bytes,
    now: UnixNanos,
}

/// How a try has ended: for the agent, and for people.
struct Ended {
    outcome: Outcome,
    failure: Option<Failure>,
}

impl Ended {
    /// An answer with this status and these words means this.
    fn answered(outcome: Outcome, status: u16, words: &[u8]) -> Self {
        Self { outcome, failure: Failure::in_answer(outcome, status, words) }
    }

    /// Nothing was answered.
    fn unanswered(error: &reqwest::Error) -> Self {
        let outcome = match error {
            // Built from checked settings, a request that cannot be made is a bug, and no retry mends it.
            _ if error.is_builder() => return Self::unusable(),
            _ if error.is_connect() => Outcome::Retry { after: None },
            _ => Outcome::Lost,
        };
        Self { outcome, failure: Some(Failure::unanswered(error, error.is_connect())) }
    }

    /// No request could be made.
    const fn unusable() -> Self {
        Self { outcome: Outcome::Rejected { status: 0 }, failure: Some(Failure::of(Cause::RefusedOtherwise)) }
    }
}

async fn post(request: Request<'_>) -> Ended {
    let Request { client, url, headers, packing, body, now } = request;
    let mut headers = headers.clone();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    if let Some(name) = packing.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    let mut response = match client.post(url).headers(headers).body(body).send().await {
        Ok(response) => response,
        Err(error) => return Ended::unanswered(&error),
    };
    let status = response.status().as_u16();
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (retry_after, content_type) = (text(RETRY_AFTER), text(CONTENT_TYPE));
    let mut answer = Vec::new();
    while answer.len() < ANSWER_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => answer.extend_from_slice(&chunk),
            // The status has been said: a body that breaks off takes nothing back.
            Ok(None) | Err(_) => break,
        }
    }
    let answer = Answer {
        status,
        retry_after: retry_after.as_deref(),
        content_type: content_type.as_deref(),
        body: &answer,
    };
    let outcome = answer.outcome(now);
    if answer.is_web_page() && (200..300).contains(&status) {
        return Ended {
            outcome,
            failure: Some(Failure { status: Some(status), ..Failure::of(Cause::NotOtlp) }),
        };
    }
    Ended::answered(outcome, status, answer.body)
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
