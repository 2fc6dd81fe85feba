//! The Lambda service: functions, invocations, and an orderly end.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};

use crate::answer::PAYLOAD_LIMIT;
use crate::clock::{Clock, Time, millis};
use crate::config::{FunctionSpec, LambdaConfig, SpecError};
use crate::endpoint;
use crate::environment::{FunctionReply, Shared};
use crate::history::{EnvironmentId, History, Record, Timeline, TimelineEntry};
use crate::http_server::{Server, full};
use crate::ids::Ids;
use crate::invoke::{InvocationType, InvokeError, InvokeRequest, Outcome, StreamedOutcome};
use crate::machine::{Job, ShutdownReason};
use crate::pool::{Pool, PoolMessage};
use crate::process::Watchdog;
use crate::scratch;
use crate::shutdown_report::ShutdownReport;

/// Largest event of an asynchronous invocation.
const ASYNC_PAYLOAD_LIMIT: usize = 1024 * 1024;

/// A running Lambda service. Clones are handles to the same service; when the last one is dropped without
/// [`shutdown`](Self::shutdown), every process is killed.
#[derive(Clone, Debug)]
pub struct Lambda {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    config: Arc<LambdaConfig>,
    clock: Clock,
    history: History,
    /// Request ids and trace ids. Held for a few instructions.
    ids: Mutex<Ids>,
    /// Held for a look-up.
    functions: Mutex<HashMap<String, Arc<FunctionSpec>>>,
    pool: mpsc::UnboundedSender<PoolMessage>,
    server: std::sync::OnceLock<Server>,
}

/// Why the service cannot start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The invoke endpoint's address cannot be bound.
    Listen(io::Error),
    /// The scratch directory cannot be made.
    Scratch(io::Error),
    /// The watchdog (`/bin/sh`) cannot be started.
    Watchdog(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(_) => f.write_str("cannot listen for invocations"),
            Self::Scratch(_) => f.write_str("cannot make the scratch directory"),
            Self::Watchdog(_) => f.write_str("cannot start the watchdog, /bin/sh"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen(e) | Self::Scratch(e) | Self::Watchdog(e) => Some(e),
        }
    }
}

impl Lambda {
    /// Starts a service without functions.
    ///
    /// # Errors
    /// When the endpoint cannot be bound, or the host lacks a writable temporary directory or `/bin/sh`.
    pub async fn start(config: LambdaConfig) -> Result<Self, StartError> {
        let clock = Clock::start();
        let scratch = scratch::make(&config, clock).map_err(StartError::Scratch)?;
        let watchdog = Arc::new(Watchdog::start(&scratch).map_err(StartError::Watchdog)?);
        let config = Arc::new(config);
        let history = History::new(config.history_limit);
        let ids = Ids::new(config.seed);
        let shared =
            Shared { config: Arc::clone(&config), clock, history: history.clone(), watchdog, scratch };
        let pool = Pool::start(shared, ids.lane(1 << 32));
        let listen = config.listen;
        let inner = Arc::new(Inner {
            config,
            clock,
            history,
            ids: Mutex::new(ids),
            functions: Mutex::new(HashMap::new()),
            pool,
            server: std::sync::OnceLock::new(),
        });
        // The server must not keep the service alive.
        let weak = Arc::downgrade(&inner);
        let handler = move |request| endpoint::handle(weak.upgrade().map(|inner| Self { inner }), request);
        let server = Server::start(listen, handler).await.map_err(StartError::Listen)?;
        inner.server.set(server).expect("it is set once, here");
        Ok(Self { inner })
    }

