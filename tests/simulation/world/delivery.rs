//! Items at the backend, by identity: each delivered once, and again only where its answer was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policy::{Content, Entry, Measured, Outcome, Phase, PlatformSpan, Signal, Span, SpanId, TraceId};

use super::super::checks::is_on;
use super::super::disk::{ANNOUNCED, BUNDLED, Body, LOGGED, MADE, Piece};
use super::super::function::MS;
use super::World;
use super::choices::asked;
use super::lane::REFUSED;
use super::network::Request;

/// After a thaw, answers are read within 5 ms in this world, and no request is given up before this time awake:
/// the shortest grace of four latencies.
const GRACE_MIN: u64 = 20 * MS;

/// A request that has been awake for so long while others had their answers is on a connection that is suspected.
const STALL_MIN: u64 = 190 * MS;
/// So many freezes are enough to give a request up.
const WAITS_MAX: u32 = 5;
/// No pause that the agent chooses is longer.
const OWN_PAUSE_MAX: u64 = 2_000 * MS;

/// Who an item is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The function, when it ended.
    Function,
    /// The function, when it began; closed here.
    Closed,
    /// The platform's events, or the metrics of the agent.
    Made,
}

/// The identity of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Span(TraceId, SpanId),
    Logs(u64),
    /// The address of points, which are kept here for as long as their world lives.
    Points(usize),
}

/// What became of an item.
#[derive(Clone, Copy, Debug, Default)]
struct Delivery {
    taken: u32,
    is_acknowledged: bool,
    /// Whether a request with it is under way, or has ended without an answer.
    is_under_way: bool,
    is_unanswered: bool,
    origin: Option<Origin>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    items: BTreeMap<Name, Delivery>,
    points: BTreeMap<usize, Arc<Measured>>,
    /// Items that this process has sent again after an answer was lost; and after any answer was, which includes those
    /// that have been refused since.
    pub(super) resent: u64,
    pub(super) resent_in_doubt: u64,
    /// Spans that a killed process had put on disk without knowing so, and that were recovered besides.
    twofold: BTreeSet<u64>,
    /// Items whose request has ended without an answer in this process.
    unanswered: BTreeSet<Name>,
    /// When an answer last gave a reason to give up on others of its signal.
    pub(super) excused_at: [u64; Signal::ALL.len()],
    /// Until when a failed request may be waited for to be tried again.
    pub(super) retries_until: [u64; Signal::ALL.len()],
    /// Until when a backend has last asked to be left alone.
    pub(super) asked_until: [u64; Signal::ALL.len()],
    /// How long a request was under way that this process had an answer to, the waits for `/next` left out: the longest.
    pub(super) slowest: [u64; Signal::ALL.len()],
}

/// An item of a request.
enum Item<'a> {
    Received(&'a Body),
    Made(&'a PlatformSpan),
    Logs(u64, Option<(TraceId, SpanId)>),
    Points(Arc<Measured>),
}

impl Item<'_> {
    fn origin(&self) -> Origin {
        match self {
            Self::Made(_) => Origin::Made,
            Self::Received(body) if body.id >= ANNOUNCED => Origin::Closed,
            _ => Origin::Function,
        }
    }

    fn name(&self) -> Name {
        match self {
            Self::Received(body) => Name::Span(body.trace_id, body.span_id),
            Self::Made(span) => Name::Span(span.trace_id, span.span_id),
            Self::Logs(id, _) => Name::Logs(*id),
            Self::Points(points) => Name::Points(Arc::as_ptr(points) as usize),
        }
    }
}

