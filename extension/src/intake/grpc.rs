//! OTLP over gRPC: one message in, one out, and the status behind it.
//!
//! A framework would bring four times the code, and decode every message only for it to be scanned again.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use policy::Signal;
use wire::grpc::{self, Code};
use wire::otlp;

use super::body::{Fault, Format, Packing, Refusal, refusal, unfold, unpack};
use super::memory::Share;
use super::{Intake, REFUSED_SPANS, Receiving, over, received};
use crate::http::{Answer, Payload};

const GRPC: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Whether a request is for this module; with another subtype than protobuf it is for nobody.
pub(super) fn is_for(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    matches!(media_type, GRPC | "application/grpc+proto")
}

pub(super) async fn handle(request: Request<Incoming>, intake: Intake) -> Answer {
    let path = request.uri().path().to_owned();
    match answered(request, &intake).await {
        Ok(items) => {
            intake.refusals.note_items(items, &path, REFUSED_SPANS);
            success(&otlp::success(items, REFUSED_SPANS))
        }
        Err((code, refusal)) => {
            if refusal.fault.is_senders() && !is_a_question(&path) {
                intake.refusals.note(code as u16, &path, Some(GRPC), &refusal.why);
            }
            failure(code, &refusal.why)
        }
    }
}

/// Whether a method that is not of OTLP asks for something, and brings no telemetry that would be lost: gRPC's own health
/// checks and reflection, and samplers that ask for their strategy.
fn is_a_question(path: &str) -> bool {
    path.starts_with("/grpc.") || path.contains(".SamplingManager/")
}

/// Takes a request; gives back how many of its items are refused.
async fn answered(request: Request<Incoming>, intake: &Intake) -> Result<u32, (Code, Refusal)> {
    let unimplemented = |why: &'static str| (Code::Unimplemented, refusal(Fault::Unsupported, why));
    let signal = grpc::signal_of(request.uri().path()).filter(|_| request.method() == Method::POST);
    let signal = signal.ok_or_else(|| unimplemented("not a method of OTLP"))?;
    let packing = request.headers().get(ENCODING).map_or(Some(""), |value| value.to_str().ok());
    let packing = packing.and_then(Packing::named);
    let packing =
        packing.ok_or_else(|| unimplemented("only gzip, deflate, zstd and identity are understood"))?;
    let receiving = Receiving::begin(intake.inbox.clone());
    let with_code = |refusal: Refusal| (code_of(refusal.fault), refusal);
    let scanned = take(signal, packing, request, intake).await.map_err(with_code)?;
    if !receiving.end(scanned.receipt) {
        return Err(with_code(over(&intake.inbox)));
    }
    Ok(scanned.refused)
}

async fn take(
    signal: Signal,
    packing: Packing,
    request: Request<Incoming>,
    intake: &Intake,
) -> Result<otlp::Scanned, Refusal> {
    let mut share = Share::new(intake.max_body + grpc::HEAD);
    let body = received(request, intake.max_body + grpc::HEAD, &mut share).await?;
    let (is_packed, message) =
        grpc::message(&body).ok_or(refusal(Fault::Bad, "the body is not one gRPC message"))?;
    let packing = if is_packed { packing } else { Packing::None };
    if is_packed && packing == Packing::None {
        return Err(refusal(Fault::Bad, "the message is packed, and nothing says how"));
    }
    let message = unpack(packing, message, intake.max_body, &mut share).await?;
    let message = unfold(signal, Format::Protobuf, message, intake.max_body, &mut share)?;
    drop(body);
    share.make_room_for_copy(message.bytes.len())?;
    intake.take(signal, &intake.admit(signal, message)?)
}

const fn code_of(fault: Fault) -> Code {
    match fault {
        Fault::Unsupported => Code::Unimplemented,
        // Without `RetryInfo`: the sender is not to try again.
        Fault::TooLong => Code::ResourceExhausted,
        Fault::Bad | Fault::Stopped => Code::InvalidArgument,
        Fault::Over => Code::Unavailable,
    }
}

fn success(message: &[u8]) -> Answer {
    let length = u32::try_from(message.len()).expect("an answer is some ten bytes long");
    let data = Bytes::from([&grpc::head(false, length)[..], message].concat());
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(STATUS, HeaderValue::from(Code::Ok as u16));
    response(Payload::with_trailers(data, trailers))
}

/// A status alone comes in the header, and nothing behind it.
fn failure(code: Code, why: &str) -> Answer {
    let mut answer = response(Payload::default());
    answer.headers_mut().insert(STATUS, HeaderValue::from(code as u16));
    if let Ok(why) = HeaderValue::from_str(&grpc::status_message(why)) {
        answer.headers_mut().insert(MESSAGE, why);
    }
    answer
}

fn response(payload: Payload) -> Answer {
    let mut answer = Answer::new(payload);
    *answer.status_mut() = StatusCode::OK;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    answer.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity,gzip,deflate,zstd"));
    answer
}
