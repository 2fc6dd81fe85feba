//! One backend: the client that speaks to it, and a connection that is opened before it is needed.
//!
//! A handshake with TLS takes three round trips and a millisecond of CPU, which the first flush of an
//! environment would pay while the platform waits for `/next`. No request may be sent ahead, though: a
//! backend would count it, as an error perhaps. So a second client connects for a request that it never gets
//! to make, and the connection waits for the first request of the other that finds none in its pool.

use std::any::Any;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use tokio::task::AbortHandle;
use tower_layer::Layer;
use tower_service::Service;

use super::health::Health;
use super::packing::Agreement;
use super::trust;
use crate::clock::{NEXT_FIRST, pause};
use crate::log;
use crate::settings::{Destination, Protocol, TlsFiles};

/// What connections can be shared between: one scheme, host and port, met with the same certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// With a path that plays no part.
    url: String,
    files: TlsFiles,
    is_direct: bool,
    /// For people.
    proxy: Option<String>,
    protocol: Protocol,
}

impl Origin {
    pub(super) fn of(destination: &Destination) -> Self {
        let url = destination.url.parse::<http::Uri>().unwrap_or_default();
        let url = match (url.scheme_str(), url.authority()) {
            (Some(scheme), Some(authority)) => format!("{scheme}://{authority}/"),
            _ => destination.url.clone(),
        };
        let Destination { protocol, is_direct, .. } = *destination;
        let proxy = destination.proxy.clone();
        Self { url, files: destination.tls.clone(), protocol, is_direct, proxy }
    }
}

/// See the module.
pub(super) struct Backend {
    pub(super) origin: Origin,
    pub(super) agreement: Agreement,
    pub(super) health: Arc<Health>,
    /// Built when first needed; empty where they cannot be, which is said once.
    clients: Arc<OnceLock<Option<Clients>>>,
    ahead: Ahead,
    /// The connection that is being opened ahead.
    opening: Option<AbortHandle>,
}

#[derive(Clone)]
struct Clients {
    tls: rustls::ClientConfig,
    client: reqwest::Client,
    /// Never gets as far as a request: its connector keeps what it has opened for the other.
    opener: reqwest::Client,
}

impl Clients {
    fn build(origin: &Origin, ahead: &Ahead) -> Option<Self> {
        let mut tls = trust::tls(&origin.files);
        if origin.protocol == Protocol::Grpc {
            tls.alpn_protocols = vec![b"h2".to_vec()];
        }
        let connecting = |to| Connecting { ahead: ahead.clone(), to };
        let opener = client(tls.clone(), origin, connecting(To::Open))?;
        let client = client(tls.clone(), origin, connecting(To::Send))?;
        Some(Self { tls, client, opener })
    }
}

impl Backend {
    /// A backend that nothing has been built for yet.
    pub(super) fn new(origin: Origin) -> Self {
        let health = Arc::new(Health::of(&origin.url, origin.proxy.clone()));
        let ahead = Ahead { connection: Arc::default(), health: health.clone() };
        Self {
            origin,
            agreement: Agreement::default(),
            health,
            clients: Arc::default(),
            ahead,
            opening: None,
        }
    }

    fn clients(&self) -> Option<&Clients> {
        self.clients.get_or_init(|| Clients::build(&self.origin, &self.ahead)).as_ref()
    }

    /// The client; clones share its connections. `None`, and a word about it, where none can be built.
    pub(super) fn client(&self) -> Option<reqwest::Client> {
        self.clients().map(|clients| clients.client.clone())
    }

    /// Begins to open a connection ahead, unless one is being opened: several lanes may go here. It may hang as long as it
    /// likes: no request waits for it.
    pub(super) fn connect(&mut self) {
        if self.opening.as_ref().is_some_and(|opening| !opening.is_finished()) {
            return;
        }
        self.forget_ahead();
        let (clients, origin, ahead) = (self.clients.clone(), self.origin.clone(), self.ahead.clone());
        let opening = async move {
            pause(NEXT_FIRST).await;
            let clients = clients.get_or_init(|| Clients::build(&origin, &ahead));
            if let Some(Clients { opener, .. }) = clients {
                // Its end is always an error: either it could not connect, or it has.
                drop(opener.get(&origin.url).send().await);
            }
        };
        self.opening = Some(tokio::spawn(opening).abort_handle());
    }

