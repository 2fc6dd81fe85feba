//! The one loop: wait for an input or a deadline, let the agent decide, carry out what it wants.

mod condensing;
mod on_record;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use policy::{
    Agent, Content, Entry, Guarded, Input, Instant, LaneId, Measured, Notice, Output, Phase, Place, Prices,
    Receipt, RequestLimits, Temporality,
};
use tokio::sync::mpsc;
use wire::otlp::{Body, Identity};

use crate::caught::caught;
use crate::clock::{Alarm, Clock, NEXT_FIRST, pause};
use crate::exporter::Exporter;
use crate::guarding::Guarding;
use crate::instance;
use crate::intake::{Refusals, Socket};
use crate::log::{self, Level};
use crate::recovery::{self, Recovery};
use crate::spool::{Kind, Spool};

use condensing::Condensing;
use on_record::OnRecord;

/// What reaches the loop.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly every message is an input, whose size policy decides")]
pub enum Message {
    /// For the agent.
    Input(Input<Body>),
    /// The platform's name for this environment: its log stream.
    Instance(String),
}

/// Where to send [`Message`]s; clones reach the same loop.
///
/// Not bounded itself: its senders are the connections of two listeners, which are, and what they bring
/// counts against the agent's bound as soon as this loop runs.
#[derive(Clone, Debug)]
pub struct Inbox {
    sender: mpsc::UnboundedSender<Message>,
    /// Whether what the function sends is not taken any more.
    is_closed: Arc<AtomicBool>,
}

impl Inbox {
    /// An inbox, and the end that [`Driver::run`] reads.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender, is_closed: Arc::default() }, receiver)
    }

    /// Sends; a loop that has ended needs no more messages.
    pub fn send(&self, message: Message) {
        let _ = self.sender.send(message);
    }

    /// Sends what the function may be told has been taken; false when it is not, because the environment ends.
    pub fn offer(&self, input: Input<Body>) -> bool {
        !self.is_closed() && self.sender.send(Message::Input(input)).is_ok()
    }

    /// Whether the environment ends.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Takes no more offers. The last message behind those that were taken says so.
    fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.send(Message::Input(Input::Closed));
    }
}

/// The loop and what it works with.
pub struct Driver {
    /// Decides.
    pub agent: Agent<Body>,
    /// Tells the time.
    pub clock: Clock,
    /// Carries out exports.
    pub exporter: Exporter,
    /// Completes resources; replaced, never changed, once an export holds it.
    pub identity: Arc<Identity>,
    /// The same of metrics of our own, as it was when the first of them left.
    pub measured_as: Option<Arc<Identity>>,
    /// Told once for each `/next` that may be asked.
    pub next: mpsc::UnboundedSender<()>,
    /// Under which names CloudWatch keeps metrics that are written as lines.
    pub emf_namespace: String,
    /// For the estimate of cost in the last line.
    pub prices: Prices,
    /// The function they are of.
    pub function_name: Arc<str>,
    /// Where to tell oneself what a disk has answered.
    pub inbox: Inbox,
    /// Keeps what the agent wants kept, where there is one.
    pub spool: Option<Spool>,
    /// Where the function may send to beside its ports, if it is there.
    pub socket: Option<Socket>,
    /// The names of the destinations, where there are several.
    pub destinations: Vec<Arc<str>>,
    /// What backends take in one request: what is read back is cut like what comes in.
    pub request_limits: RequestLimits,
    /// What a killed process left there, until it was read.
    pub recovery: Option<Recovery>,
    /// Whether the running invocation is put on record.
    pub records_invocations: bool,
    /// That record; settled before the next `/next`, or when it ends where that was asked before.
    pub invocation: Option<OnRecord>,
    /// Keeps count of what was hidden.
    pub guarding: Guarding,
    /// Keeps count of what was refused.
    pub refusals: Refusals,
    /// Whether this is a snapshot that nothing has been asked of since it was restored.
    pub is_snapshot: bool,
    /// Whether the settings name this environment (`service.instance.id`).
    pub names_instance: bool,
    /// What the agent was told of that last.
    pub guarded: Guarded,
    /// Whether `/next` was asked ever.
    pub is_asked: bool,
}

