//! What the platform has said of the latest invocations.

use alloc::collections::VecDeque;

use super::Circumstances;
use crate::span::RequestId;

/// Invocations of which it is remembered what the platform said.
const WORDS_MAX: usize = 64;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    all: VecDeque<Circumstances>,
}

impl Words {
    /// Something more was said of an invocation: all that is known of it by now.
    pub(super) fn learn(&mut self, word: Circumstances) -> Circumstances {
        if let Some(known) = self.all.iter_mut().find(|known| known.request_id == word.request_id) {
            known.is_cold |= word.is_cold;
            known.is_final |= word.is_final;
            known.failure = known.failure.or(word.failure);
            known.xray = known.xray.or(word.xray);
            return known.clone();
        }
        if self.all.len() == WORDS_MAX {
            self.all.pop_front();
        }
        self.all.push_back(word.clone());
        word
    }

    /// What is said of `request_id` from now on is of another try.
    pub(super) fn forget(&mut self, request_id: &RequestId) {
        self.all.retain(|word| word.request_id != *request_id);
    }

    /// What is known of `invocations`, taken together: final where it is for each of them, and there are any.
    pub(super) fn on(&self, invocations: &[RequestId]) -> Circumstances {
        let known = || invocations.iter().filter_map(|id| self.of(id));
        Circumstances {
            is_cold: known().any(|word| word.is_cold),
            failure: known().find_map(|word| word.failure),
            xray: known().find_map(|word| word.xray),
            is_final: !invocations.is_empty() && invocations.iter().all(|id| self.is_final(id)),
            ..Circumstances::default()
        }
    }

    /// Whether the platform will say no more of `request_id`.
    pub(super) fn is_final(&self, request_id: &RequestId) -> bool {
        self.of(request_id).is_some_and(|word| word.is_final)
    }

    fn of(&self, request_id: &RequestId) -> Option<&Circumstances> {
        self.all.iter().find(|word| word.request_id == *request_id)
    }
}
