//! `make demo`: the payment flow on this machine, with the extension beside every function, and a verdict.
//!
//! It makes synthetic payments, some of which fail, and asks of each trace that it is complete: one root, no
//! orphan, both functions joined across the queue, cold starts in it, and not one span lost.

mod check;
mod evidence;
mod extension;
mod fraud_api;
mod functions;
mod group;
mod hybrid;
mod paint;
mod payments;
mod places;
mod play;
mod progress;
mod python;
mod report;
mod shape;
mod sqs;
mod stage;
mod table;
mod trace;
mod tree;

use std::{error::Error, fmt, pin::pin, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use self::{
    evidence::Evidence,
    paint::Paint,
    payments::{End, PAYMENTS},
    places::Places,
    play::Part,
    progress::Progress,
    stage::Stage,
    trace::Trace,
};

/// As a shell reports a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Why there is no verdict: a sentence for whoever started the demo.
#[derive(Debug)]
struct Trouble(String);

/// How a demo ends, when nothing is in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Every trace is complete.
    Complete,
    /// Something is missing.
    Incomplete,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

/// Which play is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// The payment flow.
    Payments,
    /// The same, whose telemetry goes through a queue to a collector that is down for the first half.
    Hybrid,
}

/// Plays, shows and judges; the exit code is 0 only when every trace is complete.
pub async fn run(play: Play) -> ExitCode {
    let paint = Paint::detect();
    let progress = Progress::start(paint);
    let ending = match play {
        Play::Payments => Box::pin(demo(&progress, paint)).await,
        Play::Hybrid => Box::pin(hybrid::demo(&progress, paint)).await,
    };
    match ending {
        Ok(Ending::Complete) => ExitCode::SUCCESS,
        Ok(Ending::Incomplete) => ExitCode::FAILURE,
        Ok(Ending::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(trouble) => {
            eprintln!("demo: {trouble}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(progress: &Progress, paint: Paint) -> Result<Ending, Trouble> {
    let places = Places::find()?;
    let mut interrupted = pin!(interrupted()?);
    let stage = tokio::select! {
        stage = Stage::set(&places, progress) => stage?,
        () = &mut interrupted => return Ok(Ending::Interrupted),
    };
    let played = tokio::select! {
        played = stage.play(progress) => Some(played),
        () = &mut interrupted => None,
    };
    let traces = stage.traces();
    stage.strike().await;
    let Some(played) = played else { return Ok(Ending::Interrupted) };
    let (played, records, history) = played?;

    report::write_timeline(&places.timeline(), &history)?;
    let evidence = Evidence::new(played, records, &history, traces);
    let problems = check::problems(&evidence);
    report::write(&places.report(), &evidence, &problems, progress.elapsed())?;
    show(&evidence, paint);
    conclude(&evidence, &problems, &places, paint);
    Ok(if problems.is_empty() { Ending::Complete } else { Ending::Incomplete })
}

/// Resolves at the first SIGINT or SIGTERM.
fn interrupted() -> Result<impl Future<Output = ()>, Trouble> {
    let handle = |kind| signal(kind).map_err(|error| Trouble::new("cannot wait for signals", error));
    let (mut interrupt, mut terminate) = (handle(SignalKind::interrupt())?, handle(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        println!("interrupted: stopping every process");
    })
}

fn show(evidence: &Evidence, paint: Paint) {
    let section = |title: &str| println!("\n{}\n", paint.bold(title));
    section("Invocations");
    println!("{}", table::invocations(evidence, paint));

    // The payments with a story: one has cold starts, an error, and two deliveries that link to it.
    for (end, story) in [
        (End::DeadLetter, "a payment that reconciliation refuses, twice"),
        (End::Timeout, "a payment whose function is killed while it waits"),
    ] {
        if let Some(trace) = trace_of(evidence, end) {
            section(&format!("Trace {}: {story}", trace.id));
            print!("{}", tree::draw(evidence, trace, paint));
        }
    }
    section("What the extension did");
    println!("{}", table::extension(evidence, paint));
}

/// The trace of the first payment that came to this end.
fn trace_of(evidence: &Evidence, end: End) -> Option<&Trace> {
    let shown = PAYMENTS.iter().find(|payment| payment.end == end)?;
    let is_shown = |part: &Part| matches!(part, Part::Payment(paid) if paid.id == shown.id);
    let invocation = evidence.played.invocations.iter().find(|invocation| is_shown(&invocation.part))?;
    evidence.traces(invocation).first().copied()
}

fn conclude(evidence: &Evidence, problems: &[String], places: &Places, paint: Paint) {
    println!();
    for problem in problems {
        println!("{} {problem}", paint.red("✗"));
    }
    let (traces, spans) = (evidence.traces.len(), evidence.span_count());
    if problems.is_empty() {
        println!(
            "{} {traces} invocations, {traces} complete traces, {spans} spans, none lost; those of the Rust functions came over the Unix socket",
            paint.green("✓")
        );
    } else {
        println!("{} {} problems in {traces} traces of {spans} spans", paint.red("✗"), problems.len());
        println!("  what happened when: {}", places.timeline().display());
    }
    println!("  every trace: {}", places.report().display());
}

impl Trouble {
    fn new(what: impl fmt::Display, cause: impl Error) -> Self {
        Self(format!("{what}: {cause}"))
    }
}

impl From<&str> for Trouble {
    fn from(what: &str) -> Self {
        Self(what.to_owned())
    }
}

impl From<String> for Trouble {
    fn from(what: String) -> Self {
        Self(what)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Trouble {}
