//! The two requests to SQS that a mapping makes, in the AWS JSON 1.0 protocol, unsigned.

use std::{collections::BTreeMap, fmt, io, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// Ten messages of 1 MiB with their attributes, and some air.
const RESPONSE_LIMIT: usize = 16 * 1024 * 1024;
/// Beyond what the server was asked to wait.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);

/// A queue on a local server.
#[derive(Debug)]
pub(super) struct Sqs {
    queue_url: String,
    authority: String,
    visibility_timeout: Option<Duration>,
}

/// One message as `ReceiveMessage` gives it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Message {
    pub(super) message_id: String,
    pub(super) receipt_handle: String,
    pub(super) body: String,
    #[serde(rename = "MD5OfBody")]
    pub(super) md5_of_body: String,
    #[serde(rename = "MD5OfMessageAttributes")]
    pub(super) md5_of_message_attributes: Option<String>,
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) message_attributes: BTreeMap<String, MessageAttribute>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MessageAttribute {
    pub(super) data_type: String,
    pub(super) string_value: Option<String>,
    /// Base64, as it is in the event.
    pub(super) binary_value: Option<String>,
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Error {
    QueueUrl(String),
    Connect(io::Error),
    Timeout,
    Http(hyper::Error),
    TooLarge,
    Status(u16, String),
    Json(serde_json::Error),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Received {
    messages: Vec<Message>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Deleted {
    successful: Vec<Value>,
}

impl Sqs {
    pub(super) fn new(queue_url: &str, visibility_timeout: Option<Duration>) -> Result<Self, Error> {
        let wrong = || Error::QueueUrl(queue_url.to_owned());
        let uri: Uri = queue_url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
        let port = authority.port_u16().unwrap_or(80);
        let authority = format!("{}:{port}", authority.host());
        Ok(Self { queue_url: queue_url.to_owned(), authority, visibility_timeout })
    }

    /// Up to `limit` messages; an empty answer comes after `patience`, which SQS counts in whole seconds.
    pub(super) async fn receive(&self, limit: usize, patience: Duration) -> Result<Vec<Message>, Error> {
        let mut input = json!({
            "QueueUrl": self.queue_url,
            "MaxNumberOfMessages": limit,
            "WaitTimeSeconds": patience.as_secs(),
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        if let Some(timeout) = self.visibility_timeout {
            input["VisibilityTimeout"] = json!(timeout.as_secs());
        }
        let received: Received = self.call("ReceiveMessage", &input, patience + REQUEST_PATIENCE).await?;
        Ok(received.messages)
    }

    /// How many of `messages` were deleted. One that was not will be delivered again: SQS promises at
    /// least once, and no more.
    pub(super) async fn delete(&self, messages: &[&Message]) -> Result<usize, Error> {
        let entry = |(i, message): (usize, &&Message)| json!({ "Id": i.to_string(), "ReceiptHandle": message.receipt_handle });
        let entries: Vec<Value> = messages.iter().enumerate().map(entry).collect();
        let input = json!({ "QueueUrl": self.queue_url, "Entries": entries });
        let deleted: Deleted = self.call("DeleteMessageBatch", &input, REQUEST_PATIENCE).await?;
        Ok(deleted.successful.len())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        action: &str,
        input: &Value,
        patience: Duration,
    ) -> Result<T, Error> {
        let request = self.request(action, input)?;
        let body = tokio::time::timeout(patience, self.send(request)).await.map_err(|_| Error::Timeout)??;
        serde_json::from_slice(&body).map_err(Error::Json)
    }

    fn request(&self, action: &str, input: &Value) -> Result<Request<Full<Bytes>>, Error> {
        let wrong = |_| Error::QueueUrl(self.queue_url.clone());
        let target = HeaderValue::from_str(&format!("AmazonSQS.{action}"));
        let host = HeaderValue::from_str(&self.authority).map_err(wrong)?;
        let mut request = Request::post("/")
            .body(Full::new(Bytes::from(input.to_string())))
            .expect("a constant path is a valid URI");
        let headers = request.headers_mut();
        headers.insert(header::HOST, host);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
        headers.insert("x-amz-target", target.expect("an action's name is plain text"));
        Ok(request)
    }

    /// A connection per request: polls are seconds apart, and a fresh connection is never stale.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Bytes, Error> {
        let stream = TcpStream::connect(&self.authority).await.map_err(Error::Connect)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(Error::Http)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(Error::Http)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), RESPONSE_LIMIT).collect().await;
            let body = body.map_err(|_| Error::TooLarge)?.to_bytes();
            if status.is_success() { Ok(body) } else { Err(Error::refused(status.as_u16(), &body)) }
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            result = &mut exchange => result,
            ended = &mut connection => match ended {
                Ok(()) => exchange.await,
                Err(error) => Err(Error::Http(error)),
            },
        }
    }
}

impl Error {
    fn refused(status: u16, body: &[u8]) -> Self {
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        let message = said.get("message").or_else(|| said.get("Message")).and_then(Value::as_str);
        Self::Status(status, message.unwrap_or("no message").to_owned())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueUrl(url) => write!(f, "{url} is not the URL of a queue on a local server"),
            Self::Connect(error) => write!(f, "cannot connect to SQS: {error}"),
            Self::Timeout => f.write_str("SQS did not answer in time"),
            Self::Http(error) => write!(f, "the exchange with SQS failed: {error}"),
            Self::TooLarge => write!(f, "SQS answered with more than {RESPONSE_LIMIT} bytes, or broke off"),
            Self::Status(status, message) => write!(f, "SQS answered {status}: {message}"),
            Self::Json(error) => write!(f, "SQS answered with something else than expected: {error}"),
        }
    }
}

impl std::error::Error for Error {}
