//! When it is worth looking for requests that are held for little of what is in them.

/// What may be held for nothing, at the least: below this a look costs more than it gains.
const SLACK_MIN: usize = 1 << 19;
/// Or this part of all that is held.
const SLACK_PART: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Condensing {
    /// What the requests took after the last look, or less since: another look gains nothing before there are more.
    floor: usize,
}

impl Condensing {
    /// Whether it is worth it: `requests` bytes are held, and so many of them are `needed`, which is asked for only where
    /// there may be enough to gain.
    ///
    /// A look costs time in line with what is needed, and comes after as many further bytes as a sixteenth of that: each byte
    /// received pays for a bounded part of it.
    pub(super) fn is_due(&mut self, requests: usize, needed: impl FnOnce() -> usize) -> bool {
        self.floor = self.floor.min(requests);
        if requests <= self.floor + SLACK_MIN {
            return false;
        }
        let needed = needed();
        let slack = SLACK_MIN.max(needed / SLACK_PART);
        requests > needed + slack && requests > self.floor + slack
    }

    /// That was done, and so many bytes are left.
    pub(super) const fn done(&mut self, requests: usize) {
        self.floor = requests;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;

    #[test]
    fn it_is_due_when_much_is_held_for_nothing_and_more_than_after_the_last_time() {
        let mut condensing = Condensing::default();
        // Bytes of requests, those needed, and what was left where that was due.
        for (requests, needed, left) in [
            (MB / 2, 0, None),
            (MB / 2 + 1, 0, Some(MB / 4)),
            (MB * 3 / 4, 0, None),
            (MB, 0, Some(MB)),
            (MB * 3 / 2, 0, None),
            (MB * 3 / 2 + 1, 0, Some(0)),
            (16 * MB + MB / 2, 16 * MB, None),
            (17 * MB, 16 * MB, None),
            (17 * MB + 1, 16 * MB, Some(17 * MB)),
            // What was left has been sent since.
            (MB, MB * 3 / 4, None),
            (2 * MB, MB, Some(0)),
        ] {
            assert_eq!(condensing.is_due(requests, || needed), left.is_some(), "{requests} {needed}");
            left.into_iter().for_each(|left| condensing.done(left));
        }
    }
}
