//! Turns the extension's binary into a Lambda layer: build, check, pack, weigh.

mod archive;
mod checksum;
mod compile;
mod crates;
mod dashboards;
mod debian;
mod elf;
mod notices;
mod options;
mod pack;
mod release;
mod sbom;
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
        Command::Layer { targets } => targets.into_iter().try_for_each(pack::layer)?,
        Command::LayerInto { target, into } => pack::layer_into(target, &into)?,
        Command::Function { name, target, into } => pack::function_into(&name, target, &into)?,
        Command::Size { targets } => targets.into_iter().try_for_each(size::print)?,
        Command::Reproduce { targets } => targets.into_iter().try_for_each(pack::reproduce)?,
        Command::Release => release::prepare()?,
        Command::Dashboards => dashboards::write()?,
        Command::Emulator { targets } => targets.into_iter().try_for_each(emulator)?,
    }
    Ok(())
}

fn emulator(target: target::Target) -> Result<()> {
    match tools::emulator(target)? {
        Some(program) => println!("{} runs under {}", target.name(), program.display()),
        None => println!("{} runs here as it is", target.name()),
    }
    Ok(())
}
