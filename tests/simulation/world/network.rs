//! Connections to the backends: opened with a handshake, reused, dying while idle or frozen, and the requests on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::{BatchId, Entry, Outcome, Signal};

use super::super::disk::Body;
use super::super::function::MS;
use super::telling::Lane;
use super::{Event, World};

/// Only for requests of this signal an invocation may be held.
pub(super) const HOLDER: Signal = Signal::Traces;
/// A connection that broke tells so after this.
const RESET: u64 = MS;

/// How a connection is, which is found out by using it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    /// What is sent on it gets lost, and nothing tells so.
    Silent,
    /// What is sent on it is answered by a reset.
    Reset,
}

/// A connection.
#[derive(Clone, Copy, Debug)]
struct Link {
    id: u64,
    pool: usize,
    opens_at: u64,
    health: Health,
    is_busy: bool,
}

/// A backend's reply to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) outcome: Outcome,
    /// From the request's arrival to the end of its answer; `None` where no answer ever comes.
    pub(crate) takes: Option<u64>,
    /// How many of the request's entries the backend takes in when it arrives.
    pub(crate) keeps: usize,
}

/// A request on its way, or with the backend.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) id: BatchId,
    pub(super) entries: Arc<[Entry<Body>]>,
    pub(super) launched: u64,
    /// Waits for `/next` that it has been through.
    pub(super) waits: u32,
    /// The time of all waits, when it was sent.
    pub(super) waited_before: u64,
    link: u64,
    /// Whether its connection has died, and nothing tells so.
    pub(super) is_on_dead: bool,
    /// When its bytes are on the wire: from then on nothing holds them back.
    written_at: u64,
    pub(super) reply: Reply,
    is_taken: bool,
    /// Cancelled: nobody reads its answer.
    is_over: bool,
}

