//! Everything that the play needs, brought up and taken down in order.

use std::time::Duration;

use sandbox::{Lambda, LambdaConfig, Record, TimelineEntry};

use super::{
    Trouble,
    fraud_api::FraudApi,
    functions::{self, World},
    places::Places,
    play::{self, Played},
    progress::Progress,
    python,
    sqs::Sqs,
    trace::Trace,
};
use crate::{collector::Collector, http1::Reserved};

/// Lambda itself gives an init ten seconds; a busy machine may need longer to read what Python imports.
pub(super) const INIT_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Stage {
    collector: Collector,
    /// Answers as long as it is held.
    _fraud: FraudApi,
    sqs: Sqs,
    lambda: Lambda,
    /// Kept from others as long as they are held.
    _ports: Vec<Reserved>,
}

impl Stage {
    /// Starts everything. When it is dropped half-way, nothing that it started stays.
    pub(super) async fn set(places: &Places, progress: &Progress) -> Result<Self, Trouble> {
        let python = python::interpreter(places, progress).await?;
        let collector = Collector::start();
        let fraud = FraudApi::start().map_err(|error| Trouble::new("cannot start the fraud API", error))?;
        let sqs = Sqs::start(&python, places).await?;
        progress.say(&format!(
            "ready: backend {}, fraud API {}, SQS {}",
            collector.endpoint(),
            fraud.url(),
            sqs.url()
        ));

        let world = World {
            places,
            python: &python,
            backend: collector.endpoint(),
            fraud_url: fraud.url(),
            sqs: &sqs,
            telemetry: None,
        };
        let (specs, ports) = functions::specs(&world)?;
        let lambda = Lambda::start(LambdaConfig { init_timeout: INIT_PATIENCE, ..LambdaConfig::default() })
            .await
            .map_err(|error| Trouble::new("cannot start the sandbox", error))?;
        for spec in specs {
            let name = spec.name.clone();
            lambda
                .create_function(spec)
                .map_err(|error| Trouble::new(format!("cannot create {name}"), error))?;
        }
        progress.say(
            "ready: the extension beside each function; authorize and reconcile (Rust) reach theirs over its Unix socket and nothing else, receipt (Python) over HTTP",
        );
        Ok(Self { collector, _fraud: fraud, sqs, lambda, _ports: ports })
    }

    /// Runs the play, then shuts the environments down, so that the extensions say what they did.
    pub(super) async fn play(
        &self,
        progress: &Progress,
    ) -> Result<(Played, Vec<Record>, Vec<TimelineEntry>), Trouble> {
        let played = play::play(&self.lambda, &self.sqs, progress).await?;
        self.lambda.wait_idle().await;
        self.lambda.shutdown().await;
        progress.say("shut down: every extension has said what it did");
        Ok((played, self.lambda.records(), self.lambda.history()))
    }

    pub(super) fn traces(&self) -> Vec<Trace> {
        Trace::gather(&self.collector.spans())
    }

    /// Ends every process, whether the play is over or was interrupted.
    pub(super) async fn strike(self) {
        self.lambda.shutdown().await;
        self.sqs.stop().await;
    }
}
