//! Tries under one request id: an asynchronous invocation that failed is tried again as the same, a minute later.

use alloc::collections::VecDeque;
use alloc::format;

use crate::account::{INVOKE_DELAY_MAX, RETRIES_END};
use crate::span::RequestId;
use crate::time::UnixNanos;

/// Invocations that are remembered, and earlier tries.
const BEGUN_MAX: usize = 64;
const TRIES_MAX: usize = 32;

/// A try that was followed by another.
#[derive(Clone, Debug)]
struct Try {
    request_id: RequestId,
    /// When that one began.
    until: UnixNanos,
    name: RequestId,
}

/// The names by which earlier tries are known here: the request id is that of the last one.
#[derive(Clone, Debug, Default)]
pub(super) struct Tries {
    begun: VecDeque<RequestId>,
    all: VecDeque<Try>,
}

impl Tries {
    /// `request_id` begins at `until`, as the invocation of this `number`: if it is a retry, the name of the try before it.
    pub(super) fn begin(
        &mut self,
        request_id: &RequestId,
        until: UnixNanos,
        number: u64,
    ) -> Option<RequestId> {
        if !self.begun.contains(request_id) {
            if self.begun.len() == BEGUN_MAX {
                self.begun.pop_front();
            }
            self.begun.push_back(request_id.clone());
            return None;
        }
        let name = RequestId::from(format!("{request_id}, before {number}").as_str());
        if self.all.len() == TRIES_MAX {
            self.all.pop_front();
        }
        self.all.push_back(Try { request_id: request_id.clone(), until, name: name.clone() });
        Some(name)
    }

    /// The try of `request_id` in which something happened `at` that time. What claims any time is of the last one.
    pub(super) fn at(&self, request_id: &RequestId, at: UnixNanos) -> RequestId {
        let is_it = |known: &&Try| {
            let is_before = at + INVOKE_DELAY_MAX < known.until && known.until.since(at) <= RETRIES_END;
            known.request_id == *request_id && is_before
        };
        self.all.iter().find(is_it).map_or_else(|| request_id.clone(), |known| known.name.clone())
    }

    /// The try of `request_id` before the last one.
    pub(super) fn last(&self, request_id: &RequestId) -> Option<RequestId> {
        self.all.iter().rfind(|known| known.request_id == *request_id).map(|known| known.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn what_happened_is_of_the_first_try_that_no_other_had_followed_by_then() {
        let id = RequestId::from("r");
        let mut tries = Tries::default();
        assert_eq!((tries.at(&id, UnixNanos(0)), tries.last(&id)), (id.clone(), None));
        let mut begin = |id: &str, at: u64, number| tries.begin(&id.into(), UnixNanos(at * SECOND), number);
        assert_eq!(begin("r", 29_000, 1), None);
        assert_eq!(begin("r", 30_000, 2), Some("r, before 2".into()));
        assert_eq!(begin("r", 30_200, 3), Some("r, before 3".into()));
        assert_eq!([begin("s", 30_300, 4), begin("s", 30_400, 5)], [None, Some("s, before 5".into())]);
        for (at, name) in [
            // What claims to be of 1970 is of none that is known.
            (0, "r"),
            (8_399, "r"),
            (8_400, "r, before 2"),
            (29_998, "r, before 2"),
            (29_999, "r, before 3"),
            (30_198, "r, before 3"),
            (30_199, "r"),
        ] {
            assert_eq!(tries.at(&id, UnixNanos(at * SECOND)).to_string(), name, "at {at}");
        }
        assert_eq!(tries.last(&id), Some("r, before 3".into()));
    }

    #[test]
    fn the_latest_are_remembered() {
        let mut tries = Tries::default();
        let id = |number: u64| RequestId::from(format!("r-{number}").as_str());
        for number in 0..TRIES_MAX as u64 + 1 {
            (0..2).for_each(|_| drop(tries.begin(&id(number), UnixNanos(SECOND), number)));
        }
        assert_eq!((tries.all.len(), tries.last(&id(0))), (TRIES_MAX, None));
        assert!(tries.last(&id(1)).is_some());
        for number in 100..100 + BEGUN_MAX as u64 {
            assert_eq!(tries.begin(&id(number), UnixNanos(SECOND), number), None);
        }
        assert!(tries.begin(&id(100), UnixNanos(SECOND), 998).is_some(), "of the latest it is the oldest");
        assert_eq!(tries.begin(&id(1), UnixNanos(SECOND), 999), None, "it is forgotten that it had begun");
    }
}
