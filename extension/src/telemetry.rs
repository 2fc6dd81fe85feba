//! The only listener for the platform's events: the receiving end of the Telemetry API.

use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use policy::{Input, PlatformEvent};
use tokio::net::TcpListener;
use wire::telemetry_api;

use crate::clock::Clock;
use crate::driver::{Inbox, Message};
use crate::guarding::Guarding;
use crate::http::{Answer, answer, read, serve};

/// A post is at most twice the buffering asked for, 256 KiB, and some metadata.
const BODY_MAX: usize = 1 << 20;

/// Takes a free port on all interfaces: which of them `sandbox.localdomain` names is not documented.
///
/// # Errors
/// When there is none.
pub async fn bind() -> std::io::Result<TcpListener> {
    TcpListener::bind(("0.0.0.0", 0)).await
}

/// Receives until the process ends.
pub async fn receive(listener: TcpListener, inbox: Inbox, clock: Clock, guarding: Guarding) {
    serve(listener, move |request| handle(request, inbox.clone(), clock, guarding.clone())).await;
}

/// Always 200: anything else makes the platform send the same batch again, for as long as it lives.
async fn handle(request: Request<Incoming>, inbox: Inbox, clock: Clock, guarding: Guarding) -> Answer {
    if let Ok(body) = read(request.into_body(), BODY_MAX).await {
        let batch = telemetry_api::batch(&body, clock.wall());
        if let Some(instance_id) = batch.instance_id {
            inbox.send(Message::Instance(instance_id));
        }
        for event in batch.events {
            inbox.send(Message::Input(Input::Platform(guarded(event, &guarding))));
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
