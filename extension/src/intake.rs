//! The only listeners for the function's telemetry: OTLP over HTTP and gRPC, on the loopback interface and on a
//! Unix socket.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

mod announced;
mod body;
mod grpc;
mod listen;
mod memory;
mod socket;

pub use listen::{Ports, Socket};

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use policy::{Input, Receipt, RequestId, Signal};
use wire::otlp::{self, Body, Scanned};

use crate::driver::{Inbox, Message};
use crate::guarding::{Guarded, Guarding};
use crate::http::{Answer, BodyError, Listener, answer, read_within, serve};
use crate::spool::{Kind, Spool};
use body::{Fault, Format, Packing, Refusal, Unfolded, refusal, unfold};
use memory::{Full, Share};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// Why a part of a request is refused.
const REFUSED_SPANS: &str = "spans without a valid trace id and span id, or that cannot be decoded";

/// Where requests go, whichever way they come.
#[derive(Clone)]
pub struct Intake {
    /// To the agent.
    pub inbox: Inbox,
    /// On record first, once there is a spool.
    pub spool: Arc<OnceLock<Spool>>,
    /// Before anything is kept.
    pub guarding: Guarding,
    /// No body longer than this is read, packed or unpacked, in bytes.
    pub max_body: usize,
}

impl Intake {
    /// Receives until the process ends.
    async fn receive(self, listener: impl Listener) {
        serve(listener, move |request| route(request, self.clone())).await;
    }

    /// Takes log records that were made here of what the platform told, by the same way as any others.
    pub fn log(&self, request_id: Option<RequestId>, request: Bytes) {
        let request = Unfolded { bytes: request, refused: 0 };
        let taken = self.admit(Signal::Logs, request).and_then(|request| self.take(Signal::Logs, &request));
        if let Ok(Scanned { receipt, .. }) = taken {
            self.inbox.send(Message::Input(Input::Logged { request_id, receipt }));
        }
    }

    /// What may go on of the protobuf of a request that has come whole: nothing else is kept of it.
    fn admit(&self, signal: Signal, body: Unfolded) -> Result<Guarded, Refusal> {
        let guarded = self.guarding.apply(signal, body.bytes);
        let mut guarded = guarded.map_err(|refused| refusal(Fault::Bad, refused.to_string()))?;
        guarded.refused = guarded.refused.saturating_add(body.refused);
        Ok(guarded)
    }

    /// Takes what was admitted of a request.
    fn take(&self, signal: Signal, body: &Guarded) -> Result<Scanned, Refusal> {
        let mut scanned =
            otlp::scan(signal, body).map_err(|_| refusal(Fault::Bad, "the body is not an OTLP request"))?;
        scanned.refused = scanned.refused.saturating_add(body.refused);
        if let Some(spool) = self.spool.get() {
            put_on_record(signal, &scanned.receipt, body, spool);
        }
        Ok(scanned)
    }
}

async fn route(request: Request<Incoming>, intake: Intake) -> Answer {
    if grpc::is_for(request.headers()) {
        grpc::handle(request, intake).await
    } else {
        handle(request, intake).await
    }
}

async fn handle(request: Request<Incoming>, intake: Intake) -> Answer {
    let signal = match request.uri().path() {
        "/v1/traces" => Signal::Traces,
        "/v1/metrics" => Signal::Metrics,
        "/v1/logs" => Signal::Logs,
        "/v1/started" => return started(request, &intake).await,
        "/v1/flush" => return flush(&request, &intake.inbox),
        _ => return answer(StatusCode::NOT_FOUND, TEXT, "not an OTLP path\n"),
    };
    if request.method() != Method::POST {
        return only_post();
    }
    let Some(format) = format_of(request.headers()) else { return no_format() };
    let receiving = Receiving::begin(intake.inbox.clone());
    let mut share = Share::new(intake.max_body);
    let message = message(signal, format, request, &intake, &mut share).await;
    match message.and_then(|message| intake.take(signal, &message)) {
        Ok(scanned) => {
            if !receiving.end(scanned.receipt) {
                return refused(format, &over(&intake.inbox));
            }
            accepted(signal, format, scanned.refused)
        }
        Err(refusal) => refused(format, &refusal),
    }
}

/// The environment ends: what comes now can neither be sent nor be kept.
fn over(inbox: &Inbox) -> Refusal {
    if inbox.is_closed() {
        refusal(Fault::Over, "the environment is shutting down")
    } else {
        // A bug has stopped the loop, and the function runs on: nothing that it might try again.
        refusal(Fault::Bad, "nothing is traced any more in this environment")
    }
}

