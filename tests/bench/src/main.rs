//! Measures what the extension costs, beside a baseline measured in the same run.
//!
//! Absolute numbers drift from machine to machine and hour to hour: compare inside one table only. Nothing
//! here asserts on time. A new benchmark is a module with one `run`, and a row in `BENCHMARKS`.

mod ack;
mod aims;
mod body;
mod compression;
mod environment;
mod folder;
mod growth;
mod grpc;
mod guard;
mod http;
mod ingest;
mod launch;
mod platform;
mod post_runtime;
mod process;
mod quota;
mod report;
mod setup;
mod spool;
mod startup;
mod stats;
mod weight;

use std::error::Error;
use std::process::ExitCode;

use report::Section;
use setup::Setup;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One table's measurement.
type Benchmark = fn(&Setup) -> Result<Section>;

/// What can be measured, by name.
const BENCHMARKS: &[(&str, Benchmark)] = &[
    ("weight", weight::run),
    ("start-warm", startup::warm),
    ("start-cold", startup::cold),
    ("ingest", ingest::run),
    ("guard", guard::run),
    ("compression", compression::run),
    ("spool", spool::run),
    ("ack", ack::run),
    ("post-runtime", post_runtime::run),
    ("growth", growth::run),
];

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The page whose tables are these.
const PAGE: &str = "docs/performance.md";

/// Runs the benchmarks named on the command line, or all; each table is shown as soon as it is there. With `--page`
/// they are put into [`PAGE`] too.
fn measure() -> Result<()> {
    let mut named: Vec<String> = std::env::args().skip(1).collect();
    let is_for_page = named.iter().any(|word| word == "--page");
    named.retain(|word| word != "--page");
    if let Some(unknown) = named.iter().find(|name| BENCHMARKS.iter().all(|(known, _)| known != name)) {
        return Err(format!("there is no {unknown}").into());
    }
    let setup = Setup::prepare()?;
    let mut sections = Vec::new();
    for (name, run) in BENCHMARKS {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            let section = run(&setup)?;
            println!("{}", section.table());
            if is_for_page {
                put_into_page(name, &section.markdown())?;
            }
            sections.push((*name, section));
        }
    }
    let named: Vec<_> = sections.iter().map(|(name, section)| (*name, section)).collect();
    if let Some(aims) = aims::table(&named) {
        println!("{aims}");
        if is_for_page {
            put_into_page("aims", &aims)?;
            put_into_page("machine", &format!("{}.\n", setup::machine()))?;
        }
    }
    let sections: Vec<_> = sections.into_iter().map(|(_, section)| section).collect();
    let path = setup.folder.join("report.json");
    std::fs::write(&path, report::json(&setup::machine(), &sections))?;
    println!("written to {}", path.display());
    Ok(())
}

fn put_into_page(name: &str, table: &str) -> Result<()> {
    let path = setup::workspace().join(PAGE);
    match report::put_into_page(&std::fs::read_to_string(&path)?, name, table) {
        Some(page) => std::fs::write(path, page)?,
        None => println!("{PAGE} has no place for {name}"),
    }
    Ok(())
}
