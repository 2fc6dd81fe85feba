//! How a request is packed: as its backend was asked, or as it was found to understand, and as hard as time allows.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use policy::{Outcome, Pressure};

use crate::settings::Packing;

/// What a backend was found not to understand, for the life of the environment; clones tell each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Agreement {
    is_without_zstd: Arc<AtomicBool>,
}

impl Agreement {
    /// What to pack with, where `wanted` was asked for.
    pub(super) fn packing(&self, wanted: Packing) -> Packing {
        match wanted {
            Packing::Zstd if self.is_without_zstd.load(Ordering::Relaxed) => Packing::Gzip,
            wanted => wanted,
        }
    }

    /// Takes note of what came of a request after the same one had been refused as zstd.
    pub(super) fn note_fallback(&self, refusal: Outcome, then: Outcome) {
        // 400 says that something is wrong, and not what: refused again, it was not the packing.
        let is_proof = matches!(refusal, Outcome::Rejected { status: 415 | 12 });
        if is_proof || matches!(then, Outcome::Delivered { .. }) {
            self.is_without_zstd.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether a backend may have refused a request because it was packed with zstd: 415 says so, many servers say 400;
/// gRPC says UNIMPLEMENTED, and its C core INTERNAL.
pub(super) const fn may_be_packing(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Rejected { status: 400 | 415 | 12 | 13 })
}

/// Packs `raw`.
///
/// Level 1 where an invocation waits: little more than a third of the CPU of gzip's level 6, for a fifth more bytes
/// (docs/performance.md). Where nobody waits, one step more, and no further: the CPU is the function's there too.
pub(super) fn pack(raw: Vec<u8>, packing: Packing, pressure: Pressure) -> Bytes {
    let is_easy = pressure == Pressure::Low;
    match packing {
        Packing::None => raw.into(),
        Packing::Gzip => {
            let level = Compression::new(if is_easy { 2 } else { 1 });
            let mut encoder = GzEncoder::new(Vec::with_capacity(raw.len() / 3 + 64), level);
            encoder.write_all(&raw).expect("writing to memory does not fail");
            encoder.finish().expect("writing to memory does not fail").into()
        }
        Packing::Zstd => {
            let packed = zstd::bulk::compress(&raw, if is_easy { 3 } else { 1 });
            packed.expect("the buffer is as long as zstd says it must be").into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_packed_can_be_unpacked() {
        let raw = b"a span, a span, another span; ".repeat(100);
        for pressure in [Pressure::Low, Pressure::High] {
            let packed = pack(raw.clone(), Packing::Zstd, pressure);
            assert_eq!(zstd::decode_all(&packed[..]).expect("zstd"), raw);
            let (packed, mut unpacked) = (pack(raw.clone(), Packing::Gzip, pressure), Vec::new());
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("gzip");
            assert_eq!(unpacked, raw);
            assert_eq!(pack(raw.clone(), Packing::None, pressure), raw);
        }
    }

    #[test]
    fn zstd_is_given_up_where_it_was_the_fault() {
        let rejected = |status| Outcome::Rejected { status };
        let rows = [
            (rejected(415), rejected(400), Packing::Gzip),
            (rejected(415), Outcome::Delivered { rejected: 0 }, Packing::Gzip),
            (rejected(400), Outcome::Delivered { rejected: 0 }, Packing::Gzip),
            (rejected(400), rejected(400), Packing::Zstd),
            (rejected(13), Outcome::Delivered { rejected: 0 }, Packing::Gzip),
            (rejected(13), rejected(13), Packing::Zstd),
            (rejected(12), Outcome::Lost, Packing::Gzip),
        ];
        for (refusal, then, expected) in rows {
            let agreement = Agreement::default();
            agreement.clone().note_fallback(refusal, then);
            assert_eq!(agreement.packing(Packing::Zstd), expected, "{refusal:?}, {then:?}");
            assert_eq!(agreement.packing(Packing::None), Packing::None);
        }
    }
}