/// The protobuf message that a request brings, or means.
async fn message(
    signal: Signal,
    format: Format,
    request: Request<Incoming>,
    intake: &Intake,
    share: &mut Share,
) -> Result<Guarded, Refusal> {
    let packing = packing_of(request.headers())
        .ok_or(refusal(Fault::Unsupported, "only gzip, deflate, zstd and identity are understood"))?;
    let body = received(request, intake.max_body, share).await?;
    let body = unfold(signal, format, packing, body, intake.max_body, share).await?;
    share.make_room_for_copy(body.bytes.len())?;
    intake.admit(signal, body)
}

/// The body of a request, as it came.
async fn received(request: Request<Incoming>, max: usize, share: &mut Share) -> Result<Bytes, Refusal> {
    let mut full = Full::Now;
    let has_room = |more| share.grow(more).map_err(|why| full = why).is_ok();
    match read_within(request.into_body(), max, has_room).await {
        Err(BodyError::NoRoom) => Err(full.into()),
        body => body.map_err(broken),
    }
}

/// `POST /v1/started`: the function says which spans it has begun.
async fn started(request: Request<Incoming>, intake: &Intake) -> Answer {
    if request.method() != Method::POST {
        return only_post();
    }
    let Some(format) = format_of(request.headers()) else { return no_format() };
    let mut share = Share::new(intake.max_body);
    let message = message(Signal::Traces, format, request, intake, &mut share).await;
    match message.and_then(|message| announced::take(&message, intake.spool.get())) {
        Ok((spans, left_out)) => {
            if !intake.inbox.offer(Input::Announced(spans)) {
                return refused(format, &over(&intake.inbox));
            }
            accepted(Signal::Traces, format, left_out)
        }
        Err(refusal) => refused(format, &refusal),
    }
}

fn broken(error: BodyError) -> Refusal {
    match error {
        BodyError::TooLong => refusal(Fault::TooLong, "the body is too long"),
        BodyError::Broken | BodyError::NoRoom => refusal(Fault::Bad, "the body broke off"),
    }
}

/// Before the answer: should we be killed now, the next process sends it. A disk that fails loses nothing yet.
fn put_on_record(signal: Signal, receipt: &Receipt<Body>, body: &Bytes, spool: &Spool) {
    let first_span = receipt.spans.first().map(|span| &span.body);
    let Some(first) = first_span.or(receipt.parcels.first().map(|parcel| &parcel.body)) else { return };
    let count = u32::try_from(receipt.count(signal)).unwrap_or(u32::MAX);
    if let Some(keepsake) = spool.keep(Kind::Accepted(signal), count, body) {
        first.keep(keepsake);
    }
}

/// An answer comes in the format of its request.
fn accepted(signal: Signal, format: Format, refused: u32) -> Answer {
    match format {
        Format::Protobuf => answer(StatusCode::OK, PROTOBUF, otlp::success(refused, REFUSED_SPANS)),
        Format::Json => answer(StatusCode::OK, JSON, otlp::success_json(signal, refused, REFUSED_SPANS)),
    }
}

fn refused(format: Format, refusal: &Refusal) -> Answer {
    let status = match refusal.fault {
        Fault::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Fault::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        Fault::Bad => StatusCode::BAD_REQUEST,
        Fault::Over => StatusCode::SERVICE_UNAVAILABLE,
    };
    match format {
        Format::Protobuf => answer(status, PROTOBUF, otlp::failure(&refusal.why)),
        Format::Json => answer(status, JSON, otlp::failure_json(&refusal.why)),
    }
}

fn no_format() -> Answer {
    let why = "only application/x-protobuf and application/json are understood\n";
    answer(StatusCode::UNSUPPORTED_MEDIA_TYPE, TEXT, why)
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

fn format_of(headers: &HeaderMap) -> Option<Format> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    match media_type {
        _ if media_type.eq_ignore_ascii_case(PROTOBUF) => Some(Format::Protobuf),
        _ if media_type.eq_ignore_ascii_case(JSON) => Some(Format::Json),
        _ => None,
    }
}

fn packing_of(headers: &HeaderMap) -> Option<Packing> {
    Packing::named(headers.get(CONTENT_ENCODING).map_or(Some(""), |value| value.to_str().ok())?)
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

    /// False when it is not taken any more.
    fn end(mut self, receipt: Receipt<Body>) -> bool {
        self.is_ended = self.inbox.offer(Input::Received(receipt));
        self.is_ended
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if !self.is_ended {
            self.inbox.send(Message::Input(Input::Received(Receipt::EMPTY)));
        }
    }
}
