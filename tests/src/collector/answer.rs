//! What the backend does with a request: every way of answering, and of not answering.

use crate::aws::Endpoint;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;

use super::record::Request;
use crate::http1::Response;

/// The fields and the body of an answer.
pub type Reply = Response;

/// What happens to one request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The request is read and this goes back.
    Reply(Reply),
    /// The same after a wait; a stopped backend cuts it short.
    After(Duration, Reply),
    /// 200 when the body can be decoded, and 400 when it cannot, as of a backend that was generated from the schema.
    Strict,
    /// What an endpoint of AWS's says to it, by its signature.
    Aws(Endpoint),
    /// The same, after a wait.
    AwsAfter(Duration, Endpoint),
    /// What this says of the request, when it was read.
    Read(Reader),
    /// The head goes back at once, and of the body one byte after each of these pauses; a stopped backend ends it.
    Dripping(Duration, Reply),
    /// The request is read and nothing goes back until [`super::Collector::release`] answers 200, or for ever.
    Hold,
    /// The connection is reset (RST) when this many bytes of the body were read: 0 is before the body, `usize::MAX` at
    /// its end.
    Reset(usize),
    /// The request is read and the connection closed (FIN) without a byte of an answer.
    Close,
    /// Status 200 and a body that is announced longer than it is, then a close: the answer is cut short.
    CutShort,
    /// These bytes, whatever they are, then a close.
    Raw(Vec<u8>),
}

/// Chooses the answer to a request that was read.
#[derive(Clone)]
pub struct Reader(Arc<dyn Fn(&Request) -> Answer + Send + Sync>);

impl Reader {
    pub(super) fn answer(&self, request: &Request) -> Answer {
        (self.0)(request)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl Answer {
    /// What `choose` says of the request, when it was read.
    pub fn read(choose: impl Fn(&Request) -> Self + Send + Sync + 'static) -> Self {
        Self::Read(Reader(Arc::new(choose)))
    }

    /// 200 with the empty message, the usual success.
    pub fn ok() -> Self {
        Self::status(200)
    }

    /// A status code and an empty body.
    pub fn status(status: u16) -> Self {
        Self::Reply(Response::new(status).header("Content-Type", "application/x-protobuf"))
    }

    /// A status code with a `Retry-After` field: a number of seconds, a date, or nonsense.
    pub fn retry_after(status: u16, value: &str) -> Self {
        Self::Reply(Response::new(status).header("Retry-After", value))
    }

    /// 200, and word that `rejected` of the spans were not taken.
    pub fn partial_success(rejected: i64, message: &str) -> Self {
        let partial =
            ExportTracePartialSuccess { rejected_spans: rejected, error_message: message.to_owned() };
        Self::body(ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec())
    }

    /// 200 with this body, called protobuf whatever it is.
    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self::Reply(Response::new(200).header("Content-Type", "application/x-protobuf").body(body))
    }

    /// 200 after a wait.
    pub fn after(wait: Duration) -> Self {
        Self::After(wait, Response::new(200).header("Content-Type", "application/x-protobuf"))
    }
}

/// Chooses answers.
pub(super) type Choose = Box<dyn Fn(&Request) -> Answer + Send>;

/// The answers to come: a queue, and what holds when it is empty.
pub(super) struct Script {
    /// One answer each, first come first served.
    pub(super) queue: VecDeque<Answer>,
    /// The answer to everything else.
    pub(super) standing: Choose,
}

impl Script {
    /// Takes the answer for this request.
    pub(super) fn next(&mut self, request: &Request) -> Answer {
        self.queue.pop_front().unwrap_or_else(|| (self.standing)(request))
    }
}

impl Default for Script {
    fn default() -> Self {
        Self { queue: VecDeque::new(), standing: Box::new(|_| Answer::ok()) }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("queue", &self.queue).finish_non_exhaustive()
    }
}
