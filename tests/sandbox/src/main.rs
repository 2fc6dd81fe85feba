//! The command: runs functions with their extensions and tells what happens, line by line.

#[path = "command/options.rs"]
mod options;
#[path = "command/printer.rs"]
mod printer;

use std::io::Write;
use std::process::ExitCode;

use options::{Action, Invoke, Run};
use printer::{Printer, Stream};
use sandbox::{InvokeRequest, Lambda, Outcome};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match options::parse(lexopt::Parser::from_env()) {
        Ok(Action::Help) => {
            say(options::HELP);
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

/// `sandbox run`: until a signal; the timeline on stdout.
async fn serve(run: Run) -> Result<ExitCode, String> {
    let lambda = start(&run).await?;
    for function in &run.functions {
        say(&format!("{}/2015-03-31/functions/{}/invocations", lambda.endpoint(), function.name));
    }
    let mut printer = Printer::new(&lambda, Stream::Out, run.verbose);
    let mut stop = Stop::new()?;
    let served = async {
        stop.requested().await;
        end(&lambda, &mut stop).await
    };
    printer.print_during(served).await?;
    Ok(ExitCode::SUCCESS)
}

/// `sandbox invoke`: the answers on stdout, the timeline on stderr.
async fn invoke_once(invoke: Invoke) -> Result<ExitCode, String> {
    let lambda = start(&invoke.run).await?;
    let mut printer = Printer::new(&lambda, Stream::Err, invoke.run.verbose);
    let mut stop = Stop::new()?;
    let invoked = async {
        let failed = tokio::select! {
            result = invoke_all(&lambda, &invoke) => result,
            () = stop.requested() => Ok(true),
        };
        end(&lambda, &mut stop).await?;
        failed
    };
    let failed = printer.print_during(invoked).await?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Invokes as often as was asked for; tells whether the function failed in one of them.
async fn invoke_all(lambda: &Lambda, invoke: &Invoke) -> Result<bool, String> {
    let name = &invoke.run.functions.first().expect("parsing gives at least one").name;
    let mut calls = JoinSet::new();
    let mut failed = false;
    for _ in 0..invoke.count {
        let payload = invoke.payload.clone().into();
        let request = InvokeRequest { payload, ..InvokeRequest::default() }.with_xray(invoke.xray.clone());
        let (handle, name) = (lambda.clone(), name.clone());
        calls.spawn(async move { handle.invoke(&name, request).await.map_err(|e| e.to_string()) });
        if !invoke.at_once {
            failed |= finish(lambda, &mut calls).await?;
        }
    }
    Ok(failed | finish(lambda, &mut calls).await?)
}

/// Waits for the calls under way and for the work after them, and prints the answers as they come.
async fn finish(lambda: &Lambda, calls: &mut JoinSet<Result<Outcome, String>>) -> Result<bool, String> {
    let mut failed = false;
    while let Some(call) = calls.join_next().await {
        let outcome = call.map_err(|e| e.to_string())??;
        failed |= outcome.function_error.is_some();
        say(&String::from_utf8_lossy(&outcome.payload));
    }
    lambda.wait_idle().await;
    Ok(failed)
}

/// One line on stdout. A reader that closed its end of the pipe has what it wanted.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

async fn start(run: &Run) -> Result<Lambda, String> {
    let lambda = Lambda::start(run.config.clone()).await.map_err(|e| with_source(&e))?;
    for function in &run.functions {
        let name = &function.name;
        lambda.create_function(function.clone()).map_err(|e| format!("function {name}: {e}"))?;
    }
    Ok(lambda)
}

/// Shuts down; a signal kills instead of waiting.
async fn end(lambda: &Lambda, stop: &mut Stop) -> Result<(), String> {
    tokio::select! {
        report = lambda.shutdown() => {
            eprintln!("{report}");
            Ok(())
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
    interrupt: Signal,
    terminate: Signal,
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
