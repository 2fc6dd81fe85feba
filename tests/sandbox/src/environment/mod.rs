//! The task behind one execution environment: carries out what its machine decides.

mod limits;
mod processes;
mod router;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use http_body_util::Channel;
use tokio::sync::{mpsc, oneshot};

use crate::answer::Answer;
use crate::clock::{Clock, Time};
use crate::config::{FunctionSpec, LambdaConfig};
use crate::history::{History, TimelineEntry, What};
use crate::http_server::{Server, full};
use crate::ids::Ids;
use crate::invoke::{InvokeError, ResponseBody, StreamAborted};
use crate::machine::{Exit, Facts, Input, Job, Machine, Output, Role, ShutdownReason, Token};
use crate::pool::PoolMessage;
use crate::process::{self, Process, Watchdog};
use crate::runtime_api::Call;
use crate::shutdown_report::EnvironmentShutdown;
use crate::telemetry::{DeliveryReport, EventKind, Subscriber, Subscription, TelemetryEvent};
use crate::uplink::Link;
use limits::Limits;
use router::Router;

/// Everything that can reach an environment. The inbox has no bound of its own: a request waits for its
/// answer, a process sends one exit, and its output is read here, not sent.
#[derive(Debug)]
pub(crate) enum Message {
    /// Initialise without an invocation.
    Start,
    Invoke(Job, Caller),
    Shutdown(ShutdownReason),
    Api {
        generation: u32,
        call: Call,
        reply: oneshot::Sender<ApiReply>,
    },
    Exited {
        generation: u32,
        role: Role,
        exit: Exit,
    },
    /// There is output to take; the reply says that it was taken.
    Readable {
        generation: u32,
        role: Role,
        taken: oneshot::Sender<()>,
    },
    Delivered(DeliveryReport),
}

/// Answer to an API call.
#[derive(Debug)]
pub(crate) enum ApiReply {
    Answer(Answer),
    /// The head of a response is fine: send the body.
    Proceed,
}

pub(crate) type Caller = oneshot::Sender<Result<FunctionReply, InvokeError>>;

/// What the caller of a function gets.
#[derive(Debug)]
pub(crate) struct FunctionReply {
    pub(crate) body: ResponseBody,
    pub(crate) function_error: bool,
    pub(crate) log_tail: String,
    pub(crate) cold_start: bool,
}

/// What every environment of a service shares.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<LambdaConfig>,
    pub(crate) clock: Clock,
    pub(crate) history: History,
    pub(crate) watchdog: Arc<Watchdog>,
    /// Scratch directories are made in here.
    pub(crate) scratch: PathBuf,
}

struct Environment {
    machine: Machine,
    facts: Facts,
    spec: Arc<FunctionSpec>,
    shared: Shared,
    pool: mpsc::UnboundedSender<PoolMessage>,
    inbox: mpsc::UnboundedSender<Message>,
    generation: u32,
    server: Option<Server>,
    link: Option<Link>,
    scratch: PathBuf,
    processes: HashMap<Role, Process>,
    router: Router,
    replies: HashMap<Token, oneshot::Sender<ApiReply>>,
    streams: HashMap<Token, Channel<bytes::Bytes, StreamAborted>>,
    tokens: u64,
    /// By the ids of their requests.
    callers: HashMap<String, Caller>,
    memory_peak_mb: u64,
    /// Who was frozen, so that the report that follows need not look for them again.
    frozen: Option<Vec<i32>>,
    /// When the input under way happened.
    now: Time,
    limits: Limits,
    gone: bool,
}

/// Starts the task; it ends when the environment is gone.
pub(crate) fn start(
    facts: Facts,
    spec: Arc<FunctionSpec>,
    ids: Ids,
    shared: Shared,
    pool: mpsc::UnboundedSender<PoolMessage>,
) -> mpsc::UnboundedSender<Message> {
    let (inbox, messages) = mpsc::unbounded_channel();
    let now = shared.clock.now();
    let scratch = shared.scratch.join(facts.environment.to_string());
    let spec = if spec.ports.is_empty() { spec } else { Arc::new(spec.with_ports()) };
    let environment = Environment {
        machine: Machine::new(facts.clone(), ids),
        router: Router::new(facts.faults.clone()),
        facts,
        spec,
        shared,
        pool,
        inbox: inbox.clone(),
        generation: 0,
        server: None,
        link: None,
        scratch,
        processes: HashMap::new(),
        replies: HashMap::new(),
        streams: HashMap::new(),
        tokens: 0,
        callers: HashMap::new(),
        memory_peak_mb: 0,
        frozen: None,
        now,
        limits: Limits::new(),
        gone: false,
    };
    tokio::spawn(environment.run(messages));
    inbox
}

