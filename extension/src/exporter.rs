//! The only client of the backend: OTLP over HTTP or gRPC, one task per request, no timer of its own.
//!
//! How long a request may take, and whether it is tried again, is the agent's business: here a request
//! runs until it is answered, breaks, or is cancelled.

mod backend;
mod call;
mod gzip;
mod packing;
mod trust;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use policy::{BatchId, Effort, Entry, Input, LaneId, Outcome, Signal, UnixNanos};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use tokio::task::AbortHandle;
use wire::otlp::{Body, Identity};

use self::backend::{Backend, Origin};
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
    /// Each with its backend.
    running: HashMap<BatchId, (usize, AbortHandle)>,
    gzip: Gzip,
    inbox: Inbox,
    clock: Clock,
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
        self.running.retain(|_, (_, task)| !task.is_finished());
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
        let sender = Sender { route, client, agreement, gzip: self.gzip.clone(), clock };
        let task = tokio::spawn(async move {
            let delivered = caught_async(sender.deliver(&entries, &identity, effort)).await;
            // A request in which a bug shows would show it again: its content is dropped and counted.
            let (outcome, raw_bytes, sent_bytes) =
                delivered.unwrap_or((Outcome::Rejected { status: 0 }, 0, 0));
            inbox.send(exported(id, outcome, raw_bytes, sent_bytes));
        });
        self.running.insert(id, (backend, task.abort_handle()));
    }

    /// Lets go of a request: its connection is not used again, and nothing is reported.
    pub fn cancel(&mut self, id: BatchId) {
        if let Some((backend, task)) = self.running.remove(&id) {
            task.abort();
            self.backends[backend].on_cancelled();
        }
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
    ) -> (Outcome, u64, u64) {
        let packing = self.agreement.packing(self.route.destination.packing);
        let (outcome, raw_bytes, sent_bytes) = self.attempt(entries, identity, packing, effort).await;
        if packing != Packing::Zstd || !may_be_packing(outcome) {
            return (outcome, raw_bytes, sent_bytes);
        }
        // Spliced again rather than kept: 4 MiB less are held beside every export, for what happens once.
        let (second, raw_bytes, sent_bytes) = self.attempt(entries, identity, Packing::Gzip, effort).await;
        self.agreement.note_fallback(outcome, second);
        (second, raw_bytes, sent_bytes)
    }

    async fn attempt(
        &self,
        entries: &[Entry<Body>],
        identity: &Identity,
        packing: Packing,
        effort: Effort,
    ) -> (Outcome, u64, u64) {
        let size = entries.iter().map(|entry| entry.size as usize).sum();
        let pieces = |take: &mut dyn FnMut(&[u8])| wire::otlp::pieces(entries, identity, take);
        let (body, raw_bytes) = pack(pieces, size, packing, effort, &self.gzip);
        let sent_bytes = body.len() as u64;
        let Route { destination, headers, .. } = &self.route;
        let url = &destination.url[..];
        let request = Request { client: &self.client, url, headers, packing, body, now: self.clock.wall() };
        let outcome = match destination.protocol {
            Protocol::HttpProtobuf => post(request).await,
            Protocol::Grpc => call::call(request).await,
        };
        (outcome, raw_bytes, sent_bytes)
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

async fn post(request: Request<'_>) -> Outcome {
    let Request { client, url, headers, packing, body, now } = request;
    let mut headers = headers.clone();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    if let Some(name) = packing.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    let mut response = match client.post(url).headers(headers).body(body).send().await {
        Ok(response) => response,
        Err(error) => return unanswered(&error),
    };
    let status = response.status().as_u16();
    let retry_after =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut answer = Vec::new();
    while answer.len() < ANSWER_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => answer.extend_from_slice(&chunk),
            // The status has been said: a body that breaks off takes nothing back.
            Ok(None) | Err(_) => break,
        }
    }
    wire::collector::outcome(status, retry_after.as_deref(), &answer, now)
}

/// What a request came to that nothing was answered to.
fn unanswered(error: &reqwest::Error) -> Outcome {
    match error {
        // Built from checked settings, a request that cannot be made is a bug, and no retry mends it.
        _ if error.is_builder() => Outcome::Rejected { status: 0 },
        _ if error.is_connect() => Outcome::Retry { after: None },
        _ => Outcome::Lost,
    }
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
