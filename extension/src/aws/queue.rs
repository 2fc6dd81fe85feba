//! A queue of SQS as a destination: its names, and the message that one request becomes. Pure.
//!
//! A message is text, and its attributes count for its size: both bounds are met here, because SQS refuses a message that
//! is too large for good.
//!
//! # Source
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>

use http::Uri;
use policy::Signal;

use super::Scope;
use super::region::{Names, domain_of, host_of, is_region, scope_of};

/// The header `x-amz-target` of a request that sends one.
pub const SEND_MESSAGE: &str = "AmazonSQS.SendMessage";
/// Its content type.
pub const QUEUE_TYPE: &str = "application/x-amz-json-1.0";

const SERVICE: &str = "sqs";
/// What a message has room for. SQS takes 1,048,576 bytes: of the body, and of all attributes with their names, their types
/// and their values. Four characters for each three bytes leave 576 for these, whose longest take 411.
const PACKED_BYTES_MAX: usize = 786_000;
/// Metrics and log records are carried as they came and cannot be cut when they leave. They are cut to this when they
/// come: packing makes them no larger than a message has room for, whatever they are.
pub const QUEUE_ITEMS_BYTES: usize = 780_000;
/// Spans are cut to this when they leave: what is usual packs to an eighth of it, and so into one message. What does not is parted
/// once more.
pub const QUEUE_SPANS_BYTES: usize = 2 << 20;
/// The longest name of a service that is sent beside.
const SERVICE_NAME_BYTES_MAX: usize = 255;

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its URL, by which requests name it.
    pub url: String,
    /// What is asked: a base URL that ends in a slash.
    pub host_url: String,
    /// What requests are signed for.
    pub scope: Scope,
}

/// What becomes a message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// An OTLP request, packed by gzip.
    pub packed: &'a [u8],
    /// What it has.
    pub signal: Signal,
    /// The same whenever the same content is sent again.
    pub batch: &'a str,
    /// `service.name`, where it is known.
    pub service: Option<&'a str>,
}

