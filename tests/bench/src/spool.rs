//! What keeping a request on disk costs until it is settled, beside a plain write of the same bytes.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use extension::spool::{Kind, Spool};
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

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let body = body::of_spans(SPANS as usize);
    let folder = Folder::new("spool")?;
    let (spool, _) = Spool::open(&folder.path.join("records"), BOUND)?;
    let mut plain = File::create(folder.path.join("plain"))?;
    let mut timings: [Vec<u64>; 4] = Default::default();
    for _ in 0..setup.rounds * CALLS_PER_ROUND {
        timings[0].push(nanoseconds(|| plain.write_all(&body).and_then(|()| plain.set_len(0)))?);
        let mut kept = None;
        timings[1].push(nanoseconds(|| {
            kept = spool.keep(Kind::Accepted(Signal::Traces), SPANS, &body);
            kept.as_ref().map(|_| ()).ok_or(std::io::Error::other("nothing was kept"))
        })?);
        timings[2].push(nanoseconds(|| {
            kept = None;
            Ok(())
        })?);
        timings[3].push(nanoseconds(|| {
            black_box(&body);
            Ok(())
        })?);
    }
    let names = ["plain write, emptied", "keep", "settle", "nothing"];
    let rows = names.into_iter().zip(timings).map(|(name, timings)| {
        let summary = Summary::of(timings.into_iter());
        Row::new(name)
            .with("min ns", summary.min)
            .with("median ns", summary.median)
            .with("p90 ns", summary.p90)
    });
    let title = format!("{SPANS} spans, {} bytes, on disk and off again", body.len());
    Ok(Section { title, rows: rows.collect() })
}

fn nanoseconds(call: impl FnOnce() -> std::io::Result<()>) -> Result<u64> {
    let began = Instant::now();
    call()?;
    Ok(u64::try_from(began.elapsed().as_nanos())?)
}
