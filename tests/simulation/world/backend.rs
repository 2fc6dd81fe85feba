//! The virtual backend: what it says to a request, and after how long.

use std::sync::Arc;

use policy::{BatchId, Content, Entry, Input, Outcome, PlatformSpan};

use super::super::disk::{Body, MADE};
use super::super::faults::Faults;
use super::super::function::MS;
use super::{Event, Request, World};

impl World {
    pub(super) fn export(&mut self, id: BatchId, entries: Arc<[Entry<Body>]>) {
        assert!(!self.is_asked, "an export begins while /next is asked: it may be frozen at once");
        let count: u32 = entries.iter().map(|entry| entry.count).sum();
        let (outcome, takes) = self.answer_of(&entries);
        self.say(&format!("export {} of {count}: {outcome:?}", id.0));
        self.backend.insert(id, Request { entries, outcome });
        if let Some(takes) = takes {
            self.later(self.now + takes, Event::Answer(id));
        }
    }

    /// What the backend will say, and after how long; never for one that hangs.
    pub(super) fn answer_of(&mut self, entries: &[Entry<Body>]) -> (Outcome, Option<u64>) {
        let faults = if self.is_healthy() { Faults::default() } else { self.faults.clone() };
        let takes = if faults.is_slow { self.rng.below(3_000) * MS } else { (2 + self.rng.below(20)) * MS };
        let mut on = |is_possible: bool| is_possible && self.rng.below(2) == 0;
        let delivered = (Outcome::Delivered { rejected: 0 }, Some(takes));
        if on(faults.refuses) {
            (Outcome::Retry { after: None }, Some(MS / 10))
        } else if on(faults.hangs) {
            (Outcome::Lost, None)
        } else if on(faults.answers_503) {
            (Outcome::Retry { after: None }, Some(takes))
        } else if on(faults.asks_for_patience) {
            let after = std::time::Duration::from_millis(self.rng.below(60_000));
            (Outcome::Retry { after: Some(after) }, Some(takes))
        } else if on(faults.breaks_connections) {
            (Outcome::Lost, Some(takes / 2))
        } else if on(faults.answers_400) {
            (Outcome::Rejected { status: 400 }, Some(takes))
        } else if faults.answers_413 && entries.len() > 3 {
            (Outcome::TooLarge, Some(takes))
        } else if on(faults.takes_part) {
            (Outcome::Delivered { rejected: 1 }, Some(takes))
        } else {
            delivered
        }
    }

    pub(super) fn answer(&mut self, id: BatchId) {
        let Some(request) = self.backend.remove(&id) else { return };
        if matches!(request.outcome, Outcome::Delivered { .. }) {
            for entry in request.entries.iter() {
                match &entry.content {
                    Content::Received(body) if body.id >= MADE => {
                        let span = self.made[(body.id - MADE) as usize].clone();
                        self.note_root(&span);
                    }
                    Content::Received(body) => {
                        assert!(self.accepted.contains(&body.id), "a span that nobody sent");
                        self.delivered.insert(body.id);
                    }
                    Content::Made(span) => self.note_root(span),
                }
            }
        }
        self.step(Input::Exported { id, outcome: request.outcome, raw_bytes: 1, sent_bytes: 1 });
    }

    pub(super) fn note_root(&mut self, span: &PlatformSpan) {
        let invocation = span.attributes.iter().find(|(key, _)| *key == "faas.invocation_id");
        if let Some((_, policy::Value::Text(request_id))) = invocation {
            *self.roots.entry(request_id.to_string()).or_default() += 1;
        }
    }
}
