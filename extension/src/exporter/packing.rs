//! How a request is packed: as its backend was asked, or as it was found to understand, and as hard as time allows.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use policy::{Effort, Outcome};

use super::gzip::Gzip;
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

/// Up to here zstd is given all at once: it then takes no more memory than that needs, and an eighth less time.
const ZSTD_WHOLE_MAX: usize = 256 << 10;

/// Packs what comes in pieces, and says how long that was.
///
/// Of gzip's levels, those between cost more than they save, or nearly as much as the next. zstd has no better one than
/// its first: beyond a few dozen spans the third packs worse, for more time (docs/performance.md).
pub(super) fn pack(
    pieces: impl FnOnce(&mut dyn FnMut(&[u8])),
    size: usize,
    packing: Packing,
    effort: Effort,
    gzip: &Gzip,
) -> (Bytes, u64) {
    let room = || Vec::with_capacity(size / 3 + 64);
    match packing {
        Packing::None => {
            let mut raw = Vec::with_capacity(size + size / 8 + 1_024);
            let length = write_all(pieces, &mut raw);
            (raw.into(), length)
        }
        Packing::Gzip => {
            let level = match effort {
                Effort::Least => 1,
                Effort::More => 2,
                Effort::Most => 6,
            };
            let mut packed = room();
            let length = gzip.pack(pieces, level, &mut packed);
            (packed.into(), length)
        }
        Packing::Zstd if size <= ZSTD_WHOLE_MAX => {
            let mut raw = Vec::with_capacity(size + size / 8 + 1_024);
            let length = write_all(pieces, &mut raw);
            (zstd::bulk::compress(&raw, 1).expect("the buffer is as long as it must be").into(), length)
        }
        Packing::Zstd => {
            let mut encoder = zstd::Encoder::new(room(), 1).expect("the level is one");
            let length = write_all(pieces, &mut encoder);
            (encoder.finish().expect("writing to memory does not fail").into(), length)
        }
    }
}

fn write_all(pieces: impl FnOnce(&mut dyn FnMut(&[u8])), into: &mut impl Write) -> u64 {
    let mut length = 0;
    pieces(&mut |piece| {
        into.write_all(piece).expect("writing to memory does not fail");
        length += piece.len() as u64;
    });
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn packed(raw: &[u8], packing: Packing, effort: Effort) -> Bytes {
        let in_pieces = |take: &mut dyn FnMut(&[u8])| raw.chunks(1_000).for_each(take);
        let (packed, length) = pack(in_pieces, raw.len(), packing, effort, &Gzip::default());
        assert_eq!(length, raw.len() as u64);
        packed
    }

    #[test]
    fn what_is_packed_can_be_unpacked() {
        for raw in [100, 10_000].map(|times| b"a span, a span, another span; ".repeat(times)) {
            for effort in [Effort::Least, Effort::More, Effort::Most] {
                let by_zstd = packed(&raw, Packing::Zstd, effort);
                assert_eq!(zstd::decode_all(&by_zstd[..]).expect("zstd"), raw);
                let (by_gzip, mut unpacked) = (packed(&raw, Packing::Gzip, effort), Vec::new());
                flate2::read::GzDecoder::new(&by_gzip[..]).read_to_end(&mut unpacked).expect("gzip");
                assert_eq!(unpacked, raw);
                assert_eq!(packed(&raw, Packing::None, effort), raw);
            }
        }
    }

    #[test]
    fn effort_makes_it_smaller() {
        let raw: Vec<u8> =
            (0..2_000_u32).flat_map(|n| format!("attribute {} of span {n};", n % 97).into_bytes()).collect();
        let sizes = [Effort::Least, Effort::More, Effort::Most]
            .map(|effort| packed(&raw, Packing::Gzip, effort).len());
        assert!(sizes[1].max(sizes[2]) < sizes[0], "{sizes:?}");
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
