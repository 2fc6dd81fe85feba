//! Identifiers from a seed: the same seed gives the same request ids, identifiers and trace ids.

use crate::clock::Time;

/// SplitMix64: small, seedable, and good enough for ids that only need to differ.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    state: u64,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator whose ids differ from this one's and from those of every other `lane`.
    pub(crate) fn lane(&self, lane: u64) -> Self {
        let mut fork = Self::new(self.state ^ lane.wrapping_mul(0xa076_1d64_78bd_642f));
        Self::new(fork.number())
    }

    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A version 4 UUID, the form of request ids and extension identifiers.
    pub(crate) fn uuid(&mut self) -> String {
        let high = (self.number() & 0xffff_ffff_ffff_0fff) | 0x4000;
        let low = (self.number() & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    /// 16 hex digits: a span or segment id.
    pub(crate) fn span_id(&mut self) -> String {
        format!("{:016x}", self.number().max(1))
    }

    /// 8 hex digits, as in a lineage hash.
    pub(crate) fn short(&mut self) -> String {
        format!("{:08x}", self.number() >> 32)
    }

    /// An X-Ray root: version, seconds of `now`, 96 random bits.
    pub(crate) fn trace_root(&mut self, now: Time) -> String {
        format!("1-{:08x}-{:016x}{:08x}", now.as_secs(), self.number(), self.number() >> 32)
    }
}

/// Whether `text` has the form of a UUID.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_repeat_with_the_seed_and_differ_between_lanes() {
        let (mut a, mut b) = (Ids::new(7), Ids::new(7));
        assert_eq!(a.uuid(), b.uuid());
        assert_ne!(a.uuid(), a.uuid());
        assert_ne!(Ids::new(7).lane(1).uuid(), Ids::new(7).lane(2).uuid());
    }

    #[test]
    fn uuids_are_version_four() {
        let mut ids = Ids::new(1);
        for _ in 0..100 {
            let uuid = ids.uuid();
            assert!(is_uuid(&uuid), "{uuid}");
            assert_eq!(uuid.as_bytes()[14], b'4');
            assert!(matches!(uuid.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{uuid}");
        }
    }

    #[test]
    fn other_texts_are_not_uuids() {
        for text in ["", "abc", "3da1f2dc-3222-475e-9205-e2e6c631889", "3da1f2dcx3222-475e-9205-e2e6c6318895"]
        {
            assert!(!is_uuid(text), "{text}");
        }
    }
}
