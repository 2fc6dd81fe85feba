//! Gzip with one set of tables for all requests, one after the other.
//!
//! Its 300 KB are aligned, and glibc before 2.38 (so that of every Amazon Linux) cannot give a freed aligned block to
//! the next who asks for the same: a new set for each request made the heap grow by megabytes, now and then. And
//! clearing tables takes less time than fetching them from the kernel.

use std::sync::{Arc, Mutex, PoisonError};

use flate2::{Compress, Compression, FlushCompress, Status};

/// The usual window: 32 KiB.
const WINDOW_BITS: u8 = 15;

/// The tables, made when first needed; clones share them.
#[derive(Clone, Default)]
pub(super) struct Gzip(Arc<Mutex<Option<Compress>>>);

impl Gzip {
    /// Appends to `packed` what comes in pieces; says how long that was.
    pub(super) fn pack(
        &self,
        pieces: impl FnOnce(&mut dyn FnMut(&[u8])),
        level: u32,
        packed: &mut Vec<u8>,
    ) -> u64 {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Compress::new_gzip(Compression::new(level), WINDOW_BITS);
        let deflate = kept.get_or_insert_with(fresh);
        deflate.reset();
        if deflate.set_level(Compression::new(level)).is_err() {
            *deflate = fresh();
        }
        pieces(&mut |piece| feed(deflate, piece, FlushCompress::None, packed));
        feed(deflate, &[], FlushCompress::Finish, packed);
        deflate.total_in()
    }
}

/// Gives all of `piece` to the compressor, and to `packed` what comes of it.
fn feed(deflate: &mut Compress, mut piece: &[u8], flush: FlushCompress, packed: &mut Vec<u8>) {
    loop {
        let before = deflate.total_in();
        let status = deflate.compress_vec(piece, packed, flush).expect("the order of calls is right");
        let taken = usize::try_from(deflate.total_in() - before).expect("no more than was given");
        piece = &piece[taken..];
        let is_over = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            _ => piece.is_empty(),
        };
        if is_over {
            return;
        }
        packed.reserve(packed.capacity().max(MORE));
    }
}

/// The least room to add: where requests are short, growing should not take many steps.
const MORE: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).expect("gzip");
        unpacked
    }

    #[test]
    fn tables_are_used_again_at_any_level_and_size() {
        let gzip = Gzip::default();
        let long: Vec<u8> = (0..40_000_u32).flat_map(|n| (n * n % 9_973).to_le_bytes()).collect();
        for level in [1, 6, 2, 1, 6] {
            for length in [0, 1, 100, 5_000, long.len(), 0, 77] {
                let (mut packed, mut at_once) = (Vec::new(), Vec::new());
                let size = gzip.pack(|take| long[..length].chunks(333).for_each(take), level, &mut packed);
                assert_eq!((size, unpacked(&packed)), (length as u64, long[..length].to_vec()));
                Gzip::default().pack(|take| long[..length].chunks(333).for_each(take), level, &mut at_once);
                assert_eq!(
                    packed, at_once,
                    "level {level}, {length} bytes: nothing is left of the last request"
                );
            }
        }
    }

    #[test]
    fn a_request_that_broke_off_leaves_nothing_behind() {
        let gzip = Gzip::default();
        let torn = gzip.clone();
        let broken = std::panic::catch_unwind(move || {
            torn.pack(
                |take| {
                    take(b"half of a");
                    panic!("a bug of ours");
                },
                1,
                &mut Vec::new(),
            )
        });
        assert!(broken.is_err());
        let mut packed = Vec::new();
        gzip.pack(|take| take(b"whole"), 1, &mut packed);
        assert_eq!(unpacked(&packed), b"whole");
    }
}