impl World {
    fn each_item(&mut self, entries: &[Entry<Body>], then: fn(&mut Self, &Item<'_>)) {
        for entry in entries {
            match &entry.content {
                Content::Measured(measured) => then(self, &Item::Points(measured.clone())),
                Content::Made(span) => then(self, &Item::Made(span)),
                Content::Received(body) if body.id >= BUNDLED => {
                    for piece in self.disk.bundle(body.id) {
                        match piece {
                            Piece::Metered(measured, _) => then(self, &Item::Points(measured)),
                            Piece::Logged(id, _, placed) => then(self, &Item::Logs(id, placed)),
                            Piece::Received(..) | Piece::Made(_) => {
                                unreachable!("spans are read back one by one")
                            }
                        }
                    }
                }
                Content::Received(body) if body.id >= MADE => {
                    let span = self.made[(body.id - MADE) as usize].clone();
                    then(self, &Item::Made(&span));
                }
                Content::Received(body) if body.id >= LOGGED && body.id < ANNOUNCED => {
                    then(self, &Item::Logs(body.id, body.placed));
                }
                Content::Received(body) => then(self, &Item::Received(body)),
            }
        }
    }

    /// The agent sends these: none that is acknowledged, none that is under way already.
    pub(super) fn note_launched(&mut self, entries: &[Entry<Body>]) {
        self.each_item(entries, |world, item| {
            let (name, kills) = (item.name(), world.kills);
            if let (Name::Points(address), Item::Points(points)) = (name, item) {
                world.deliveries.points.insert(address, points.clone());
            }
            let delivery = world.deliveries.items.entry(name).or_default();
            let origin = item.origin();
            let known = delivery.origin.replace(origin);
            let is_same = known.is_none_or(|known| known == origin);
            assert!(is_same || kills > 0, "{name:?} is sent as {known:?} and as {origin:?}");
            assert!(!delivery.is_under_way || kills > 0, "{name:?} is sent, and under way already");
            // What an earlier process put on the disk as it left may have been acknowledged while it was written.
            let is_from_disk = world.processes > 1;
            assert!(
                !delivery.is_acknowledged || kills > 0 || is_from_disk,
                "{name:?} is sent again after it was acknowledged"
            );
            delivery.is_under_way = true;
            let is_doubtful = delivery.is_unanswered;
            let weight = if is_doubtful { world.weight(&name) } else { 0 };
            world.deliveries.resent_in_doubt += weight;
            if world.deliveries.unanswered.remove(&name) {
                world.coverage.note("sent again");
                // What a killed process had made is on the disk, and is made again; and what it was putting there is recovered,
                // too: for the books these are two items.
                let is_one = match item {
                    Item::Made(_) => kills == 0,
                    Item::Received(body) => !world.deliveries.twofold.contains(&body.id),
                    Item::Logs(..) | Item::Points(_) => true,
                };
                world.deliveries.resent += if is_one { weight } else { 0 };
            }
        });
    }

    /// How many items the ledger counts for it.
    fn weight(&self, name: &Name) -> u64 {
        match name {
            Name::Span(..) => 1,
            Name::Logs(id) => self.logged.count(*id),
            Name::Points(address) => {
                self.deliveries.points.get(address).map_or(0, |points| points.points.len() as u64)
            }
        }
    }

    /// An answer, or the loss of one, is about to reach the agent.
    pub(super) fn note_answer(&mut self, request: &Request) {
        self.note_verdict(request);
        let then: fn(&mut Self, &Item<'_>) = match request.reply.outcome {
            Outcome::Delivered { .. } => |world, item| {
                let delivery = world.deliveries.items.entry(item.name()).or_default();
                (delivery.is_under_way, delivery.is_acknowledged) = (false, true);
                if let (Item::Received(body), Some(row)) = (item, &world.row) {
                    world.lag = world.lag.max(row.lag(body.of, world.invocations));
                }
            },
            Outcome::Lost => |world, item| world.note_unanswered(item.name()),
            _ => |world, item| {
                world.deliveries.items.entry(item.name()).or_default().is_under_way = false;
            },
        };
        self.each_item(&request.entries, then);
        if let Outcome::Refused { .. } = request.reply.outcome {
            // It is said once, and looked after each time.
            self.held.down[request.id.lane.signal as usize] = true;
        }
        let asked = match request.reply.outcome {
            Outcome::Retry { after } => asked(after),
            _ => None,
        };
        if let Some(pause) = asked {
            self.note_patience(&request.entries, pause);
        }
        let signal = request.id.lane.signal as usize;
        let pause = match request.reply.outcome {
            Outcome::Delivered { .. } => return self.note_time_of(request),
            Outcome::Refused { .. } => REFUSED,
            _ => asked.unwrap_or(OWN_PAUSE_MAX),
        };
        if asked.is_some() {
            let until = &mut self.deliveries.asked_until[signal];
            *until = (*until).max(self.now + pause);
        }
        self.deliveries.excused_at[signal] = self.now;
        let until = &mut self.deliveries.retries_until[signal];
        *until = (*until).max(self.now + pause);
    }

    /// How long it took, if the time of all waits that it has been through is known.
    fn note_time_of(&mut self, request: &Request) {
        let is_known = matches!(self.agent.phase(), Phase::Running | Phase::Flushing);
        if is_known || request.launched >= self.held.begun_at {
            let took = self.now - request.launched - (self.waited - request.waited_before);
            let slowest = &mut self.deliveries.slowest[request.id.lane.signal as usize];
            *slowest = took.max(*slowest);
        }
    }

    fn note_unanswered(&mut self, name: Name) {
        let delivery = self.deliveries.items.entry(name).or_default();
        (delivery.is_under_way, delivery.is_unanswered) = (false, true);
        self.deliveries.unanswered.insert(name);
    }

    /// The agent gives up on an answer: not before it could have been read.
    pub(super) fn note_cancelled(&mut self, request: &Request) {
        let awake = self.now - request.launched.max(self.held.begun_at).min(self.now);
        let in_all = (self.now - request.launched).saturating_sub(self.waited - request.waited_before);
        // Packing takes time, which the agent does not see: the requests of one step begin together for it.
        let packing = self.character.cpu.1 * 100;
        let is_old = in_all + packing >= STALL_MIN || request.waits >= WAITS_MAX;
        let is_ending = matches!(self.agent.phase(), Phase::Draining | Phase::Exited);
        let signal = request.id.lane.signal as usize;
        let is_excused = self.deliveries.excused_at[signal] == self.now || is_ending;
        let answers_soon = request.will_be_answered();
        assert!(
            !is_on("given up") || awake >= GRACE_MIN || is_old || is_excused || !answers_soon,
            "{:?} is given up after {} us awake, and its answer is on its way",
            request.id,
            awake / 1_000
        );
        self.note_given_up(&request.entries);
        self.note_failed(request.id.lane.signal);
        self.coverage.note("request given up");
        let until = &mut self.deliveries.retries_until[signal];
        *until = (*until).max(self.now + OWN_PAUSE_MAX);
        self.each_item(&request.entries, |world, item| world.note_unanswered(item.name()));
    }

    /// The backend takes these in.
    pub(super) fn take_in(&mut self, entries: &[Entry<Body>]) {
        self.each_item(entries, |world, item| {
            let delivery = world.deliveries.items.entry(item.name()).or_default();
            delivery.taken += 1;
            if delivery.taken > 1 {
                let excuse = delivery.is_unanswered || world.kills > 0 || world.processes > 1;
                assert!(excuse, "{:?} is delivered twice, and no answer was lost", item.name());
                // A process that was killed may have sent what it had made in the place of a span on the disk.
                if let Item::Received(body) = item
                    && world.accepted.contains_key(&body.id)
                {
                    world.delivered.insert(body.id);
                }
                return world.coverage.note("delivered twice");
            }
            match item {
                Item::Received(body) => world.note_received(body),
                // The truth of each is found out at the first destination.
                _ if world.at == 1 => {}
                Item::Made(span) => world.note_made(span),
                Item::Logs(id, placed) => world.note_logs(*id, *placed),
                Item::Points(points) => world.note_measured(points),
            }
        });
    }

    /// These are recovered.
    pub(super) fn note_recovered<'a>(&mut self, spans: impl Iterator<Item = &'a Span<Body>>) {
        let ids: Vec<u64> = spans.map(|span| span.body.id).collect();
        self.each_destination(|world| {
            let parked = world.disk.parked_spans();
            world.deliveries.twofold = ids.iter().copied().filter(|id| parked.contains(id)).collect();
        });
    }

