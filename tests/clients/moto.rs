//! A queue as somebody else has written it: moto, which checks signatures and what a role may do.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use prost::Message as _;
use serde_json::Value;
use tests::otlp::{Ids, server_span, traces};
use tests::platform::{Invoke, Platform, Script};
use tests::queue::Message;

use super::toolbox::{aws, source};

/// moto in a process of its own, until it is dropped.
struct Moto {
    process: Child,
    asks: Option<ChildStdin>,
    says: BufReader<ChildStdout>,
    /// Where it is, and the credentials of a role that may send and of one that may not.
    world: Value,
}

impl Moto {
    fn start() -> Self {
        let mut command = Command::new(aws());
        command.arg(source("aws.py")).env("PYTHONDONTWRITEBYTECODE", "1");
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = piped.spawn().expect("its environment was made");
        let asks = process.stdin.take();
        let mut says = BufReader::new(process.stdout.take().expect("it is piped"));
        let world = line(&mut says);
        Self { process, asks, says, world }
    }

    /// What is in the queue; it is not there any more then.
    fn messages(&mut self) -> Vec<Message> {
        writeln!(self.asks.as_ref().expect("it runs"), "messages").expect("it listens");
        let messages = line(&mut self.says);
        let read = |message: &Value| {
            let attributes = message["MessageAttributes"].as_object().into_iter().flatten();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let attributes = attributes.map(|(name, value)| (name.clone(), text(&value["StringValue"])));
            Message { body: text(&message["Body"]), attributes: attributes.collect() }
        };
        messages.as_array().expect("a list").iter().map(read).collect()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It ends with its input; where it hangs, it ends all the same.
        drop(self.asks.take());
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn line(says: &mut impl BufRead) -> Value {
    let mut line = String::new();
    says.read_line(&mut line).expect("it speaks");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

/// Three invocations with these credentials; the cause of a refusal that was said, and the spans that were held at the end.
fn send(world: &Value, credentials: &[String]) -> (Vec<Value>, u64) {
    let script = Script::new()
        .env("AWS_ACCESS_KEY_ID", &credentials[0])
        .env("AWS_SECRET_ACCESS_KEY", &credentials[1])
        .env("AWS_SESSION_TOKEN", &credentials[2])
        .env("AWS_ENDPOINT_URL_SQS", world["endpoint"].as_str().expect("it says where it is"))
        .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", "sqs:arn:aws:sqs:eu-west-1:123456789012:telemetry")
        .env("PREFREEZE_METRICS", "none")
        .env("PREFREEZE_FLUSH", "end")
        // It is slow where much else goes on.
        .env("PREFREEZE_FLUSH_TIMEOUT_MS", "30000");
    let platform = Platform::ready(&script);
    for number in 1..=3 {
        let id = format!("r-{number}");
        platform.answer_next(&Invoke::new(&id, Duration::from_secs(60)));
        let request = traces([server_span(&id, Ids::new(number), &id)]).encode_to_vec();
        let headers = tests::http1::Headers::from([("Content-Type", "application/x-protobuf")]);
        assert_eq!(platform.post_otlp("/v1/traces", &request, &headers).status, 200);
        platform.wait_next();
    }
    platform.spin_down();
    let causes = platform.log("export_refused").into_iter().map(|mut line| line["cause"].take());
    let held = platform.log("summary")[0]["held"].as_u64().expect("a count");
    (causes.collect(), held)
}

fn credentials(world: &Value, name: &str) -> Vec<String> {
    let parts = world[name].as_array().expect("a key, a secret and a token").iter();
    parts.map(|part| part.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn moto_takes_what_a_role_may_send_and_nothing_else() {
    let mut moto = Moto::start();
    let (may, may_not) = (credentials(&moto.world, "may"), credentials(&moto.world, "may_not"));
    let forged = vec![may[0].clone(), format!("{}x", may[1]), may[2].clone()];
    for (credentials, why) in [(&may_not, "no right"), (&forged, "a wrong signature")] {
        let (causes, held) = send(&moto.world, credentials);
        assert_eq!((causes, moto.messages().len()), (vec!["queue_denied".into()], 0), "{why}");
        assert!(held >= 3, "{why}: {held}");
    }
    let (causes, held) = send(&moto.world, &may);
    assert_eq!((causes, held), (vec![], 0));
    let mut names: Vec<String> = moto.messages().iter().flat_map(Message::span_names).collect();
    names.sort();
    assert_eq!(names, ["r-1", "r-2", "r-3"]);
}
