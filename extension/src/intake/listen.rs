//! Taking the addresses that the function's SDK sends to; what cannot be had costs a line, and the rest listens.

use std::fmt::Display;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::Intake;
use super::socket::bind_socket;
use crate::log::{Level, say};
use crate::settings::Receivers;

/// The ports that SDKs send to, taken. Who connects waits until an [`Intake`] listens.
pub struct Ports([Option<TcpListener>; 2]);

impl Ports {
    /// Takes those that `receivers` names.
    ///
    /// Another port is never tried where one is taken: the function's SDK would not know of it.
    pub async fn take(receivers: &Receivers) -> Self {
        let http = take(receivers.http, "PREFREEZE_RECEIVER_HTTP", Level::Error).await;
        let grpc = take(receivers.grpc, "PREFREEZE_RECEIVER_GRPC", Level::Warn).await;
        Self([http, grpc])
    }
}

async fn take(address: Option<SocketAddr>, setting: &str, level: Level) -> Option<TcpListener> {
    let address = address?;
    let taken = TcpListener::bind(address).await;
    taken.inspect_err(|error| unavailable(level, setting, &address, error)).ok()
}

impl Intake {
    /// Receives on `ports`, and on a Unix socket where one is named, until the process ends. The socket is bound when
    /// this returns: it is looked after from then on.
    pub async fn listen(&self, Ports(ports): Ports, socket: Option<&Path>) -> Option<Socket> {
        for port in ports.into_iter().flatten() {
            if let Some(twin) = twin(&port).await {
                tokio::spawn(self.clone().receive(twin));
            }
            tokio::spawn(self.clone().receive(port));
        }
        let path = socket?;
        match bind_socket(path).await {
            Ok(listener) => {
                let receiving = tokio::spawn(self.clone().receive(listener)).abort_handle();
                Some(Socket { intake: self.clone(), path: path.to_owned(), receiving })
            }
            Err(error) => {
                unavailable(Level::Warn, "PREFREEZE_RECEIVER_UDS", &path.display(), &error);
                None
            }
        }
    }
}

/// The same port of the loopback interface in IPv6: some runtimes try that first for `localhost`. Where there is no IPv6,
/// or somebody else has it, nobody was promised anything.
async fn twin(port: &TcpListener) -> Option<TcpListener> {
    let address = port.local_addr().ok()?;
    let is_loopback = address.ip() == Ipv4Addr::LOCALHOST;
    let twin = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
    if is_loopback { TcpListener::bind(twin).await.ok() } else { None }
}

/// The Unix socket that we listen on.
pub struct Socket {
    intake: Intake,
    path: PathBuf,
    receiving: AbortHandle,
}

impl Socket {
    /// Binds it anew where somebody has removed it: functions clear `/tmp` in their handlers, and nobody could connect.
    pub fn look_after(&mut self) {
        let there = std::fs::symlink_metadata(&self.path);
        if !there.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return;
        }
        self.receiving.abort();
        let (intake, path) = (self.intake.clone(), self.path.clone());
        let receiving = async move {
            match bind_socket(&path).await {
                Ok(listener) => intake.receive(listener).await,
                Err(error) => unavailable(Level::Warn, "PREFREEZE_RECEIVER_UDS", &path.display(), &error),
            }
        };
        self.receiving = tokio::spawn(receiving).abort_handle();
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
