//! The only client of the Lambda APIs: register, subscribe, and the loop of events.
//!
//! `lambda-extension` does register and `/next`. The subscription is ours: the crate's is pinned to an old
//! schema (see `ARCHITECTURE.md`). So is a plain loop for the day on which the crate gives up on an event.

pub(crate) mod bare;
mod connection;
mod credentials;
mod naming;
mod subscription;

pub use bare::Progress;
pub use connection::Connection;
pub use credentials::credentials;
pub use subscription::subscribe;

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use lambda_extension::{Extension, LambdaEvent, NextEvent, service_fn};
use policy::{Input, Invoke, Shutdown, ShutdownReason};
use tokio::sync::{Mutex, Notify, mpsc};
use wire::{extensions_api, trace_context};

use self::connection::call;
use crate::caught::caught_async;
use crate::clock::{Clock, Moment, pause};
use crate::driver::{Inbox, Message};
use crate::log;

/// Between two tries of a `/next` that could not even be asked.
const NEXT_AGAIN: Duration = Duration::from_millis(50);

/// Why the platform could not be asked, or what it refused.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What the platform told at registration.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Sent along with every later call.
    pub extension_id: String,
    /// The account that owns the function, where the platform tells.
    pub account_id: Option<String>,
    /// Whether only SHUTDOWN could be registered: many invocations at once, and no INVOKE events.
    pub is_managed: bool,
}

/// Turns the platform's events into inputs, and asks for the next one when told to.
#[derive(Clone)]
pub struct Events {
    inner: Arc<Shared>,
}

struct Shared {
    inbox: Inbox,
    clock: Clock,
    /// Told once for each `/next` that may be asked.
    permits: Mutex<mpsc::UnboundedReceiver<()>>,
    asked: std::sync::Mutex<Moment>,
    /// Told when SHUTDOWN has come.
    over: Notify,
    progress: Progress,
}

impl Events {
    /// Events go to `inbox`; each `/next` waits for one of `permits`.
    pub fn new(inbox: Inbox, clock: Clock, permits: mpsc::UnboundedReceiver<()>, progress: Progress) -> Self {
        let asked = std::sync::Mutex::new(clock.moment());
        let (over, permits) = (Notify::new(), Mutex::new(permits));
        Self { inner: Arc::new(Shared { inbox, clock, permits, asked, over, progress }) }
    }

    /// Waits until `/next` may be asked; false when nobody will say so any more.
    async fn permit(&self) -> bool {
        let is_given = self.inner.permits.lock().await.recv().await.is_some();
        *self.asked() = self.inner.clock.moment();
        is_given
    }

    fn waited(&self) -> Duration {
        let asked = *self.asked();
        self.inner.clock.since(asked)
    }

    /// A moment is written whole, so that a panic of a holder spoils nothing.
    fn asked(&self) -> MutexGuard<'_, Moment> {
        self.inner.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn invoke(&self, request_id: &str, deadline_ms: u64, arn: &str, xray: &str) {
        let clock = &self.inner.clock;
        self.send(Input::Invoke(Invoke {
            request_id: request_id.into(),
            deadline: clock.at_unix_millis(deadline_ms),
            deadline_at: policy::UnixNanos(deadline_ms.saturating_mul(1_000_000)),
            received_at: clock.wall(),
            arn: arn.into(),
            xray: trace_context::xray(xray),
            waited: self.waited(),
        }));
    }

    /// Waits for SHUTDOWN.
    pub async fn over(&self) {
        self.inner.over.notified().await;
    }

    fn shutdown(&self, reason: ShutdownReason, deadline_ms: u64) {
        self.inner.progress.over();
        self.inner.over.notify_one();
        let clock = &self.inner.clock;
        self.send(Input::Shutdown(Shutdown {
            reason,
            deadline: clock.at_unix_millis(deadline_ms),
            received_at: clock.wall(),
            waited: self.waited(),
        }));
    }

    fn send(&self, input: Input<wire::otlp::Body>) {
        self.inner.inbox.send(Message::Input(input));
    }

