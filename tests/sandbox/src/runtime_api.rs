//! The address behind `AWS_LAMBDA_RUNTIME_API`: Runtime, Extensions and Telemetry APIs, as messages.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::channel::Sender;
use http_body_util::{BodyExt, Channel};
use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};

use crate::answer::{Answer, ApiError, PAYLOAD_LIMIT};
use crate::environment::{ApiReply, Message};
use crate::http_server::{Body, read_body, read_small};
use crate::invoke::{ERROR_TYPE_TRAILER, ResponseBody, StreamAborted};
use crate::machine::{Input, Registration, ResponseEnd, Token};

/// Chunks of a streamed response that may wait for the caller.
const STREAM_CHUNKS: usize = 16;

/// One generation's way to its environment.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) generation: u32,
    pub(crate) inbox: mpsc::UnboundedSender<Message>,
}

/// A call, waiting for the token under which it will be answered.
pub(crate) struct Call {
    make: Box<dyn FnOnce(Token) -> Input + Send>,
    /// The body of a streamed response.
    pub(crate) stream: Option<Channel<Bytes, StreamAborted>>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

impl Call {
    fn new(make: impl FnOnce(Token) -> Input + Send + 'static) -> Self {
        Self { make: Box::new(make), stream: None }
    }

    pub(crate) fn input(self, token: Token) -> Input {
        (self.make)(token)
    }
}

impl Api {
    pub(crate) async fn handle(self, request: Request<Incoming>) -> Response<ResponseBody> {
        self.answer(request).await.into()
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let route: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (&head.method, route.as_slice()) {
            (&Method::GET, ["2018-06-01", "ping"]) => {
                Answer { status: 200, content_type: "text/plain", headers: vec![], body: "pong".into() }
            }
            (method, ["2018-06-01", "runtime", rest @ ..]) => {
                self.runtime(method, rest, &head.headers, body).await
            }
            (method, ["2020-01-01", "extension", rest @ ..]) => {
                self.extension(method, rest, &head.headers, body).await
            }
            (&Method::PUT, ["2022-07-01", "telemetry"]) => {
                let id = identifier(&head.headers);
                let body = read_small(body).await;
                self.call(Call::new(move |token| Input::Subscribe { token, id, body })).await
            }
            (&Method::PUT, ["2020-08-15", "logs"]) => ApiError::LogsNotSupported.into(),
            _ => ApiError::NotFound.into(),
        }
    }

    async fn runtime(&self, method: &Method, route: &[&str], headers: &HeaderMap, body: Incoming) -> Answer {
        let error_type = text(headers, "lambda-runtime-function-error-type");
        match (method, route) {
            (&Method::GET, ["invocation", "next"]) => {
                self.call(Call::new(|token| Input::RuntimeNext { token })).await
            }
            (&Method::POST, ["invocation", id, "response"]) => {
                let streaming = text(headers, "lambda-runtime-function-response-mode")
                    .is_some_and(|mode| mode.eq_ignore_ascii_case("streaming"));
                self.response((*id).to_owned(), streaming, body).await
            }
            (&Method::POST, ["invocation", id, "error"]) => {
                let request_id = (*id).to_owned();
                match read_body(body, PAYLOAD_LIMIT).await {
                    Body::Complete(body) => {
                        let make = |token| Input::InvocationError { token, request_id, error_type, body };
                        self.call(Call::new(make)).await
                    }
                    Body::TooLarge => ApiError::RequestEntityTooLarge.into(),
                    Body::Broken => ApiError::Internal.into(),
                }
            }
            (&Method::POST, ["init", "error"]) => {
                let body = read_small(body).await;
                self.call(Call::new(move |token| Input::InitError { token, error_type, body })).await
            }
            _ => ApiError::NotFound.into(),
        }
    }

    async fn extension(
        &self,
        method: &Method,
        route: &[&str],
        headers: &HeaderMap,
        body: Incoming,
    ) -> Answer {
        let id = identifier(headers);
        match (method, route) {
            (&Method::POST, ["register"]) => {
                let features = text(headers, "lambda-extension-accept-feature").unwrap_or_default();
                let registration = Registration {
                    name: text(headers, "lambda-extension-name").unwrap_or_default(),
                    wants_account_id: features.split(',').any(|f| f.trim() == "accountId"),
                    body: read_small(body).await,
                };
                self.call(Call::new(move |token| Input::Register { token, registration })).await
            }
            (&Method::GET, ["event", "next"]) => {
                self.call(Call::new(move |token| Input::ExtensionNext { token, id })).await
            }
            (&Method::POST, [when @ ("init" | "exit"), "error"]) => {
                let at_init = *when == "init";
                let error_type = text(headers, "lambda-extension-function-error-type");
                let body = read_small(body).await;
                let make = move |token| Input::ExtensionError { token, id, at_init, error_type, body };
                self.call(Call::new(make)).await
            }
            _ => ApiError::NotFound.into(),
        }
    }

    /// A response in two steps: its head, which may be refused and starts a stream, then its body.
    async fn response(&self, request_id: String, streaming: bool, body: Incoming) -> Answer {
        let (sender, stream) = Channel::new(STREAM_CHUNKS);
        let id = request_id.clone();
        let mut start = Call::new(move |token| Input::ResponseStart { token, request_id: id, streaming });
        start.stream = streaming.then_some(stream);
        if let ApiReply::Answer(answer) = self.ask(start).await {
            // The sender reads the refusal only once its body was taken.
            read_body(body, 0).await;
            return answer;
        }
        let end = if streaming { forward(body, sender).await } else { collect(body).await };
        self.call(Call::new(move |token| Input::ResponseEnd { token, request_id, end })).await
    }

    async fn call(&self, call: Call) -> Answer {
        match self.ask(call).await {
            ApiReply::Answer(answer) => answer,
            ApiReply::Proceed => unreachable!("only the head of a response is told to proceed"),
        }
    }

    async fn ask(&self, call: Call) -> ApiReply {
        let (reply, answered) = oneshot::channel();
        let message = Message::Api { generation: self.generation, call, reply };
        // An environment that is gone, or forgets the call, has nobody inside who could read an answer.
        let gone = || ApiReply::Answer(ApiError::Internal.into());
        if self.inbox.send(message).is_err() {
            return gone();
        }
        answered.await.unwrap_or_else(|_| gone())
    }
}

async fn collect(body: Incoming) -> ResponseEnd {
    match read_body(body, PAYLOAD_LIMIT).await {
        Body::Complete(bytes) => ResponseEnd::Complete(bytes),
        Body::TooLarge => ResponseEnd::TooLarge,
        Body::Broken => ResponseEnd::Truncated,
    }
}

/// Passes chunks and trailers on as they come. A caller who left does not stop the runtime.
async fn forward(mut body: Incoming, mut sender: Sender<Bytes, StreamAborted>) -> ResponseEnd {
    let (mut bytes, mut error_type) = (0, None);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            sender.abort(StreamAborted);
            return ResponseEnd::Truncated;
        };
        match frame.into_data() {
            Ok(data) => {
                bytes += data.len();
                let _ = sender.send_data(data).await;
            }
            Err(frame) => {
                let Ok(trailers) = frame.into_trailers() else { continue };
                error_type = text(&trailers, ERROR_TYPE_TRAILER);
                let _ = sender.send_trailers(trailers).await;
            }
        }
    }
    ResponseEnd::Streamed { bytes, error_type }
}

fn identifier(headers: &HeaderMap) -> Option<String> {
    text(headers, "lambda-extension-identifier")
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
