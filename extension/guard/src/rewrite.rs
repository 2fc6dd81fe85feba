//! A text of which some stretches are replaced: copied at the first replacement, and not before.

use crate::hash::Hasher;

/// What takes the place of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// What its rule says is best: for a card its first six and last four digits, and so on.
    Fitting,
    /// A star for every byte.
    Mask,
    /// A keyed hash: the same value gives the same letters, which tell nothing without the key.
    Hash,
    /// Nothing.
    Delete,
}

/// What takes the place of a secret that leaves no trace of itself.
pub(crate) const REDACTED: &[u8] = b"[redacted]";

pub(crate) struct Rewrite<'a> {
    text: &'a [u8],
    action: Action,
    hasher: Option<&'a Hasher>,
    /// The new text as far as `done`, once there is something to replace.
    out: Vec<u8>,
    done: usize,
    pub(crate) hits: u64,
}

impl<'a> Rewrite<'a> {
    pub(crate) const fn new(text: &'a [u8], action: Action, hasher: Option<&'a Hasher>) -> Self {
        Self { text, action, hasher, out: Vec::new(), done: 0, hits: 0 }
    }

    /// How far the text has been replaced: no later match may begin before.
    pub(crate) const fn done(&self) -> usize {
        self.done
    }

    /// Replaces `start..end`, by `fitting` unless another action was asked for. Stretches come in order.
    pub(crate) fn put(&mut self, start: usize, end: usize, fitting: &[u8]) {
        let found = &self.text[start..end];
        let hashed;
        let with: &[u8] = match (self.action, self.hasher) {
            (Action::Fitting, _) => fitting,
            (Action::Delete, _) => b"",
            (Action::Hash, Some(hasher)) => {
                hashed = hasher.hash(found);
                &hashed
            }
            // Without a key a hash would be as good as the value.
            (Action::Mask | Action::Hash, _) => {
                hashed = vec![b'*'; found.len()];
                &hashed
            }
        };
        if with != found {
            self.hits += 1;
            self.out.extend_from_slice(&self.text[self.done..start]);
            self.out.extend_from_slice(with);
            self.done = end;
        }
    }

    /// The new text, or `None` when nothing was replaced.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        if self.hits == 0 {
            return None;
        }
        self.out.extend_from_slice(&self.text[self.done..]);
        Some(self.out)
    }
}

/// `found` with a star in place of each byte that is a digit or letter and stands before `keep_last` of them.
pub(crate) fn stars(found: &[u8], keep_first: usize, keep_last: usize) -> Vec<u8> {
    let all = found.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
    let mut seen = 0;
    let star = |byte: &u8| {
        if !byte.is_ascii_alphanumeric() {
            return *byte;
        }
        seen += 1;
        if seen <= keep_first || seen + keep_last > all { *byte } else { b'*' }
    };
    found.iter().map(star).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_replaced_in_order_and_the_rest_stays() {
        let mut rewrite = Rewrite::new(b"one two three", Action::Fitting, None);
        rewrite.put(0, 3, b"1");
        rewrite.put(8, 13, b"3");
        assert_eq!(rewrite.finish().as_deref(), Some(&b"1 two 3"[..]));
        let mut same = Rewrite::new(b"one", Action::Fitting, None);
        same.put(0, 3, b"one");
        assert_eq!(same.finish(), None, "a text that stays is not copied");
    }

    #[test]
    fn a_hash_without_a_key_is_a_mask() {
        let mut rewrite = Rewrite::new(b"id 42", Action::Hash, None);
        rewrite.put(3, 5, b"");
        assert_eq!(rewrite.finish().as_deref(), Some(&b"id **"[..]));
    }

    #[test]
    fn separators_are_kept() {
        assert_eq!(stars(b"4111 1111 1111 1111", 6, 4), b"4111 11** **** 1111");
    }
}
