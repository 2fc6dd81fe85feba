//! What packing a request costs, and what it saves: gzip as the exporter uses it, at two levels.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use bytes::Bytes;
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use crate::Result;
use crate::body;
use crate::report::{Row, Section};
use crate::setup::Setup;
use crate::stats::Summary;

/// How a request is packed.
enum Way {
    /// By a compressor made for it, as the exporter does.
    Fresh,
    /// By one that has packed before: its tables are there, and only have to be emptied.
    Reused,
}

/// The number of spans, the level, and both in words.
const CASES: [(usize, u32, Way, &str); 8] = [
    (5, 1, Way::Fresh, "5 spans, level 1"),
    (5, 1, Way::Reused, "5 spans, level 1, compressor reused"),
    (50, 1, Way::Fresh, "50 spans, level 1"),
    (50, 1, Way::Reused, "50 spans, level 1, compressor reused"),
    (50, 6, Way::Fresh, "50 spans, level 6"),
    (1_000, 1, Way::Fresh, "1,000 spans, level 1"),
    (1_000, 1, Way::Reused, "1,000 spans, level 1, compressor reused"),
    (1_000, 6, Way::Fresh, "1,000 spans, level 6"),
];

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let bodies = CASES.map(|(spans, ..)| body::of_spans(spans));
    let mut timings = CASES.map(|_| Vec::new());
    let mut packed_bytes = [0; CASES.len()];
    let mut kept = CASES.map(|(_, level, ..)| Compress::new(Compression::new(level), false));
    for _ in 0..setup.rounds {
        for (case, (_, level, way, _)) in CASES.iter().enumerate() {
            let began = Instant::now();
            let packed = match way {
                Way::Fresh => pack(&bodies[case], *level)?,
                Way::Reused => pack_again(&mut kept[case], &bodies[case])?,
            };
            packed_bytes[case] = black_box(packed).len() as u64;
            timings[case].push(u64::try_from(began.elapsed().as_nanos())?);
        }
    }
    let rows = CASES.iter().enumerate().map(|(case, (spans, _, _, name))| {
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

/// A gzip member around the deflate stream of a compressor that is kept.
fn pack_again(compress: &mut Compress, raw: &Bytes) -> Result<Vec<u8>> {
    let mut packed = Vec::with_capacity(raw.len() / 3 + 64);
    packed.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255]);
    compress.reset();
    let mut status = Status::Ok;
    while status != Status::StreamEnd {
        packed.reserve(4_096);
        let taken = usize::try_from(compress.total_in())?;
        status = compress.compress_vec(&raw[taken..], &mut packed, FlushCompress::Finish)?;
    }
    let mut checksum = Crc::new();
    checksum.update(raw);
    packed.extend_from_slice(&checksum.sum().to_le_bytes());
    packed.extend_from_slice(&checksum.amount().to_le_bytes());
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_compressor_that_is_kept_packs_the_same() {
        let mut compress = Compress::new(Compression::new(1), false);
        for spans in [1, 300] {
            let raw = body::of_spans(spans);
            let packed = pack_again(&mut compress, &raw).expect("memory");
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("gzip");
            assert_eq!(unpacked, raw);
        }
    }
}
