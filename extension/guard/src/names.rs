//! Names of spans in bounded number: ids in paths become `{id}`, and what is still too much becomes one name.

use crate::detect::numbers::is_uuid;
use crate::keys::hash;

/// What stands for names and values beyond the bound.
pub(crate) const OTHER: &[u8] = b"other";
const ID: &[u8] = b"{id}";
/// Shorter segments of letters and digits are words: `v2`, `s3`, `oauth2`.
const MIXED_MIN: usize = 16;
/// Shorter segments of hexadecimal digits are words: `cafe`, `add`.
const HEX_MIN: usize = 8;

/// The different values of something, up to a bound.
#[derive(Debug, Default)]
pub(crate) struct Bounded {
    /// Half a hash each, in order: that a new value passes for one of ten thousand happens once in 400,000.
    seen: Vec<u32>,
}

impl Bounded {
    /// Whether `value` is one of the first `max` different ones.
    pub(crate) fn admits(&mut self, value: &[u8], max: usize) -> bool {
        let value = hash(value) as u32;
        match self.seen.binary_search(&value) {
            Ok(_) => true,
            Err(_) if self.seen.len() >= max => false,
            Err(place) => {
                self.seen.insert(place, value);
                true
            }
        }
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.seen.capacity() * size_of::<u32>()
    }

    /// Whether `value` was admitted before.
    pub(crate) fn knows(&self, value: &[u8]) -> bool {
        self.seen.binary_search(&(hash(value) as u32)).is_ok()
    }
}

/// `name` with `{id}` for each segment of a path that is one; `None` when none is.
pub(crate) fn template(name: &[u8]) -> Option<Vec<u8>> {
    // An id has a digit in it: most names are done with here.
    if !name.contains(&b'/') || !name.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let mut out = Vec::new();
    let (mut done, mut at) = (0, 0);
    while let Some(slash) = name[at..].iter().position(|byte| *byte == b'/') {
        let start = at + slash + 1;
        let ends = |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b' ');
        let end = name[start..].iter().position(ends).map_or(name.len(), |length| start + length);
        if is_id(&name[start..end]) {
            out.extend_from_slice(&name[done..start]);
            out.extend_from_slice(ID);
            done = end;
        }
        at = end.max(start);
    }
    if done == 0 {
        return None;
    }
    out.extend_from_slice(&name[done..]);
    Some(out)
}

/// Whether a segment is a number, a UUID, a hash, or letters and digits that nobody has chosen.
fn is_id(segment: &[u8]) -> bool {
    let digits = segment.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_number = digits == segment.len() && digits > 0;
    let is_hex = segment.len() >= HEX_MIN && digits > 0 && segment.iter().all(u8::is_ascii_hexdigit);
    let is_mixed = segment.len() >= MIXED_MIN
        && digits >= 4
        && segment.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    is_number || is_hex || is_uuid(segment) || is_mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_paths_become_a_template() {
        let rows = [
            ("GET /users/123/orders/456", Some("GET /users/{id}/orders/{id}")),
            ("/pay/550e8400-e29b-41d4-a716-446655440000", Some("/pay/{id}")),
            ("/o/01ARZ3NDEKTSV4RRFFQ69G5FAV?x=1", Some("/o/{id}?x=1")),
            ("/blob/d41d8cd98f00b204", Some("/blob/{id}")),
            ("GET /api/v2/users", None),
            ("s3/PutObject", None),
            ("process step 2", None),
            ("HTTP 200", None),
            ("/", None),
            ("/users/{id}", None),
        ];
        for (name, expected) in rows {
            let made = template(name.as_bytes()).map(|bytes| String::from_utf8(bytes).expect("ASCII"));
            assert_eq!(made.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn the_first_ones_are_admitted_for_ever() {
        let mut bounded = Bounded::default();
        let admitted = (0..100_u8).filter(|value| bounded.admits(&[*value], 10)).count();
        assert_eq!((admitted, bounded.seen.len()), (10, 10));
        assert!(bounded.admits(&[3], 10) && !bounded.admits(&[50], 10));
    }
}
