//! Which environment serves which invocation: the task that scales environments out and in.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::clock::Time;
use crate::config::{FunctionSpec, Overflow};
use crate::environment::{self, Caller, Message, Shared};
use crate::history::{EnvironmentId, TimelineEntry, What};
use crate::ids::Ids;
use crate::invoke::InvokeError;
use crate::machine::{Facts, Job, ShutdownReason};
use crate::shutdown_report::{EnvironmentShutdown, ShutdownReport};

#[derive(Debug)]
pub(crate) enum PoolMessage {
    Create(Arc<FunctionSpec>),
    Invoke {
        function: String,
        job: Job,
        caller: Caller,
        environment: oneshot::Sender<EnvironmentId>,
    },
    /// An environment is ready for the next job, or for one more.
    Idle(EnvironmentId),
    /// An environment of Managed Instances has initialised.
    Ready(EnvironmentId),
    /// An environment ends by itself.
    Failing(EnvironmentId),
    Gone(EnvironmentShutdown),
    /// Answered when every environment is idle and nothing waits.
    WaitIdle(oneshot::Sender<()>),
    /// Shuts down the environments of one function, or of all; `last` stops taking work.
    Shutdown {
        function: Option<String>,
        reason: ShutdownReason,
        last: bool,
        done: oneshot::Sender<ShutdownReport>,
    },
}

/// The task's state.
pub(crate) struct Pool {
    shared: Shared,
    ids: Ids,
    inbox: mpsc::UnboundedSender<PoolMessage>,
    functions: HashMap<String, Function>,
    environments: u32,
    idle_waiters: Vec<oneshot::Sender<()>>,
    shutdowns: Vec<PendingShutdown>,
    stopped: bool,
}

struct Function {
    spec: Arc<FunctionSpec>,
    environments: Vec<Slot>,
    waiting: VecDeque<Pending>,
}

struct Slot {
    id: EnvironmentId,
    inbox: mpsc::UnboundedSender<Message>,
    state: SlotState,
    /// How many jobs it may have at once, and how many it has. Where it may have one only, an init ahead counts as one.
    room: usize,
    load: usize,
    /// It has initialised, with room for several jobs: should it fail, another takes its place.
    is_ready: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotState {
    Busy,
    Idle { since: Time },
    Leaving,
}

struct Pending {
    job: Job,
    caller: Caller,
    environment: oneshot::Sender<EnvironmentId>,
}

struct PendingShutdown {
    /// Environments that have not gone yet.
    left: Vec<EnvironmentId>,
    report: ShutdownReport,
    done: oneshot::Sender<ShutdownReport>,
}

impl Pool {
    /// Starts the task; it ends when its last sender outside is dropped.
    pub(crate) fn start(shared: Shared, ids: Ids) -> mpsc::UnboundedSender<PoolMessage> {
        let (outside, messages) = mpsc::unbounded_channel();
        // Environments talk to the pool on a channel of their own, so that they do not keep it alive.
        let (inbox, from_environments) = mpsc::unbounded_channel();
        let pool = Self {
            shared,
            ids,
            inbox,
            functions: HashMap::new(),
            environments: 0,
            idle_waiters: vec![],
            shutdowns: vec![],
            stopped: false,
        };
        tokio::spawn(pool.run(messages, from_environments));
        outside
    }

    async fn run(
        mut self,
        mut messages: mpsc::UnboundedReceiver<PoolMessage>,
        mut from_environments: mpsc::UnboundedReceiver<PoolMessage>,
    ) {
        loop {
            let reap_at = self.reap_at().map(|at| self.shared.clock.instant(at));
            tokio::select! {
                biased;
                // News first: an environment that is idle by now should get the next job.
                Some(message) = from_environments.recv() => self.on_message(message),
                message = messages.recv() => match message {
                    Some(message) => self.on_message(message),
                    None => return,
                },
                () = tokio::time::sleep_until(reap_at.unwrap_or_else(tokio::time::Instant::now)), if reap_at.is_some() => {
                    self.reap();
                }
            }
            self.tell_idle_waiters();
        }
    }

    fn on_message(&mut self, message: PoolMessage) {
        match message {
            PoolMessage::Create(spec) => self.create(spec),
            PoolMessage::Invoke { function, job, caller, environment } => {
                self.invoke(&function, Pending { job, caller, environment });
            }
            PoolMessage::Idle(id) => self.on_idle(id),
            PoolMessage::Ready(id) => self.on_ready(id),
            PoolMessage::Failing(id) => {
                if let Some((function, index)) = self.find(id) {
                    function.environments[index].state = SlotState::Leaving;
                }
            }
            PoolMessage::Gone(report) => self.on_gone(&report),
            PoolMessage::WaitIdle(waiter) => self.idle_waiters.push(waiter),
            PoolMessage::Shutdown { function, reason, last, done } => {
                self.stopped |= last;
                self.shut_down(function.as_deref(), reason, done);
            }
        }
    }

