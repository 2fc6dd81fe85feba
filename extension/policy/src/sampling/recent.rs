//! A bounded memory of what was used lately: when it is full, what was not used for longest is forgotten.

use alloc::collections::BTreeMap;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Recent<K, V> {
    known: BTreeMap<K, (u64, V)>,
    /// Who was used when, oldest first.
    order: BTreeMap<u64, K>,
    uses: u64,
    max: usize,
}

impl<K: Ord + Clone, V> Recent<K, V> {
    pub(crate) const fn new(max: usize) -> Self {
        Self { known: BTreeMap::new(), order: BTreeMap::new(), uses: 0, max }
    }

    /// What is known of `key`, which is thereby used.
    pub(crate) fn touch(&mut self, key: &K) -> Option<&mut V> {
        let (used, value) = self.known.get_mut(key)?;
        self.order.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.order.insert(self.uses, key.clone());
        Some(value)
    }

    /// What is known of `key`, which is not used thereby.
    pub(crate) fn peek(&self, key: &K) -> Option<&V> {
        self.known.get(key).map(|(_, value)| value)
    }

    /// Changes all that is known.
    pub(crate) fn each(&mut self, change: impl Fn(&mut V)) {
        self.known.values_mut().for_each(|(_, value)| change(value));
    }

    /// Remembers `value` of `key`.
    pub(crate) fn put(&mut self, key: K, value: V) {
        self.uses += 1;
        if let Some((used, _)) = self.known.insert(key.clone(), (self.uses, value)) {
            self.order.remove(&used);
        }
        self.order.insert(self.uses, key);
        if self.known.len() > self.max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.known.remove(&oldest);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.known.len(), self.order.len());
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes() {
        let mut recent = Recent::new(2);
        recent.put("a", 1);
        recent.put("b", 2);
        assert_eq!(recent.touch(&"a"), Some(&mut 1));
        recent.put("c", 3);
        assert_eq!(recent.touch(&"b"), None);
        recent.put("a", 4);
        let known = ["a", "b", "c"].map(|key| recent.touch(&key).copied());
        assert_eq!((known, recent.len()), ([Some(4), None, Some(3)], 2));
        recent.each(|value| *value *= 10);
        assert_eq!((["a", "c"].map(|key| recent.peek(&key).copied())), [Some(40), Some(30)]);
    }
}