impl Driver {
    /// Runs until the agent says that the process may end.
    pub async fn run(mut self: Box<Self>, mut inbox: mpsc::UnboundedReceiver<Message>) {
        let mut alarm = Alarm::new(self.clock);
        let mut condensing = Condensing::default();
        while !self.carry_out() {
            self.condense_if_due(&mut condensing);
            if self.is_asked {
                self.recover().await;
            }
            let due = self.agent.deadline();
            if let Some(due) = due {
                alarm.set(due);
            }
            let message = tokio::select! {
                biased;
                message = inbox.recv() => message,
                () = alarm.rings(), if due.is_some() => Some(Message::Input(Input::Tick)),
            };
            match message {
                Some(message) => self.hear(message),
                None => return,
            }
        }
    }

    /// Reads what a killed process left, if it was not read: beside the start of the function's runtime, which waits for
    /// `/next` and not for this. Messages wait, so that an invocation begins after it. A bug that shows in a file must
    /// not stop the tracing of each environment that finds it: the file is left alone.
    async fn recover(&mut self) {
        let Some(mut recovery) = self.recovery.take() else { return };
        pause(NEXT_FIRST).await;
        while let Ok(Some(inputs)) = caught(|| recovery.step()) {
            for input in inputs {
                self.take(input);
                self.carry_out();
            }
            tokio::task::yield_now().await;
        }
    }

    /// A request is held as a whole for as long as one span of it is.
    fn condense_if_due(&mut self, condensing: &mut Condensing) {
        if condensing.is_due(wire::otlp::held_bytes(), || self.agent.encoded_bytes()) {
            self.agent.condense();
            condensing.done(wire::otlp::held_bytes());
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Input(input) => self.take(input),
            Message::Instance(name) => {
                Arc::make_mut(&mut self.identity).set("faas.instance", &name);
            }
        }
    }

    fn take(&mut self, input: Input<Body>) {
        if let Input::Received(Receipt { spans, .. }) | Input::Announced(spans) = &input {
            let bodies = spans.first().map(|span| &span.body);
            if let Some(body) = bodies.filter(|body| !self.identity.knows(body)) {
                Arc::make_mut(&mut self.identity).observe(body);
            }
        }
        if matches!(input, Input::Invoke(_)) {
            self.spool.iter().for_each(Spool::look_after);
            self.socket.iter_mut().for_each(Socket::look_after);
        }
        if let (Input::Invoke(invoke), true) = (&input, self.records_invocations) {
            let spool = self.spool.as_ref();
            self.invocation = spool.and_then(|spool| OnRecord::begin(spool, invoke, self.agent.seed()));
        }
        if matches!(input, Input::Invoke(_) | Input::Shutdown(_)) && std::mem::take(&mut self.is_snapshot) {
            let seed = self.clock.seed();
            // Each environment that is restored from one snapshot is another.
            if !self.names_instance {
                instance::name(Arc::make_mut(&mut self.identity), seed);
            }
            self.measured_as = None;
            self.exporter.on_restored();
            self.agent.handle(self.clock.now(), Input::Restored { seed });
            self.carry_out();
        }
        match &input {
            Input::Invoke(_) => self.exporter.on_invoke(),
            Input::Shutdown(_) => self.exporter.on_shutdown(),
            _ => {}
        }
        let now = self.clock.now();
        if matches!(input, Input::Received(_) | Input::Announced(_) | Input::Logged { .. }) {
            self.tell_guarded(now);
        }
        let made = self.invocation.as_ref().and_then(|invocation| invocation.delivered(&input));
        self.agent.handle(now, input);
        if let Some((invocation, spool)) = self.invocation.as_mut().zip(self.spool.as_ref()) {
            invocation.note_root(spool, &self.agent, made);
        }
        self.settle_invocation();
    }

    /// An invocation that is over when `/next` is asked, or ends after it, is on record no more.
    fn settle_invocation(&mut self) {
        if self.agent.phase() == Phase::Waiting {
            let agent = &self.agent;
            self.invocation.take_if(|invocation| !agent.runs_on(invocation.request_id()));
        }
    }

    /// What the guard did to what came goes into the books before it does.
    fn tell_guarded(&mut self, now: Instant) {
        let Some(guarded) = self.guarding.tally().filter(|guarded| *guarded != self.guarded) else { return };
        self.guarded = guarded;
        self.agent.handle(now, Input::Guarded(guarded));
    }

