//! `make demo-hybrid`: the payment flow with its telemetry through a queue, to a collector that is down for the first half.
//!
//! The checks are those of `make demo`: every trace complete, every span there once. Beside them are the books of the queue.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sandbox::{
    InvokeRequest, Lambda, LambdaConfig, TimelineEntry,
    event_source::{EventSourceMapping, Summary},
};
use tokio::sync::Notify;

use super::{
    Ending, Trouble, check,
    evidence::Evidence,
    extension::Tally,
    fraud_api::FraudApi,
    functions::{self, FORWARDER, World},
    paint::Paint,
    places::Places,
    play,
    progress::Progress,
    python, report,
    sqs::{Queue, Sqs},
    stage::INIT_PATIENCE,
    table,
    trace::Trace,
};
use crate::collector::{Collector, SpanSeen};

const TELEMETRY: &str = "telemetry";
/// Deliveries before a message is given up: more than the outage takes, as in the template.
const DELIVERIES: usize = 30;
const BATCHING_WINDOW: Duration = Duration::from_millis(300);
/// How long the queue may take to empty, once the collector is back.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the queue and its function did.
struct Forwarded {
    mapping: Summary,
    /// Messages that waited when the collector came back.
    waited: usize,
    /// Messages left in the queue at the end, and those given up.
    left: usize,
    dead: usize,
    tally: Tally,
    /// Its own invocations, as the collector has them.
    spans: usize,
}

pub(super) async fn demo(progress: &Progress, paint: Paint) -> Result<Ending, Trouble> {
    let places = Places::find()?;
    let mut interrupted = std::pin::pin!(super::interrupted()?);
    tokio::select! {
        ending = Box::pin(perform(&places, progress, paint)) => ending,
        () = &mut interrupted => Ok(Ending::Interrupted),
    }
}

async fn perform(places: &Places, progress: &Progress, paint: Paint) -> Result<Ending, Trouble> {
    let python = python::interpreter(places, progress).await?;
    let collector = Collector::start();
    let fraud = FraudApi::start().map_err(|error| Trouble::new("cannot start the fraud API", error))?;
    let sqs = Sqs::start(&python, places).await?;
    let queue = sqs.queue(TELEMETRY, DELIVERIES).await?;
    let world = World {
        places,
        python: &python,
        backend: collector.endpoint(),
        fraud_url: fraud.url(),
        sqs: &sqs,
        telemetry: Some(&queue),
    };
    let (specs, ports) = functions::specs(&world)?;
    // Two accounts, as it were: what sends is shut down before what sends on.
    let (senders, sender_on) = (lambda().await?, lambda().await?);
    for spec in specs {
        let name = spec.name.clone();
        let lambda = if name == FORWARDER { &sender_on } else { &senders };
        lambda.create_function(spec).map_err(|error| Trouble::new(format!("cannot create {name}"), error))?;
    }
    collector.stop();
    progress.say(&format!("ready: telemetry goes to {}; the collector behind it is down", queue.url));

    let over = Notify::new();
    let play = async {
        let result = first_half(&senders, &sqs, &queue, &collector, progress).await;
        over.notify_one();
        result
    };
    let mapping = EventSourceMapping {
        batch_size: 100,
        batching_window: BATCHING_WINDOW,
        ..EventSourceMapping::new(&queue.url, &queue.arn)
    };
    let forward = async |event: Bytes| forward(&sender_on, event).await;
    let (played, mapping) = tokio::join!(play, mapping.run(forward, over.notified()));
    sender_on.wait_idle().await;
    sender_on.shutdown().await;
    let counts = queue.counts().await;
    senders.shutdown().await;
    let ((played, waited), (left, dead)) = (played?, counts?);
    sqs.stop().await;
    drop(ports);

    let (own, theirs): (Vec<SpanSeen>, Vec<_>) = collector.spans().into_iter().partition(is_of_forwarder);
    let tally = Tally::of(FORWARDER, &sender_on.history());
    let spans = own.iter().filter(|seen| seen.span.name.starts_with("process ")).count();
    let forwarded = Forwarded { mapping, waited, left, dead, tally, spans };
    let history: Vec<TimelineEntry> = senders.history();
    report::write_timeline(&places.timeline(), &history)?;
    let evidence = Evidence::new(played, senders.records(), &history, Trace::gather(&theirs));
    let mut problems = check::problems(&evidence);
    problems.extend(forwarded.problems());
    report::write(&places.report(), &evidence, &problems, progress.elapsed())?;
    println!("\n{}\n\n{}", paint.bold("What the extension did"), table::extension(&evidence, paint));
    println!("\n{}\n\n{}", paint.bold("What the queue did"), forwarded.table());
    super::conclude(&evidence, &problems, places, paint);
    Ok(if problems.is_empty() { Ending::Complete } else { Ending::Incomplete })
}

