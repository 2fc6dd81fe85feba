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
mod reading;
mod refusals;
mod socket;

pub use listen::{Ports, Socket};
pub use refusals::Refusals;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use policy::{Input, Receipt, RequestId, RequestLimits, Signal};
use wire::otlp::{self, Body, Scanned};

use crate::driver::{Inbox, Message};
use crate::guarding::{Guarded, Guarding};
use crate::http::{Answer, BodyError, Listener, answer, read_within, serve};
use crate::spool::{Kind, Spool};
use body::{Fault, Format, Refusal, Unfolded, refusal, unfold, unpack};
use memory::{Full, Share};
use reading::Asked;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// Why a part of a request is refused.
const REFUSED_SPANS: &str = "items that cannot be decoded, spans without a valid trace id and span id, or telemetry of another signal than the path's";

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
    /// What backends take in one request.
    pub request_limits: RequestLimits,
    /// Counts what is refused.
    pub refusals: Refusals,
}

impl Intake {
    /// Receives until the process ends.
    async fn receive(self, listener: impl Listener) {
        let refusals = self.refusals.clone();
        let unserved = move |why| refusals.note_unserved(why);
        serve(listener, move |request| route(request, self.clone()), unserved).await;
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
        let scanned = otlp::scan_within(signal, body, self.request_limits[signal as usize]);
        let mut scanned = scanned.map_err(|_| refusal(Fault::Bad, "the body is not an OTLP request"))?;
        scanned.refused = scanned.refused.saturating_add(body.refused);
        if let Some(spool) = self.spool.get() {
            put_on_record(signal, &scanned.receipt, body, spool);
        }
        Ok(scanned)
    }
}

async fn route(request: Request<Incoming>, intake: Intake) -> Answer {
    if reading::is_from_ourselves(request.headers()) {
        // Answered in HTTP over gRPC, too: as a refusal for good.
        return answer(StatusCode::LOOP_DETECTED, TEXT, "this is Prefreeze's own receiver\n");
    }
    if grpc::is_for(request.headers()) {
        grpc::handle(request, intake).await
    } else {
        handle(request, intake).await
    }
}