    fn create(&mut self, spec: Arc<FunctionSpec>) {
        let name = spec.name.clone();
        let ahead = spec.init_type.ahead();
        let function = Function { spec, environments: vec![], waiting: VecDeque::new() };
        self.functions.insert(name.clone(), function);
        for _ in 0..ahead {
            self.start_ahead(&name);
        }
    }

    /// Starts an environment without a job.
    fn start_ahead(&mut self, name: &str) {
        let inbox = self.start_environment(name);
        let function = self.functions.get_mut(name).expect("its function exists");
        if !function.spec.init_type.is_managed() {
            function.environments.last_mut().expect("it was just added").load = 1;
        }
        // An environment that ended already says so with its own message.
        let _ = inbox.send(Message::Start);
    }

    fn invoke(&mut self, name: &str, pending: Pending) {
        if self.stopped {
            return refuse(pending, InvokeError::Stopped);
        }
        let Some(function) = self.functions.get_mut(name) else {
            return refuse(pending, InvokeError::NotFound(name.to_owned()));
        };
        // The one with least to do, and of those that have nothing to do the one used last: it is the warmest.
        let roomy = function.environments.iter_mut().filter(|slot| slot.has_room());
        if let Some(slot) = roomy.max_by_key(|slot| (Reverse(slot.load), slot.idle_since())) {
            return slot.hand(pending);
        }
        if function.environments.len() < function.spec.max_concurrency {
            self.start_environment(name);
            let function = self.functions.get_mut(name).expect("it was found above");
            return function.environments.last_mut().expect("it was just added").hand(pending);
        }
        let request_id = pending.job.request_id.clone();
        match self.shared.config.overflow {
            Overflow::Queue { limit } if function.waiting.len() < limit => {
                function.waiting.push_back(pending);
                self.note(name, request_id, What::Queued);
            }
            Overflow::Queue { .. } | Overflow::Throttle => {
                refuse(pending, InvokeError::Throttled);
                self.note(name, request_id, What::Throttled);
            }
        }
    }

    fn on_idle(&mut self, id: EnvironmentId) {
        let now = self.shared.clock.now();
        let Some((function, index)) = self.find(id) else { return };
        let slot = &mut function.environments[index];
        if slot.state == SlotState::Leaving {
            return;
        }
        slot.load = slot.load.saturating_sub(1);
        if slot.load == 0 {
            slot.state = SlotState::Idle { since: now };
        }
        function.hand_waiting(index);
    }

    fn on_ready(&mut self, id: EnvironmentId) {
        let since = self.shared.clock.now();
        let Some((function, index)) = self.find(id) else { return };
        let slot = &mut function.environments[index];
        if slot.state == SlotState::Leaving {
            return;
        }
        slot.is_ready = true;
        if slot.load == 0 {
            slot.state = SlotState::Idle { since };
        }
        function.hand_waiting(index);
    }

    fn on_gone(&mut self, report: &EnvironmentShutdown) {
        let stopped = self.stopped;
        if let Some((function, index)) = self.find(report.environment) {
            let slot = function.environments.remove(index);
            let name = function.spec.name.clone();
            if slot.is_ready && !stopped {
                self.start_ahead(&name);
                let function = self.functions.get_mut(&name).expect("it was found above");
                function.hand_waiting(function.environments.len() - 1);
            } else if let Some(pending) = function.waiting.pop_front() {
                // Its place is what somebody waits for.
                self.invoke(&name, pending);
            }
        }
        for pending in &mut self.shutdowns {
            if let Some(position) = pending.left.iter().position(|id| *id == report.environment) {
                pending.left.remove(position);
                pending.report.environments.push(report.clone());
            }
        }
        self.finish_shutdowns();
    }

    fn shut_down(
        &mut self,
        name: Option<&str>,
        reason: ShutdownReason,
        done: oneshot::Sender<ShutdownReport>,
    ) {
        let mut left = vec![];
        for function in self.functions.values_mut().filter(|f| name.is_none_or(|name| f.spec.name == name)) {
            for pending in function.waiting.drain(..) {
                refuse(pending, InvokeError::Stopped);
            }
            for slot in &mut function.environments {
                left.push(slot.id);
                slot.leave(reason);
            }
        }
        self.shutdowns.push(PendingShutdown { left, report: ShutdownReport::default(), done });
        self.finish_shutdowns();
    }

    fn finish_shutdowns(&mut self) {
        for mut pending in self.shutdowns.extract_if(.., |pending| pending.left.is_empty()) {
            pending.report.environments.sort_by_key(|e| e.environment);
            // Whoever asked may have stopped waiting.
            let _ = pending.done.send(pending.report);
        }
    }

