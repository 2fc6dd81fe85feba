//! Ids for the spans made here: derived, so that the same invocation always gets the same ones.
//!
//! A span that is sent twice (a retry, or a new process that closes a dead invocation) then carries the
//! same id, and a backend that keys on ids keeps one copy.

use crate::span::{SpanId, TraceId};

/// What a derived id is for: two roles of one invocation never share an id.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// The high half of a trace id.
    TraceHigh = 1,
    /// The low half of a trace id: its last seven bytes are the randomness that samplers read.
    TraceLow = 2,
    /// The invocation span.
    Invocation = 3,
    /// The init span.
    Init = 4,
}

/// A trace id for the invocation `request_id` in the environment that `seed` names.
pub(crate) fn trace_id(seed: u64, request_id: &str) -> TraceId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&digest(seed, request_id, Role::TraceHigh).to_be_bytes());
    bytes[8..].copy_from_slice(&digest(seed, request_id, Role::TraceLow).to_be_bytes());
    TraceId::new(bytes).expect("a digest is never zero")
}

/// A span id for `role` in the invocation `request_id` in the environment that `seed` names.
pub(crate) fn span_id(seed: u64, request_id: &str, role: Role) -> SpanId {
    SpanId::new(digest(seed, request_id, role).to_be_bytes()).expect("a digest is never zero")
}

/// FNV-1a over the text, then the finaliser of splitmix64: every input bit reaches every output bit.
/// Not cryptographic, and it need not be: nobody gains by guessing the id of a span.
fn digest(seed: u64, text: &str, role: Role) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ mix(seed ^ (role as u64) << 56);
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    mix(hash).max(1)
}

fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_differ_by_role_request_and_environment() {
        let id = |seed, request, role| span_id(seed, request, role);
        assert_eq!(id(1, "a", Role::Init), id(1, "a", Role::Init));
        assert_ne!(id(1, "a", Role::Init), id(1, "a", Role::Invocation));
        assert_ne!(id(1, "a", Role::Init), id(1, "b", Role::Init));
        assert_ne!(id(1, "a", Role::Init), id(2, "a", Role::Init));
        assert_ne!(trace_id(1, "a"), trace_id(1, "b"));
    }

    #[test]
    fn the_bits_samplers_read_are_evenly_spread() {
        let below_half =
            (0..10_000).filter(|n| trace_id(7, &alloc::format!("request-{n}")).bytes()[9] < 128).count();
        assert!((4_800..5_200).contains(&below_half), "{below_half} of 10000 in the lower half");
    }
}