async fn handle(request: Request<Incoming>, intake: Intake) -> Answer {
    let Some(asked) = reading::asked(request.uri().path()) else {
        return unknown(&request, &intake, StatusCode::NOT_FOUND, "not an OTLP path");
    };
    if request.method() != Method::POST {
        let mut refusal = unknown(&request, &intake, StatusCode::METHOD_NOT_ALLOWED, "POST only");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return refusal;
    }
    if asked == Asked::Flush {
        return flush(&request, &intake.inbox);
    }
    let Ok(format) = reading::format_of(request.headers()) else {
        let why = "only application/x-protobuf and application/json are understood";
        return unknown(&request, &intake, StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    };
    let path = request.uri().path().to_owned();
    let content_type = request.headers().get(CONTENT_TYPE).cloned();
    let mut format = Known { said: format, found: format.unwrap_or(Format::Protobuf) };
    let result = match asked {
        Asked::Export(signal) => export(signal, &mut format, request, &intake).await,
        Asked::Started | Asked::Flush => started(&mut format, request, &intake).await,
    };
    match result {
        Ok((signal, items)) => {
            intake.refusals.note_items(items, &path, REFUSED_SPANS);
            accepted(signal, format.found, items)
        }
        Err(refusal) => {
            let answer = refused(format.found, &refusal);
            if refusal.fault.is_senders() {
                let content_type = content_type.as_ref().and_then(|value| value.to_str().ok());
                intake.refusals.note(answer.status().as_u16(), &path, content_type, &refusal.why);
            }
            answer
        }
    }
}

/// How a body is written: by its sender's word, and by what it turned out to be where that says nothing.
struct Known {
    said: Option<Format>,
    found: Format,
}

/// Takes a request of `signal`; gives back how many of its items are refused.
async fn export(
    signal: Signal,
    format: &mut Known,
    request: Request<Incoming>,
    intake: &Intake,
) -> Result<(Signal, u32), Refusal> {
    let receiving = Receiving::begin(intake.inbox.clone());
    let mut share = Share::new(intake.max_body);
    let message = message(signal, format, request, intake, &mut share).await?;
    let scanned = intake.take(signal, &message)?;
    if !receiving.end(scanned.receipt) {
        return Err(over(&intake.inbox));
    }
    Ok((signal, scanned.refused))
}

/// The environment ends: what comes now can neither be sent nor be kept.
fn over(inbox: &Inbox) -> Refusal {
    if inbox.is_closed() {
        refusal(Fault::Over, "the environment is shutting down")
    } else {
        // A bug has stopped the loop, and the function runs on: nothing that it might try again.
        refusal(Fault::Stopped, "nothing is traced any more in this environment")
    }
}

/// The protobuf message that a request brings, or means.
async fn message(
    signal: Signal,
    format: &mut Known,
    request: Request<Incoming>,
    intake: &Intake,
    share: &mut Share,
) -> Result<Guarded, Refusal> {
    let packing = reading::packing_of(request.headers())
        .map_err(|_| refusal(Fault::Unsupported, "only gzip, deflate, zstd and identity are understood"))?;
    let body = received(request, intake.max_body, share).await?;
    let body = unpack(packing, body, intake.max_body, share).await?;
    format.found = format.said.unwrap_or_else(|| reading::format_by_look(&body));
    let body = unfold(signal, format.found, body, intake.max_body, share)?;
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

/// `POST /v1/started`: the function says which spans it has begun. Gives back how many of them are left out.
async fn started(
    format: &mut Known,
    request: Request<Incoming>,
    intake: &Intake,
) -> Result<(Signal, u32), Refusal> {
    let mut share = Share::new(intake.max_body);
    let message = message(Signal::Traces, format, request, intake, &mut share).await?;
    let (spans, left_out) = announced::take(&message, intake.spool.get())?;
    if !intake.inbox.offer(Input::Announced(spans)) {
        return Err(over(&intake.inbox));
    }
    Ok((Signal::Traces, left_out))
}

fn broken(error: BodyError) -> Refusal {
    match error {
        BodyError::TooLong => refusal(Fault::TooLong, "the body is too long"),
        BodyError::Broken | BodyError::NoRoom => refusal(Fault::Bad, "the body broke off"),
    }
}

/// Before the answer: should we be killed now, the next process sends it. A disk that fails loses nothing yet.
fn put_on_record(signal: Signal, receipt: &Receipt<Body>, body: &Bytes, spool: &Spool) {
    let count = u32::try_from(receipt.count(signal)).unwrap_or(u32::MAX);
    if count == 0 {
        return;
    }
    if let Some(keepsake) = spool.keep(Kind::Accepted(signal), count, body) {
        otlp::keep(receipt, keepsake);
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
        Fault::Bad | Fault::Stopped => StatusCode::BAD_REQUEST,
        Fault::Over => StatusCode::SERVICE_UNAVAILABLE,
    };
    match format {
        Format::Protobuf => answer(status, PROTOBUF, otlp::failure(&refusal.why)),
        Format::Json => answer(status, JSON, otlp::failure_json(&refusal.why)),
    }
}

/// The answer to a request that is refused before its body is read.
fn unknown(request: &Request<Incoming>, intake: &Intake, status: StatusCode, why: &'static str) -> Answer {
    // Whoever asks for something has no telemetry to lose: a health check, or a person.
    if matches!(*request.method(), Method::POST | Method::PUT) {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        intake.refusals.note(status.as_u16(), request.uri().path(), content_type, why);
    }
    answer(status, TEXT, format!("{why}\n"))
}

/// `POST /v1/flush?request_id=…`: the function says that it is done.
fn flush(request: &Request<Incoming>, inbox: &Inbox) -> Answer {
    let pairs = request.uri().query().unwrap_or_default().split('&');
    let request_id = pairs.filter_map(|pair| pair.strip_prefix("request_id=")).find(|id| !id.is_empty());
    inbox.send(Message::Input(Input::Flush { request_id: request_id.map(Into::into) }));
    answer(StatusCode::ACCEPTED, TEXT, "")
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