    fn tell_idle_waiters(&mut self) {
        let busy = |function: &Function| {
            !function.waiting.is_empty()
                || function.environments.iter().any(|slot| slot.idle_since().is_none())
        };
        if !self.functions.values().any(busy) {
            for waiter in self.idle_waiters.drain(..) {
                let _ = waiter.send(());
            }
        }
    }

    /// When the environment that has been idle for longest is to leave.
    fn reap_at(&self) -> Option<Time> {
        let timeout = self.shared.config.idle_timeout?;
        let slots = self.functions.values().flat_map(|function| &function.environments);
        slots.filter_map(Slot::idle_since).min().map(|since| since + timeout)
    }

    fn reap(&mut self) {
        let (now, timeout) =
            (self.shared.clock.now(), self.shared.config.idle_timeout.unwrap_or(Duration::MAX));
        for slot in self.functions.values_mut().flat_map(|function| &mut function.environments) {
            if slot.idle_since().is_some_and(|since| now.since(since) >= timeout) {
                slot.leave(ShutdownReason::Spindown);
            }
        }
    }

    fn start_environment(&mut self, name: &str) -> mpsc::UnboundedSender<Message> {
        self.environments += 1;
        let id = EnvironmentId(self.environments);
        let mut ids = self.ids.lane(u64::from(self.environments));
        let function = self.functions.get_mut(name).expect("its function exists");
        let facts = facts(id, &function.spec, &self.shared, &mut ids);
        let inbox = environment::start(
            facts,
            Arc::clone(&function.spec),
            ids,
            self.shared.clone(),
            self.inbox.clone(),
        );
        let room = function.spec.init_type.room();
        let slot = Slot { id, inbox: inbox.clone(), state: SlotState::Busy, room, load: 0, is_ready: false };
        function.environments.push(slot);
        inbox
    }

    fn find(&mut self, id: EnvironmentId) -> Option<(&mut Function, usize)> {
        self.functions.values_mut().find_map(|function| {
            let index = function.environments.iter().position(|slot| slot.id == id)?;
            Some((function, index))
        })
    }

    fn note(&self, function: &str, request_id: String, what: What) {
        let at = self.shared.clock.now();
        let (function, request_id) = (function.to_owned(), Some(request_id));
        self.shared.history.push(TimelineEntry { at, environment: None, function, request_id, what });
    }
}

impl Function {
    /// Hands what waits to the environment at `index`, as far as it has room.
    fn hand_waiting(&mut self, index: usize) {
        let slot = &mut self.environments[index];
        while slot.has_room()
            && let Some(pending) = self.waiting.pop_front()
        {
            slot.hand(pending);
        }
    }
}

impl Slot {
    fn idle_since(&self) -> Option<Time> {
        match self.state {
            SlotState::Idle { since } => Some(since),
            SlotState::Busy | SlotState::Leaving => None,
        }
    }

    fn has_room(&self) -> bool {
        self.state != SlotState::Leaving && self.load < self.room
    }

    fn hand(&mut self, pending: Pending) {
        self.state = SlotState::Busy;
        self.load += 1;
        // The caller may have given up; the invocation runs all the same.
        let _ = pending.environment.send(self.id);
        // An environment that ended drops the caller, who then learns that the service stopped.
        let _ = self.inbox.send(Message::Invoke(pending.job, pending.caller));
    }

    fn leave(&mut self, reason: ShutdownReason) {
        self.state = SlotState::Leaving;
        self.is_ready = false;
        let _ = self.inbox.send(Message::Shutdown(reason));
    }
}

fn refuse(pending: Pending, error: InvokeError) {
    let _ = pending.caller.send(Err(error));
}

fn facts(environment: EnvironmentId, spec: &FunctionSpec, shared: &Shared, ids: &mut Ids) -> Facts {
    let day = shared.clock.now().to_string();
    let day = day.get(..10).expect("a date has ten characters").replace('-', "/");
    Facts {
        environment,
        function: spec.name.clone(),
        version: spec.version.clone(),
        handler: spec.handler.clone(),
        account_id: shared.config.account_id.clone(),
        memory_mb: spec.memory_mb,
        timeout: spec.timeout,
        init_timeout: shared.config.init_timeout,
        init_type: spec.init_type,
        log_stream: format!("{day}/[{}]{}", spec.version, ids.uuid().replace('-', "")),
        extensions: extension_files(spec),
        faults: spec.faults.clone(),
    }
}

/// Every entry of the directory that is not a directory itself, in order of name.
fn extension_files(spec: &FunctionSpec) -> Vec<String> {
    let entries = spec.extensions_dir.as_ref().and_then(|dir| std::fs::read_dir(dir).ok());
    let files = entries.into_iter().flatten().flatten().filter(|entry| !entry.path().is_dir());
    let mut names: Vec<_> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}
