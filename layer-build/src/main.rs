//! Turns the extension's binary into a Lambda layer: build, check, pack, weigh.

mod archive;
mod checksum;
mod compile;
mod debian;
mod elf;
mod notices;
mod options;
mod pack;
mod size;
mod target;
mod tools;

use std::error::Error;
use std::process::ExitCode;

use options::Command;

/// Whatever goes wrong here is for the person at the terminal to read, so its text is all that counts.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match options::parse(std::env::args_os()).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("layer-build: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Help => println!("{}", options::HELP),
        Command::Layer { target, into: None } => pack::layer(target)?,
        Command::Layer { target, into: Some(folder) } => pack::layer_into(target, &folder)?,
        Command::Function { name, target, into } => pack::function_into(&name, target, &into)?,
        Command::Size { target } => size::print(target)?,
    }
    Ok(())
}
