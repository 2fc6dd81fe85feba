//! What tells labels apart, before their texts are compared.

use super::Label;

/// Keys are constants: nearly always the same one is at the same place.
pub(super) fn is_same(key: &'static str, other: &'static str) -> bool {
    core::ptr::eq(key, other) || key == other
}

/// Tells nearly all labels apart, eight bytes at a time; keys by their lengths only, which order nearly decides.
pub(super) fn digest(labels: &[Label<'_>]) -> u64 {
    let mut digest = 0;
    for (key, value) in labels {
        digest = mix(digest, (key.len() << 32 | value.len()) as u64);
        let mut words = value.as_bytes().chunks_exact(8);
        for word in &mut words {
            digest = mix(digest, u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        digest = words.remainder().iter().fold(digest, |digest, byte| mix(digest, u64::from(*byte)));
    }
    digest
}

/// By the multiplier of FxHash, of which the upper half is mixed well.
pub(super) const fn mix(digest: u64, word: u64) -> u64 {
    (digest.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}
