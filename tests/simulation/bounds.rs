//! How much a world may hold: in a tight one so little that hardly anything fits.

use policy::{Bounds, Rng};

/// Bytes in memory, on disk and in a request, and items in a request, of tight worlds.
const TIGHT: [(usize, usize, usize, usize); 5] = [
    (3_000, 20_000, 1_000, 8),
    (6_000, 8_000, 6_000, 64),
    (20_000, 200_000, 16_000, 64),
    (20_000, 4_000, 64_000, 2),
    (40_000, 200_000, 32_000, 64),
];

/// The bounds of a world. Its own stream of numbers, so that a world is the same under other bounds.
pub(crate) fn pick(seed: u64, is_tight: bool) -> Bounds {
    let mut rng = Rng::new(seed ^ 0xb0d5);
    let tight = TIGHT[rng.below(TIGHT.len() as u64) as usize];
    let roomy = (4 << 20, 200_000, 32_000, 64);
    let (held_bytes, spooled_bytes, batch_bytes, batch_items) = if is_tight { tight } else { roomy };
    Bounds { held_bytes, spooled_bytes, batch_bytes, batch_items, in_flight: 4 }
}
