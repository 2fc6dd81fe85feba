//! What the platform has said of the latest invocations.

use alloc::collections::VecDeque;

use super::Circumstances;
use crate::account::TIMERS_DUE;
use crate::span::RequestId;
use crate::time::Instant;

/// Invocations of which it is remembered what the platform said: the latest, and all whose spans an SDK may yet send by a
/// timer, up to 680 a second.
const WORDS_MIN: usize = 64;
const WORDS_MAX: usize = 4_096;
/// How many go at most when one comes: after a freeze, a timer is still to fire for those that were old before it.
const FORGOTTEN_MAX: usize = 2;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    /// Each with the time at which something was first said.
    all: VecDeque<(Instant, Circumstances)>,
}

impl Words {
    /// Something more was said of an invocation: all that is known of it by now.
    pub(super) fn learn(&mut self, now: Instant, word: Circumstances) -> Circumstances {
        let mut all = self.all.iter_mut().rev().map(|(_, known)| known);
        if let Some(known) = all.find(|known| known.request_id == word.request_id) {
            known.is_cold |= word.is_cold;
            known.is_final |= word.is_final;
            known.failure = known.failure.or(word.failure);
            known.xray = known.xray.or(word.xray);
            return known.clone();
        }
        // By the time of the last word: after a freeze, what was said before it is as young as it was.
        let last = self.all.back().map_or(now, |(since, _)| *since);
        for _ in 0..FORGOTTEN_MAX {
            self.forget_one(last);
        }
        self.all.push_back((now, word.clone()));
        word
    }

    fn forget_one(&mut self, last: Instant) {
        let count = self.all.len();
        self.all.pop_front_if(|(since, _)| {
            count >= WORDS_MAX || count >= WORDS_MIN && last.since(*since) >= TIMERS_DUE
        });
    }

    /// What was said of `request_id` was about another try, which is known as `name` from now on.
    pub(super) fn rename(&mut self, request_id: &RequestId, name: &RequestId) {
        let of_it = self.all.iter_mut().map(|(_, word)| word).filter(|word| word.request_id == *request_id);
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
        self.all.iter().rev().map(|(_, word)| word).find(|word| word.request_id == *request_id)
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
        words.learn(Instant::default(), word("a"));
        words.learn(
            Instant::default(),
            Circumstances { is_cold: true, failure: Some(Decision::Crash), xray: Some(false), ..word("a") },
        );
        let known = words.learn(
            Instant::default(),
            Circumstances { failure: Some(Decision::Error), xray: Some(true), ..word("a") },
        );
        assert_eq!(
            (known.is_cold, known.failure, known.xray, known.is_final),
            (true, Some(Decision::Crash), Some(false), false)
        );
        assert!(words.learn(Instant::default(), Circumstances { is_final: true, ..word("a") }).is_final);
        assert!(words.learn(Instant::default(), word("a")).is_final && words.is_final(&"a".into()));
    }

    #[test]
    fn a_new_try_knows_nothing_of_the_first() {
        let mut words = Words::default();
        for request_id in ["a", "b", "c"] {
            words.learn(Instant::default(), word(request_id));
        }
        words.rename(&"b".into(), &"old".into());
        let ids: Vec<_> = words.all.iter().map(|(_, word)| &*word.request_id).collect();
        assert_eq!(ids, ["a", "old", "c"]);
        assert!(words.of(&"old".into()).is_some() && words.of(&"b".into()).is_none());
    }

    #[test]
    fn the_latest_are_remembered_and_all_for_which_timers_are_not_due() {
        // How long lies between one and the next; how many are remembered in the end, of 5,000.
        let due = TIMERS_DUE.as_millis() as u64;
        for (apart, remembered) in [(0, WORDS_MAX), (due / 1_000, 1_001), (due / 64, 66), (due, 64)] {
            let mut words = Words::default();
            for n in 0..5_000 {
                let now = Instant::from_nanos(n * apart * 1_000_000);
                words.learn(now, word(&alloc::format!("r{n}")));
            }
            assert_eq!(words.all.len(), remembered, "{apart} ms apart");
            let oldest = alloc::format!("r{}", 5_000 - remembered);
            assert!(words.of(&oldest.as_str().into()).is_some(), "{apart} ms apart");
        }
    }

    #[test]
    fn after_a_freeze_what_was_said_before_is_forgotten_little_by_little() {
        let mut words = Words::default();
        for n in 0..200 {
            words.learn(Instant::default(), word(&alloc::format!("r{n}")));
        }
        let thawed = Instant::default() + TIMERS_DUE * 600;
        words.learn(thawed, word("first"));
        assert_eq!(words.all.len(), 201);
        words.learn(thawed, word("second"));
        assert_eq!(words.all.len(), 200);
        assert!(words.of(&"r2".into()).is_some() && words.of(&"r1".into()).is_none());
    }

    #[test]
    fn several_are_known_together_and_final_if_each_is() {
        let mut words = Words::default();
        words.learn(Instant::default(), Circumstances { is_cold: true, is_final: true, ..word("a") });
        words.learn(
            Instant::default(),
            Circumstances { failure: Some(Decision::Timeout), xray: Some(true), ..word("b") },
        );
        let on =
            |words: &Words, ids: &[&str]| words.on(&ids.iter().map(|id| (*id).into()).collect::<Vec<_>>());
        let both = on(&words, &["a", "b"]);
        assert_eq!(
            (both.is_cold, both.failure, both.xray, both.is_final),
            (true, Some(Decision::Timeout), Some(true), false)
        );
        assert!(on(&words, &["a"]).is_final && !on(&words, &["b"]).is_cold);
        assert!(!on(&words, &[]).is_final && !on(&words, &["a", "c"]).is_final);
        words.learn(Instant::default(), Circumstances { is_final: true, ..word("b") });
        assert!(on(&words, &["a", "b"]).is_final);
    }
}
