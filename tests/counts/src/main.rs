//! Counts the instructions of what runs for every span, and compares them with figures that are committed.
//!
//! Time says nothing on a shared machine; instructions say the same on every one, as far as the compiler is the
//! same. `counts check` compares, `counts write` sets the figures anew, `counts run CASE N` is what is counted.
//! `counts growth` counts hostile texts, requests and files at three lengths, and measures the memory that requests take:
//! both must grow in line with the length.

mod cases;
mod figures;
mod growth;
mod payload;
mod peak;
mod spool;
mod valgrind;
mod waiting;

use std::process::{Command, ExitCode};

use cases::CASES;
use figures::Figures;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Where the figures are.
const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");

fn main() -> ExitCode {
    match command() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("counts: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["run", case, times] => {
            let (_, run) = CASES.iter().find(|(name, _)| *name == case).ok_or("no such case")?;
            run(times.parse()?);
            Ok(ExitCode::SUCCESS)
        }
        ["grow", family, length] => {
            let (_, run) =
                growth::FAMILIES.iter().find(|(name, _)| *name == family).ok_or("no such family")?;
            run(length.parse()?);
            Ok(ExitCode::SUCCESS)
        }
        ["peak", name, length] => {
            let kind = peak::PEAKS.iter().find(|kind| kind.name == name).ok_or("no such kind")?;
            (kind.run)(length.parse()?);
            println!("{}", peak::of_this_process()?);
            Ok(ExitCode::SUCCESS)
        }
        ["check"] => check(),
        ["growth"] => Ok(if grows_in_line()? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        ["write"] => {
            std::fs::write(FIGURES, Figures { compiler: compiler()?, counts: count_all()? }.to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(
            "counts check | counts growth | counts write | counts run CASE N | counts grow FAMILY LENGTH \
                  | counts peak KIND LENGTH"
                .into(),
        ),
    }
}

/// Compares all cases; without valgrind, or with another compiler than that of the figures, says so and passes.
fn check() -> Result<ExitCode> {
    if !valgrind::is_here() {
        println!("instruction counts: skipped, there is no valgrind");
        return Ok(ExitCode::SUCCESS);
    }
    // However many instructions a compiler makes of it.
    let is_linear = grows_in_line()?;
    let known: Figures = std::fs::read_to_string(FIGURES)?.parse()?;
    let compiler = compiler()?;
    if compiler != known.compiler {
        println!(
            "instruction counts: skipped, they are those of \"{}\", and this is \"{compiler}\"",
            known.compiler
        );
        return Ok(if is_linear { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let (lines, is_held) = known.compare(&count_all()?);
    println!("instruction counts\n{lines}");
    if !is_held {
        println!("If that is meant, `make counts-write` sets the figures anew; say why in the commit.");
    }
    Ok(if is_held && is_linear { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Counts every family at every length, and says whether each grows in line with it.
fn grows_in_line() -> Result<bool> {
    let mut counted = Vec::new();
    for (name, _) in growth::FAMILIES {
        let mut counts = [0; 3];
        for (count, length) in counts.iter_mut().zip(growth::LENGTHS) {
            *count = valgrind::count_process(&["grow", name, &length.to_string()])?;
        }
        counted.push(((*name).to_owned(), counts));
    }
    let (lines, is_linear) = growth::compare(&counted);
    println!("growth\n{lines}");
    let (lines, is_small) = peak::compare(&peak::measure()?);
    println!("memory\n{lines}");
    Ok(is_linear && is_small)
}

fn count_all() -> Result<Vec<(String, u64)>> {
    CASES.iter().map(|(name, _)| Ok(((*name).to_owned(), valgrind::count(name)?))).collect()
}

/// What the code was compiled by, and for: both decide how many instructions it has.
fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output()?;
    Ok(format!("{}, {}", String::from_utf8(output.stdout)?.trim(), std::env::consts::ARCH))
}
