//! The only client of the backend: OTLP over HTTP, one task per request, no timer of its own.
//!
//! How long a request may take, and whether it is tried again, is the agent's business: here a request
//! runs until it is answered, breaks, or is cancelled.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use policy::{BatchId, Entry, Input, Outcome, Signal};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::task::AbortHandle;
use wire::otlp::{Body, Identity};

use crate::clock::Clock;
use crate::driver::{Inbox, Message};
use crate::log;
use crate::settings::{Destination, Packing, TlsFiles};

/// Answers are read up to here; a backend that says more says nothing that matters.
const ANSWER_MAX: usize = 64 << 10;

/// See the module.
pub struct Exporter {
    routes: [Option<Route>; Signal::ALL.len()],
    running: HashMap<BatchId, AbortHandle>,
    inbox: Inbox,
    clock: Clock,
}

/// How requests of one signal reach their backend.
#[derive(Clone)]
struct Route {
    destination: Arc<Destination>,
    headers: HeaderMap,
    client: reqwest::Client,
}

impl Exporter {
    /// Builds the clients. What cannot be built is said once, and the rest works: a certificate file that
    /// cannot be read leaves the built-in roots.
    pub fn new(destinations: [Option<Destination>; Signal::ALL.len()], inbox: Inbox, clock: Clock) -> Self {
        // The clients of signals with the same files are one, and share its connections.
        let mut clients: Vec<(TlsFiles, reqwest::Client)> = Vec::new();
        let routes = destinations.map(|destination| {
            let destination = destination?;
            let known = clients.iter().find(|(files, _)| *files == destination.tls);
            let client = match known {
                Some((_, client)) => client.clone(),
                None => {
                    let client = client(&destination.tls)?;
                    clients.push((destination.tls.clone(), client.clone()));
                    client
                }
            };
            let headers = headers(&destination);
            Some(Route { destination: Arc::new(destination), headers, client })
        });
        Self { routes, running: HashMap::new(), inbox, clock }
    }

    /// Sends `entries` as one request and reports how it ended.
    pub fn export(
        &mut self,
        id: BatchId,
        signal: Signal,
        entries: Arc<[Entry<Body>]>,
        identity: Arc<Identity>,
    ) {
        self.running.retain(|_, task| !task.is_finished());
        let (inbox, clock) = (self.inbox.clone(), self.clock);
        let Some(route) = self.routes[signal as usize].clone() else {
            inbox.send(exported(id, Outcome::Rejected { status: 0 }, 0, 0));
            return;
        };
        let task = tokio::spawn(async move {
            let raw = wire::otlp::request(&entries, &identity);
            drop(entries);
            let raw_bytes = raw.len() as u64;
            let packed = pack(raw, route.destination.packing);
            let sent_bytes = packed.len() as u64;
            let outcome = send(&route, packed, clock).await;
            inbox.send(exported(id, outcome, raw_bytes, sent_bytes));
        });
        self.running.insert(id, task.abort_handle());
    }

    /// Lets go of a request: its connection is closed, and nothing is reported.
    pub fn cancel(&mut self, id: BatchId) {
        if let Some(task) = self.running.remove(&id) {
            task.abort();
        }
    }

    /// Forgets idle connections: the next request opens a new one.
    pub fn reconnect(&mut self) {
        let mut rebuilt: Vec<(TlsFiles, reqwest::Client)> = Vec::new();
        for route in self.routes.iter_mut().flatten() {
            let files = &route.destination.tls;
            let known = rebuilt.iter().find(|(other, _)| other == files).map(|(_, client)| client.clone());
            let Some(fresh) = known.or_else(|| client(files)) else { continue };
            rebuilt.push((files.clone(), fresh.clone()));
            route.client = fresh;
        }
    }
}

fn exported(id: BatchId, outcome: Outcome, raw_bytes: u64, sent_bytes: u64) -> Message {
    Message::Input(Input::Exported { id, outcome, raw_bytes, sent_bytes })
}

async fn send(route: &Route, body: Bytes, clock: Clock) -> Outcome {
    let request = route.client.post(&route.destination.url).headers(route.headers.clone()).body(body);
    let mut response = match request.send().await {
        Ok(response) => response,
        // Built from checked settings, a request that cannot be made is a bug, and no retry mends it.
        Err(error) if error.is_builder() => return Outcome::Rejected { status: 0 },
        Err(error) if error.is_connect() => return Outcome::Retry { after: None },
        Err(_) => return Outcome::Lost,
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
    wire::collector::outcome(status, retry_after.as_deref(), &answer, clock.wall())
}

fn pack(raw: Vec<u8>, packing: Packing) -> Bytes {
    match packing {
        Packing::None => raw.into(),
        Packing::Gzip => {
            // Level 1: a third of the CPU of level 6, for a fifth more bytes (docs/performance.md).
            let mut encoder = GzEncoder::new(Vec::with_capacity(raw.len() / 3 + 64), Compression::fast());
            encoder.write_all(&raw).expect("writing to memory does not fail");
            encoder.finish().expect("writing to memory does not fail").into()
        }
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
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    if destination.packing == Packing::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers
}

/// A client without timers, redirects or idle time-outs: none of them survives a freeze as it is meant.
fn client(files: &TlsFiles) -> Option<reqwest::Client> {
    let built = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(files))
        .redirect(reqwest::redirect::Policy::none())
        .pool_idle_timeout(None)
        .user_agent(concat!("prefreeze/", env!("CARGO_PKG_VERSION")))
        .build();
    built.inspect_err(|error| log::degraded("exporter_unusable", "no request can be sent", error)).ok()
}

fn tls(files: &TlsFiles) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = &files.certificate {
        let added = CertificateDer::pem_file_iter(path)
            .map(|certificates| roots.add_parsable_certificates(certificates.filter_map(Result::ok)).0);
        if !matches!(added, Ok(1..)) {
            let message = "PREFREEZE_EXPORTER_OTLP_CERTIFICATE holds no readable certificate; the built-in roots are used";
            log::say(log::Level::Error, "certificate_unusable", message, serde_json::Value::Null);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    match client_identity(files) {
        Some((chain, key)) => builder.clone().with_client_auth_cert(chain, key).unwrap_or_else(|error| {
            log::degraded("client_certificate_unusable", "going on without it", &error);
            builder.with_no_client_auth()
        }),
        None => builder.with_no_client_auth(),
    }
}

type ClientIdentity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_identity(files: &TlsFiles) -> Option<ClientIdentity> {
    let (certificate, key) = files.client_certificate.as_ref().zip(files.client_key.as_ref())?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    match (chain, PrivateKeyDer::from_pem_file(key)) {
        (Ok(chain), Ok(key)) => Some((chain, key)),
        (chain, key) => {
            let why = chain.err().or(key.err()).map_or_else(String::new, |error| error.to_string());
            log::degraded("client_certificate_unusable", "going on without it", &why);
            None
        }
    }
}
