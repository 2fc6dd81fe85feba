//! Many invocations in one environment, each with the faults that a seed gives it: nothing accepted is missing.
//!
//! `SWARM=7` plays another seed.

use std::env;

use sandbox::{InvocationFaults, InvokeRequest, ShutdownReason, What};
use tests::collector::{Answer, State};

use super::books::{self, Books};
use super::gate::Gate;
use super::play::{count, event, is_crash};
use super::stage::Stage;

const INVOCATIONS: u64 = 120;
/// Every so many invocations, the backend is ill for as many.
const SPELL: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_faults_together_lose_nothing_that_was_accepted() {
    let seed = env::var("SWARM").ok().map_or(1, |text| text.parse().expect("SWARM is a number"));
    let stage = Stage::set(50_000, |spec| {
        // Where neither the platform nor the function tells of the end, it is waited for.
        spec.timeout = std::time::Duration::from_secs(3);
        spec.env.push(("PREFREEZE_FLUSH_TIMEOUT_MS".into(), "300".into()));
    })
    .await;
    let mut kills = 0;
    for number in 0..INVOCATIONS {
        match number % (2 * SPELL) {
            SPELL => stage.collector.always(Answer::status(503)),
            0 => stage.collector.always(Answer::ok()),
            _ => {}
        }
        let (faults, telemetry_faults) = InvocationFaults::seeded(seed, number);
        kills += u64::from(faults.kill.is_some());
        let event = event(&format!("swarm-{number}"), 100 + number, "good", "respond");
        stage.request(InvokeRequest { faults, telemetry_faults, ..InvokeRequest::json(&event) }).await;
    }
    stage.collector.always(Answer::ok());
    drain(&stage).await;
    stage.strike(ShutdownReason::Spindown).await;
    let history = stage.lambda.history();
    let wanted = books::accepted(&history);
    let total: u64 = wanted.values().sum();
    let crashes = count(&history, is_crash);
    println!("seed {seed}: {total} spans accepted, {crashes} of {kills} kills");
    let missing = books::missing(&wanted, &books::arrived(&stage.collector.state(), false, false));
    assert_eq!(missing, 0, "SWARM={seed}\n{}", stage.timeline());
    let books = Books::read(&history);
    assert_eq!(books.given_up(), 0, "SWARM={seed}: {books:?}");
    assert!(crashes > 0 && total > INVOCATIONS, "the seed tries nothing");
    let told = count(&history, |what| matches!(what, What::ShutdownDelivered { .. }));
    assert_eq!(told, books.summaries, "SWARM={seed}: a process did not end in time");
}

/// A last invocation, whose handler lasts until everything has arrived.
async fn drain(stage: &Stage) {
    let wanted = books::accepted(&stage.lambda.history());
    let has_all = |state: &State| books::missing(&wanted, &books::arrived(state, false, false)) == 0;
    let gate = Gate::new().await;
    let mut event = event("drain", 2, "good", "respond");
    event["gate"] = serde_json::json!({ "before sending": gate.address().to_string() });
    let patience = std::time::Duration::from_secs(2);
    let arrived = gate.hold(stage.collector.wait_for_async(has_all, patience));
    tokio::join!(stage.request(InvokeRequest::json(&event)), arrived);
}
