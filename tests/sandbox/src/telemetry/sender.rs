//! One task per subscriber: carries out what its [`Buffer`] decides, over HTTP or TCP.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::buffer::{Batch, Buffer};
use super::event::TelemetryEvent;
use super::subscription::{Destination, Subscription};
use crate::clock::Clock;
use crate::config::LogFormat;

/// The environment's end of a delivery task; the task ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Subscriber {
    commands: mpsc::UnboundedSender<Command>,
}

/// The end of one attempt to deliver a batch.
#[derive(Debug)]
pub(crate) struct DeliveryReport {
    pub(crate) extension: String,
    pub(crate) events: usize,
    /// HTTP status or error.
    pub(crate) answer: String,
}

enum Command {
    Event(TelemetryEvent),
    /// Frozen: acknowledged once no delivery will begin any more.
    Pause(oneshot::Sender<()>),
    Resume,
    Flush,
}

impl Subscriber {
    /// Starts the delivery task.
    pub(crate) fn start(
        extension: String,
        subscription: Subscription,
        format: LogFormat,
        clock: Clock,
        reports: impl Fn(DeliveryReport) + Send + 'static,
    ) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let connection = Connection { destination: subscription.destination.clone(), tcp: None };
        let buffer = Buffer::new(subscription, format);
        tokio::spawn(run(inbox, buffer, connection, clock, extension, reports));
        Self { commands }
    }

    /// Hands over an event. The channel is drained at every wake-up; the buffer behind it is bounded.
    pub(crate) fn push(&self, event: TelemetryEvent) {
        self.command(Command::Event(event));
    }

    /// Returns once no delivery will begin before [`resume`](Self::resume).
    pub(crate) async fn pause(&self) {
        let (done, paused) = oneshot::channel();
        self.command(Command::Pause(done));
        paused.await.expect("the task answers every pause");
    }

    pub(crate) fn resume(&self) {
        self.command(Command::Resume);
    }

    pub(crate) fn flush(&self) {
        self.command(Command::Flush);
    }

    fn command(&self, command: Command) {
        self.commands.send(command).expect("the task lives until this is dropped");
    }
}

async fn run(
    mut inbox: mpsc::UnboundedReceiver<Command>,
    mut buffer: Buffer,
    connection: Connection,
    clock: Clock,
    extension: String,
    reports: impl Fn(DeliveryReport) + Send,
) {
    let (done, mut finished) = mpsc::channel::<(Connection, usize, Result<u16, String>)>(1);
    let mut idle = Some(connection);
    loop {
        if let Some(mut connection) = idle.take() {
            match buffer.poll(clock.now()) {
                Some(batch) => {
                    let done = done.clone();
                    tokio::spawn(async move {
                        let answer = connection.deliver(&batch).await;
                        // Nobody listens once the subscription is gone.
                        let _ = done.send((connection, batch.events.len(), answer)).await;
                    });
                }
                None => idle = Some(connection),
            }
        }
        let due = buffer.deadline().map(|at| clock.instant(at));
        tokio::select! {
            biased;
            command = inbox.recv() => match command {
                Some(Command::Event(event)) => buffer.push(clock.now(), &event),
                Some(Command::Pause(done)) => {
                    buffer.pause();
                    // The environment may have gone meanwhile.
                    let _ = done.send(());
                }
                Some(Command::Resume) => buffer.resume(),
                Some(Command::Flush) => buffer.flush(),
                None => return,
            },
            Some((connection, events, answer)) = finished.recv() => {
                idle = Some(connection);
                buffer.delivered(clock.now(), matches!(answer, Ok(200..=299)));
                let answer = answer.map_or_else(|error| error, |status| status.to_string());
                reports(DeliveryReport { extension: extension.clone(), events, answer });
            }
            () = sleep_until(due), if idle.is_some() && due.is_some() => {}
        }
    }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due).await;
    }
}

/// The way to the subscriber. There is no time limit: a frozen subscriber answers after its thaw, and a dead
/// one resets the connection.
struct Connection {
    destination: Destination,
    /// Kept open between batches by TCP destinations.
    tcp: Option<TcpStream>,
}

impl Connection {
    async fn deliver(&mut self, batch: &Batch) -> Result<u16, String> {
        match self.destination.clone() {
            Destination::Http { authority, port, path } => post(&authority, port, &path, batch.json()).await,
            Destination::Tcp { port } => self.write_lines(port, batch).await.map_err(|e| e.to_string()),
        }
    }

    async fn write_lines(&mut self, port: u16, batch: &Batch) -> std::io::Result<u16> {
        let mut stream = match self.tcp.take() {
            Some(stream) => stream,
            None => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?,
        };
        let mut text = batch.events.join("\n");
        text.push('\n');
        stream.write_all(text.as_bytes()).await?;
        self.tcp = Some(stream);
        Ok(200)
    }
}

/// One POST on a connection of its own: a kept one could die unnoticed in a freeze.
async fn post(authority: &str, port: u16, path: &str, body: String) -> Result<u16, String> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map_err(|e| e.to_string())?;
    let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    let driver = tokio::spawn(connection);
    let request = http::Request::post(path)
        .header(http::header::HOST, authority)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| e.to_string())?;
    let response = send.send_request(request).await.map_err(|e| e.to_string())?;
    let status = response.status().as_u16();
    // The body says nothing; reading it lets the peer finish.
    let _ = response.into_body().collect().await;
    drop(send);
    driver.abort();
    Ok(status)
}
