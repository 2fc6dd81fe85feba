//! A queue that looks at each message as SQS does: at its signature, its size with all attributes, and its letters. It keeps
//! what it takes, and notes what else is asked of it.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::{Value, json};

use crate::aws::{Endpoint, Role};
use crate::collector::{Answer, Reply, Request};

/// What a queue takes unless it was told to take less.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Attributes of one message.
const ATTRIBUTES_MAX: usize = 10;

/// A message that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its body, as sent.
    pub body: String,
    /// Its attributes, all of which are texts.
    pub attributes: BTreeMap<String, String>,
}

impl Message {
    /// Its size as SQS counts it: the body, and each attribute with its name and its type.
    pub fn size(&self) -> usize {
        let attributes =
            self.attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len());
        self.body.len() + attributes.sum::<usize>()
    }

    /// An attribute; empty where it is not there.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// The OTLP request in it.
    #[track_caller]
    pub fn otlp(&self) -> Vec<u8> {
        let packed = wire::base64::decode(self.body.as_bytes()).expect("base64");
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).expect("gzip");
        plain
    }

    /// The names of its spans.
    #[track_caller]
    pub fn span_names(&self) -> Vec<String> {
        let request = ExportTraceServiceRequest::decode(&*self.otlp()).expect("OTLP");
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).map(|span| span.name).collect()
    }

    /// The same as a record of the event that Lambda makes of a batch.
    pub fn record(&self, id: &str, receives: u32) -> Value {
        let attributes = self.attributes.iter().map(|(name, value)| {
            let value = json!({ "dataType": "String", "stringValue": value, "stringListValues": [], "binaryListValues": [] });
            (name.clone(), value)
        });
        json!({
            "messageId": id,
            "receiptHandle": format!("receipt-{id}"),
            "body": self.body,
            "attributes": { "ApproximateReceiveCount": receives.to_string(), "SentTimestamp": "1795334400000" },
            "messageAttributes": attributes.collect::<serde_json::Map<_, _>>(),
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:111122223333:telemetry",
            "awsRegion": "eu-west-1",
        })
    }
}

/// See the module; clones share what it keeps.
#[derive(Clone, Debug)]
pub struct Queue {
    endpoint: Endpoint,
    bytes_max: usize,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    messages: Vec<Message>,
    calls: Vec<(String, Value)>,
    refused: Vec<String>,
}

impl Queue {
    /// A queue in Ireland that this role may send to.
    pub fn of(role: Role) -> Self {
        let endpoint = Endpoint { service: "sqs", region: "eu-west-1", role, ahead: 0, answers: "{}" };
        Self { endpoint, bytes_max: MESSAGE_BYTES_MAX, kept: Arc::default() }
    }

    /// The same in another region.
    #[must_use]
    pub fn in_region(mut self, region: &'static str) -> Self {
        self.endpoint.region = region;
        self
    }

    /// The same with `MaximumMessageSize` set.
    #[must_use]
    pub fn with_bytes_max(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it took.
    pub fn messages(&self) -> Vec<Message> {
        self.kept().messages.clone()
    }

    /// What else was asked of it: actions and their inputs.
    pub fn calls(&self) -> Vec<(String, Value)> {
        self.kept().calls.clone()
    }

    /// The errors that it answered, in order.
    pub fn refused(&self) -> Vec<String> {
        self.kept().refused.clone()
    }

    /// The answer to `request`.
    pub fn answer(&self, request: &Request) -> Answer {
        let signed = self.endpoint.answer(request);
        if !matches!(&signed, Answer::Reply(reply) if reply.status == 200) {
            self.kept().refused.push("signature".to_owned());
            return signed;
        }
        let header = |name| request.headers.get(name).unwrap_or_default();
        let input: Value = serde_json::from_slice(&request.wire).unwrap_or_default();
        let action = header("x-amz-target").strip_prefix("AmazonSQS.").unwrap_or_default().to_owned();
        let is_json = header("content-type") == "application/x-amz-json-1.0";
        if request.path != "/" || !is_json || !input.is_object() {
            return self.refuse("InvalidAction", "it is no request of SQS's");
        }
        if action != "SendMessage" {
            self.kept().calls.push((action, input));
            return reply(200, "{}");
        }
        match self.message(&input) {
            Ok(message) => {
                self.kept().messages.push(message);
                reply(200, r#"{"MessageId":"5fea7756-0ea4-451a-a703-a558b933e274"}"#)
            }
            Err((error, why)) => self.refuse(error, &why),
        }
    }

    fn message(&self, input: &Value) -> Result<Message, (&'static str, String)> {
        let invalid = |why: &str| ("InvalidParameterValueException", why.to_owned());
        let body = input["MessageBody"].as_str().filter(|body| !body.is_empty());
        let body =
            body.ok_or_else(|| invalid("The request must contain the parameter MessageBody."))?.to_owned();
        let mut attributes = BTreeMap::new();
        for (name, value) in input["MessageAttributes"].as_object().into_iter().flatten() {
            let text = value["StringValue"].as_str().filter(|text| !text.is_empty());
            if value["DataType"] != "String" || text.is_none() {
                return Err(invalid("Message attribute must contain a non-empty value"));
            }
            attributes.insert(name.clone(), text.unwrap_or_default().to_owned());
        }
        let message = Message { body, attributes };
        let is_text = |text: &String| text.chars().all(is_of_xml);
        if !(is_text(&message.body) && message.attributes.values().all(is_text)) {
            return Err(("InvalidMessageContents", "Invalid characters".to_owned()));
        }
        if message.attributes.len() > ATTRIBUTES_MAX {
            return Err(invalid("Number of message attributes exceeds the allowed maximum"));
        }
        if message.size() > self.bytes_max {
            let why = format!("Reason: Message must be shorter than {} bytes.", self.bytes_max);
            return Err(invalid(&why));
        }
        Ok(message)
    }

    fn refuse(&self, error: &str, why: &str) -> Answer {
        self.kept().refused.push(error.to_owned());
        let body = json!({ "__type": format!("com.amazonaws.sqs#{error}"), "message": why });
        reply(400, &body.to_string())
    }
}

fn reply(status: u16, body: &str) -> Answer {
    Answer::Reply(
        Reply::new(status).header("Content-Type", "application/x-amz-json-1.0").body(body.as_bytes()),
    )
}

/// Whether XML 1.0 has this character.
fn is_of_xml(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}