impl Environment {
    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        while !self.gone {
            let due = [self.machine.deadline(), self.router.deadline()].into_iter().flatten().min();
            let tick = due.map(|at| self.shared.clock.instant(at));
            tokio::select! {
                biased;
                message = messages.recv() => {
                    let message = message.expect("the environment holds a sender itself");
                    self.on_message(message).await;
                }
                () = sleep_until(self.limits_due()) => self.limit().await,
                () = sleep_until(tick) => {
                    self.read_output().await;
                    self.router.tick(self.shared.clock.now());
                    self.step(Input::Tick).await;
                }
                // The service was dropped without a shutdown.
                () = self.pool.closed() => return,
            }
        }
    }

    async fn on_message(&mut self, message: Message) {
        match message {
            Message::Start => self.step(Input::Start).await,
            Message::Invoke(job, caller) => {
                self.callers.insert(job.request_id.clone(), caller);
                self.step(Input::Invoke(job)).await;
            }
            Message::Shutdown(reason) => self.step(Input::Shutdown(reason)).await,
            Message::Api { generation, call, reply } => {
                if generation == self.generation {
                    self.on_call(call, reply).await;
                }
            }
            Message::Exited { generation, role, exit } => {
                if generation == self.generation {
                    self.read_output().await;
                    if let Some(process) = self.processes.get_mut(&role) {
                        process.ended();
                    }
                    self.processes.remove(&role);
                    self.step(Input::Exit { role, exit }).await;
                }
            }
            Message::Readable { generation, role, taken } => {
                if generation == self.generation {
                    self.read_process(role).await;
                }
                // The watch ends with its pipe.
                let _ = taken.send(());
            }
            Message::Delivered(DeliveryReport { extension, events, answer }) => {
                self.note(What::Delivery { extension, events, answer });
            }
        }
    }

    async fn on_call(&mut self, call: Call, reply: oneshot::Sender<ApiReply>) {
        // What a process wrote before it called is seen before the call.
        self.read_output().await;
        self.tokens += 1;
        let token = Token(self.tokens);
        self.replies.insert(token, reply);
        let mut call = call;
        if let Some(stream) = call.stream.take() {
            self.streams.insert(token, stream);
        }
        self.step(call.input(token)).await;
        self.streams.clear();
    }

    /// One input and everything that follows from it.
    async fn step(&mut self, input: Input) {
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.now = self.shared.clock.now();
            self.machine.handle(self.now, input);
            while let Some(output) = self.machine.poll() {
                if let Some(more) = Box::pin(self.carry_out(output)).await {
                    inputs.push_back(more);
                }
            }
        }
    }

    async fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::BeginGeneration => self.begin_generation().await,
            Output::EndGeneration => self.end_generation(),
            Output::Spawn(role) => return self.spawn(role).await,
            Output::Terminate(role) => {
                self.processes.get(&role).inspect(|process| process.terminate());
            }
            Output::Kill(role) => {
                self.processes.get(&role).inspect(|process| process.kill());
            }
            Output::Stall(role, pause) => {
                self.processes.get(&role).inspect(|process| process.stall(pause));
            }
            Output::Freeze => self.freeze().await,
            Output::Thaw => {
                self.frozen = None;
                self.limits.is_frozen = false;
                process::thaw(&self.groups());
                self.link.iter().for_each(|link| link.freeze(false));
                self.router.resume();
                self.note_at(self.now, What::Thawed, self.machine.request_id().map(str::to_owned));
            }
            Output::Answer(token, answer) => self.reply(token, ApiReply::Answer(answer)),
            Output::Proceed(token) => self.reply(token, ApiReply::Proceed),
            Output::Emit(event) => self.emit(event),
            Output::Subscribe { extension, subscription } => self.subscribe(extension, subscription),
            Output::CloseSubscriptions => self.router.close_subscriptions(),
            Output::FlushTelemetry => self.router.flush(),
            Output::ReleaseTelemetry(faults) => self.router.release(faults),
            Output::Reply { request_id, payload, function_error, log_tail, cold_start } => {
                let reply = FunctionReply { body: full(payload), function_error, log_tail, cold_start };
                self.answer_caller(&request_id, reply);
            }
            Output::ReplyStream { request_id, token, cold_start } => {
                let stream = self.streams.remove(&token).expect("a streaming response brought its stream");
                let body = ResponseBody::Right(stream);
                let log_tail = String::new();
                let reply = FunctionReply { body, function_error: false, log_tail, cold_start };
                self.answer_caller(&request_id, reply);
            }
            Output::ReplyStopped => {
                for (_, caller) in self.callers.drain() {
                    // The caller may have given up.
                    let _ = caller.send(Err(InvokeError::Stopped));
                }
            }
            Output::Note(what, request_id) => self.note_at(self.now, what, request_id),
            Output::Finish(mut record) => {
                record.max_memory_used_mb = self.memory_peak_mb;
                self.shared.history.record(*record);
            }
            Output::Idle => self.tell_pool(PoolMessage::Idle(self.facts.environment)),
            Output::Ready => self.tell_pool(PoolMessage::Ready(self.facts.environment)),
            Output::Failing => self.tell_pool(PoolMessage::Failing(self.facts.environment)),
            Output::Gone(report) => {
                self.gone = true;
                let scratch = std::mem::take(&mut self.scratch);
                // Nothing depends on the directory being gone; a full one must not hold up the other environments.
                drop(tokio::task::spawn_blocking(move || std::fs::remove_dir_all(scratch)).await);
                self.tell_pool(PoolMessage::Gone(report));
            }
        }
        None
    }

    fn subscribe(&mut self, extension: String, subscription: Subscription) {
        let inbox = self.inbox.clone();
        let report = move |report| {
            // Reports of a subscriber that outlives its environment are of no interest.
            let _ = inbox.send(Message::Delivered(report));
        };
        let (format, clock) = (self.spec.log_format, self.shared.clock);
        self.router.subscribe(Subscriber::start(extension, subscription, format, clock, report));
    }

    fn emit(&mut self, mut event: TelemetryEvent) {
        if event.kind == EventKind::Report {
            let pids = self.frozen.take().unwrap_or_else(|| process::members(&self.groups()));
            self.memory_peak_mb = self.memory_peak_mb.max(process::resident_mb(&pids));
            // Not where it says nothing of memory.
            if let Some(said) = event.record["metrics"].get_mut("maxMemoryUsedMB") {
                *said = self.memory_peak_mb.into();
            }
        }
        self.router.emit(self.shared.clock.now(), event);
    }

    fn reply(&mut self, token: Token, reply: ApiReply) {
        let waiting = self.replies.remove(&token).expect("every call is answered once");
        // A client that closed its connection loses its answer, as with the real API.
        let _ = waiting.send(reply);
    }

    fn answer_caller(&mut self, request_id: &str, reply: FunctionReply) {
        if let Some(caller) = self.callers.remove(request_id) {
            // The caller may have given up.
            let _ = caller.send(Ok(reply));
        }
    }

    /// Something that the machine does not know of; it belongs to the invocation under way.
    fn note(&self, what: What) {
        let request_id = self.machine.request_id().map(str::to_owned);
        self.note_at(self.shared.clock.now(), what, request_id);
    }

    fn note_at(&self, at: Time, what: What, request_id: Option<String>) {
        self.shared.history.push(TimelineEntry {
            at,
            environment: Some(self.facts.environment),
            function: self.facts.function.clone(),
            request_id,
            what,
        });
    }

    fn tell_pool(&self, message: PoolMessage) {
        // Without a pool nobody waits for the news.
        let _ = self.pool.send(message);
    }
}

/// An environment that fails in itself must not leave the pool waiting for it.
impl Drop for Environment {
    fn drop(&mut self) {
        if !self.gone {
            let (environment, function) = (self.facts.environment, self.facts.function.clone());
            let reason = ShutdownReason::Failure;
            self.tell_pool(PoolMessage::Gone(EnvironmentShutdown {
                environment,
                function,
                reason,
                ends: vec![],
            }));
        }
    }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
