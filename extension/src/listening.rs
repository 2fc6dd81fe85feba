//! What is made ready while the platform answers: settings are understood, everything listens, the driver is built.

use std::sync::{Arc, OnceLock};

use policy::{Agent, Guarded, InitType, SpoolMode};
use tokio::sync::mpsc;
use wire::logs::Wanted;
use wire::otlp::{Body, Identity};

use crate::clock::Clock;
use crate::driver::{Driver, Inbox};
use crate::exporter::Exporter;
use crate::instance;
use crate::intake::{Intake, Ports, Refusals, Socket};
use crate::lambda::Registration;
use crate::log;
use crate::memory;
use crate::recovery::Recovery;
use crate::settings::{Settings, Variables};
use crate::spool::Spool;
use crate::telemetry::{self, Delivery};

/// What there is once everything listens.
pub(crate) struct Listening {
    pub(crate) settings: Settings,
    /// Where the platform's events can be sent to.
    pub(crate) telemetry_port: Option<u16>,
    /// Whether they are.
    pub(crate) delivery: Delivery,
    /// Where the listeners look for the spool.
    records: Arc<OnceLock<Spool>>,
    refusals: Refusals,
    /// The Unix socket, if it is there.
    socket: Option<Socket>,
}

impl Listening {
    /// Understands `variables`, and begins to receive: what must not leave is known before anything comes in.
    pub(crate) async fn begin(variables: Variables, ports: Ports, inbox: &Inbox, clock: Clock) -> Self {
        let settings = variables.understand();
        let records = Arc::<OnceLock<Spool>>::default();
        let refusals = Refusals::default();
        let intake = Intake {
            inbox: inbox.clone(),
            spool: records.clone(),
            guarding: settings.guarding.clone(),
            max_body: settings.max_body,
            request_limits: settings.policy.parcel_limits(),
            refusals: refusals.clone(),
        };
        let socket = intake.listen(ports, settings.receivers.socket.as_deref()).await;
        let delivery = Delivery::default();
        let telemetry_port = listen_for_events(intake, settings.logs, delivery.clone(), clock).await;
        Self { settings, telemetry_port, delivery, records, refusals, socket }
    }

    /// Says what is wrong with the settings, opens the spool, and builds the driver.
    pub(crate) fn prepare(
        self,
        registration: &Registration,
        inbox: &Inbox,
        clock: Clock,
        next: mpsc::UnboundedSender<()>,
    ) -> Box<Driver> {
        let Self { mut settings, records, refusals, socket, .. } = self;
        memory::keep_what_is_freed();
        for problem in &settings.problems {
            log::degraded("setting_ignored", "an invalid setting is ignored", problem);
        }
        for refusal in &settings.refused {
            log::refused(refusal);
        }
        for hint in &settings.hints {
            log::degraded(
                "sdk_elsewhere",
                "the function's OpenTelemetry SDK may send its data past Prefreeze",
                hint,
            );
        }
        let spool = open_spool(&mut settings);
        if let (Some(spool), SpoolMode::Always) = (&spool, settings.policy.spool) {
            let _ = records.set(spool.clone());
        }
        let driver = driver(settings, registration, inbox, clock, next, spool);
        Box::new(Driver { refusals, socket, ..*driver })
    }
}

/// Opens the spool, after registration: no file is touched before. Without one, memory has to do.
fn open_spool(settings: &mut Settings) -> Option<Spool> {
    if settings.policy.spool == SpoolMode::Off {
        return None;
    }
    let bounds = settings.policy.bounds;
    // Half for what policy parks there, half for what is on record as accepted.
    match Spool::open(&settings.spool_dir, bounds.spooled_bytes as u64 * 2) {
        Ok(spool) => Some(spool),
        Err(error) => {
            let message = "the spool cannot be opened; unsent data is kept in memory only";
            log::degraded("spool_unusable", message, &error);
            settings.policy.spool = SpoolMode::Off;
            None
        }
    }
}

async fn listen_for_events(intake: Intake, wanted: Wanted, delivery: Delivery, clock: Clock) -> Option<u16> {
    let bound = telemetry::bind().await.and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
    match bound {
        Ok((port, listener)) => {
            tokio::spawn(telemetry::receive(listener, intake, wanted, delivery, clock));
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
    registration: &Registration,
    inbox: &Inbox,
    clock: Clock,
    next: mpsc::UnboundedSender<()>,
    spool: Option<Spool>,
) -> Box<Driver> {
    let records_invocations = settings.policy.spool == SpoolMode::Always;
    let routes: Vec<_> = settings.routes().map(|(lane, to)| (lane, to.clone())).collect();
    let (destinations, request_limits) = (settings.names(), settings.policy.parcel_limits());
    let mut policy = settings.policy;
    policy.seed = clock.seed();
    if registration.is_managed {
        policy.init_type = InitType::ManagedInstances;
    }
    let is_snapshot = policy.init_type == InitType::SnapStart;
    let recovery = spool.clone().filter(Spool::has_unread);
    let recovery = recovery.map(|spool| {
        Recovery::new(spool, policy.bounds.held_bytes / 2, request_limits).parted(!destinations.is_empty())
    });
    let (function_name, prices) = (policy.function_name.clone(), policy.prices.clone());
    let mut identity = settings.identity;
    if !settings.names_instance {
        instance::name(&mut identity, policy.seed);
    }
    if let Some(account) = &registration.account_id {
        identity.set_if_missing("cloud.account.id", account);
    }
    Box::new(Driver {
        request_limits,
        destinations,
        agent: Agent::<Body>::new(policy),
        clock,
        exporter: Exporter::new(routes, settings.credentials, settings.vaults, inbox.clone(), clock),
        identity: Arc::<Identity>::new(identity),
        measured_as: None,
        next,
        emf_namespace: settings.emf_namespace,
        prices,
        function_name,
        inbox: inbox.clone(),
        spool,
        socket: None,
        recovery,
        records_invocations,
        invocation: None,
        guarding: settings.guarding,
        refusals: Refusals::default(),
        is_snapshot,
        names_instance: settings.names_instance,
        guarded: Guarded::default(),
        is_asked: false,
    })
}
