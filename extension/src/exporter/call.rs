//! One export as a gRPC call: a framed message out, an answer and its trailers back.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER, TE};
use wire::collector::{Answer, Denial};
use wire::grpc;

use super::failure::{Cause, Failure};
use super::{ANSWER_MAX, Ended, Request};
use crate::settings::Packing;

/// UNKNOWN: what a call has come to that ends without saying so.
const UNKNOWN: u16 = 2;

/// Makes the call. Its connection is HTTP/2 from the first byte: over TLS that was agreed on, without it both know.
pub(super) async fn call(request: Request<'_>) -> Ended {
    let Request { client, url, mut headers, packing, body, now, is_proxied } = request;
    let Ok(length) = u32::try_from(body.len()) else {
        return Ended::new(policy::Outcome::TooLarge, Some(Failure::of(Cause::TooLarge)));
    };
    let head = Bytes::copy_from_slice(&grpc::head(packing != Packing::None, length));
    let message = Message(VecDeque::from([head, body]));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity"));
    if let Some(name) = packing.name() {
        let mut name = HeaderValue::from_static(name);
        // Kept out of the connection's table of headers: where a backend on gRPC's C core has once not known the
        // name in it, it refuses every later call whose `grpc-encoding` refers to that entry, whatever it says.
        name.set_sensitive(true);
        headers.insert("grpc-encoding", name);
    }
    let sent = client.post(url).headers(headers).body(reqwest::Body::wrap(message)).send().await;
    let response = match sent {
        Ok(response) => response,
        Err(error) => return Ended::unanswered(&error, is_proxied),
    };
    let (parts, mut answer) = http::Response::<reqwest::Body>::from(response).into_parts();
    if parts.headers.contains_key("grpc-status") {
        return ended(&parts.headers, &[]);
    }
    // Something between us and the backend has answered, in HTTP.
    if parts.status != 200 {
        let retry_after = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let status = parts.status.as_u16();
        let answer = Answer { status, retry_after, content_type: None, body: b"" };
        return Ended::answered(answer.outcome(now), status, b"");
    }
    // A login page, or whatever else is no gRPC: nobody has taken the data.
    if !is_grpc(&parts.headers) {
        let failure = Failure::denied(Denial::WebPage, parts.status.as_u16());
        return Ended::new(policy::Outcome::Retry { after: None }, Some(failure));
    }
    let mut body = Vec::new();
    while let Some(frame) = answer.frame().await {
        let Ok(frame) = frame else {
            return Ended::new(policy::Outcome::Lost, Some(Failure::of(Cause::ConnectionClosed)));
        };
        match frame.into_data() {
            Ok(data) if body.len() < ANSWER_MAX => body.extend_from_slice(&data),
            Ok(_) => {}
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                return ended(&trailers, &body);
            }
        }
    }
    ended(&HeaderMap::new(), &body)
}

/// Whether an answer says that it is one of gRPC; some that are do not say anything.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_none_or(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// What the call came to, by what its trailers say.
fn ended(trailers: &HeaderMap, body: &[u8]) -> Ended {
    let text = |name| trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(status) = text("grpc-status").parse() else {
        let outcome = policy::Outcome::Rejected { status: UNKNOWN };
        return Ended::new(outcome, Some(Failure::of(Cause::NoGrpcStatus)));
    };
    let outcome = grpc::outcome(&grpc::Ended {
        status,
        message: text("grpc-message"),
        details: text("grpc-status-details-bin").as_bytes(),
        body,
    });
    Ended::answered(outcome, status, text("grpc-message").as_bytes())
}

/// A body of a few pieces, none of them copied: the same packed bytes may go to several backends.
struct Message(VecDeque<Bytes>);

impl Body for Message {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}