    /// Hands an event over and waits for the permission to ask for the next.
    async fn on_event(self, event: LambdaEvent) -> Result<(), std::convert::Infallible> {
        match event.next {
            NextEvent::Invoke(event) => self.invoke(
                &event.request_id,
                event.deadline_ms,
                &event.invoked_function_arn,
                &event.tracing.value,
            ),
            NextEvent::Shutdown(event) => {
                self.shutdown(extensions_api::shutdown_reason(&event.shutdown_reason), event.deadline_ms);
                // Nothing may be asked after SHUTDOWN; the process ends by the driver's word.
                std::future::pending::<()>().await;
            }
        }
        self.permit().await;
        Ok(())
    }
}

/// Turns of the runtime until the request to register is written: it connects, is told that it has, hands the request
/// to the connection's own task, which writes it.
const TURNS_TO_WRITE: usize = 3;

/// Waits until [`register`], begun before and beside this, has written its request, where the platform is as near as
/// it is. What comes then costs nobody anything: the answer is on its way.
pub async fn asked_to_register() {
    for _ in 0..TURNS_TO_WRITE {
        tokio::task::yield_now().await;
    }
}

/// The same for [`subscribe`] on a connection that is open: its own task is given the request, and writes it.
pub async fn asked_to_subscribe() {
    tokio::task::yield_now().await;
}

/// Registers, and returns what keeps the events coming.
///
/// # Errors
/// When the platform refuses, under every name that its file may have, both INVOKE with SHUTDOWN, and SHUTDOWN alone.
pub async fn register(
    events: Events,
    is_managed: bool,
) -> Result<(Registration, impl Future<Output = ()>), Error> {
    let handler = |events: Events| service_fn(move |event| events.clone().on_event(event));
    let wanted: &[&[&str]] =
        if is_managed { &[&["SHUTDOWN"]] } else { &[&["INVOKE", "SHUTDOWN"], &["SHUTDOWN"]] };
    let mut refusal: Error = "nothing was asked".into();
    let names = naming::candidates();
    // Every name with every list of events.
    for attempt in 0..names.len() * wanted.len() {
        let (name, types) = (&names[attempt / wanted.len()], wanted[attempt % wanted.len()]);
        let extension = Extension::new()
            .with_extension_name(name)
            .with_events(types)
            .with_events_processor(handler(events.clone()));
        match extension.register().await {
            Ok(registered) => {
                let registration = Registration {
                    extension_id: registered.extension_id.clone(),
                    account_id: registered.account_id.clone().filter(|id| !id.is_empty()),
                    is_managed: types.len() == 1,
                };
                events.inner.progress.registered(&registration.extension_id);
                let extension_id = registration.extension_id.clone();
                return Ok((registration, async move {
                    events.permit().await;
                    if let Ok(Err(error)) = caught_async(registered.run()).await {
                        log::degraded("event_unreadable", "going on with the plain event loop", &error);
                    }
                    // After a panic in SHUTDOWN there is nothing to ask for.
                    while !events.inner.progress.is_over() {
                        let _panicked = caught_async(plain_loop(&events, &extension_id)).await;
                        pause(NEXT_AGAIN).await;
                    }
                }));
            }
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Asks for events without the crate, reading whatever can be read of them. Never ends.
async fn plain_loop(events: &Events, extension_id: &str) {
    loop {
        let request = Request::get("/2020-01-01/extension/event/next")
            .header("Lambda-Extension-Identifier", extension_id)
            .body(Bytes::new());
        let answer = match request {
            Ok(request) => call(request).await,
            Err(error) => Err(error.into()),
        };
        let Ok((200, body)) = answer else {
            pause(NEXT_AGAIN).await;
            continue;
        };
        let event = extensions_api::next_event(&body).unwrap_or_default();
        let xray = event.tracing.as_ref().map_or("", |tracing| &tracing.value);
        match event.event_type.as_str() {
            "INVOKE" => {
                events.invoke(&event.request_id, event.deadline_ms, &event.invoked_function_arn, xray);
                events.permit().await;
            }
            "SHUTDOWN" => {
                events.shutdown(extensions_api::shutdown_reason(&event.shutdown_reason), event.deadline_ms);
                std::future::pending::<()>().await;
            }
            // Not an event we know: having asked again is all that the platform needs.
            _ => {}
        }
    }
}
