//! What both listeners share: serving connections, and reading a body no further than its bound.

mod places;

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use self::places::Places;
use crate::caught::caught_async;
use crate::clock::pause;

/// What is buffered of a connection: 64 of them must not be felt in 128 MB. A head that does not fit is refused;
/// the buffer grows by doubling, so one of nearly twice that may still be taken.
const HEAD_MAX: usize = 64 << 10;

/// Requests of one HTTP/2 connection served at once: an exporter has one or two, and each may hold a body.
const STREAMS_MAX: u32 = 16;

/// Between two tries to accept, after one that failed: long enough not to eat the function's CPU share.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

/// An answer.
pub(crate) type Answer = Response<Payload>;

/// The body of an answer, in one piece, with what gRPC says behind it.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    data: Bytes,
    trailers: Option<HeaderMap>,
}

impl Payload {
    pub(crate) const fn with_trailers(data: Bytes, trailers: HeaderMap) -> Self {
        Self { data, trailers: Some(trailers) }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = mem::take(&mut self.data);
        let data = (!data.is_empty()).then(|| Frame::data(data));
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.trailers {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(self.data.len() as u64),
        }
    }
}

/// Where connections come from.
pub(crate) trait Listener: Send + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// How often a listener goes on after a panic in accepting: a bug that shows each time must not fill the log.
const PANICS_MAX: usize = 8;

/// Why a connection was closed before a request on it could be handled; its peer has an answer, if any, without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// What came is no HTTP: as a rule it is TLS.
    NotHttp,
    /// The head of the request is too long.
    HeadTooLong,
}

impl Unserved {
    fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let error = error.downcast_ref::<hyper::Error>()?;
        match (error.is_parse_too_large(), error.is_parse()) {
            (true, _) => Some(Self::HeadTooLong),
            (_, true) => Some(Self::NotHttp),
            _ => None,
        }
    }
}

/// Answers requests on `listener`, each connection in a task of its own, for as long as the process lives.
///
/// Every listener speaks HTTP/1.1 and HTTP/2, whichever the first bytes are: a function that mixes up the ports of
/// OTLP/HTTP and OTLP/gRPC is traced all the same. A request whose handling panics is answered with 500, which no
/// sender tries again. `unserved` is told where a connection never came to a request.
pub(crate) async fn serve<L, H, F>(
    listener: L,
    handle: H,
    unserved: impl Fn(Unserved) + Clone + Send + Sync + 'static,
) where
    L: Listener,
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    for _ in 0..PANICS_MAX {
        let _panicked = caught_async(accept(&listener, &handle, &unserved)).await;
        pause(ACCEPT_AGAIN).await;
    }
}

async fn accept<L, H, F>(
    listener: &L,
    handle: &H,
    unserved: &(impl Fn(Unserved) + Clone + Send + Sync + 'static),
) where
    L: Listener,
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let places = Places::default();
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().max_buf_size(HEAD_MAX);
    server.http2().max_concurrent_streams(STREAMS_MAX).max_header_list_size(HEAD_MAX as u32);
    loop {
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            // The peer has gone, or the environment is out of file descriptors, which all its processes share.
            Err(_) => {
                pause(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let (handle, unserved, server) = (handle.clone(), unserved.clone(), server.clone());
        let place = places.take().await;
        let (seat, busy) = (place.seat(), place.busy());
        let connection = tokio::spawn(async move {
            let service = service_fn(move |request| {
                let (answering, busy) = (caught_async(handle(request)), busy());
                async move {
                    let answer = answering.await.unwrap_or_else(|_panicked| broken());
                    drop(busy);
                    Ok::<_, Infallible>(answer)
                }
            });
            // A connection that breaks is its peer's affair.
            let served = server.serve_connection(TokioIo::new(stream), service).await;
            if let Some(why) = served.err().and_then(|error| Unserved::of(&*error)) {
                unserved(why);
            }
            drop(place);
        });
        seat(connection.abort_handle());
    }
}

/// The answer to a request in which a bug of ours showed.
fn broken() -> Answer {
    answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", "a bug in Prefreeze\n")
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is longer than its bound.
    TooLong,
    /// Its sender went away.
    Broken,
    /// Whoever was asked for room had none.
    NoRoom,
}

/// Reads a body of at most `max` bytes.
pub(crate) async fn read(body: Incoming, max: usize) -> Result<Bytes, BodyError> {
    read_within(body, max, |_| true).await
}

/// The same, asking `has_room` for as many bytes as each piece has before it is kept.
pub(crate) async fn read_within(
    mut body: Incoming,
    max: usize,
    mut has_room: impl FnMut(usize) -> bool,
) -> Result<Bytes, BodyError> {
    let announced = body.size_hint().lower();
    if announced > max as u64 {
        return Err(BodyError::TooLong);
    }
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if all.len() + first.as_ref().map_or(0, Bytes::len) + data.len() > max {
            return Err(BodyError::TooLong);
        }
        if !has_room(data.len()) {
            return Err(BodyError::NoRoom);
        }
        match first.take() {
            None if all.is_empty() => first = Some(data),
            None => all.extend_from_slice(&data),
            Some(before) => {
                all.reserve(announced as usize);
                all.extend_from_slice(&before);
                all.extend_from_slice(&data);
            }
        }
    }
    // A body in one piece, which is the usual case, is a view of the connection's read buffer, and would keep
    // all of that alive for as long as a backend is down: kilobytes for a span of some hundred bytes.
    Ok(first.map_or_else(|| all.freeze(), |whole| Bytes::copy_from_slice(&whole)))
}

/// An answer with a body of `content_type`.
pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Payload { data: body.into(), trailers: None });
    *answer.status_mut() = status;
    let value = http::HeaderValue::from_static(content_type);
    answer.headers_mut().insert(http::header::CONTENT_TYPE, value);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What a listener of one's own answers to a path, each on a connection of its own.
    async fn statuses(paths: &[&str]) -> Vec<String> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(serve(
            listener,
            |request: Request<Incoming>| async move {
                assert_ne!(request.uri().path(), "/bug", "planted");
                answer(StatusCode::OK, "text/plain", "")
            },
            |_| {},
        ));
        let mut statuses = Vec::new();
        for path in paths {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("it reads");
            let mut text = String::new();
            stream.read_to_string(&mut text).await.expect("it answers");
            statuses.push(text.split(' ').nth(1).unwrap_or_default().to_owned());
        }
        statuses
    }

    #[tokio::test]
    async fn a_request_whose_handling_panics_is_answered_and_costs_no_other() {
        assert_eq!(statuses(&["/well", "/bug", "/bug", "/well"]).await, ["200", "500", "500", "200"]);
    }
}
