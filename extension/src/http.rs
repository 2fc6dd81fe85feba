//! What both listeners share: serving connections, and reading a body no further than its bound.

mod places;

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use self::places::Places;
use crate::clock::pause;

/// What is buffered of a connection: 64 of them must not be felt in 128 MB. A head that does not fit is refused;
/// the buffer grows by doubling, so one of nearly twice that may still be taken.
const HEAD_MAX: usize = 64 << 10;

/// Between two tries to accept, after one that failed: long enough not to eat the function's CPU share.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

/// An answer.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Answers requests on `listener`, each connection in a task of its own, for as long as the process lives.
pub(crate) async fn serve<H, F>(listener: TcpListener, handle: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let places = Places::default();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // The peer has gone, or the environment is out of file descriptors, which all its processes share.
            Err(_) => {
                pause(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let handle = handle.clone();
        let place = places.take().await;
        let (seat, busy) = (place.seat(), place.busy());
        let connection = tokio::spawn(async move {
            let service = service_fn(move |request| {
                let (answer, busy) = (handle(request), busy());
                async move {
                    let answer = answer.await;
                    drop(busy);
                    Ok::<_, Infallible>(answer)
                }
            });
            let mut server = http1::Builder::new();
            // A connection that fails is its peer's affair.
            let _ = server.max_buf_size(HEAD_MAX).serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
        seat(connection.abort_handle());
    }
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is longer than its bound.
    TooLong,
    /// Its sender went away.
    Broken,
}

/// Reads a body of at most `max` bytes.
pub(crate) async fn read(mut body: Incoming, max: usize) -> Result<Bytes, BodyError> {
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
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let value = http::HeaderValue::from_static(content_type);
    answer.headers_mut().insert(http::header::CONTENT_TYPE, value);
    answer
}
