//! The subscription to the platform's events: one request where it is accepted, and what is tried where it is not.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use policy::Subscription;
use serde_json::json;
use tokio::time::timeout;
use wire::telemetry_api::{self, Schema};

use super::Error;
use super::connection::{Connection, call};
use crate::log::{Level, say};

/// The subscription is answered in some 25 ms. Registration waits for nothing else at this point, so a platform that
/// does not answer must not delay the function's first invocation for longer.
const SUBSCRIBE_MAX: Duration = Duration::from_millis(1_000);
/// Requests for one schema: a second one, on a new connection, where the first broke off or the platform failed (5xx).
const TRIES: usize = 2;

/// What AWS's emulator answers, which has no Telemetry API.
///
/// # Source
/// <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html>
const NOT_SUPPORTED_LOCALLY: u16 = 202;

/// Asks the platform to post its events to `port`. The request travels on `connection` if there is one.
///
/// A platform that accepts at once gets one request. A refused schema is replaced by the one before. A refusal is
/// logged once, and Prefreeze works on: ends of invocations are then seen by the function's own spans and by deadlines.
pub async fn subscribe(
    connection: Option<Connection>,
    extension_id: &str,
    port: u16,
    with_lines: bool,
) -> Subscription {
    let asking = async {
        let mut connection = connection;
        let mut refusal = Refusal::Unanswered("nothing was asked".into());
        for schema in Schema::ALL {
            refusal = match ask(connection.take(), extension_id, port, with_lines, schema).await {
                Ok(()) => {
                    accepted(schema);
                    return Subscription::Accepted;
                }
                Err(refusal) => refusal,
            };
            if !matches!(refusal, Refusal::Status(400)) {
                break;
            }
        }
        unavailable(&refusal)
    };
    timeout(SUBSCRIBE_MAX, asking)
        .await
        .unwrap_or_else(|_| unavailable(&Refusal::Unanswered("no answer within a second".into())))
}

/// Why there is no subscription.
enum Refusal {
    /// The platform answered with this status.
    Status(u16),
    /// It did not answer.
    Unanswered(Error),
}

/// Asks for events of `schema`.
async fn ask(
    mut connection: Option<Connection>,
    extension_id: &str,
    port: u16,
    with_lines: bool,
    schema: Schema,
) -> Result<(), Refusal> {
    let mut refusal = Refusal::Unanswered("nothing was asked".into());
    for _ in 0..TRIES {
        let request = Request::put(telemetry_api::SUBSCRIBE_PATH)
            .header("Lambda-Extension-Identifier", extension_id)
            .header("Content-Type", "application/json")
            .body(Bytes::from(telemetry_api::subscription(schema, port, with_lines)))
            .map_err(|error| Refusal::Unanswered(error.into()))?;
        let answer = match connection.take() {
            Some(connection) => connection.call(request).await,
            None => call(request).await,
        };
        refusal = match answer {
            Ok((200, _)) => return Ok(()),
            Ok((status @ 500.., _)) => Refusal::Status(status),
            Ok((status, _)) => return Err(Refusal::Status(status)),
            Err(error) => Refusal::Unanswered(error),
        };
    }
    Err(refusal)
}

fn accepted(schema: Schema) {
    if schema != Schema::ALL[0] {
        let message = "the Telemetry API refused the newest schema; Prefreeze subscribed with an older one, \
                       whose events have fewer fields";
        let (refused, accepted) = (Schema::ALL[0].as_str(), schema.as_str());
        say(Level::Info, "telemetry_schema", message, json!({ "refused": refused, "schema": accepted }));
    }
}

/// Logs what a refusal means.
fn unavailable(refusal: &Refusal) -> Subscription {
    let is_local = matches!(refusal, Refusal::Status(NOT_SUPPORTED_LOCALLY));
    let message = if is_local {
        "the platform is a local emulator without the Telemetry API: no invocation waits for Prefreeze, data is sent as \
         it arrives, and cold starts, timeouts and crashes are reported less precisely"
    } else {
        "the Telemetry API refused the subscription: no platform events arrive, so an invocation ends when the \
         function's own spans or a flush request say so, and cold starts, timeouts and crashes are reported less \
         precisely"
    };
    let field = match refusal {
        Refusal::Status(status) => json!({ "status": status }),
        Refusal::Unanswered(error) => json!({ "error": (error as &dyn Display).to_string() }),
    };
    say(if is_local { Level::Info } else { Level::Warn }, "telemetry_unavailable", message, field);
    if is_local { Subscription::Local } else { Subscription::Refused }
}
