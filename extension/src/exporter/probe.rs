//! An empty request to each backend, for `prefreeze doctor`: made as every other, by the same client.

use std::time::Duration;

use policy::{Effort, LaneId};
use wire::otlp::Identity;

use super::Exporter;
use super::failure::Failure;
use crate::clock::within;

/// How long an answer is waited for: what takes longer would hold a function for as long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a backend did not take an empty request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the cause, as lines have it.
    pub cause: &'static str,
    /// What happened, in words.
    pub sentence: &'static str,
    /// The status, where there was an answer.
    pub status: Option<u16>,
    /// The innermost text of the error; may be empty.
    pub detail: String,
}

impl From<Failure> for Finding {
    fn from(failure: Failure) -> Self {
        let Failure { cause, status, detail } = failure;
        Self { cause: cause.name(), sentence: cause.sentence(), status, detail }
    }
}

impl Exporter {
    /// Sends an empty request of `lane`; `None` where that goes nowhere.
    pub async fn probe(&self, lane: LaneId) -> Option<Result<(), Finding>> {
        let route = self.routes.get(&lane)?.clone();
        let backend = &self.backends[route.backend];
        let Some(client) = backend.client() else {
            let sentence = "no client could be made: see the certificate settings";
            return Some(Err(Finding {
                cause: "exporter_unusable",
                sentence,
                status: None,
                detail: String::new(),
            }));
        };
        let sender = self.sender(lane.signal, route, client, backend.agreement.clone());
        let identity = Identity::default();
        let ended = within(PATIENCE, sender.deliver(&[], &identity, Effort::Least)).await;
        let failure = match ended {
            Some((ended, _, _)) => ended.failure,
            None => Some(Failure::of(backend.health.silence())),
        };
        Some(failure.map_or(Ok(()), |failure| Err(failure.into())))
    }
}
