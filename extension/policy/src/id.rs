//! Ids for the spans made here: derived, so that the same invocation always gets the same ones.
//!
//! A span that is sent twice (a retry, or a new process that closes a dead invocation) then carries the
//! same id, and a backend that keys on ids keeps one copy.

use crate::span::{RequestId, SpanId, TraceId};
use crate::time::UnixNanos;

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

/// What the ids of one invocation's spans are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Names the environment.
    pub(crate) seed: u64,
    pub(crate) request_id: RequestId,
    /// Tells attempts apart: Lambda retries an asynchronous invocation under the same request id. It is the
    /// invocation's deadline, or its start where no deadline is known.
    pub(crate) attempt: UnixNanos,
}

impl Ids {
    /// A trace id for the invocation.
    pub(crate) fn trace_id(&self) -> TraceId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.digest(Role::TraceHigh).to_be_bytes());
        bytes[8..].copy_from_slice(&self.digest(Role::TraceLow).to_be_bytes());
        TraceId::new(bytes).expect("a digest is never zero")
    }

    /// A span id for `role` in the invocation.
    pub(crate) fn span_id(&self, role: Role) -> SpanId {
        SpanId::new(self.digest(role).to_be_bytes()).expect("a digest is never zero")
    }

    /// FNV-1a over the text, then the finaliser of splitmix64: every input bit reaches every output bit.
    /// Not cryptographic, and it need not be: nobody gains by guessing the id of a span.
    fn digest(&self, role: Role) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ mix(mix(self.seed ^ (role as u64) << 56) ^ self.attempt.0);
        for byte in self.request_id.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        mix(hash).max(1)
    }
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

    fn ids(seed: u64, request_id: &str, attempt: u64) -> Ids {
        Ids { seed, request_id: request_id.into(), attempt: UnixNanos(attempt) }
    }

    #[test]
    fn ids_are_stable_and_differ_by_role_request_attempt_and_environment() {
        let id = ids(1, "a", 9).span_id(Role::Init);
        assert_eq!(id, ids(1, "a", 9).span_id(Role::Init));
        for other in [ids(1, "b", 9), ids(2, "a", 9), ids(1, "a", 8)] {
            assert_ne!(id, other.span_id(Role::Init), "{other:?}");
            assert_ne!(ids(1, "a", 9).trace_id(), other.trace_id(), "{other:?}");
        }
        assert_ne!(id, ids(1, "a", 9).span_id(Role::Invocation));
        let trace_id = ids(1, "a", 9).trace_id();
        assert_ne!(trace_id.bytes()[..8], trace_id.bytes()[8..]);
    }

    #[test]
    fn the_bits_samplers_read_are_evenly_spread() {
        let is_low = |n: &u64| ids(7, &alloc::format!("request-{n}"), *n).trace_id().bytes()[9] < 128;
        let below_half = (0..10_000).filter(is_low).count();
        assert!((4_800..5_200).contains(&below_half), "{below_half} of 10000 in the lower half");
    }

    #[test]
    fn ids_are_what_a_second_implementation_makes_them() {
        // Computed in Python from the description of `digest`: who reads a record of another process comes to the same ids.
        let digests = [Role::TraceHigh, Role::TraceLow, Role::Invocation, Role::Init]
            .map(|role| ids(0xff00_1234_5678_9abc, "r-1", 9).digest(role));
        assert_eq!(
            digests,
            [0x0d2a_dc82_4d6f_3509, 0x6418_516b_9f86_14df, 0xe779_6040_8708_be04, 0x841f_f7ea_7889_db6f]
        );
    }
}
