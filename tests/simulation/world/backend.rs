//! The virtual backend: what it says to a request, and after how long.

use std::sync::Arc;

use policy::{BatchId, Content, Entry, InitType, Input, Outcome, PlatformSpan};

use super::super::disk::{ANNOUNCED, BUNDLED, Body, LOGGED, MADE, Piece};
use super::super::function::MS;
use super::super::sampling;
use super::logged::Place;
use super::{Event, Request, World};

/// Who a span at the backend is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The function, when it ended.
    Function,
    /// The function, when it began; closed here.
    Closed,
    /// The platform's events.
    Made,
}

/// Bytes a second that a narrow backend takes.
const NARROW: u64 = 100_000;

impl World {
    pub(super) fn export(&mut self, id: BatchId, entries: Arc<[Entry<Body>]>) {
        assert!(
            !self.is_asked || self.config.is_managed(),
            "an export begins while /next is asked: it may be frozen at once"
        );
        let count: u32 = entries.iter().map(|entry| entry.count).sum();
        sampling::check(&self.config.sampling, &entries);
        let (outcome, takes) = self.answer_of(&entries);
        self.say(&format!("export {} of {count}: {outcome:?}", id.0));
        self.backend.insert(id, Request { entries, outcome, launched: self.now, waits: 0 });
        if let Some(takes) = takes {
            self.later(self.now + takes, Event::Answer(id));
        }
    }

    /// What the backend will say, and after how long; never for one that hangs.
    pub(super) fn answer_of(&mut self, entries: &[Entry<Body>]) -> (Outcome, Option<u64>) {
        let faults = self.faults_now();
        let takes = if faults.is_slow { self.rng.below(3_000) * MS } else { (2 + self.rng.below(20)) * MS };
        let takes = if faults.is_narrow { self.pass_through(entries) } else { takes };
        let mut on = |is_possible: bool| is_possible && self.rng.below(2) == 0;
        let (what, outcome, takes) = if on(faults.refuses) {
            ("backend refuses", Outcome::Retry { after: None }, Some(MS / 10))
        } else if on(faults.hangs) {
            ("backend hangs", Outcome::Lost, None)
        } else if on(faults.answers_503) {
            ("backend answers 503", Outcome::Retry { after: None }, Some(takes))
        } else if on(faults.asks_for_patience) {
            let after = Some(std::time::Duration::from_millis(self.rng.below(60_000)));
            ("backend asks for patience", Outcome::Retry { after }, Some(takes))
        } else if on(faults.breaks_connections) {
            ("backend breaks a connection", Outcome::Lost, Some(takes / 2))
        } else if on(faults.answers_400) {
            ("backend answers 400", Outcome::Rejected { status: 400 }, Some(takes))
        } else if faults.answers_413 && entries.len() > 3 {
            ("backend answers 413", Outcome::TooLarge, Some(takes))
        } else if on(faults.takes_part) {
            ("backend takes a part", Outcome::Delivered { rejected: 1 }, Some(takes))
        } else {
            if faults.is_slow {
                self.coverage.note("backend is slow");
            }
            return (Outcome::Delivered { rejected: 0 }, Some(takes));
        };
        self.coverage.note(what);
        (outcome, takes)
    }

    /// All requests share what a narrow backend takes in a second, one after the other.
    fn pass_through(&mut self, entries: &[Entry<Body>]) -> u64 {
        self.coverage.note("backend is narrow");
        let bytes: u64 = entries.iter().map(|entry| u64::from(entry.size)).sum();
        self.busy_until = self.busy_until.max(self.now) + bytes * 1_000_000_000 / NARROW;
        self.busy_until - self.now + 5 * MS
    }

    pub(super) fn answer(&mut self, id: BatchId) {
        let Some(request) = self.backend.remove(&id) else { return };
        if matches!(request.outcome, Outcome::Delivered { .. }) {
            for entry in request.entries.iter() {
                self.take_in(&entry.content);
            }
        }
        self.step(Input::Exported { id, outcome: request.outcome, raw_bytes: 1, sent_bytes: 1 });
    }

    /// The backend has it.
    fn take_in(&mut self, content: &Content<Body>) {
        match content {
            Content::Measured(measured) => self.note_measured(measured),
            Content::Received(body) if body.id >= BUNDLED => {
                for piece in self.disk.bundle(body.id) {
                    match piece {
                        Piece::Metered(measured, _) => self.note_measured(&measured),
                        Piece::Logged(id, _, placed) => self.note_logs(id, placed),
                        Piece::Received(..) | Piece::Made(_) => unreachable!("spans come back one by one"),
                    }
                }
            }
            Content::Received(body) if body.id >= MADE => {
                let span = self.made[(body.id - MADE) as usize].clone();
                self.note_root(&span);
            }
            Content::Received(body) if body.id >= ANNOUNCED => {
                self.note_sent((body.trace_id, body.span_id), Origin::Closed);
                self.note_closed(body);
            }
            Content::Received(body) if body.id >= LOGGED => self.note_logs(body.id, body.placed),
            Content::Received(body) => {
                assert!(self.accepted.contains(&body.id), "a span that nobody sent");
                self.note_sent((body.trace_id, body.span_id), Origin::Function);
                self.delivered.insert(body.id);
            }
            Content::Made(span) => self.note_root(span),
        }
    }

    /// The backend has a span of this name: never two, whoever they are from.
    fn note_sent(&mut self, name: Place, origin: Origin) {
        let known = self.sent.insert(name, origin);
        // What another process has sent before it was killed, nobody knows.
        assert!(known.is_none() || self.kills > 0, "{name:?} came twice: as {known:?} and as {origin:?}");
    }

    fn note_root(&mut self, span: &PlatformSpan) {
        self.note_sent((span.trace_id, span.span_id), Origin::Made);
        self.ids.insert(*span.span_id.bytes());
        assert!(span.start <= span.end, "it ends before it begins: {span:?}");
        let mut sources = span.attributes.iter().filter(|(key, _)| *key == "prefreeze.parent_source");
        let is_adopted =
            sources.any(|(_, value)| matches!(value, policy::Value::Text(word) if **word == *"adopted"));
        // What children of a dead function name as their parent is where it began.
        assert!(span.parent.is_none() || !is_adopted, "rebuilt below another: {span:?}");
        assert_ne!(span.parent, Some(span.span_id), "its own parent: {span:?}");
        let invocation = span.attributes.iter().find(|(key, _)| *key == "faas.invocation_id");
        if let Some((_, policy::Value::Text(request_id))) = invocation {
            *self.roots.entry(request_id.to_string()).or_default() += 1;
            self.logged.learn(request_id, (span.trace_id, span.span_id));
        } else if span.attributes.iter().any(|(key, _)| *key == "aws.lambda.initialization_type") {
            self.check_cold_start(span);
        }
    }

    /// A cold start is told where somebody waited for it, by the word of its kind, and once for each process.
    fn check_cold_start(&mut self, span: &PlatformSpan) {
        let word = match self.config.init_type {
            InitType::OnDemand => "init ",
            InitType::SnapStart => "restore ",
            InitType::ProvisionedConcurrency | InitType::ManagedInstances => {
                panic!("nobody waited for {span:?}")
            }
        };
        assert!(span.name.starts_with(word), "a cold start of another kind: {span:?}");
        self.cold_starts.insert(*span.span_id.bytes());
        assert!(self.cold_starts.len() <= self.processes as usize, "more cold starts than processes");
    }
}
