//! A local SQS: ministack in a process of its own, with a queue and its dead-letter queue.

use std::{
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::process::Command;

use super::{Trouble, group::Group, places::Places};
use crate::http1::{self, Headers, Reserved};

const QUEUE: &str = "payments";
const DEAD_LETTERS: &str = "payments-dlq";
/// Deliveries before a message goes to the dead-letter queue.
pub(super) const DELIVERIES: usize = 2;

const START_PATIENCE: Duration = Duration::from_secs(20);

/// Runs ministack, and asks the kernel to kill it with us: no signal to the demo, not even SIGKILL, may leave
/// it behind. Whoever comes too late to ask has another parent by then.
const LAUNCHER: &str = "\
import ctypes, os, runpy, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv.pop()):
    runpy.run_module('ministack', run_name='__main__')
";

#[derive(Debug)]
pub(super) struct Sqs {
    server: Group,
    address: SocketAddr,
    /// Keeps the port from being given to anyone else.
    _port: Reserved,
    pub(super) queue_url: String,
    pub(super) queue_arn: String,
    dead_letters_url: String,
}

/// One more queue there, with its dead-letter queue.
#[derive(Debug)]
pub(super) struct Queue {
    address: SocketAddr,
    pub(super) url: String,
    pub(super) arn: String,
    dead_letters_url: String,
}

impl Queue {
    /// Messages in it, those that were delivered and not taken yet among them; and those that were given up.
    pub(super) async fn counts(&self) -> Result<(usize, usize), Trouble> {
        let count = |attributes: &Value, name: &str| {
            let count = attributes[name].as_str().and_then(|count| count.parse::<usize>().ok());
            count.ok_or_else(|| Trouble::from("SQS does not count its messages"))
        };
        let own = attributes(self.address, &self.url).await?;
        let dead = attributes(self.address, &self.dead_letters_url).await?;
        let waiting = count(&own, "ApproximateNumberOfMessages")?;
        let delivered = count(&own, "ApproximateNumberOfMessagesNotVisible")?;
        Ok((waiting + delivered, count(&dead, "ApproximateNumberOfMessages")?))
    }
}

impl Sqs {
    pub(super) async fn start(python: &Path, places: &Places) -> Result<Self, Trouble> {
        let port = Reserved::new();
        let address = port.address();
        let mut server = spawn(python, places, address)?;
        wait_until_ready(&mut server, address).await?;

        let (dead_letters_url, dead_letters_arn) = create(address, DEAD_LETTERS, &json!({})).await?;
        let redrive = json!({ "deadLetterTargetArn": dead_letters_arn, "maxReceiveCount": DELIVERIES });
        let attributes = json!({ "VisibilityTimeout": "30", "RedrivePolicy": redrive.to_string() });
        let (queue_url, queue_arn) = create(address, QUEUE, &attributes).await?;
        Ok(Self { server, address, _port: port, queue_url, queue_arn, dead_letters_url })
    }

    /// Makes one more queue, whose messages go to its dead-letter queue after so many `deliveries`.
    pub(super) async fn queue(&self, name: &'static str, deliveries: usize) -> Result<Queue, Trouble> {
        let address = self.address;
        let (dead_letters_url, arn) = create(address, &format!("{name}-dlq"), &json!({})).await?;
        let redrive = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": deliveries });
        let attributes = json!({ "VisibilityTimeout": "30", "RedrivePolicy": redrive.to_string() });
        let (url, arn) = create(address, name, &attributes).await?;
        Ok(Queue { address, url, arn, dead_letters_url })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Messages in the dead-letter queue.
    pub(super) async fn dead_letters(&self) -> Result<usize, Trouble> {
        let attributes = attributes(self.address, &self.dead_letters_url).await?;
        let count = attributes["ApproximateNumberOfMessages"].as_str().and_then(|count| count.parse().ok());
        count.ok_or_else(|| "SQS does not count its messages".into())
    }

    /// It has nothing to save: its queues end with the demo.
    pub(super) async fn stop(self) {
        self.server.end().await;
    }
}

fn spawn(python: &Path, places: &Places, address: SocketAddr) -> Result<Group, Trouble> {
    let log = places.work.join("ministack.log");
    let log =
        std::fs::File::create(log).map_err(|error| Trouble::new("cannot write ministack's log", error))?;
    let errors = log.try_clone().map_err(|error| Trouble::new("cannot write ministack's log", error))?;
    let mut command = Command::new(python);
    command
        .args(["-c", LAUNCHER, &std::process::id().to_string()])
        .env("BIND_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", address.port().to_string())
        .env("SERVICES", "sqs")
        .env("LOG_LEVEL", "WARNING")
        // It writes a file with its process id, and does not take it away when it is killed.
        .env("TMPDIR", &places.work)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    Group::spawn(&mut command).map_err(|error| Trouble::new("cannot start ministack", error))
}

async fn wait_until_ready(server: &mut Group, address: SocketAddr) -> Result<(), Trouble> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        if call(address, "ListQueues", json!({})).await.is_ok() {
            return Ok(());
        }
        if let Ok(Some(status)) = server.leader.try_wait() {
            return Err(format!("ministack ended with {status}: see ministack.log").into());
        }
        if Instant::now() > deadline {
            return Err(
                format!("ministack was not ready within {START_PATIENCE:?}: see ministack.log").into()
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The new queue's URL and ARN.
async fn create(address: SocketAddr, name: &str, queue: &Value) -> Result<(String, String), Trouble> {
    let created = call(address, "CreateQueue", json!({ "QueueName": name, "Attributes": queue })).await?;
    let url = created["QueueUrl"].as_str().ok_or("SQS made a queue without a URL")?;
    let attributes = attributes(address, url).await?;
    let arn = attributes["QueueArn"].as_str().ok_or("SQS made a queue without an ARN")?;
    Ok((url.to_owned(), arn.to_owned()))
}

async fn attributes(address: SocketAddr, queue_url: &str) -> Result<Value, Trouble> {
    let input = json!({ "QueueUrl": queue_url, "AttributeNames": ["All"] });
    Ok(call(address, "GetQueueAttributes", input).await?["Attributes"].take())
}

async fn call(address: SocketAddr, action: &'static str, input: Value) -> Result<Value, Trouble> {
    let send = move || {
        let headers = Headers::from([
            // Queue URLs are made from it.
            ("host", address.to_string()),
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", format!("AmazonSQS.{action}")),
        ]);
        http1::send(address, "POST", "/", &headers, input.to_string().as_bytes())
    };
    let response = tokio::task::spawn_blocking(send)
        .await
        .map_err(|error| Trouble::new(format!("{action} broke off"), error))?
        .map_err(|error| Trouble::new(format!("{action} failed"), error))?;
    if response.status != 200 {
        return Err(format!("{action}: SQS answered {}", response.status).into());
    }
    serde_json::from_slice(&response.body)
        .map_err(|error| Trouble::new(format!("{action} gave no JSON"), error))
}
