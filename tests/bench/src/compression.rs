//! What packing a request costs, and what it saves: gzip as the exporter uses it, at two levels.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Result;
use crate::body;
use crate::report::{Row, Section};
use crate::setup::Setup;
use crate::stats::Summary;

/// The number of spans, the level, and both in words.
const CASES: [(usize, u32, &str); 4] = [
    (50, 1, "50 spans, level 1"),
    (50, 6, "50 spans, level 6"),
    (1_000, 1, "1000 spans, level 1"),
    (1_000, 6, "1000 spans, level 6"),
];

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let bodies = CASES.map(|(spans, _, _)| body::of_spans(spans));
    let mut timings = CASES.map(|_| Vec::new());
    let mut packed_bytes = [0; CASES.len()];
    for _ in 0..setup.rounds {
        for (case, (_, level, _)) in CASES.iter().enumerate() {
            let began = Instant::now();
            packed_bytes[case] = black_box(pack(&bodies[case], *level)?).len() as u64;
            timings[case].push(u64::try_from(began.elapsed().as_nanos())?);
        }
    }
    let rows = CASES.iter().enumerate().map(|(case, (spans, _, name))| {
        let summary = Summary::of(timings[case].iter().copied());
        Row::new(name)
            .with("bytes", bodies[case].len() as u64)
            .with("packed bytes", packed_bytes[case])
            .with("packed %", packed_bytes[case] * 100 / bodies[case].len() as u64)
            .with("min us", summary.min / 1_000)
            .with("median us", summary.median / 1_000)
            .with("ns/span", summary.median / *spans as u64)
    });
    Ok(Section { title: format!("gzip, {} rounds", setup.rounds), rows: rows.collect() })
}

fn pack(raw: &Bytes, level: u32) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(raw.len() / 3 + 64), Compression::new(level));
    encoder.write_all(raw)?;
    Ok(encoder.finish()?)
}
