//! Prefreeze: the shell around `policy`. Sockets, clocks and files on one side, decisions on the other.

pub mod clock;
pub mod driver;
pub mod explain;
pub mod exporter;
pub mod guarding;
mod http;
pub mod intake;
pub mod lambda;
pub mod log;
pub mod recovery;
pub mod reference;
pub mod settings;
pub mod spool;
pub mod telemetry;

use std::sync::{Arc, OnceLock};

use policy::{Agent, Guarded, InitType, Input, SpoolMode};
use tokio::sync::mpsc;
use wire::logs::Wanted;
use wire::otlp::{Body, Identity};

use crate::clock::Clock;
use crate::driver::{Driver, Inbox, Message};
use crate::exporter::Exporter;
use crate::guarding::Guarding;
use crate::intake::Intake;
use crate::lambda::Events;
use crate::log::Level;
use crate::settings::Settings;
use crate::spool::Spool;

/// Runs the extension until SHUTDOWN has been served.
///
/// The order matters: the platform starts the function's runtime as soon as we are registered, so every
/// listener is bound before; and nothing that can wait comes before. The backend is connected to when `/next`
/// has been asked, beside the start of the runtime.
///
/// # Errors
/// When the platform refuses to register the extension: then there is nothing it could do.
pub async fn run(mut settings: Settings) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let clock = Clock::start();
    let (inbox, received) = Inbox::new();
    let records = Arc::<OnceLock<Spool>>::default();
    let guarding = settings.guarding.clone();
    let (intake, wanted) = (intake(&settings, &inbox, &records, &guarding), settings.logs);
    intake.listen(&settings.receivers).await;
    let telemetry_port = listen_for_events(intake, wanted, clock).await;

    let (next, permits) = mpsc::unbounded_channel();
    let events = Events::new(inbox.clone(), clock, permits);
    let is_managed = settings.policy.init_type == InitType::ManagedInstances;
    let (registration, asking) = lambda::register(events.clone(), is_managed).await?;
    let subscribing = async {
        if let Some(port) = telemetry_port {
            lambda::subscribe(&registration.extension_id, port, wanted != Wanted::None).await;
        }
    };
    // The platform takes its time to answer; files and TLS are made ready meanwhile.
    let preparing = async {
        for problem in &settings.problems {
            log::degraded("setting_ignored", "an invalid setting is ignored", problem);
        }
        for refusal in &settings.refused {
            log::refused(refusal);
        }
        let spool = open_spool(&mut settings, &inbox);
        if let (Some(spool), SpoolMode::Always) = (&spool, settings.policy.spool) {
            let _ = records.set(spool.clone());
        }
        driver(settings, &registration, &inbox, clock, next, spool, guarding)
    };
    let ((), driver) = tokio::join!(subscribing, preparing);
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

/// Opens the spool, after registration: no file is touched before. Without one, memory has to do.
fn open_spool(settings: &mut Settings, inbox: &Inbox) -> Option<Spool> {
    if settings.policy.spool == SpoolMode::Off {
        return None;
    }
    let bounds = settings.policy.bounds;
    // Half for what policy parks there, half for what is on record as accepted.
    match Spool::open(&settings.spool_dir, bounds.spooled_bytes as u64 * 2) {
        Ok((spool, leftovers)) => {
            recovery::tell(&spool, leftovers, bounds.held_bytes / 2, inbox);
            Some(spool)
        }
        Err(error) => {
            let message = "the spool cannot be opened; unsent data is kept in memory only";
            log::degraded("spool_unusable", message, &error);
            settings.policy.spool = SpoolMode::Off;
            None
        }
    }
}

fn intake(settings: &Settings, inbox: &Inbox, records: &Arc<OnceLock<Spool>>, guarding: &Guarding) -> Intake {
    Intake {
        inbox: inbox.clone(),
        spool: records.clone(),
        guarding: guarding.clone(),
        max_body: settings.max_body,
    }
}

async fn listen_for_events(intake: Intake, wanted: Wanted, clock: Clock) -> Option<u16> {
    let bound = telemetry::bind().await.and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
    match bound {
        Ok((port, listener)) => {
            tokio::spawn(telemetry::receive(listener, intake, wanted, clock));
            Some(port)
        }
        Err(error) => {
            log::degraded("telemetry_unavailable", "no port for platform events", &error);
            None
        }
    }
}

fn driver(
    settings: Settings,
    registration: &lambda::Registration,
    inbox: &Inbox,
    clock: Clock,
    next: mpsc::UnboundedSender<()>,
    spool: Option<Spool>,
    guarding: Guarding,
) -> Driver {
    let records_invocations = settings.policy.spool == SpoolMode::Always;
    let mut policy = settings.policy;
    policy.seed = clock.seed();
    if registration.is_managed {
        policy.init_type = InitType::ManagedInstances;
    }
    let is_snapshot = policy.init_type == InitType::SnapStart;
    let (function_name, prices) = (policy.function_name.clone(), policy.prices.clone());
    let mut identity = settings.identity;
    if let Some(account) = &registration.account_id {
        identity.set_if_missing("cloud.account.id", account);
    }
    Driver {
        agent: Agent::<Body>::new(policy),
        clock,
        exporter: Exporter::new(settings.destinations, inbox.clone(), clock),
        identity: Arc::<Identity>::new(identity),
        next,
        emf_namespace: settings.emf_namespace,
        prices,
        function_name,
        inbox: inbox.clone(),
        spool,
        records_invocations,
        invocation: None,
        guarding,
        is_snapshot,
        guarded: Guarded::default(),
    }
}
