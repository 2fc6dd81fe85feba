//! What packing a request costs, and what it saves: each way that the exporter may choose.

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

/// Of requests.
const SPANS: [usize; 4] = [5, 50, 500, 5_000];

/// What packs, with its level.
#[derive(Clone, Copy)]
enum Packer {
    /// By zlib-rs.
    Gzip(u32),
    Zstd(i32),
}

/// Those that the exporter uses, and one level between that of gzip which it does not.
const PACKERS: [(&str, Packer); 6] = [
    ("gzip 1", Packer::Gzip(1)),
    ("gzip 2", Packer::Gzip(2)),
    ("gzip 4", Packer::Gzip(4)),
    ("gzip 6", Packer::Gzip(6)),
    ("zstd 1", Packer::Zstd(1)),
    ("zstd 3", Packer::Zstd(3)),
];

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let mut rows = Vec::new();
    for spans in SPANS {
        let raw = body::of_spans(spans);
        let mut packed_bytes = PACKERS.map(|_| 0);
        let mut timings = PACKERS.map(|_| Vec::new());
        for _ in 0..setup.rounds {
            for (index, (_, packer)) in PACKERS.iter().enumerate() {
                let began = Instant::now();
                packed_bytes[index] = black_box(pack(*packer, &raw)?).len() as u64;
                timings[index].push(u64::try_from(began.elapsed().as_nanos())?);
            }
        }
        for (index, (name, _)) in PACKERS.iter().enumerate() {
            let summary = Summary::of(timings[index].iter().copied());
            let row = Row::new(&format!("{spans} spans, {name}"))
                .with("bytes", raw.len() as u64)
                .with("packed bytes", packed_bytes[index])
                .with("packed %", packed_bytes[index] * 100 / raw.len() as u64)
                .with("min us", summary.min / 1_000)
                .with("median us", summary.median / 1_000)
                .with("min ns/span", summary.min / spans as u64);
            rows.push(row);
        }
    }
    Ok(Section { title: format!("packing, {} rounds", setup.rounds), rows })
}

fn pack(packer: Packer, raw: &Bytes) -> Result<Vec<u8>> {
    match packer {
        Packer::Gzip(level) => {
            let mut encoder = GzEncoder::new(Vec::with_capacity(raw.len() / 3 + 64), Compression::new(level));
            encoder.write_all(raw)?;
            Ok(encoder.finish()?)
        }
        Packer::Zstd(level) => Ok(zstd::bulk::compress(raw, level)?),
    }
}
