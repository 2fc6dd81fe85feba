//! The command: runs functions with their extensions and tells what happens, line by line.

#[path = "command/options.rs"]
mod options;
#[path = "command/printer.rs"]
mod printer;

use std::io::Write;
use std::process::ExitCode;

use options::{Action, Invoke, Run};
use printer::Printer;
use sandbox::{InvokeRequest, Lambda};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match options::parse(lexopt::Parser::from_env()) {
        Ok(Action::Help) => {
            println!("{}", options::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Ok(Action::Run(run)) => Box::pin(serve(run)).await,
        Ok(Action::Invoke(invoke)) => Box::pin(invoke_once(invoke)).await,
        Err(error) => Err(error.to_string()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("sandbox: {error}");
        ExitCode::from(2)
    })
}

/// `sandbox run`: until a signal.
async fn serve(run: Run) -> Result<ExitCode, String> {
    let lambda = start(&run).await?;
    for function in &run.functions {
        println!("{}/2015-03-31/functions/{}/invocations", lambda.endpoint(), function.name);
    }
    let printer = Printer::new(lambda.started_at(), run.verbose);
    let mut stop = Stop::new()?;
    tokio::select! {
        () = lambda.follow(|entry| show(printer.line(entry))) => {}
        () = stop.requested() => {}
    }
    let seen = lambda.history().len();
    let ended = end(&lambda, &mut stop).await;
    lambda.history().iter().skip(seen).for_each(|entry| show(printer.line(entry)));
    ended
}

/// `sandbox invoke`: the answer on stdout, the timeline on stderr.
async fn invoke_once(invoke: Invoke) -> Result<ExitCode, String> {
    let lambda = start(&invoke.run).await?;
    let printer = Printer::new(lambda.started_at(), invoke.run.verbose);
    let mut stop = Stop::new()?;
    let name = invoke.run.functions.first().expect("parsing gives at least one").name.clone();
    let follower = lambda.clone();
    let following = tokio::spawn(async move {
        follower.follow(|entry| printer.line(entry).into_iter().for_each(|line| eprintln!("{line}"))).await;
    });
    let mut code = ExitCode::SUCCESS;
    for _ in 0..invoke.count {
        let request = InvokeRequest { payload: invoke.payload.clone().into(), ..InvokeRequest::default() }
            .with_xray(invoke.xray.clone());
        let outcome = tokio::select! {
            outcome = lambda.invoke(&name, request) => outcome.map_err(|e| e.to_string())?,
            () = stop.requested() => break,
        };
        if outcome.function_error.is_some() {
            code = ExitCode::FAILURE;
        }
        let mut stdout = std::io::stdout().lock();
        // A reader that closed its end of the pipe has what it wanted.
        let _ = stdout.write_all(&outcome.payload).and_then(|()| stdout.write_all(b"\n"));
        tokio::select! {
            () = lambda.wait_idle() => {}
            () = stop.requested() => break,
        }
    }
    end(&lambda, &mut stop).await?;
    // The follower prints what the shutdown added before anything else gets its turn.
    tokio::task::yield_now().await;
    following.abort();
    Ok(code)
}

async fn start(run: &Run) -> Result<Lambda, String> {
    let lambda = Lambda::start(run.config.clone()).await.map_err(|e| with_source(&e))?;
    for function in &run.functions {
        let name = &function.name;
        lambda.create_function(function.clone()).map_err(|e| format!("function {name}: {e}"))?;
    }
    Ok(lambda)
}

/// A reader that closed its end of the pipe has seen enough.
fn show(line: Option<String>) {
    if let Some(line) = line {
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// Shuts down; a second signal kills instead of waiting.
async fn end(lambda: &Lambda, stop: &mut Stop) -> Result<ExitCode, String> {
    tokio::select! {
        report = lambda.shutdown() => {
            eprintln!("{report}");
            Ok(ExitCode::SUCCESS)
        }
        () = stop.requested() => Err("killed what was left".into()),
    }
}

fn with_source(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

/// SIGINT and SIGTERM.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|e| format!("cannot listen for signals: {e}"));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