impl Request {
    /// Whether its answer is on its way, or the request itself.
    pub(super) fn will_be_answered(&self) -> bool {
        self.reply.takes.is_some() && self.reply.outcome != Outcome::Lost
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Network {
    links: Vec<Link>,
    requests: BTreeMap<u64, Request>,
    last: u64,
    /// How long a handshake takes, and whether each signal has a backend of its own.
    handshake: u64,
    is_split: bool,
    /// The destination that is looked at.
    at: u8,
}

impl Network {
    pub(super) fn new(handshake: u64, is_split: bool) -> Self {
        Self { handshake, is_split, ..Self::default() }
    }

    /// Each signal has a backend of its own.
    pub(super) const fn part(&mut self) {
        self.is_split = true;
    }

    /// Looks at the requests to this destination.
    pub(super) const fn look_at(&mut self, destination: u8) {
        self.at = destination;
    }

    /// Requests to this destination of which the agent expects an answer.
    pub(super) fn live(&self) -> impl Iterator<Item = &Request> {
        self.live_of_all().filter(|request| request.id.lane.destination == self.at)
    }

    /// The same of all destinations.
    pub(super) fn live_of_all(&self) -> impl Iterator<Item = &Request> {
        self.requests.values().filter(|request| !request.is_over)
    }

    /// Those and what is still on the wire of requests that were cancelled.
    pub(super) fn all(&self) -> impl Iterator<Item = &Request> {
        self.requests.values()
    }

    /// Of those that are live, such as an invocation may be held for.
    pub(super) fn awaited(&self) -> impl Iterator<Item = &Request> {
        self.live_of_all().filter(|request| request.id.lane.signal == HOLDER)
    }

    pub(super) fn live_mut(&mut self) -> impl Iterator<Item = &mut Request> {
        self.requests.values_mut().filter(|request| !request.is_over)
    }

    /// The idle connection that is used next dies, and nothing tells so.
    pub(super) fn silence_one(&mut self) {
        if let Some(link) = self.links.iter_mut().rev().find(|link| !link.is_busy) {
            link.health = Health::Silent;
        }
    }

    const fn pool(&self, signal: Signal) -> usize {
        let own = if self.is_split { signal as usize } else { 0 };
        own + self.at as usize * Signal::ALL.len()
    }

    const fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn open(&mut self, pool: usize, now: u64, is_busy: bool) -> Link {
        let link =
            Link { id: self.next(), pool, opens_at: now + self.handshake, health: Health::Well, is_busy };
        self.links.push(link);
        link
    }

    /// The connection used last that is idle, or else a new one.
    fn take_link(&mut self, pool: usize, now: u64) -> Link {
        let idle = self.links.iter_mut().rev().find(|link| link.pool == pool && !link.is_busy);
        if let Some(link) = idle {
            link.is_busy = true;
            return *link;
        }
        self.open(pool, now, true)
    }

    fn drop_link(&mut self, id: u64) {
        self.links.retain(|link| link.id != id);
    }

    fn free_link(&mut self, id: u64) {
        if let Some(index) = self.links.iter().position(|link| link.id == id) {
            let link = self.links.remove(index);
            self.links.push(Link { is_busy: false, ..link });
        }
    }

    fn live_serial(&self, id: BatchId) -> Option<u64> {
        let found = self.requests.iter().find(|(_, request)| request.id == id && !request.is_over);
        found.map(|(serial, _)| *serial)
    }
}

impl World {
    /// One connection, of several, dies without a sign.
    pub(super) fn kill_a_link(&mut self) {
        let count = self.network.links.len() as u64;
        if count == 0 {
            return;
        }
        let index = self.rng.below(count) as usize;
        let health = if self.rng.below(3) == 0 { Health::Silent } else { Health::Reset };
        let link = &mut self.network.links[index];
        if !link.is_busy {
            link.health = health;
            self.coverage.note(if health == Health::Silent {
                "idle connection dies silently"
            } else {
                "idle connection is reset"
            });
        }
    }

    /// A connection is opened ahead, unless one is being opened.
    pub(super) fn connect(&mut self, signal: Signal) {
        let (pool, now) = (self.network.pool(signal), self.now);
        let is_opening = |link: &Link| link.pool == pool && !link.is_busy && link.opens_at > now;
        if !self.network.links.iter().any(is_opening) {
            self.network.open(pool, now, false);
        }
    }

    /// Idle connections are not used again.
    pub(super) fn reconnect(&mut self) {
        self.network.links.retain(|link| link.is_busy);
    }

    /// A request is sent, on an idle connection where there is one.
    pub(super) fn send(&mut self, id: BatchId, signal: Signal, entries: Arc<[Entry<Body>]>, reply: Reply) {
        let pool = self.network.pool(signal);
        let link = self.network.take_link(pool, self.now);
        if link.opens_at > self.now {
            self.coverage.note("request waits for a handshake");
        } else {
            self.coverage.note("connection reused");
        }
        let (launched, written_at) = (self.now, self.now.max(link.opens_at));
        let serial = self.network.next();
        let mut request = Request {
            id,
            entries,
            launched,
            waits: 0,
            waited_before: self.waited,
            link: link.id,
            is_on_dead: link.health == Health::Silent,
            written_at,
            reply,
            is_taken: false,
            is_over: false,
        };
        match link.health {
            Health::Well => {
                let half = reply.takes.unwrap_or(10 * MS) / 2;
                self.later(written_at + half, Event::Reach(serial));
            }
            Health::Silent => {
                self.coverage.note("request on a dead connection");
                request.reply = Reply { outcome: Outcome::Lost, takes: None, keeps: 0 };
            }
            Health::Reset => {
                request.reply = Reply { outcome: Outcome::Lost, takes: Some(RESET), keeps: 0 };
                self.later(self.now + RESET, Event::Answer(serial));
            }
        }
        self.network.requests.insert(serial, request);
    }

    /// Whether nothing of ours is needed for the request to arrive, although everything is frozen.
    pub(super) fn is_written(&self, serial: u64) -> bool {
        self.network.requests.get(&serial).is_some_and(|request| request.written_at <= self.frozen_at)
    }

    /// A request arrives at its backend, at `at`.
    pub(super) fn reach(&mut self, serial: u64, at: u64) {
        let Some(request) = self.network.requests.get_mut(&serial) else { return };
        request.is_taken = true;
        let request = request.clone();
        self.look_at(request.id.lane.destination, |world| {
            world.take_in(&request.entries[..request.reply.keeps]);
        });
        if request.is_over {
            self.coverage.note("request arrives after its end");
            self.network.requests.remove(&serial);
        } else if let Some(takes) = request.reply.takes {
            self.later(at + takes / 2, Event::Answer(serial));
        }
    }

    /// An answer arrives while the machine is frozen, and nobody is there to receive it.
    pub(super) fn lose_answer(&mut self, serial: u64) {
        self.coverage.note("answer lost in a freeze");
        let Some(lane) = self.network.requests.get(&serial).map(|request| request.id.lane) else {
            return;
        };
        let is_reset = self.look_at(lane.destination, |world| world.dice(lane.signal).below(2) == 0);
        let Some(request) = self.network.requests.get_mut(&serial) else { return };
        request.reply.outcome = Outcome::Lost;
        request.reply.takes = None;
        if is_reset {
            self.frozen.push(Event::Answer(serial));
        }
    }

    /// The answer to a request, or the end of its connection, reaches us.
    pub(super) fn answer(&mut self, serial: u64) {
        let Some(request) = self.network.requests.remove(&serial) else { return };
        if request.is_over {
            return;
        }
        if request.reply.outcome == Outcome::Lost {
            self.network.drop_link(request.link);
        } else {
            self.network.free_link(request.link);
        }
        self.look_at(request.id.lane.destination, |world| world.note_answer(&request));
        let (id, outcome) = (request.id, request.reply.outcome);
        // From here on only the agent holds what was sent.
        drop(request);
        self.step(policy::Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
    }

    /// The agent lets go of a request.
    pub(super) fn cancel(&mut self, id: BatchId) {
        self.cancelled_at = self.now;
        self.say(&format!("cancel {:?} {}", Lane(id.lane), id.number));
        let Some(serial) = self.network.live_serial(id) else {
            panic!("{id:?} is cancelled, and not under way")
        };
        let request = self.network.requests[&serial].clone();
        self.network.drop_link(request.link);
        self.note_cancelled(&request);
        if request.is_taken || request.written_at > self.now || request.reply.keeps == 0 {
            self.network.requests.remove(&serial);
        } else if let Some(request) = self.network.requests.get_mut(&serial) {
            request.is_over = true;
        }
    }

    /// Our process is gone: what is on the wire arrives, and nobody reads the answers.
    pub(super) fn leave_network(&mut self) {
        for (_, request) in std::mem::take(&mut self.network.requests) {
            if !request.is_taken && request.written_at <= self.now {
                self.look_at(request.id.lane.destination, |world| {
                    world.take_in(&request.entries[..request.reply.keeps]);
                });
            }
        }
        self.network.links.clear();
    }
}
