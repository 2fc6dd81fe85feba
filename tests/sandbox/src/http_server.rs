//! HTTP/1.1 on a loopback port: one task per connection, all gone when the server is dropped.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::Answer;
use crate::invoke::ResponseBody;

/// Request bodies of calls that carry little: registrations, subscriptions, errors.
pub(crate) const SMALL_BODY: usize = 256 * 1024;
/// What is read and thrown away after a body turned out too large, so that its sender reads our answer.
const OVERSIZE_READ_MAX: usize = 64 * 1024 * 1024;
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A listening server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start<H, F>(address: SocketAddr, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<ResponseBody>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, accepting: tokio::spawn(accept(listener, handler)) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept<H, F>(listener: TcpListener, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Out of descriptors, most likely: some will be given back.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                // Small answers must not wait for an acknowledgement.
                let _ = stream.set_nodelay(true);
                let handler = handler.clone();
                let service = service_fn(move |request| {
                    let response = handler(request);
                    async move { Ok::<_, Infallible>(response.await) }
                });
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move {
                    // A peer that was killed cuts its connection: nothing to do.
                    let _ = connection.await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// What became of a request body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Complete(Bytes),
    TooLarge,
    /// The connection broke.
    Broken,
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read_body(mut body: Incoming, limit: usize) -> Body {
    let mut bytes = Vec::new();
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Body::Broken };
        let Some(data) = frame.data_ref() else { continue };
        total += data.len();
        if total <= limit {
            bytes.extend_from_slice(data);
        } else {
            bytes.clear();
        }
        if total > OVERSIZE_READ_MAX {
            break;
        }
    }
    if total > limit { Body::TooLarge } else { Body::Complete(bytes.into()) }
}

/// Reads a small body; one that is too large or broken counts as empty.
pub(crate) async fn read_small(body: Incoming) -> Bytes {
    let limited = Limited::new(body, SMALL_BODY).collect().await;
    limited.map(|collected| collected.to_bytes()).unwrap_or_default()
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> ResponseBody {
    ResponseBody::Left(Full::new(bytes.into()))
}

impl From<Answer> for Response<ResponseBody> {
    fn from(answer: Answer) -> Self {
        let mut builder =
            Response::builder().status(answer.status).header("Content-Type", answer.content_type);
        for (name, value) in answer.headers {
            builder = builder.header(name, value);
        }
        // Values that callers hand in, such as a client context, may hold what no header can.
        builder.body(full(answer.body)).unwrap_or_else(|error| {
            let mut response = Self::new(full(error.to_string()));
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }
}
