//! What the backend does during a fault, and how it becomes well again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tests::collector::{Answer, Collector, Request, State};

use super::books::{self, PerInvocation};

/// A backend's condition.
#[derive(Clone, Debug)]
pub(crate) enum Backend {
    /// As it should be.
    Well,
    /// It answers every request so.
    Answers(Answer),
    /// This status, and the date from which on it may be asked again: the second after the next one.
    BackAt(u16),
    /// It finds every request too large.
    Choosy,
    /// It refuses connections.
    Down,
    /// It takes requests and says nothing; while the environment is frozen, its connections are cut.
    CutInFreeze,
}

impl Backend {
    /// The fault begins.
    pub(crate) fn fall_ill(&self, collector: &Collector) {
        match self {
            Self::Well => {}
            Self::Answers(answer) => collector.always(answer.clone()),
            Self::BackAt(status) => {
                let status = *status;
                collector.always_with(move |_| Answer::retry_after(status, &http_date(in_two_seconds())));
            }
            Self::Choosy => collector.always(Answer::status(413)),
            Self::Down => collector.stop(),
            Self::CutInFreeze => collector.always(Answer::Hold),
        }
    }

    /// Whether the extension has done with these spans all that it does while the backend is ill.
    pub(crate) fn was_offered(&self, wanted: &PerInvocation, state: &State) -> bool {
        let is_silent = matches!(self, Self::Answers(Answer::Hold | Answer::CutShort) | Self::CutInFreeze);
        // What is too large is offered in halves, down to single spans.
        let is_whole = |request: &Request| !matches!(self, Self::Choosy) || request.spans().len() == 1;
        let is_over = |request: &Request| is_silent || request.answered.is_some();
        let requests = state.requests.iter().filter(|request| is_whole(request) && is_over(request));
        let offered = State { requests: requests.cloned().collect(), ..State::default() };
        books::missing(wanted, &books::arrived(&offered, false, true)) == 0
    }

    /// It ends.
    pub(crate) fn recover(&self, collector: &Collector) {
        collector.always(Answer::ok());
        match self {
            Self::Down => collector.resume(),
            Self::CutInFreeze => {
                collector.stop();
                collector.resume();
            }
            Self::Well | Self::Answers(_) | Self::BackAt(_) | Self::Choosy => {}
        }
    }
}

fn in_two_seconds() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    now + Duration::from_secs(2)
}

/// `Sun, 22 Nov 2026 11:30:00 GMT`, of a moment since 1970.
fn http_date(since_1970: Duration) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, seconds) = (since_1970.as_secs() / 86_400, since_1970.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{}, {day:02} {} {year} {clock} GMT", DAYS[(days % 7) as usize], MONTHS[month])
}

/// Year, month from 0 and day from 1, of a number of days since 1970.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}

#[test]
fn dates_are_those_of_http() {
    assert_eq!(http_date(Duration::from_secs(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(http_date(Duration::from_secs(1_709_164_800)), "Thu, 29 Feb 2024 00:00:00 GMT");
}
