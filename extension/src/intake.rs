//! The only listener for the function's telemetry: OTLP over HTTP on the loopback interface.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use policy::{Input, Receipt, Signal};
use tokio::net::TcpListener;
use wire::otlp::{self, Body};

use crate::driver::{Inbox, Message};
use crate::http::{Answer, BodyError, answer, read, serve};
use crate::spool::{Kind, Spool};

const PROTOBUF: &str = "application/x-protobuf";
const TEXT: &str = "text/plain; charset=utf-8";

/// Takes the address that the function's SDK sends to.
///
/// # Errors
/// When it is taken, or not ours to take.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Receives until the process ends. No body longer than `max_body` is read, packed or unpacked.
pub async fn receive(listener: TcpListener, inbox: Inbox, spool: Arc<OnceLock<Spool>>, max_body: usize) {
    serve(listener, move |request| handle(request, inbox.clone(), spool.clone(), max_body)).await;
}

async fn handle(
    request: Request<Incoming>,
    inbox: Inbox,
    spool: Arc<OnceLock<Spool>>,
    max_body: usize,
) -> Answer {
    let signal = match request.uri().path() {
        "/v1/traces" => Signal::Traces,
        "/v1/metrics" => Signal::Metrics,
        "/v1/logs" => Signal::Logs,
        "/v1/flush" => return flush(&request, &inbox),
        _ => return answer(StatusCode::NOT_FOUND, TEXT, "not an OTLP path\n"),
    };
    if request.method() != Method::POST {
        return only_post();
    }
    let receiving = Receiving::begin(inbox);
    match take(signal, request, spool.get(), max_body).await {
        Ok(scanned) => {
            let body = otlp::success(scanned.refused, "spans without a valid trace id and span id");
            receiving.end(scanned.receipt);
            answer(StatusCode::OK, PROTOBUF, body)
        }
        Err(refusal) => answer(refusal.status, PROTOBUF, otlp::failure(refusal.why)),
    }
}

fn only_post() -> Answer {
    let mut refusal = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "POST only\n");
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    refusal
}

/// `POST /v1/flush?request_id=…`: the function says that it is done.
fn flush(request: &Request<Incoming>, inbox: &Inbox) -> Answer {
    if request.method() != Method::POST {
        return only_post();
    }
    let pairs = request.uri().query().unwrap_or_default().split('&');
    let request_id = pairs.filter_map(|pair| pair.strip_prefix("request_id=")).find(|id| !id.is_empty());
    inbox.send(Message::Input(Input::Flush { request_id: request_id.map(Into::into) }));
    answer(StatusCode::ACCEPTED, TEXT, "")
}

/// Why a request is refused, and with which status.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    why: &'static str,
}

const fn refusal(status: StatusCode, why: &'static str) -> Refusal {
    Refusal { status, why }
}

async fn take(
    signal: Signal,
    request: Request<Incoming>,
    spool: Option<&Spool>,
    max: usize,
) -> Result<otlp::Scanned, Refusal> {
    if !is_protobuf(request.headers()) {
        return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "only application/x-protobuf is understood"));
    }
    let encoding = Encoding::of(request.headers())
        .ok_or(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "only gzip and identity are understood"))?;
    let body = read(request.into_body(), max).await.map_err(|error| match error {
        BodyError::TooLong => refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long"),
        BodyError::Broken => refusal(StatusCode::BAD_REQUEST, "the body broke off"),
    })?;
    let body = match encoding {
        Encoding::Identity => body,
        Encoding::Gzip => gunzip(&body, max)?,
    };
    let scanned = otlp::scan(signal, &body)
        .map_err(|_| refusal(StatusCode::BAD_REQUEST, "the body is not an OTLP request"))?;
    if let Some(spool) = spool {
        put_on_record(signal, &scanned.receipt, &body, spool);
    }
    Ok(scanned)
}

/// Before the 200: should we be killed now, the next process sends it. A disk that fails loses nothing yet.
fn put_on_record(signal: Signal, receipt: &Receipt<Body>, body: &Bytes, spool: &Spool) {
    let first_span = receipt.spans.first().map(|span| &span.body);
    let Some(first) = first_span.or(receipt.parcels.first().map(|parcel| &parcel.body)) else { return };
    let count = u32::try_from(receipt.count(signal)).unwrap_or(u32::MAX);
    if let Some(keepsake) = spool.keep(Kind::Accepted(signal), count, body) {
        first.keep(keepsake);
    }
}

fn is_protobuf(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case(PROTOBUF)
}

enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_ENCODING).map_or(Some(""), |value| value.to_str().ok())?;
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" => Some(Self::Gzip),
            _ => None,
        }
    }
}

/// Unpacks at most `max` bytes: a bomb is noticed one byte later.
fn gunzip(packed: &[u8], max: usize) -> Result<Bytes, Refusal> {
    let mut unpacked = Vec::with_capacity(packed.len().saturating_mul(4).min(max));
    let mut bounded = MultiGzDecoder::new(packed).take(max as u64 + 1);
    bounded
        .read_to_end(&mut unpacked)
        .map_err(|_| refusal(StatusCode::BAD_REQUEST, "the body is not gzip, though it says so"))?;
    if unpacked.len() > max {
        return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long once unpacked"));
    }
    // Kept for as long as a backend is down: what was reserved and not used is given back.
    unpacked.shrink_to_fit();
    Ok(unpacked.into())
}

/// A request under way. However it ends, policy hears of the end: it waits for no request that is gone.
struct Receiving {
    inbox: Inbox,
    is_ended: bool,
}

impl Receiving {
    fn begin(inbox: Inbox) -> Self {
        inbox.send(Message::Input(Input::Receiving));
        Self { inbox, is_ended: false }
    }

    fn end(mut self, receipt: Receipt<Body>) {
        self.is_ended = true;
        self.inbox.send(Message::Input(Input::Received(receipt)));
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if !self.is_ended {
            self.inbox.send(Message::Input(Input::Received(Receipt::EMPTY)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(content).expect("memory");
        packer.finish().expect("memory")
    }

    #[test]
    fn unpacking_stops_at_the_bound() {
        let packed = gzip(&vec![0; 1_000_000]);
        assert_eq!(gunzip(&packed, 1_000_000).ok().map(|body| body.len()), Some(1_000_000));
        let refused = gunzip(&packed, 999_999).expect_err("one byte too many");
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(gunzip(b"plain", 10).err().map(|refused| refused.status), Some(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn members_of_gzip_follow_each_other() {
        let packed = [gzip(b"one"), gzip(b"two")].concat();
        assert_eq!(gunzip(&packed, 10).ok().as_deref(), Some(&b"onetwo"[..]));
    }
}