    /// Base URL of the invoke endpoint, to use as an AWS SDK's endpoint URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.inner.server.get().expect("it is set in start").address)
    }

    /// Creates a function. With provisioned concurrency its environments start now, else with its first
    /// invocation.
    ///
    /// # Errors
    /// What Lambda would refuse.
    pub fn create_function(&self, spec: FunctionSpec) -> Result<(), SpecError> {
        spec.validate()?;
        let mut functions = self.inner.functions.lock().expect("nothing panics while it looks up");
        if functions.contains_key(&spec.name) {
            return Err(SpecError::Exists);
        }
        let spec = Arc::new(spec);
        functions.insert(spec.name.clone(), Arc::clone(&spec));
        self.inner.pool.send(PoolMessage::Create(spec)).map_err(|_| SpecError::Stopped)
    }

    /// Invokes a function by name (`name`, `name:qualifier` or ARN) and waits for its complete answer.
    ///
    /// For [`InvocationType::Event`] the answer comes once the event is accepted.
    ///
    /// # Errors
    /// When the service does not invoke. What goes wrong inside the function is an [`Outcome`].
    pub async fn invoke(&self, function: &str, request: InvokeRequest) -> Result<Outcome, InvokeError> {
        Ok(self.invoke_streaming(function, request).await?.collect().await)
    }

    /// Like [`invoke`](Self::invoke), but returns when the answer begins.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke).
    pub async fn invoke_streaming(
        &self,
        function: &str,
        request: InvokeRequest,
    ) -> Result<StreamedOutcome, InvokeError> {
        let (name, qualifier) = function_name(function);
        let spec = self.function(name).ok_or_else(|| InvokeError::NotFound(self.arn(name, qualifier)))?;
        let limit = match request.invocation_type {
            InvocationType::Event => ASYNC_PAYLOAD_LIMIT,
            InvocationType::RequestResponse | InvocationType::DryRun => PAYLOAD_LIMIT,
        };
        if request.payload.len() > limit {
            return Err(InvokeError::TooLarge);
        }
        let job = self.job(&spec, request.qualifier.as_deref().or(qualifier), &request);
        match request.invocation_type {
            InvocationType::DryRun => Ok(self.without_answer(&spec, job.request_id)),
            InvocationType::Event => {
                let request_id = job.request_id.clone();
                self.run_asynchronously(&spec.name, job)?;
                Ok(self.without_answer(&spec, request_id))
            }
            InvocationType::RequestResponse => self.run(&spec, job).await,
        }
    }

    /// Returns when every environment is idle (frozen, or reset) and no invocation waits.
    pub async fn wait_idle(&self) {
        let (waiter, idle) = oneshot::channel();
        if self.inner.pool.send(PoolMessage::WaitIdle(waiter)).is_ok() {
            // A pool that ended has nothing that could be busy.
            let _ = idle.await;
        }
    }

    /// The timeline, oldest entry first.
    pub fn history(&self) -> Vec<TimelineEntry> {
        self.inner.history.entries()
    }

    /// One record for each finished invocation, in the order of their reports.
    pub fn records(&self) -> Vec<Record> {
        self.inner.history.records()
    }

    /// The record of one invocation, once it is over.
    pub fn record(&self, request_id: &str) -> Option<Record> {
        self.records().into_iter().find(|record| record.request_id == request_id)
    }

    /// Waits until the timeline has an entry that `wanted` accepts, and returns it. Entries made before the
    /// call count.
    pub async fn wait_for(&self, wanted: impl Fn(&TimelineEntry) -> bool) -> TimelineEntry {
        let mut timeline = self.inner.history.timeline();
        loop {
            if let Some(entry) = timeline.next().await.into_iter().find(&wanted) {
                return entry;
            }
        }
    }

    /// Follows the timeline from its oldest entry on.
    pub fn timeline(&self) -> Timeline {
        self.inner.history.timeline()
    }

    /// When the service started; the zero of a relative timeline.
    pub fn started_at(&self) -> Time {
        self.inner.clock.origin()
    }

    /// Shuts down the environments of one function (reason spindown) and waits until their processes are
    /// gone. Later invocations start new ones.
    pub async fn spin_down(&self, function: &str) -> ShutdownReport {
        self.shut_down(Some(function.to_owned()), ShutdownReason::Spindown, false).await
    }

    /// Like [`spin_down`](Self::spin_down), for a reason of the caller's choice.
    pub async fn spin_down_for(&self, function: &str, reason: ShutdownReason) -> ShutdownReport {
        self.shut_down(Some(function.to_owned()), reason, false).await
    }

    /// Shuts everything down (reason spindown) and waits until every process is gone. Invocations that wait
    /// or come later fail with [`InvokeError::Stopped`].
    pub async fn shutdown(&self) -> ShutdownReport {
        self.shut_down(None, ShutdownReason::Spindown, true).await
    }

    async fn shut_down(
        &self,
        function: Option<String>,
        reason: ShutdownReason,
        last: bool,
    ) -> ShutdownReport {
        let (done, report) = oneshot::channel();
        let message = PoolMessage::Shutdown { function, reason, last, done };
        match self.inner.pool.send(message) {
            Ok(()) => report.await.unwrap_or_default(),
            Err(_) => ShutdownReport::default(),
        }
    }

    async fn run(&self, spec: &FunctionSpec, job: Job) -> Result<StreamedOutcome, InvokeError> {
        let called = self.inner.clock.now();
        let request_id = job.request_id.clone();
        let (reply, environment) = self.submit(&spec.name, job)?;
        let reply = reply.await.unwrap_or(Err(InvokeError::Stopped))?;
        let head = Outcome {
            request_id,
            payload: bytes::Bytes::new(),
            function_error: reply.function_error.then(|| "Unhandled".to_owned()),
            response_ms: millis(self.inner.clock.now().since(called)),
            cold_start: reply.cold_start,
            environment: environment.await.ok(),
            executed_version: spec.version.clone(),
            log_tail: reply.log_tail,
        };
        Ok(StreamedOutcome { head, body: reply.body })
    }

    /// The first attempt is on its way when this returns; retries follow in a task of their own.
    fn run_asynchronously(&self, function: &str, job: Job) -> Result<(), InvokeError> {
        let (mut reply, _) = self.submit(function, job.clone())?;
        let (lambda, function) = (Arc::downgrade(&self.inner), function.to_owned());
        let pauses = self.inner.config.async_retries.clone();
        tokio::spawn(async move {
            for pause in pauses {
                match reply.await {
                    Ok(Ok(answer)) if !answer.function_error => return,
                    Ok(Err(InvokeError::Stopped)) | Err(_) => return,
                    Ok(_) => tokio::time::sleep(pause).await,
                }
                let Some(inner) = lambda.upgrade() else { return };
                match (Self { inner }).submit(&function, job.clone()) {
                    Ok((next, _)) => reply = next,
                    Err(_) => return,
                }
            }
        });
        Ok(())
    }

    #[allow(clippy::type_complexity, reason = "two receivers, used at once by the two callers above")]
    fn submit(
        &self,
        function: &str,
        job: Job,
    ) -> Result<
        (oneshot::Receiver<Result<FunctionReply, InvokeError>>, oneshot::Receiver<EnvironmentId>),
        InvokeError,
    > {
        let (caller, reply) = oneshot::channel();
        let (environment, served_by) = oneshot::channel();
        let message = PoolMessage::Invoke { function: function.to_owned(), job, caller, environment };
        self.inner.pool.send(message).map_err(|_| InvokeError::Stopped)?;
        Ok((reply, served_by))
    }

    fn without_answer(&self, spec: &FunctionSpec, request_id: String) -> StreamedOutcome {
        let head = Outcome {
            request_id,
            payload: bytes::Bytes::new(),
            function_error: None,
            response_ms: 0.0,
            cold_start: false,
            environment: None,
            executed_version: spec.version.clone(),
            log_tail: String::new(),
        };
        StreamedOutcome { head, body: full("") }
    }

    fn job(&self, spec: &FunctionSpec, qualifier: Option<&str>, request: &InvokeRequest) -> Job {
        let mut ids = self.inner.ids.lock().expect("nothing panics while it counts");
        let payload = if request.payload.is_empty() { "{}".into() } else { request.payload.clone() };
        Job {
            request_id: ids.uuid(),
            arn: self.arn(&spec.name, qualifier),
            payload,
            trace: request.xray.render(&mut ids, self.inner.clock.now()),
            client_context: request.client_context.clone(),
            cognito_identity: request.cognito_identity.clone(),
            tenant_id: request.tenant_id.clone(),
            telemetry_faults: request.telemetry_faults.clone(),
            faults: Box::new(request.faults.clone()),
        }
    }

    fn function(&self, name: &str) -> Option<Arc<FunctionSpec>> {
        self.inner.functions.lock().expect("nothing panics while it looks up").get(name).cloned()
    }

    fn arn(&self, name: &str, qualifier: Option<&str>) -> String {
        let LambdaConfig { region, account_id, .. } = &*self.inner.config;
        let suffix = qualifier.map(|q| format!(":{q}")).unwrap_or_default();
        format!("arn:aws:lambda:{region}:{account_id}:function:{name}{suffix}")
    }
}

/// Name and qualifier of `name`, `name:qualifier`, a partial or a full ARN.
fn function_name(text: &str) -> (&str, Option<&str>) {
    let rest = text.rsplit_once("function:").map_or(text, |(_, rest)| rest);
    match rest.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (rest, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_in_four_ways() {
        let cases = [
            ("orders", ("orders", None)),
            ("orders:live", ("orders", Some("live"))),
            ("123456789012:function:orders", ("orders", None)),
            ("arn:aws:lambda:us-east-1:123456789012:function:orders:7", ("orders", Some("7"))),
        ];
        for (text, expected) in cases {
            assert_eq!(function_name(text), expected);
        }
    }
}
