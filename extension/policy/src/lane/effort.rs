//! How hard a request is packed: by the time there is for it, and by its size.

use crate::time::Duration;

/// How much time packing may take for fewer bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// As little as possible.
    Least,
    /// Half as much again, for a tenth less.
    More,
    /// Three times as much, for a sixth less.
    Most,
}

/// What packing a byte takes with each effort but the least: of gzip, on the fourteenth of a processor that a function
/// of 128 MB has (docs/performance.md).
const NANOS_PER_BYTE: [(Effort, u64); 2] = [(Effort::Most, 75), (Effort::More, 42)];
/// The part of the time left that packing may take beyond what it must. A millisecond of a whole flush is what it may
/// cost at worst; what it saves is worth more than that, for a byte sent costs as much as a microsecond of 128 MB.
const PART: u32 = 1_000;

/// The effort for `bytes` of which `left` is the time to pack, send and hear of them.
///
/// Shape: never more where there is less time, or more to pack.
pub(crate) fn effort(left: Duration, bytes: usize) -> Effort {
    let planned = (left / PART).as_nanos();
    let takes = |nanos: u64| u128::from(nanos) * bytes as u128;
    let fits = NANOS_PER_BYTE.into_iter().find(|(_, nanos)| takes(*nanos) <= planned);
    fits.map_or(Effort::Least, |(effort, _)| effort)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_from_time_and_size() {
        let rows = [
            // ms left, bytes, effort
            (1_000, 2_833, Effort::Most),
            (1_000, 13_333, Effort::Most),
            (1_000, 13_334, Effort::More),
            (1_000, 23_809, Effort::More),
            (1_000, 23_810, Effort::Least),
            (100, 2_833, Effort::Least),
            (100, 2_000, Effort::More),
            (0, 1, Effort::Least),
            (900_000, 4 << 20, Effort::Most),
            (1_000, usize::MAX, Effort::Least),
        ];
        for (left, bytes, expected) in rows {
            assert_eq!(effort(Duration::from_millis(left), bytes), expected, "{left} ms, {bytes} bytes");
        }
    }

    #[test]
    fn it_never_grows_with_size_or_haste() {
        for left in [0, 1, 10, 100, 1_000, 10_000] {
            for bytes in [1, 100, 10_000, 1_000_000] {
                let (now, time) =
                    (effort(Duration::from_millis(left), bytes), Duration::from_millis(left * 2));
                assert!(effort(time, bytes) >= now && effort(time / 2, bytes * 2) <= now);
            }
        }
    }
}
