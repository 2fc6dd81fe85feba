//! The name of this environment among those of its function: metrics of two environments are two series.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/semconv/resource/service/#service-instance>

use policy::Rng;
use wire::otlp::Identity;

const KEY: &str = "service.instance.id";

/// Names the environment that has this `seed`, in the form of a random UUID (RFC 9562 §5.4).
pub(crate) fn name(identity: &mut Identity, seed: u64) {
    let mut rng = Rng::new(seed);
    let mut bits = || rng.below(u64::MAX);
    let (high, low) = (bits(), bits());
    let version = high & !0xf000 | 0x4000;
    let variant = low & !(0b11 << 62) | 0b10 << 62;
    let uuid = format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        version >> 32,
        version >> 16 & 0xffff,
        version & 0xffff,
        variant >> 48,
        variant & 0xffff_ffff_ffff
    );
    identity.set(KEY, &uuid);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_seed_has_a_uuid_of_its_own() {
        let of = |seed| {
            let mut identity = Identity::default();
            name(&mut identity, seed);
            identity.text(KEY).expect("it is set")
        };
        let all: BTreeSet<_> = (0..1_000).map(of).collect();
        assert_eq!((all.len(), of(7)), (1_000, of(7)));
        for uuid in all {
            let parts: Vec<_> = uuid.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{uuid}");
            assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{uuid}");
        }
    }
}