    /// Carries out everything the agent wants; true when that is to end.
    fn carry_out(&mut self) -> bool {
        while let Some(output) = self.agent.poll() {
            match output {
                // Whoever asks `/next` has gone only when the process is about to.
                Output::Next => {
                    self.is_asked = true;
                    self.settle_invocation();
                    self.next.send(()).unwrap_or_default();
                }
                Output::Park { lane, entries } => self.park(lane, &entries),
                Output::Unpark { lane, place } => self.unpark(lane, place),
                Output::Export { id, lane, entries, effort } => {
                    let identity = self.identity_of(&entries);
                    if let Some((invocation, spool)) = self.invocation.as_mut().zip(self.spool.as_ref()) {
                        let is_sole = self.destinations.is_empty();
                        invocation.on_export(spool, &identity, id, &entries, is_sole);
                    }
                    self.exporter.export(id, lane, entries, effort, identity);
                }
                Output::LeftOut(bodies) => wire::otlp::leave_out(bodies),
                Output::Cancel(id) => self.exporter.cancel(id),
                Output::Reconnect => self.exporter.reconnect(),
                Output::Connect(lane) => self.exporter.connect(lane),
                Output::Measured(measured) => self.write_line(&measured),
                Output::Say(notice) => {
                    if matches!(notice, Notice::Summary(_)) {
                        self.exporter.conclude();
                        self.refusals.summarize();
                    }
                    log::notice(&notice, &self.prices, &self.destinations, |lane| self.exporter.about(lane));
                    if matches!(notice, Notice::Summary(_)) {
                        self.guarding.summarize();
                        self.spool.iter().for_each(log_unrecorded);
                    }
                }
                Output::Close => self.inbox.close(),
                Output::Exit => return true,
            }
        }
        false
    }

    fn write_line(&self, measured: &Measured) {
        if let Some(line) = wire::emf::line(measured, &self.emf_namespace, &self.function_name) {
            log::print(&(line + "\n"));
        }
    }

    /// Who the resource of `entries` names.
    ///
    /// What the function calls itself is known when its first spans come, and may change with each request. Stores keep
    /// series by resource: a total would be counted once under each name. So metrics of our own keep the name that they had
    /// first; deltas, which add up under any, wait for the function's.
    fn identity_of(&mut self, entries: &[Entry<Body>]) -> Arc<Identity> {
        let measured = entries.iter().find_map(|entry| match &entry.content {
            Content::Measured(measured) => Some(measured),
            _ => None,
        });
        let Some(measured) = measured else { return self.identity.clone() };
        if let Some(identity) = &self.measured_as {
            return identity.clone();
        }
        if measured.temporality == Temporality::Cumulative || self.identity.is_observed() {
            self.measured_as = Some(self.identity.clone());
        }
        self.identity.clone()
    }

    fn park(&mut self, lane: LaneId, entries: &[Entry<Body>]) {
        let count: u32 = entries.iter().map(|entry| entry.count).sum();
        let identity = self.identity_of(entries);
        let pieces = |take: &mut dyn FnMut(&[u8])| wire::otlp::pieces(entries, &identity, take);
        let spool = self.spool.as_ref();
        let place = spool.and_then(|spool| spool.write_pieces(Kind::Parked(lane), count, pieces));
        self.inbox.send(Message::Input(Input::Parked { lane, place }));
    }

    fn unpark(&self, lane: LaneId, place: Place) {
        let receipt = self
            .spool
            .as_ref()
            .map_or(Receipt::EMPTY, |spool| recovery::read(spool, place, &self.request_limits));
        self.inbox.send(Message::Input(Input::Unparked { lane, receipt }));
    }
}

/// What was accepted and could not be put on record is counted, although nothing of it need be lost.
fn log_unrecorded(spool: &Spool) {
    let records = spool.unrecorded();
    if records > 0 {
        let message =
            "requests that were accepted and not on record: a kill of our own process would have lost them";
        log::say(Level::Warn, "spool_unrecorded", message, serde_json::json!({ "records": records }));
    }
}

#[cfg(test)]
mod tests;
