//! Base64: written in the usual alphabet with padding, and read leniently, in either alphabet with padding or without, as
//! ProtoJSON and gRPC both ask of a reader.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends `bytes` to `text`, as four characters for each three of them, begun ones included.
pub fn encode_into(bytes: &[u8], text: &mut Vec<u8>) {
    text.reserve(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        let digits = [18, 12, 6, 0].map(|shift| ALPHABET[bits >> shift & 63]);
        text.extend_from_slice(&digits[..=group.len()]);
        text.extend_from_slice(&b"=="[..3 - group.len()]);
    }
}

/// The bytes, or `None` when it is no base64.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let (digits, padding) = text.split_at(end);
    // One digit alone holds six bits of eight.
    if padding.len() > 2 || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 3);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            bits = bits << 6 | u32::from(value(*digit)?);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_texts_that_can_be_read() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ] {
            let mut encoded = b">".to_vec();
            encode_into(bytes.as_bytes(), &mut encoded);
            assert_eq!(String::from_utf8_lossy(&encoded), format!(">{text}"));
        }
        let all: Vec<u8> = (0..=255).collect();
        let mut encoded = Vec::new();
        encode_into(&all, &mut encoded);
        assert_eq!(decode(&encoded), Some(all));
    }

    #[test]
    fn texts_become_bytes() {
        let rows: [(&str, Option<&[u8]>); 11] = [
            ("", Some(b"")),
            ("Zg==", Some(b"f")),
            ("Zg", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("Zm9vYg", Some(b"foob")),
            ("-_8=", Some(b"\xfb\xff")),
            ("+/8", Some(b"\xfb\xff")),
            ("Z", None),
            ("Zm9v!", None),
            ("Z===", None),
        ];
        for (text, bytes) in rows {
            assert_eq!(decode(text.as_bytes()).as_deref(), bytes, "{text:?}");
        }
    }
}