    /// A process leaves: the next one does not know what it had sent.
    pub(super) fn leave_deliveries(&mut self) {
        self.deliveries.unanswered.clear();
        self.deliveries.twofold.clear();
        self.deliveries.slowest = Default::default();
        (self.deliveries.resent, self.deliveries.resent_in_doubt) = (0, 0);
        for delivery in self.deliveries.items.values_mut() {
            delivery.is_unanswered |= std::mem::take(&mut delivery.is_under_way);
        }
    }

    /// The most often that one span was delivered.
    pub(super) fn copies(&self) -> u32 {
        let spans = self.deliveries.items.iter().filter(|(name, _)| matches!(name, Name::Span(..)));
        spans.map(|(_, delivery)| delivery.taken).max().unwrap_or_default()
    }

    /// Each item that was sent again is in the books.
    pub(super) fn check_resent(&self) {
        if !is_on("resent") {
            return;
        }
        let counted = self.agent.ledger().resent;
        let (mut least, mut most) = (self.deliveries.resent, self.deliveries.resent_in_doubt);
        if let Some(second) = &self.second {
            let of_second = second.resent();
            (least, most) = (least + of_second.0, most + of_second.1);
        }
        assert!(
            least <= counted && counted <= most,
            "{counted} items were sent again by the books, {least} to {most} in truth"
        );
    }
}
