//! Keyed hashes of values: HMAC-SHA-256, shortened and spelled in letters.
//!
//! Never a plain hash: of a value with twelve digits all possible ones are tried in minutes.

use ring::hmac;

/// Bytes of the MAC that are kept: 80 bits, so that among a million values two meet once in 10¹² times.
const KEPT: usize = 10;
/// What they are spelled with.
const LETTERS: usize = KEPT * 2;
/// Bytes of a hash, with its braces.
pub(crate) const LENGTH: usize = LETTERS + 2;

/// Whether `rest` begins with what [`Hasher::hash`] makes.
pub(crate) fn begins_with_hash(rest: &[u8]) -> bool {
    let letters = rest.strip_prefix(b"{").and_then(|rest| rest.split_at_checked(LETTERS));
    letters.is_some_and(|(letters, behind)| {
        letters.iter().all(|byte| (b'a'..=b'p').contains(byte)) && behind.first() == Some(&b'}')
    })
}

/// Hashes with one key.
#[derive(Clone, Debug)]
pub(crate) struct Hasher(hmac::Key);

impl Hasher {
    /// With this key; every function that is to give the same letters for a value needs the same one.
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// `{` and `}` around twenty letters. Letters only, a to p, so that no hash looks like a number, and
    /// braces, so that none looks like the name in an address.
    pub(crate) fn hash(&self, value: &[u8]) -> Vec<u8> {
        let tag = hmac::sign(&self.0, value);
        let letters = tag.as_ref()[..KEPT].iter().flat_map(|byte| [b'a' + (byte >> 4), b'a' + (byte & 15)]);
        std::iter::once(b'{').chain(letters).chain(std::iter::once(b'}')).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_hmac_sha_256() {
        // RFC 4231, test case 2: 5bdcc146bf60754e6a04...
        let hash = Hasher::new(b"Jefe").hash(b"what do ya want for nothing?");
        assert_eq!(hash, b"{flnmmbeglpgahfeogkae}");
    }
}
