//! The third party: a fraud API that knows what each card is for, and sends no spans.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::http1::{Connection, Response, stop_listening};

/// What a score costs, so that a trace shows something.
const THINKING: Duration = Duration::from_millis(15);
/// Long enough for the function's SDK to have sent the spans that ended before.
const LONG_THINKING: Duration = Duration::from_millis(400);

/// Listens on 127.0.0.1 until it is dropped.
#[derive(Debug)]
pub(super) struct FraudApi {
    listener: TcpListener,
    address: SocketAddr,
}

impl FraudApi {
    pub(super) fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let incoming = listener.try_clone()?;
        thread::spawn(move || {
            for stream in incoming.incoming() {
                let Ok(stream) = stream else { return };
                thread::spawn(move || serve(stream));
            }
        });
        Ok(Self { listener, address })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for FraudApi {
    fn drop(&mut self) {
        stop_listening(&self.listener);
    }
}

/// A connection that breaks is the caller's affair: here it only ends.
fn serve(stream: TcpStream) {
    let mut connection = Connection::new(stream);
    while let Ok(Some(head)) = connection.read_head() {
        let Ok(body) = connection.read_body(&head) else { return };
        let question: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(answer) = answer(question["card_token"].as_str().unwrap_or_default()) else {
            connection.wait_closed();
            return;
        };
        if connection.write(&answer.to_bytes()).is_err() {
            return;
        }
    }
}

/// None is silence.
fn answer(card_token: &str) -> Option<Response> {
    thread::sleep(if card_token == "tok_crash" { LONG_THINKING } else { THINKING });
    match card_token {
        "tok_hang" => None,
        "tok_down" => Some(Response::new(503)),
        "tok_stolen" => Some(verdict(&json!({ "decision": "decline", "reason": "stolen card" }))),
        _ => Some(verdict(&json!({ "decision": "approve" }))),
    }
}

fn verdict(body: &Value) -> Response {
    Response::new(200).header("content-type", "application/json").body(body.to_string())
}
