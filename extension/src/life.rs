//! The life of the process: the start in its steps, the loop, and what is left to do when a bug ends either.

use std::pin::{Pin, pin};

use policy::{Input, Subscription};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wire::logs::Wanted;

use crate::caught::{Panicked, caught, caught_async};
use crate::clock::Clock;
use crate::driver::{Inbox, Message};
use crate::intake::Ports;
use crate::lambda::{self, Connection, Error, Events, Progress, Registration};
use crate::listening::Listening;
use crate::log::{self, Level};
use crate::settings::Variables;

/// A step of the start. Whichever of them panics, the function runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reads the environment variables.
    Environment,
    /// Takes the ports for the function's telemetry.
    Ports,
    /// Registers.
    Register,
    /// Understands the settings, and listens.
    Listen,
    /// Opens a connection for the subscription.
    Connect,
    /// Subscribes to the platform's events.
    Subscribe,
    /// Opens the spool, and builds the loop.
    Prepare,
    /// Begins the loop.
    Begin,
}

impl Step {
    /// Every step, in the order in which they begin.
    pub const ALL: [Self; 8] = [
        Self::Environment,
        Self::Ports,
        Self::Register,
        Self::Listen,
        Self::Connect,
        Self::Subscribe,
        Self::Prepare,
        Self::Begin,
    ];
}

/// Runs the extension until SHUTDOWN has been served.
///
/// # Errors
/// When the platform refuses to register the extension: then there is nothing it could do.
pub fn run() -> Result<(), Error> {
    run_through(|_| {})
}

/// The same; `at` is called at the beginning of each step, in which tests plant panics.
///
/// # Errors
/// As [`run`].
pub fn run_through(at: impl Fn(Step) + Copy + Send + Sync + 'static) -> Result<(), Error> {
    let progress = Progress::default();
    let why = match caught(|| on_a_runtime(progress.clone(), at)) {
        Ok(Ok(Ok(ended))) => return ended,
        // No thread or file descriptor is left for a runtime.
        Ok(Err(error)) => json!({ "error": error.to_string() }),
        Ok(Ok(Err(_panicked))) | Err(_panicked) => Value::Null,
    };
    say_stopped(why);
    lambda::bare::idle(&progress)
}

/// How the extension has ended on a runtime of its own: not at all where there is none, in a panic, or well.
type Ended = std::io::Result<Result<Result<(), Error>, Panicked>>;

fn on_a_runtime(progress: Progress, at: impl Fn(Step) + Copy + Send + Sync + 'static) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // A task, on the heap: whatever wakes the future that the runtime blocks on writes to a file descriptor for it,
    // and on the stack it would be moved about, and each page of that is a fault.
    let running = runtime.spawn(Box::pin(live(progress, at)));
    let ended = runtime.block_on(running);
    // A resolver that does not answer holds a thread of the runtime for as long as it likes.
    runtime.shutdown_background();
    Ok(ended.map_err(|_| Panicked))
}

/// The order matters: the platform starts the function's runtime as soon as we are registered, so every
/// port is taken before; and nothing that can wait comes before. The Unix socket is a file, and bound while the
/// platform answers: a runtime takes a thousand times as long to start. The backend is connected to when `/next` has
/// been asked, beside the start of the runtime.
async fn live(progress: Progress, at: impl Fn(Step) + Copy) -> Result<(), Error> {
    let clock = Clock::start();
    let (inbox, received) = Inbox::new();
    at(Step::Environment);
    let variables = Variables::from_environment();
    at(Step::Ports);
    let ports = Ports::take(variables.receivers()).await;
    let (next, permits) = mpsc::unbounded_channel();
    let events = Events::new(inbox.clone(), clock, permits, progress);
    let is_managed = variables.is_managed();
    let for_listening = inbox.clone();
    let listening = async move {
        lambda::asked_to_register().await;
        at(Step::Listen);
        let listening = Listening::begin(variables, ports, &for_listening, clock).await;
        at(Step::Connect);
        (listening, Connection::open().await.ok())
    };
    at(Step::Register);
    // A panic in listening must not take the registration with it: its answer is on its way.
    let (registered, listening) =
        tokio::join!(lambda::register(events.clone(), is_managed), caught_async(listening));
    let (registration, asking) = registered?;
    let asking = pin!(asking);
    let Ok((listening, connection)) = listening else {
        // Nobody gives permits any more: events are asked for as they come.
        drop((received, next));
        idle(asking, &events).await;
        return Ok(());
    };
    let started = Started { clock, inbox, received, next, registration, listening, connection };
    match caught_async(begin(started, at)).await.flatten() {
        Ok(driving) => drive(driving, asking, &events).await,
        Err(_panicked) => idle(asking, &events).await,
    }
    Ok(())
}

/// What there is when the platform has registered us and everything listens.
struct Started {
    clock: Clock,
    inbox: Inbox,
    received: mpsc::UnboundedReceiver<Message>,
    next: mpsc::UnboundedSender<()>,
    registration: Registration,
    listening: Listening,
    connection: Option<Connection>,
}

/// Subscribes to the platform's events, and begins the loop.
async fn begin(started: Started, at: impl Fn(Step)) -> Result<JoinHandle<()>, Panicked> {
    let Started { clock, inbox, received, next, registration, listening, connection } = started;
    let (telemetry_port, with_lines) = (listening.telemetry_port, listening.settings.logs != Wanted::None);
    let delivery = listening.delivery.clone();
    at(Step::Subscribe);
    let subscribing = async {
        match telemetry_port {
            Some(port) => lambda::subscribe(connection, &registration.extension_id, port, with_lines).await,
            None => Subscription::Refused,
        }
    };
    // The platform takes its time to answer; files are made ready meanwhile.
    let preparing = async {
        lambda::asked_to_subscribe().await;
        at(Step::Prepare);
        listening.prepare(&registration, &inbox, clock, next)
    };
    // A panic in preparing must not cut the subscription short: it would reach the platform after the first `/next`.
    let (subscription, driver) = tokio::join!(subscribing, caught_async(preparing));
    let driver = driver?;
    delivery.on_answer(subscription, &inbox);
    inbox.send(Message::Input(Input::Ready));
    at(Step::Begin);
    Ok(tokio::spawn(driver.run(received)))
}

/// Runs the loop beside the asking for events, until either ends.
async fn drive(mut driving: JoinHandle<()>, mut asking: Pin<&mut impl Future<Output = ()>>, events: &Events) {
    let ended = tokio::select! {
        ended = &mut driving => ended,
        () = &mut asking => Ok(()),
    };
    if ended.is_err() {
        idle(asking, events).await;
    }
}

/// A part without which nothing is traced has panicked. That is our bug, and not the function's outage: events are
/// still asked for.
async fn idle(asking: Pin<&mut impl Future<Output = ()>>, events: &Events) {
    say_stopped(Value::Null);
    tokio::select! {
        () = asking => {}
        () = events.over() => {}
    }
}

fn say_stopped(fields: Value) {
    let message = "a bug stopped Prefreeze in this environment; the function runs on, untraced";
    log::say(Level::Error, "stopped", message, fields);
}
