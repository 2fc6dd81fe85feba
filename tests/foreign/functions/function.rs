//! The same as function.py, on AWS's own runtime client for Rust.

use std::env;
use std::process;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use prost::Message;
use serde_json::{Value, json};
use tests::http1::{Headers, send};
use tests::otlp::{Ids, SpanExt, server_span, traces};

const TIMER: Duration = Duration::from_millis(1_500);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (event, context) = event.into_parts();
    let began = unix_nanos();
    tokio::time::sleep(Duration::from_secs_f64(event["sleep"].as_f64().unwrap_or(0.02))).await;
    if event["crash"] == true {
        process::exit(3);
    }
    let name = event["name"].as_str().unwrap_or("own");
    let span = server_span(name, Ids::new(began), &context.request_id).with_times(began, unix_nanos());
    let body = traces([span]).encode_to_vec();
    match event["sends"].as_str() {
        Some("at its end") => post(&body),
        Some("by a timer") => {
            tokio::spawn(async move {
                tokio::time::sleep(TIMER).await;
                post(&body);
            });
        }
        _ => {}
    }
    Ok(json!("ok"))
}

fn post(body: &[u8]) {
    let Ok(receiver) = env::var("OTEL_EXPORTER_OTLP_ENDPOINT") else { return };
    let headers = Headers::from([("Content-Type", "application/x-protobuf")]);
    let sent = send(receiver.trim_start_matches("http://"), "POST", "/v1/traces", &headers, body);
    sent.expect("the receiver answers");
}

fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    u64::try_from(since.as_nanos()).expect("before the year 2554")
}
