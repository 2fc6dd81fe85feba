//! The least of a Lambda platform that a measurement needs: answers, and when each call came.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::Result;
use crate::http;

/// A call that never comes means a broken binary, not a slow one.
const CALL_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long an invocation may take: no deadline comes near a measurement.
const FUNCTION_TIME: Duration = Duration::from_secs(60);

/// What the platform posts during an invocation: the end of the one before, and its own start.
///
/// Without times: then they count as of now, as they nearly are.
pub(crate) fn events(before: &str, now: &str) -> String {
    format!(
        r#"[{{"time":"","type":"platform.runtimeDone","record":{{"requestId":"{before}","status":"success","metrics":{{"durationMs":1.5,"producedBytes":2}},"spans":[]}}}},{{"time":"","type":"platform.report","record":{{"requestId":"{before}","status":"success","metrics":{{"durationMs":1.5,"billedDurationMs":2,"memorySizeMB":128,"maxMemoryUsedMB":64}}}}}},{{"time":"","type":"platform.start","record":{{"requestId":"{now}","version":"$LATEST"}}}}]"#
    )
}

/// What an extension asked, and when its request had been read.
struct Call {
    path: String,
    at: Instant,
    body: Vec<u8>,
    /// Where the answer goes, when it is for the measurement to give.
    connection: Option<TcpStream>,
}

/// Answers register and subscribe at once; the caller of `/next` stays as it is until it is invoked.
pub(crate) struct Platform {
    pub(crate) address: SocketAddr,
    calls: Receiver<Call>,
}

/// An extension that has asked for its next event.
pub(crate) struct Asked {
    pub(crate) at: Instant,
    connection: TcpStream,
}

impl Asked {
    pub(crate) fn invoke(mut self, request_id: &str) -> Result<()> {
        let deadline_ms = (SystemTime::now().duration_since(UNIX_EPOCH)? + FUNCTION_TIME).as_millis();
        let trace = "Root=1-6a9b1c2d-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1";
        let body = format!(
            r#"{{"eventType":"INVOKE","deadlineMs":{deadline_ms},"requestId":"{request_id}","invokedFunctionArn":"arn:aws:lambda:eu-central-1:123456789012:function:bench","tracing":{{"type":"X-Amzn-Trace-Id","value":"{trace}"}}}}"#
        );
        Ok(self.connection.write_all(success("", &body).as_bytes())?)
    }
}

impl Platform {
    pub(crate) fn start() -> Result<Self> {
        let (sender, calls) = channel();
        let address = http::serve(move |connection| serve(connection, &sender))?;
        Ok(Self { address, calls })
    }

    /// Waits for a call to a path that ends in `suffix`; earlier calls to others are passed over.
    pub(crate) fn wait_for(&self, suffix: &str) -> Result<Instant> {
        Ok(self.wait(suffix)?.at)
    }

    /// Waits for the subscription to platform events: where they are to go.
    pub(crate) fn wait_for_subscription(&self) -> Result<SocketAddr> {
        let call = self.wait("/telemetry")?;
        let wanted: Value = serde_json::from_slice(&call.body)?;
        let uri = wanted["destination"]["URI"].as_str().ok_or("no destination")?;
        let port = uri.trim_end_matches('/').rsplit(':').next().ok_or("no port")?;
        Ok(SocketAddr::from(([127, 0, 0, 1], port.parse()?)))
    }

    /// Waits for the next `/next`.
    pub(crate) fn wait_for_next(&self) -> Result<Asked> {
        let call = self.wait("/event/next")?;
        Ok(Asked { at: call.at, connection: call.connection.ok_or("no connection to answer on")? })
    }

    fn wait(&self, suffix: &str) -> Result<Call> {
        loop {
            let call = self.calls.recv_timeout(CALL_WAIT_MAX).map_err(|_| format!("no call to {suffix}"))?;
            if call.path.ends_with(suffix) {
                return Ok(call);
            }
        }
    }

    /// Forgets the calls that are still unread, so that the next start begins with none.
    pub(crate) fn forget(&self) {
        while self.calls.try_recv().is_ok() {}
    }
}

/// Serves one connection until its peer goes away.
fn serve(connection: TcpStream, calls: &Sender<Call>) -> Option<()> {
    let mut writer = connection.try_clone().ok()?;
    let mut reader = BufReader::new(connection);
    loop {
        let (path, body) = http::read_message(&mut reader)?;
        let at = Instant::now();
        let answer = answer(&path);
        let connection = if answer.is_none() { Some(writer.try_clone().ok()?) } else { None };
        calls.send(Call { path, at, body, connection }).ok()?;
        if let Some(text) = answer {
            writer.write_all(text.as_bytes()).ok()?;
        }
    }
}

fn answer(path: &str) -> Option<String> {
    if path.ends_with("/event/next") {
        return None;
    }
    Some(if path.ends_with("/register") {
        let body = r#"{"functionName":"bench","functionVersion":"$LATEST","handler":"index.handler"}"#;
        success("Lambda-Extension-Identifier: 8a9b1c2d-0000-4000-8000-000000000001\r\n", body)
    } else {
        success("", "\"OK\"")
    })
}

fn success(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}
