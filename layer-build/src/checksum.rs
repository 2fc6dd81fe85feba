//! SHA-256, in the form that `sha256sum --check` reads.

use sha2::{Digest, Sha256};

/// One line: the digest in hex, two blanks, the file's name.
pub(crate) fn line(bytes: &[u8], name: &str) -> String {
    format!("{}  {name}\n", hex(bytes))
}

/// The digest in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digest() {
        // The test vector "abc" of FIPS 180-2, appendix B.1.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(line(b"abc", "a.zip"), format!("{digest}  a.zip\n"));
    }
}