async fn lambda() -> Result<Lambda, Trouble> {
    let config = LambdaConfig { init_timeout: INIT_PATIENCE, ..LambdaConfig::default() };
    Lambda::start(config).await.map_err(|error| Trouble::new("cannot start the sandbox", error))
}

/// All payments while the collector is down; then it comes back, and the queue is awaited. What was done, and how many messages
/// had waited.
async fn first_half(
    senders: &Lambda,
    sqs: &Sqs,
    queue: &Queue,
    collector: &Collector,
    progress: &Progress,
) -> Result<(play::Played, usize), Trouble> {
    let played = play::play(senders, sqs, progress).await?;
    senders.wait_idle().await;
    senders.shutdown().await;
    let (waited, dead) = queue.counts().await?;
    let arrived = collector.spans().len();
    progress.say(&format!(
        "every function is gone: {waited} messages wait, {dead} were given up, the collector has {arrived} spans"
    ));
    collector.resume();
    progress.say("the collector is back");
    let deadline = Instant::now() + PATIENCE;
    let mut left = queue.counts().await?.0;
    while left > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
        left = queue.counts().await?.0;
    }
    progress.say(&format!("{left} messages are left in the queue"));
    Ok((played, waited))
}

/// What the event source mapping does with a batch.
async fn forward(lambda: &Lambda, payload: Bytes) -> Result<Bytes, Trouble> {
    let request = InvokeRequest { payload, ..InvokeRequest::default() };
    let outcome = lambda.invoke(FORWARDER, request).await;
    let outcome = outcome.map_err(|error| Trouble::new("cannot invoke forwarder", error))?;
    match outcome.function_error {
        None => Ok(outcome.payload),
        Some(error) => Err(error.into()),
    }
}

fn is_of_forwarder(seen: &SpanSeen) -> bool {
    let name = seen.resource.attributes.iter().find(|attribute| attribute.key == "service.name");
    let name = name.and_then(|attribute| attribute.value.as_ref()?.value.as_ref());
    matches!(name, Some(opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(name)) if name == FORWARDER)
}

impl Forwarded {
    fn problems(&self) -> Vec<String> {
        let mapping = &self.mapping;
        let rows = [
            ("messages left in the queue", self.left, 0),
            ("messages given up", self.dead, 0),
            ("invocations of forwarder with a span at the collector", self.spans, mapping.batches),
            ("spans of forwarder lost", usize::try_from(self.tally.lost()).unwrap_or(usize::MAX), 0),
        ];
        let differs = rows.into_iter().filter(|(_, actual, expected)| actual != expected);
        let mut problems: Vec<String> = differs
            .map(|(what, actual, expected)| format!("{what}: {actual} instead of {expected}"))
            .collect();
        if self.waited == 0 || mapping.returned < self.waited {
            problems.push(format!("{} messages waited, {} came back", self.waited, mapping.returned));
        }
        if let Some(error) = &mapping.last_error {
            problems.push(format!("polling the queue failed {} times: {error}", mapping.errors));
        }
        problems
    }

    fn table(&self) -> String {
        let Summary { batches, messages, deleted, returned, .. } = &self.mapping;
        let rows = [
            ("messages that were sent on", *deleted),
            ("messages that waited for the collector", self.waited),
            ("batches", *batches),
            ("deliveries", *messages),
            ("deliveries in vain", *returned),
            ("messages left", self.left),
            ("messages in the dead-letter queue", self.dead),
        ];
        rows.map(|(what, count)| format!("  {what:<40}{count:>6}")).join("\n")
    }
}
