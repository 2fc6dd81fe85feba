//! The only listener for the platform's events: the receiving end of the Telemetry API.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use policy::{Input, PlatformEvent};
use tokio::net::TcpListener;
use wire::logs::{self, Reader, Wanted};
use wire::telemetry_api;

use crate::clock::Clock;
use crate::driver::Message;
use crate::guarding::Guarding;
use crate::http::{Answer, answer, read, serve};
use crate::intake::Intake;

/// A post is at most twice the buffering asked for, 256 KiB, and some metadata.
const BODY_MAX: usize = 1 << 20;

/// Takes a free port on all interfaces: which of them `sandbox.localdomain` names is not documented.
///
/// # Errors
/// When there is none.
pub async fn bind() -> std::io::Result<TcpListener> {
    TcpListener::bind(("0.0.0.0", 0)).await
}

/// Receives until the process ends; log records that are `wanted` go the way of those that the function sends.
pub async fn receive(listener: TcpListener, intake: Intake, wanted: Wanted, clock: Clock) {
    let reader = Arc::<Mutex<Reader>>::default();
    serve(listener, move |request| handle(request, intake.clone(), wanted, reader.clone(), clock)).await;
}

/// Always 200: anything else makes the platform send the same batch again, for as long as it lives.
async fn handle(
    request: Request<Incoming>,
    intake: Intake,
    wanted: Wanted,
    reader: Arc<Mutex<Reader>>,
    clock: Clock,
) -> Answer {
    if let Ok(body) = read(request.into_body(), BODY_MAX).await {
        let inbox = &intake.inbox;
        let batch = {
            let mut reader = reader.lock().expect("no holder panics");
            telemetry_api::batch_with_logs(&body, clock.wall(), &mut reader, wanted)
        };
        if let Some(instance_id) = batch.instance_id {
            inbox.send(Message::Instance(instance_id));
        }
        for event in batch.events {
            inbox.send(Message::Input(Input::Platform(guarded(event, &intake.guarding))));
        }
        for records in batch.logs.chunk_by(|one, two| one.request_id == two.request_id) {
            let records: Vec<_> = records.iter().collect();
            intake.log(records[0].request_id.clone(), logs::request(&records).into());
        }
    }
    answer(StatusCode::OK, "text/plain; charset=utf-8", Bytes::new())
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
