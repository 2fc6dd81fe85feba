//! Taking the addresses that the function's SDK sends to; what cannot be had costs a line, and the rest listens.

use std::fmt::Display;

use serde_json::json;
use tokio::net::TcpListener;

use super::Intake;
use super::socket::bind_socket;
use crate::log::{Level, say};
use crate::settings::Receivers;

impl Intake {
    /// Listens wherever `receivers` says, until the process ends. Every listener is bound when this returns.
    ///
    /// Another port is never tried where one is taken: the function's SDK would not know of it.
    pub async fn listen(&self, receivers: &Receivers) {
        if let Some(address) = receivers.http {
            match TcpListener::bind(address).await {
                Ok(listener) => drop(tokio::spawn(self.clone().receive(listener))),
                Err(error) => unavailable(Level::Error, "PREFREEZE_RECEIVER_HTTP", &address, &error),
            }
        }
        if let Some(address) = receivers.grpc {
            match TcpListener::bind(address).await {
                Ok(listener) => drop(tokio::spawn(self.clone().receive(listener))),
                Err(error) => unavailable(Level::Warn, "PREFREEZE_RECEIVER_GRPC", &address, &error),
            }
        }
        if let Some(path) = &receivers.socket {
            match bind_socket(path).await {
                Ok(listener) => drop(tokio::spawn(self.clone().receive(listener))),
                Err(error) => unavailable(Level::Warn, "PREFREEZE_RECEIVER_UDS", &path.display(), &error),
            }
        }
    }
}

fn unavailable(level: Level, setting: &str, address: &dyn Display, error: &std::io::Error) {
    let message = "an address for OTLP cannot be taken; what the function sends there is not received";
    let (address, error) = (address.to_string(), error.to_string());
    say(
        level,
        "receiver_unavailable",
        message,
        json!({ "setting": setting, "address": address, "error": error }),
    );
}
