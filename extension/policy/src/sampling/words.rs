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

    /// What was said of `request_id` was about another try, which is known as `name` from now on.
    pub(super) fn rename(&mut self, request_id: &RequestId, name: &RequestId) {
        let of_it = self.all.iter_mut().filter(|word| word.request_id == *request_id);
        of_it.for_each(|word| word.request_id = name.clone());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::Decision;
    use alloc::vec::Vec;

    fn word(request_id: &str) -> Circumstances {
        Circumstances { request_id: request_id.into(), ..Circumstances::default() }
    }

    #[test]
    fn what_is_said_of_one_invocation_adds_up() {
        let mut words = Words::default();
        assert!(!words.is_final(&"a".into()));
        words.learn(word("a"));
        words.learn(Circumstances {
            is_cold: true,
            failure: Some(Decision::Crash),
            xray: Some(false),
            ..word("a")
        });
        let known =
            words.learn(Circumstances { failure: Some(Decision::Error), xray: Some(true), ..word("a") });
        assert_eq!(
            (known.is_cold, known.failure, known.xray, known.is_final),
            (true, Some(Decision::Crash), Some(false), false)
        );
        assert!(words.learn(Circumstances { is_final: true, ..word("a") }).is_final);
        assert!(words.learn(word("a")).is_final && words.is_final(&"a".into()));
    }

    #[test]
    fn the_latest_are_remembered_and_a_new_try_knows_nothing_of_the_first() {
        let mut words = Words::default();
        for n in 0..WORDS_MAX + 5 {
            words.learn(word(&alloc::format!("r{n}")));
        }
        assert_eq!((words.all.len(), &*words.all[0].request_id), (WORDS_MAX, "r5"));
        words.rename(&"r6".into(), &"old".into());
        let ids: Vec<_> = words.all.iter().take(3).map(|word| &*word.request_id).collect();
        assert_eq!((words.all.len(), &ids[..]), (WORDS_MAX, &["r5", "old", "r7"][..]));
        assert!(words.of(&"old".into()).is_some() && words.of(&"r6".into()).is_none());
    }

    #[test]
    fn several_are_known_together_and_final_if_each_is() {
        let mut words = Words::default();
        words.learn(Circumstances { is_cold: true, is_final: true, ..word("a") });
        words.learn(Circumstances { failure: Some(Decision::Timeout), xray: Some(true), ..word("b") });
        let on =
            |words: &Words, ids: &[&str]| words.on(&ids.iter().map(|id| (*id).into()).collect::<Vec<_>>());
        let both = on(&words, &["a", "b"]);
        assert_eq!(
            (both.is_cold, both.failure, both.xray, both.is_final),
            (true, Some(Decision::Timeout), Some(true), false)
        );
        assert!(on(&words, &["a"]).is_final && !on(&words, &["b"]).is_cold);
        assert!(!on(&words, &[]).is_final && !on(&words, &["a", "c"]).is_final);
        words.learn(Circumstances { is_final: true, ..word("b") });
        assert!(on(&words, &["a", "b"]).is_final);
    }
}
