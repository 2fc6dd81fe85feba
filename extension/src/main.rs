//! The command: the extension itself, as Lambda starts it, and a few words for people.

use std::process::ExitCode;

use extension::reference;
use extension::settings::{self, Settings};

fn main() -> ExitCode {
    // As text that may be broken: an argument that is no UTF-8 is unknown, and no panic.
    let command = std::env::args_os().nth(1).map(|word| word.to_string_lossy().into_owned());
    match command.as_deref() {
        None => extend(),
        Some("config") => config(),
        Some("doctor") => doctor(),
        Some("explain") => explain(),
        Some("metrics") => metrics(),
        Some("--version" | "-V") => print(concat!("prefreeze ", env!("CARGO_PKG_VERSION"), "\n")),
        Some("--help" | "-h" | "help") => print(HELP),
        Some(_) => {
            print(HELP);
            ExitCode::from(2)
        }
    }
}

const HELP: &str = "\
prefreeze: a tracing extension for AWS Lambda

  prefreeze            run as an extension (Lambda starts it so, from a layer)
  prefreeze config     show the effective settings, and every problem in them
  prefreeze config --markdown
                       the reference of all settings
  prefreeze doctor     check the settings, and send an empty request of each signal to its backend;
                       exits with 1 where something is wrong
  prefreeze doctor --env-file FILE
                       the same with the variables of a file: NAME=value, one on a line
  prefreeze metrics    every metric that is emitted: name, instrument, unit, attributes
  prefreeze metrics --markdown
                       the reference of them
  prefreeze explain FILE…
                       what sampling would make of recorded spans: OTLP trace requests in
                       protobuf, or in JSON one or one a line; with the settings of the environment
  prefreeze --version  the version
";

fn extend() -> ExitCode {
    if settings::runtime_api().is_none() {
        print(
            "not started by AWS Lambda, whose API is nowhere to be found; prefreeze --help says what can be run here\n",
        );
        return ExitCode::from(2);
    }
    extension::log::panics();
    match extension::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            extension::log::degraded(
                "not_registered",
                "the platform did not register the extension",
                &*error,
            );
            ExitCode::FAILURE
        }
    }
}

fn config() -> ExitCode {
    if std::env::args().nth(2).as_deref() == Some("--markdown") {
        return print(&settings::reference());
    }
    let mut settings = Settings::from_environment();
    extension::doctor::look_at_files(&mut settings);
    print(&settings.describe());
    if settings.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Exits with 0, with 1 when something is wrong, with 2 when it was called wrongly.
fn doctor() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(2).collect();
    let settings = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Settings::from_environment(),
        ["--env-file", path] => match extension::doctor::variables_of(path) {
            Ok(variables) => Settings::from_variables(variables.into_iter()),
            Err(error) => {
                print(&format!("{path}: {error}\n"));
                return ExitCode::from(2);
            }
        },
        _ => {
            print(HELP);
            return ExitCode::from(2);
        }
    };
    match extension::doctor::examine(settings) {
        Ok(diagnosis) => {
            print(&diagnosis.text);
            if diagnosis.is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            print(&format!("no client can be made: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn metrics() -> ExitCode {
    let is_page = std::env::args().nth(2).as_deref() == Some("--markdown");
    print(&if is_page { reference::metrics() } else { reference::metrics_plain() })
}

/// Exits with 0, with 1 when a file, a span or a setting was not as it should be, with 2 without a file.
fn explain() -> ExitCode {
    let files: Vec<_> = std::env::args().skip(2).collect();
    if files.is_empty() {
        print(HELP);
        return ExitCode::from(2);
    }
    let explained = extension::explain::explain(&Settings::from_environment(), &files);
    print(&explained.text);
    if explained.is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(text: &str) -> ExitCode {
    extension::log::print(text);
    ExitCode::SUCCESS
}
