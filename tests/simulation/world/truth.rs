//! The truth about each invocation: when it ran, how it ended, what it sent, and what the agent was told of it.

use std::collections::BTreeSet;
use std::fmt;

use policy::{PlatformEvent, RequestId, Span, SpanId, TraceId, UnixNanos};

use super::super::disk::Body;
use super::super::function::{Fate, MS, Plan};
use super::World;
use super::logged::Place;
use super::platform::tells_end;

/// A span of an invocation that was accepted.
#[derive(Clone, Copy)]
pub(super) struct Came {
    pub(super) at: u64,
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) is_remote: bool,
    pub(super) is_named: bool,
    pub(super) start: UnixNanos,
    pub(super) end: UnixNanos,
    /// Whether its times are possible.
    pub(super) is_sane: bool,
}

/// One attempt at an invocation.
#[derive(Clone)]
pub(super) struct Life {
    pub(super) number: u64,
    pub(super) request_id: RequestId,
    pub(super) fate: Fate,
    /// Which of our processes was there when it began.
    pub(super) process: u32,
    pub(super) begun: UnixNanos,
    pub(super) begun_at: u64,
    /// When INVOKE was received.
    pub(super) heard: Option<UnixNanos>,
    pub(super) deadline: UnixNanos,
    pub(super) ended: Option<(UnixNanos, u64)>,
    /// The outermost spans of an entry kind that the function sends.
    pub(super) entries: Vec<Place>,
    /// When the first of them was accepted.
    pub(super) entry_at: Option<u64>,
    pub(super) came: Vec<Came>,
    /// Traces that spans announced for it name.
    pub(super) announced: BTreeSet<TraceId>,
    /// When the agent was handed `platform.start`, `platform.runtimeDone` and `platform.report`.
    pub(super) start_told: Option<u64>,
    pub(super) done_told: Option<u64>,
    pub(super) report_told: Option<u64>,
    /// When the agent could first regard it as over.
    pub(super) known_at: Option<u64>,
    /// When `/next` was asked in it, and until when its report says that it ran.
    pub(super) asked_at: Option<u64>,
    pub(super) reported_end: UnixNanos,
    /// When a span that ended after it was accepted.
    pub(super) passed_at: Option<u64>,
    /// Whether our process was killed while it ran, or before its root was certain.
    pub(super) is_killed: bool,
}

/// What is known of all of them.
#[derive(Debug, Default)]
pub(super) struct Truth {
    pub(super) lives: Vec<Life>,
    /// Every trace that the function has named.
    pub(super) traces: BTreeSet<TraceId>,
    /// Traces of module initialisations.
    pub(super) init_traces: BTreeSet<TraceId>,
    /// When this process was first handed a span, or an announcement.
    pub(super) sdk_seen_at: Option<u64>,
    /// When each process was told to shut down, and the wall time then.
    pub(super) shutdowns: Vec<Option<(u64, UnixNanos)>>,
}

impl Truth {
    pub(super) fn life(&self, number: u64) -> Option<&Life> {
        self.lives.get(number.checked_sub(1)? as usize)
    }

    pub(super) fn life_mut(&mut self, number: u64) -> Option<&mut Life> {
        self.lives.get_mut(number.checked_sub(1)? as usize)
    }

    /// The number of the attempt of `request_id` that began next to `start`.
    pub(super) fn attempt(&self, request_id: &str, start: UnixNanos) -> Option<u64> {
        let of_id = self.lives.iter().filter(|life| *life.request_id == *request_id);
        of_id.min_by_key(|life| life.begun.0.abs_diff(start.0)).map(|life| life.number)
    }

    /// When SHUTDOWN reached the process that `life` began in.
    pub(super) fn shutdown_of(&self, life: &Life) -> Option<(u64, UnixNanos)> {
        self.shutdowns.get(life.process as usize).copied().flatten()
    }

    /// The invocations of the same process that began after `life`.
    pub(super) fn later_than(&self, life: &Life) -> impl Iterator<Item = &Life> {
        let process = life.process;
        self.lives[life.number as usize..].iter().take_while(move |later| later.process == process)
    }
}

impl World {
    pub(super) fn begin_life(&mut self, plan: &Plan, deadline: UnixNanos) {
        self.truth.lives.push(Life {
            number: plan.number,
            request_id: plan.request_id.clone(),
            fate: plan.fate,
            process: self.processes,
            begun: self.wall(),
            begun_at: self.now,
            heard: None,
            deadline,
            ended: None,
            entries: plan.entries(),
            entry_at: None,
            came: Vec::new(),
            announced: BTreeSet::new(),
            start_told: None,
            done_told: None,
            report_told: None,
            known_at: None,
            asked_at: None,
            reported_end: UnixNanos(0),
            passed_at: None,
            is_killed: false,
        });
    }

