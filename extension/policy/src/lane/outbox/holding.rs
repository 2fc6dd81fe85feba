//! What an outbox holds, and what of that others hold as well.

use super::Outbox;
use crate::entry::Entry;
use crate::shared::Twice;

impl<B: Clone> Outbox<B> {
    /// The same, where others may hold one copy of what it holds.
    pub(crate) fn sharing(self, twice: Twice) -> Self {
        Self { twice: Some(twice), ..self }
    }

    /// `entries` are held from now on.
    pub(super) fn hold(&mut self, entries: &[Entry<B>], held: usize) {
        self.held += held;
        if let Some(twice) = &self.twice {
            entries.iter().filter_map(|entry| entry.shared.as_ref()).for_each(|shared| twice.hold(shared));
        }
    }

    /// `entries` are not held any more.
    pub(super) fn let_go(&mut self, entries: &[Entry<B>], held: usize) {
        debug_assert!(self.held >= held, "what is let go of was held");
        self.held -= held;
        if let Some(twice) = &self.twice {
            entries.iter().filter_map(|entry| entry.shared.as_ref()).for_each(|shared| twice.let_go(shared));
        }
    }
}
