//! What keeping a request on disk costs until it is settled, beside plain writes of the same bytes.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::time::Instant;

use extension::spool::{Kind, Spool};
use flate2::Crc;
use policy::Signal;

use crate::Result;
use crate::body;
use crate::folder::Folder;
use crate::report::{Row, Section};
use crate::setup::Setup;
use crate::stats::Summary;

const SPANS: u32 = 50;
/// Far above one request.
const BOUND: u64 = 64 << 20;
/// A call takes microseconds: many are needed, and cheap.
const CALLS_PER_ROUND: usize = 50;

/// What is timed in one round, in nanoseconds.
struct Times {
    write: u64,
    empty: u64,
    overwrite: u64,
    checksum: u64,
    keep: u64,
    settle: u64,
    nothing: u64,
}

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let body = body::of_spans(SPANS as usize);
    let bench = Bench::new(&body)?;
    let times: Vec<Times> =
        (0..setup.rounds * CALLS_PER_ROUND).map(|_| bench.round()).collect::<Result<_>>()?;
    let row = |name, what: fn(&Times) -> u64| {
        let summary = Summary::of(times.iter().map(what));
        Row::new(name)
            .with("min ns", summary.min)
            .with("median ns", summary.median)
            .with("p90 ns", summary.p90)
    };
    let rows = vec![
        row("write and empty", |times| times.write + times.empty),
        row("  write", |times| times.write),
        row("  empty", |times| times.empty),
        row("write over the last", |times| times.overwrite),
        row("checksum", |times| times.checksum),
        row("keep and settle", |times| times.keep + times.settle),
        row("  keep", |times| times.keep),
        row("  settle", |times| times.settle),
        row("nothing", |times| times.nothing),
    ];
    Ok(Section { title: format!("{SPANS} spans, {} bytes, on disk and off again", body.len()), rows })
}

struct Bench<'a> {
    body: &'a [u8],
    spool: Spool,
    appended: File,
    overwritten: File,
    _folder: Folder,
}

impl<'a> Bench<'a> {
    fn new(body: &'a [u8]) -> Result<Self> {
        let folder = Folder::new("spool")?;
        let spool = Spool::open(&folder.path.join("records"), BOUND)?;
        let appended = File::options().append(true).create(true).open(folder.path.join("appended"))?;
        let overwritten = File::create(folder.path.join("overwritten"))?;
        Ok(Self { body, spool, appended, overwritten, _folder: folder })
    }

    fn round(&self) -> Result<Times> {
        let body = self.body;
        let (write, _) = timed(|| (&self.appended).write_all(body))?;
        let (empty, ()) = timed(|| self.appended.set_len(0))?;
        let (overwrite, ()) = timed(|| self.overwritten.write_all_at(body, 0))?;
        let (checksum, _) = timed(|| Ok(black_box(checksum(body))))?;
        let (keep, kept) = timed(|| {
            let kept = self.spool.keep(Kind::Accepted(Signal::Traces), SPANS, body);
            kept.ok_or(io::Error::other("nothing was kept"))
        })?;
        let (settle, ()) = timed(|| {
            drop(kept);
            Ok(())
        })?;
        let (nothing, _) = timed(|| Ok(black_box(body)))?;
        Ok(Times { write, empty, overwrite, checksum, keep, settle, nothing })
    }
}

fn checksum(body: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(body);
    crc.sum()
}

/// How many nanoseconds a call took, and what it gave.
fn timed<T>(call: impl FnOnce() -> io::Result<T>) -> Result<(u64, T)> {
    let began = Instant::now();
    let given = call()?;
    Ok((u64::try_from(began.elapsed().as_nanos())?, given))
}
