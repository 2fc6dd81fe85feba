//! From exec to register, and to the first `/next`: the part of a cold start that is ours.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::Result;
use crate::folder::Folder;
use crate::launch::{self, Ended, free_address};
use crate::platform::Platform;
use crate::process::{self, Usage};
use crate::report::{Row, Section};
use crate::setup::{Setup, Variant};
use crate::stats::Summary;

/// What one start took.
struct Start {
    register_us: u64,
    next_us: u64,
    usage: Usage,
}

/// Starts with the binary in the page cache.
pub(crate) fn warm(setup: &Setup) -> Result<Section> {
    run(setup, "start, binary in the page cache", false)
}

/// Starts with the binary's pages dropped before: a stand-in for a fresh sandbox, not Lambda's loader.
pub(crate) fn cold(setup: &Setup) -> Result<Section> {
    run(setup, "start, binary read from disk", true)
}

/// Measures all variants in turn, round by round: what drifts then drifts for all alike.
fn run(setup: &Setup, title: &str, is_cold: bool) -> Result<Section> {
    let bench = Bench::new()?;
    let mut starts: Vec<Vec<Start>> = setup.variants.iter().map(|_| Vec::new()).collect();
    for round in 0..=setup.rounds {
        for (variant, starts) in setup.variants.iter().zip(&mut starts) {
            if is_cold {
                drop_from_page_cache(&variant.path)?;
            }
            let start = bench.start(variant)?;
            // The first round warms up whatever is not under measurement.
            if round > 0 {
                starts.push(start);
            }
        }
    }
    let mut rows: Vec<Row> =
        setup.variants.iter().zip(&starts).map(|(variant, starts)| row(variant, starts)).collect();
    let more: Vec<Row> = rows[1..].iter().map(|row| row.less(&rows[0])).collect();
    rows.extend(more);
    Ok(Section { title: format!("{title}, {} rounds", setup.rounds), rows })
}

fn row(variant: &Variant, starts: &[Start]) -> Row {
    let summary = |what: fn(&Start) -> u64| Summary::of(starts.iter().map(what));
    let register = summary(|start| start.register_us);
    let next = summary(|start| start.next_us);
    Row::new(&variant.name)
        .with("register us, min", register.min)
        .with("median", register.median)
        .with("p90", register.p90)
        .with("next us, min", next.min)
        .with("next median", next.median)
        .with("next p90", next.p90)
        .with("CPU us", summary(|start| start.usage.cpu_us).median)
        .with("RSS KiB", summary(|start| start.usage.rss_kib).median)
        .with("page faults", summary(|start| start.usage.page_faults).median)
}

/// What surrounds a start.
struct Bench {
    platform: Platform,
    /// Takes the backend's connections and never answers: a TLS client is set up, no handshake ends.
    backend: TcpListener,
    /// Nobody else's leftovers are recovered in a measurement.
    spool: Folder,
}

impl Bench {
    fn new() -> Result<Self> {
        let backend = TcpListener::bind("127.0.0.1:0")?;
        Ok(Self { platform: Platform::start()?, backend, spool: Folder::new("start")? })
    }

    /// Starts the binary, waits for its first `/next`, reads what it used, ends it.
    fn start(&self, variant: &Variant) -> Result<Start> {
        self.platform.forget();
        let mut command = self.command(&variant.path)?;
        let began = Instant::now();
        let mut child = Ended(command.spawn()?);
        let registered = self.platform.wait_for("/register")?;
        let asked = self.platform.wait_for("/event/next")?;
        let usage = process::usage(child.0.id())?;
        child.end();
        let micros =
            |at: Instant| u64::try_from((at - began).as_micros()).expect("a start takes less than an age");
        Ok(Start { register_us: micros(registered), next_us: micros(asked), usage })
    }

    fn command(&self, binary: &Path) -> Result<Command> {
        let mut command = launch::command(binary, self.platform.address);
        command
            .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", format!("https://{}", self.backend.local_addr()?))
            .env("PREFREEZE_RECEIVER_HTTP", free_address()?.to_string())
            .env("PREFREEZE_RECEIVER_GRPC", free_address()?.to_string())
            .env("PREFREEZE_RECEIVER_UDS", self.spool.path.join("prefreeze.sock"))
            .env("PREFREEZE_SPOOL_DIR", self.spool.path.join("records"));
        Ok(command)
    }
}

fn drop_from_page_cache(path: &Path) -> Result<()> {
    let file = File::open(path)?;
    file.sync_all()?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(())
}
