//! Prefreeze: the shell around `policy`. Sockets, clocks and files on one side, decisions on the other.

pub mod clock;
pub mod driver;
pub mod explain;
pub mod exporter;
pub mod guarding;
mod http;
pub mod intake;
pub mod lambda;
mod listening;
pub mod log;
mod memory;
pub mod recovery;
pub mod reference;
pub mod settings;
pub mod spool;
pub mod telemetry;

use policy::Input;
use tokio::sync::mpsc;
use wire::logs::Wanted;

use crate::clock::Clock;
use crate::driver::{Inbox, Message};
use crate::intake::Ports;
use crate::lambda::{Connection, Events};
use crate::listening::Listening;
use crate::log::Level;
use crate::settings::Variables;

/// Runs the extension until SHUTDOWN has been served.
///
/// The order matters: the platform starts the function's runtime as soon as we are registered, so every
/// port is taken before; and nothing that can wait comes before. The Unix socket is a file, and bound while the
/// platform answers: a runtime takes a thousand times as long to start. The backend is connected to when `/next` has
/// been asked, beside the start of the runtime.
///
/// # Errors
/// When the platform refuses to register the extension: then there is nothing it could do.
pub async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let clock = Clock::start();
    let (inbox, received) = Inbox::new();
    let variables = Variables::from_environment();
    let ports = Ports::take(variables.receivers()).await;
    let (next, permits) = mpsc::unbounded_channel();
    let events = Events::new(inbox.clone(), clock, permits);
    let is_managed = variables.is_managed();
    let listening = async {
        lambda::asked_to_register().await;
        let listening = Listening::begin(variables, ports, &inbox, clock).await;
        (listening, Connection::open().await.ok())
    };
    let (registered, (listening, connection)) =
        tokio::join!(lambda::register(events.clone(), is_managed), listening);
    let (registration, asking) = registered?;
    let (telemetry_port, with_lines) = (listening.telemetry_port, listening.settings.logs != Wanted::None);
    let delivery = listening.delivery.clone();
    let subscribing = async {
        match telemetry_port {
            Some(port) => lambda::subscribe(connection, &registration.extension_id, port, with_lines).await,
            None => false,
        }
    };
    // The platform takes its time to answer; files are made ready meanwhile.
    let preparing = async {
        lambda::asked_to_subscribe().await;
        listening.prepare(&registration, &inbox, clock, next)
    };
    let (delivers, driver) = tokio::join!(subscribing, preparing);
    delivery.on_answer(delivers, &inbox);
    inbox.send(Message::Input(Input::Ready));
    let mut driving = tokio::spawn(driver.run(received));
    tokio::pin!(asking);
    let ended = tokio::select! {
        ended = &mut driving => ended,
        () = &mut asking => Ok(()),
    };
    match ended {
        Ok(()) => Ok(()),
        Err(_panicked) => {
            idle(asking, &events).await;
            Ok(())
        }
    }
}

/// The agent has panicked. That is our bug, and not the function's outage: events are still asked for.
async fn idle(asking: std::pin::Pin<&mut impl Future<Output = ()>>, events: &Events) {
    let message = "a bug stopped Prefreeze in this environment; the function runs on, untraced";
    log::say(Level::Error, "stopped", message, serde_json::Value::Null);
    tokio::select! {
        () = asking => {}
        () = events.over() => {}
    }
}