    /// Forgets every connection that is idle or being opened.
    pub(super) fn reconnect(&mut self) {
        self.forget_ahead();
        let Some(Some(known)) = self.clients.get() else { return };
        // Sessions outlive connections: the next handshake resumes one.
        let to_send = Connecting { ahead: self.ahead.clone(), to: To::Send };
        if let Some(client) = client(known.tls.clone(), &self.origin, to_send) {
            self.clients = Arc::new(OnceLock::from(Some(Clients { client, ..known.clone() })));
        }
    }

    /// A request was let go of. Of HTTP/1.1 that closes its connection; of HTTP/2 it resets a stream, and the next call
    /// would go over a connection that may be dead.
    pub(super) fn on_cancelled(&mut self) {
        if self.origin.protocol == Protocol::Grpc {
            self.reconnect();
        }
    }

    fn forget_ahead(&mut self) {
        if let Some(opening) = self.opening.take() {
            opening.abort();
        }
        self.ahead.take();
    }
}

/// A client without timers, redirects or idle time-outs: none of them survives a freeze as it is meant.
fn client(tls: rustls::ClientConfig, origin: &Origin, connecting: Connecting) -> Option<reqwest::Client> {
    let builder = match origin.protocol {
        Protocol::HttpProtobuf => reqwest::Client::builder().http1_only(),
        Protocol::Grpc => reqwest::Client::builder().http2_prior_knowledge(),
    };
    // Where data may go to listed hosts only, a proxy that is not listed is passed by.
    let builder = if origin.is_direct { builder.no_proxy() } else { builder };
    let built = builder
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .pool_idle_timeout(None)
        .connector_layer(connecting)
        .user_agent(concat!("prefreeze/", env!("CARGO_PKG_VERSION")))
        .build();
    built.inspect_err(|error| log::degraded("exporter_unusable", "no request can be sent", error)).ok()
}

/// The connection that was opened ahead, if one is there. Its type is the client's secret.
#[derive(Clone)]
struct Ahead {
    connection: Arc<Mutex<Option<Box<dyn Any + Send>>>>,
    /// Told of every connection that was established.
    health: Arc<Health>,
}

impl Ahead {
    fn take(&self) -> Option<Box<dyn Any + Send>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, connection: Box<dyn Any + Send>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }
}

/// What a client connects for.
#[derive(Clone, Copy)]
enum To {
    /// To have a connection at hand.
    Open,
    /// To send a request: on the connection at hand, or else on one of its own.
    Send,
}

/// Puts the connection ahead into a client's way of connecting.
#[derive(Clone)]
struct Connecting {
    ahead: Ahead,
    to: To,
}

impl<S> Layer<S> for Connecting {
    type Service = Connector<S>;

    fn layer(&self, connector: S) -> Connector<S> {
        Connector { connector, connecting: self.clone() }
    }
}

#[derive(Clone)]
struct Connector<S> {
    connector: S,
    connecting: Connecting,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<S, R> Service<R> for Connector<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let ahead = &self.connecting.ahead;
        match self.connecting.to {
            To::Open => {
                let (connected, ahead) = (self.connector.call(request), ahead.clone());
                Box::pin(async move {
                    let connection = connected.await?;
                    ahead.health.note_connected();
                    ahead.put(Box::new(connection));
                    Err("opened ahead: there is no request to send".into())
                })
            }
            To::Send => match ahead.take().and_then(|connection| connection.downcast().ok()) {
                Some(connection) => Box::pin(std::future::ready(Ok(*connection))),
                None => {
                    let (connected, health) = (self.connector.call(request), ahead.health.clone());
                    Box::pin(async move {
                        let connection = connected.await?;
                        health.note_connected();
                        Ok(connection)
                    })
                }
            },
        }
    }
}