impl Queue {
    /// The queue that `text` names: an ARN, or a URL. One of this machine is of `region`, as stand-ins are.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn parse(
        text: &str,
        region: Option<&str>,
        names: Names,
        is_here: impl FnOnce(&str) -> bool,
    ) -> Result<Self, &'static str> {
        if let ["arn", _, SERVICE, region, account, name] = text.split(':').collect::<Vec<_>>()[..] {
            if !is_region(region) || !is_account(account) || !is_name(name) {
                return Err("not the ARN of a queue, such as arn:aws:sqs:eu-west-1:111122223333:telemetry");
            }
            let host_url = format!("https://{}/", host_of(SERVICE, region, names));
            // The usual name, whatever host is asked: it is what the queue is known by.
            let url = format!("https://{SERVICE}.{region}.{}/{account}/{name}", domain_of(region));
            return Ok(Self { url, host_url, scope: scope(region) });
        }
        let uri: Uri = text.parse().map_err(|_| "neither the URL nor the ARN of a queue")?;
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err("neither the URL nor the ARN of a queue");
        };
        let path: Vec<&str> = uri.path().split('/').skip(1).collect();
        let is_path = matches!(path[..], [account, name] if is_account(account) && is_name(name));
        if !is_path || uri.query().is_some() {
            return Err("the path of a queue's URL is its account and its name");
        }
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        if authority.contains('@') {
            return Err("a queue's URL has no user");
        }
        let scope = match scope_of(host, &[SERVICE]) {
            Some(scope) if scheme == "https" => scope,
            None if is_here(host) && matches!(scheme, "http" | "https") => {
                scope(region.ok_or("a queue on this machine needs AWS_REGION")?)
            }
            Some(_) => return Err("a queue is asked over https:// only"),
            None => {
                return Err(
                    "its host is none of SQS's by which a region is known: name the queue by its ARN",
                );
            }
        };
        Ok(Self { url: text.to_owned(), host_url: format!("{scheme}://{authority}/"), scope })
    }

    /// The body of the request that sends `message`; `None` where it is too large for one.
    pub fn request(&self, message: &Message<'_>) -> Option<Vec<u8>> {
        if message.packed.len() > PACKED_BYTES_MAX {
            return None;
        }
        let service: String = message.service.unwrap_or_default().chars().filter(is_text).collect();
        let attributes = [
            ("content-type", "application/x-protobuf"),
            ("content-encoding", "gzip"),
            ("signal", word(message.signal)),
            ("prefreeze-batch", message.batch),
            ("service", shortened(&service)),
        ];
        // An attribute without a value is refused.
        let attributes = attributes.iter().filter(|(_, value)| !value.is_empty());
        let attributes: Vec<String> = attributes
            .map(|(name, value)| {
                format!(r#""{name}":{{"DataType":"String","StringValue":{}}}"#, quoted(value))
            })
            .collect();
        let head = format!(
            r#"{{"QueueUrl":{},"MessageAttributes":{{{}}},"MessageBody":""#,
            quoted(&self.url),
            attributes.join(",")
        );
        let mut request = Vec::with_capacity(head.len() + message.packed.len().div_ceil(3) * 4 + 2);
        request.extend_from_slice(head.as_bytes());
        wire::base64::encode_into(message.packed, &mut request);
        request.extend_from_slice(br#""}"#);
        Some(request)
    }
}

fn scope(region: &str) -> Scope {
    Scope { service: SERVICE.to_owned(), region: region.to_owned() }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The last five letters of a FIFO queue, which would want an order that telemetry does not have, are none of a name.
fn is_name(text: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.len() <= 80 && text.bytes().all(is_known)
}

const fn word(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "traces",
        Signal::Metrics => "metrics",
        Signal::Logs => "logs",
    }
}

/// Whether SQS takes this character: what XML 1.0 knows. Of those, the ones that end lines have no place in a name.
fn is_text(letter: &char) -> bool {
    !letter.is_control() && !matches!(letter, '\u{FFFE}' | '\u{FFFF}')
}

fn shortened(text: &str) -> &str {
    let end = (0..=SERVICE_NAME_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or_default()]
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SQS takes.
    const MESSAGE_BYTES_MAX: usize = 1 << 20;
    const ARN: &str = "arn:aws:sqs:eu-west-1:111122223333:telemetry";

    fn parse(text: &str) -> Result<Queue, &'static str> {
        Queue::parse(text, Some("ap-south-1"), Names::default(), |host| host == "127.0.0.1")
    }

    fn queue() -> Queue {
        parse(ARN).expect("a queue")
    }

    #[test]
    fn a_queue_is_known_by_its_arn_and_by_its_urls() {
        let usual = "https://sqs.eu-west-1.amazonaws.com/111122223333/telemetry";
        for (text, url, host_url, region) in [
            (ARN, usual, "https://sqs.eu-west-1.amazonaws.com/", "eu-west-1"),
            (usual, usual, "https://sqs.eu-west-1.amazonaws.com/", "eu-west-1"),
            (
                "arn:aws-cn:sqs:cn-north-1:111122223333:a_b-1",
                "https://sqs.cn-north-1.amazonaws.com.cn/111122223333/a_b-1",
                "https://sqs.cn-north-1.amazonaws.com.cn/",
                "cn-north-1",
            ),
            (
                "https://vpce-0a1b.sqs.us-east-1.vpce.amazonaws.com/111122223333/q",
                "https://vpce-0a1b.sqs.us-east-1.vpce.amazonaws.com/111122223333/q",
                "https://vpce-0a1b.sqs.us-east-1.vpce.amazonaws.com/",
                "us-east-1",
            ),
            (
                "http://127.0.0.1:4566/000000000000/q",
                "http://127.0.0.1:4566/000000000000/q",
                "http://127.0.0.1:4566/",
                "ap-south-1",
            ),
        ] {
            let found = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((&*found.url, &*found.host_url, &*found.scope.region), (url, host_url, region));
            assert_eq!(found.scope.service, "sqs");
        }
        let names = Names { fips: true, dual_stack: true };
        let found = Queue::parse(ARN, None, names, |_| false).expect("a queue");
        assert_eq!((&*found.url, &*found.host_url), (usual, "https://sqs-fips.eu-west-1.api.aws/"));
    }

    #[test]
    fn what_is_no_queue_is_said() {
        for text in [
            "",
            "telemetry",
            "arn:aws:sqs:eu-west-1:111122223333:",
            "arn:aws:sqs:nowhere:111122223333:telemetry",
            "arn:aws:sqs:eu-west-1:11112222333:telemetry",
            "arn:aws:sqs:eu-west-1:111122223333:telemetry.fifo",
            "arn:aws:sns:eu-west-1:111122223333:telemetry",
            "https://sqs.eu-west-1.amazonaws.com/",
            "https://sqs.eu-west-1.amazonaws.com/111122223333",
            "https://sqs.eu-west-1.amazonaws.com/111122223333/a/b",
            "https://sqs.eu-west-1.amazonaws.com/111122223333/a?b",
            "https://user:pass@sqs.eu-west-1.amazonaws.com/111122223333/a",
            "http://sqs.eu-west-1.amazonaws.com/111122223333/a",
            "https://queue.amazonaws.com/111122223333/a",
            "https://example.com/111122223333/a",
            "ftp://127.0.0.1/111122223333/a",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let here = Queue::parse("http://127.0.0.1/000000000000/q", None, Names::default(), |_| true);
        assert!(here.is_err(), "no region");
    }

    fn message<'a>(packed: &'a [u8], service: Option<&'a str>) -> Message<'a> {
        Message { packed, signal: Signal::Traces, batch: "0123456789abcdef0123456789abcdef", service }
    }

    /// As SQS counts it.
    fn size(request: &serde_json::Value) -> usize {
        let attributes = request["MessageAttributes"].as_object().expect("they are there");
        let attributes = attributes.iter().map(|(name, value)| {
            let text = |key: &str| value[key].as_str().expect("it is there").len();
            name.len() + text("DataType") + text("StringValue")
        });
        request["MessageBody"].as_str().expect("it is there").len() + attributes.sum::<usize>()
    }

    #[test]
    fn a_message_has_what_its_reader_needs() {
        let request = queue().request(&message(b"packed", Some("pay\"ments"))).expect("it fits");
        let request: serde_json::Value = serde_json::from_slice(&request).expect("JSON");
        let text = |text: &str| serde_json::json!({ "DataType": "String", "StringValue": text });
        assert_eq!(
            request,
            serde_json::json!({
                "QueueUrl": "https://sqs.eu-west-1.amazonaws.com/111122223333/telemetry",
                "MessageBody": "cGFja2Vk",
                "MessageAttributes": {
                    "content-type": text("application/x-protobuf"),
                    "content-encoding": text("gzip"),
                    "signal": text("traces"),
                    "prefreeze-batch": text("0123456789abcdef0123456789abcdef"),
                    "service": text("pay\"ments"),
                },
            })
        );
    }

    #[test]
    fn the_largest_message_is_within_the_limit_with_its_attributes() {
        let long = "é".repeat(400);
        let packed = vec![0xFF; PACKED_BYTES_MAX];
        let request = queue().request(&message(&packed, Some(&long))).expect("it fits");
        let request: serde_json::Value = serde_json::from_slice(&request).expect("JSON");
        let service = &request["MessageAttributes"]["service"]["StringValue"];
        assert_eq!(service.as_str().map(str::len), Some(SERVICE_NAME_BYTES_MAX - 1), "cut between letters");
        assert!(size(&request) <= MESSAGE_BYTES_MAX, "{}", size(&request));
        assert_eq!(queue().request(&message(&vec![0; PACKED_BYTES_MAX + 1], None)), None);
        // What gzip adds to what it cannot pack: five bytes for each block, and eighteen around all.
        const { assert!(QUEUE_ITEMS_BYTES + QUEUE_ITEMS_BYTES / 16_384 * 5 + 18 + 8 <= PACKED_BYTES_MAX) };
    }

    #[test]
    fn a_service_has_letters_that_a_queue_takes() {
        for (service, expected) in [
            (Some("a\u{0}b\u{1F}\nc\u{FFFF}d\u{10FFFD}"), Some("abcd\u{10FFFD}")),
            (Some("\u{7}"), None),
            (Some(""), None),
            (None, None),
        ] {
            let request = queue().request(&message(b"", service)).expect("it fits");
            let request: serde_json::Value = serde_json::from_slice(&request).expect("JSON");
            let found = request["MessageAttributes"]["service"]["StringValue"].as_str();
            assert_eq!(found, expected, "{service:?}");
        }
    }
}
