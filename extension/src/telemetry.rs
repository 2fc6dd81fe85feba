//! The only listener for the platform's events: the receiving end of the Telemetry API.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use policy::{Input, PlatformEvent, Subscription};
use tokio::net::TcpListener;
use wire::logs::{self, Reader, Wanted};
use wire::telemetry_api;

use crate::caught::caught;
use crate::clock::Clock;
use crate::driver::{Inbox, Message};
use crate::guarding::Guarding;
use crate::http::{Answer, answer, read, serve};
use crate::intake::Intake;

/// A post is at most twice the buffering asked for, 256 KiB, and some metadata.
const BODY_MAX: usize = 1 << 20;

/// What is known of whether the platform delivers its events; clones know the same.
#[derive(Clone, Debug, Default)]
pub struct Delivery(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The subscription was refused, or not answered.
    is_refused: AtomicBool,
    /// An event has arrived.
    has_begun: AtomicBool,
}

impl Delivery {
    /// Reports to the agent what became of the subscription.
    pub fn on_answer(&self, answer: Subscription, inbox: &Inbox) {
        self.0.is_refused.store(answer != Subscription::Accepted, Ordering::Relaxed);
        let has_begun = self.0.has_begun.load(Ordering::Relaxed);
        let subscription = if has_begun { Subscription::Accepted } else { answer };
        inbox.send(Message::Input(Input::Subscribed(subscription)));
    }

    /// An event has arrived. If the subscription seemed to have failed, its answer was lost or late: the agent is told.
    fn on_event(&self, inbox: &Inbox) {
        let is_first = !self.0.has_begun.swap(true, Ordering::Relaxed);
        if is_first && self.0.is_refused.load(Ordering::Relaxed) {
            inbox.send(Message::Input(Input::Subscribed(Subscription::Accepted)));
        }
    }
}

/// Takes a free port on all interfaces: which of them `sandbox.localdomain` names is not documented.
///
/// # Errors
/// When there is none.
pub async fn bind() -> std::io::Result<TcpListener> {
    TcpListener::bind(("0.0.0.0", 0)).await
}

/// Receives until the process ends; log records that are `wanted` go the way of those that the function sends.
pub async fn receive(
    listener: TcpListener,
    intake: Intake,
    wanted: Wanted,
    delivery: Delivery,
    clock: Clock,
) {
    let receiver = Receiver { intake, wanted, reader: Arc::default(), delivery, clock };
    serve(listener, move |request| handle(request, receiver.clone()), |_| {}).await;
}

/// What is needed to read a batch.
#[derive(Clone)]
struct Receiver {
    intake: Intake,
    wanted: Wanted,
    reader: Arc<Mutex<Reader>>,
    delivery: Delivery,
    clock: Clock,
}

/// Always 200: anything else makes the platform send the same batch again, for as long as it lives. That goes for a
/// batch in which a bug of ours shows, too.
async fn handle(request: Request<Incoming>, receiver: Receiver) -> Answer {
    if let Ok(body) = read(request.into_body(), BODY_MAX).await {
        let _panicked = caught(|| receiver.take(&body));
    }
    answer(StatusCode::OK, "text/plain; charset=utf-8", Bytes::new())
}

impl Receiver {
    /// Hands the events and log records of a batch over to the agent.
    fn take(&self, body: &[u8]) {
        let Intake { inbox, guarding, .. } = &self.intake;
        let batch = {
            // A panic in reading a batch costs that batch. The reader only knows which invocation runs.
            let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
            telemetry_api::batch_with_logs(body, self.clock.wall(), &mut reader, self.wanted)
        };
        if !batch.events.is_empty() {
            self.delivery.on_event(inbox);
        }
        if let Some(instance_id) = batch.instance_id {
            inbox.send(Message::Instance(instance_id));
        }
        for event in batch.events {
            inbox.send(Message::Input(Input::Platform(guarded(event, guarding))));
        }
        for records in batch.logs.chunk_by(|one, two| one.request_id == two.request_id) {
            let records: Vec<_> = records.iter().collect();
            self.intake.log(records[0].request_id.clone(), logs::request(&records).into());
        }
    }
}

/// The class of an error is the function's own word, and becomes an attribute of spans and metrics.
fn guarded(mut event: PlatformEvent, guarding: &Guarding) -> PlatformEvent {
    if let PlatformEvent::InitRuntimeDone { ending, .. }
    | PlatformEvent::InitReport { ending, .. }
    | PlatformEvent::RuntimeDone { ending, .. }
    | PlatformEvent::Report { ending, .. } = &mut event
    {
        let hidden = ending.error_type.as_deref().and_then(|class| guarding.text(class));
        ending.error_type = hidden.map(Into::into).or(ending.error_type.take());
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Inbox;

    #[test]
    fn a_batch_is_read_after_another_one_has_panicked() {
        let (inbox, mut received) = Inbox::new();
        let intake = Intake {
            inbox,
            spool: Arc::default(),
            guarding: Guarding::default(),
            max_body: BODY_MAX,
            request_limits: [policy::RequestLimit::NONE; 3],
            refusals: crate::intake::Refusals::default(),
        };
        let (reader, clock) = (Arc::<Mutex<Reader>>::default(), Clock::start());
        let holder = reader.clone();
        let panicked = std::thread::spawn(move || {
            let _held = holder.lock().expect("nobody has panicked yet");
            panic!("planted");
        });
        assert!(panicked.join().is_err() && reader.is_poisoned());
        let receiver =
            Receiver { intake, wanted: Wanted::None, reader, delivery: Delivery::default(), clock };
        receiver.take(br#"[{"type":"platform.start","record":{"requestId":"r-1"}}]"#);
        let first = received.try_recv();
        assert!(
            matches!(first, Ok(Message::Input(Input::Platform(PlatformEvent::Start { .. })))),
            "{first:?}"
        );
    }

    #[test]
    fn the_agent_is_told_of_events_that_come_although_the_subscription_was_refused() {
        use Subscription::{Accepted, Local, Refused};
        let told = |happens: &[&str]| {
            let (inbox, mut received) = Inbox::new();
            let delivery = Delivery::default();
            for happens in happens {
                match *happens {
                    "accepted" => delivery.on_answer(Accepted, &inbox),
                    "refused" => delivery.on_answer(Refused, &inbox),
                    "local" => delivery.on_answer(Local, &inbox),
                    _ => delivery.on_event(&inbox),
                }
            }
            let mut told = Vec::new();
            while let Ok(Message::Input(Input::Subscribed(subscription))) = received.try_recv() {
                told.push(subscription);
            }
            told
        };
        assert_eq!(told(&["accepted", "event", "event"]), [Accepted]);
        assert_eq!(told(&["event", "accepted"]), [Accepted]);
        assert_eq!(told(&["refused"]), [Refused]);
        assert_eq!(told(&["local"]), [Local]);
        assert_eq!(told(&["refused", "event", "event"]), [Refused, Accepted]);
        assert_eq!(told(&["local", "event"]), [Local, Accepted]);
        assert_eq!(told(&["event", "refused", "event"]), [Accepted]);
    }
}