    /// The agent is about to be handed a span.
    pub(super) fn note_came(&mut self, span: &Span<Body>) {
        let now = self.now;
        self.truth.sdk_seen_at.get_or_insert(now);
        self.truth.traces.insert(span.trace_id);
        if span.body.of == 0 {
            self.truth.init_traces.insert(span.trace_id);
        }
        let is_sane = span.start.0 > 0 && span.end.0 < span.start.0 + (1 << 50);
        let came = Came {
            at: now,
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent: span.parent,
            // The parent of an entry span is its caller's, unless that is denied.
            is_remote: span.parent_is_remote.unwrap_or(span.kind.is_entry()),
            is_named: span.request_id.is_some(),
            start: span.start,
            end: span.end,
            is_sane,
        };
        let recent = self.truth.lives.len().saturating_sub(RECENT);
        for life in &mut self.truth.lives[recent..] {
            let is_past = life.ended.is_some_and(|(end, _)| span.end > end);
            if is_past && life.number != span.body.of {
                life.passed_at.get_or_insert(now);
            }
        }
        let Some(life) = self.truth.life_mut(span.body.of) else { return };
        life.came.push(came);
        if life.entries.contains(&(span.trace_id, span.span_id)) {
            life.entry_at.get_or_insert(now);
        }
        if tells_end(span) {
            life.known_at.get_or_insert(now);
        }
    }

    /// The agent is about to be handed an event of the platform about invocation `number`.
    pub(super) fn note_told_of(&mut self, number: u64, event: &PlatformEvent) {
        let (now, is_managed) = (self.now, self.config.is_managed());
        let Some(life) = self.truth.life_mut(number) else { return };
        match event {
            PlatformEvent::Start { .. } => drop(life.start_told.get_or_insert(now)),
            PlatformEvent::RuntimeDone { .. } => drop(life.done_told.get_or_insert(now)),
            PlatformEvent::Report { .. } => {
                life.report_told.get_or_insert(now);
                if is_managed {
                    life.done_told.get_or_insert(now);
                }
            }
            _ => return,
        }
        if !matches!(event, PlatformEvent::Start { .. }) {
            life.known_at.get_or_insert(now);
        }
    }

    /// Our process is killed: who it had not certainly told of, the next one may tell of anew.
    pub(super) fn note_killed_lives(&mut self) {
        let process = self.processes;
        for life in self.truth.lives.iter_mut().rev().take_while(|life| life.process == process) {
            life.is_killed = true;
        }
    }
}

/// Invocations that a span may be later than, and that matter.
const RECENT: usize = 80;

impl fmt::Debug for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, trace_id, span_id, parent, is_named, is_sane, .. } = self;
        let parent = parent.map_or_else(|| "none".to_owned(), |parent| short(parent.bytes()));
        let (trace, span) = (short(trace_id.bytes()), short(span_id.bytes()));
        write!(f, "{span} below {parent} in {trace} at {} ms", at / MS)?;
        write!(f, "{}{}", if *is_named { ", named" } else { "" }, if *is_sane { "" } else { ", bogus" })
    }
}

impl fmt::Debug for Life {
    /// In a few lines; times in milliseconds of the world.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |at: Option<u64>| at.map_or_else(|| "-".to_owned(), |at| format!("{} ms", at / MS));
        let Self { number, request_id, fate, process, begun, is_killed, .. } = self;
        writeln!(f, "invocation {number} ({request_id}) {fate:?} of process {process}, killed: {is_killed}")?;
        let late = self.heard.map(|heard| heard.0 - begun.0);
        write!(f, "  begun {} ({} ms), heard {} later", begun.0, self.begun_at / MS, ms(late))?;
        let ended = self.ended.map(|(wall, _)| wall.0);
        writeln!(f, ", ended {ended:?} ({})", ms(self.ended.map(|(_, at)| at)))?;
        write!(f, "  told: start {}, done {}", ms(self.start_told), ms(self.done_told))?;
        writeln!(f, ", report {}; known {}", ms(self.report_told), ms(self.known_at))?;
        writeln!(f, "  own root came {}, passed {}", ms(self.entry_at), ms(self.passed_at))?;
        let announced: Vec<_> = self.announced.iter().map(|trace| short(trace.bytes())).collect();
        write!(f, "  announced in {announced:?}, came {:?}", &self.came[..self.came.len().min(6)])
    }
}

/// The last bytes of an id.
pub(super) fn short(bytes: &[u8]) -> String {
    bytes[bytes.len() - 4..].iter().map(|byte| format!("{byte:02x}")).collect()
}
