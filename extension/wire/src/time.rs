//! Dates as text: RFC 3339 as the Telemetry API writes them, and the HTTP date of `Retry-After`.

use std::time::Duration;

use policy::UnixNanos;

const NANOS: u64 = 1_000_000_000;

/// The time that `text` names, in UTC: `2026-11-22T07:58:29.858Z`, with any number of decimals.
pub fn rfc3339(text: &str) -> Option<UnixNanos> {
    let (date, time) = text.split_once('T')?;
    let time = time.strip_suffix('Z').or_else(|| time.strip_suffix("+00:00"))?;
    let (clock, decimals) = time.split_once('.').unwrap_or((time, ""));
    let [year, month, day] = numbers(date, '-')?;
    let seconds = unix_seconds(year, month, day, clock)?;
    seconds.checked_mul(NANOS)?.checked_add(fraction(decimals)?).map(UnixNanos)
}

/// How long after `now` the HTTP date `text` is: `Sun, 22 Nov 2026 07:58:29 GMT`; zero when it has passed.
///
/// # Source
/// HTTP-date, <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7>
pub fn until_http_date(text: &str, now: UnixNanos) -> Option<Duration> {
    Some(http_date(text)?.since(now))
}

/// The time that an HTTP date names: `Sun, 22 Nov 2026 07:58:29 GMT`, or one of the two obsolete forms that every recipient
/// must accept, `Sunday, 22-Nov-26 07:58:29 GMT` and `Sun Nov 22 07:58:29 2026`. Two digits of a year are of this century.
pub fn http_date(text: &str) -> Option<UnixNanos> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<_> = text.split_whitespace().collect();
    let (day, month, year, clock) = match parts[..] {
        [_, day, month, year, clock, "GMT"] => (day, month, year.parse().ok()?, clock),
        [_, month, day, clock, year] => (day, month, year.parse().ok()?, clock),
        [_, date, clock, "GMT"] => {
            let (day, rest) = date.split_once('-')?;
            let (month, year) = rest.split_once('-')?;
            (day, month, 2000_u64.saturating_add(year.parse().ok().filter(|year| *year < 100)?), clock)
        }
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    // A year that is too far away to count is as far away as any.
    let year = year.min(YEAR_MAX);
    let seconds = unix_seconds(year, month, day.parse().ok()?, clock)?;
    Some(UnixNanos(seconds.checked_mul(NANOS)?))
}

/// `at` in UTC, in whole seconds, in the basic format of ISO 8601: `20261122T075829Z`.
pub fn basic_format(at: UnixNanos) -> String {
    let seconds = at.0 / NANOS;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // The year at hand is at most one too late: a year has 365 days or one more.
    let mut year = 1970 + days / 365;
    while days_since_epoch(year, 1, 1) > days {
        year -= 1;
    }
    let month = (2..=12).rfind(|month| days_since_epoch(year, *month, 1) <= days).unwrap_or(1);
    let day = days - days_since_epoch(year, month, 1) + 1;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// The last year that is counted with.
const YEAR_MAX: u64 = 2500;

fn unix_seconds(year: u64, month: u64, day: u64, clock: &str) -> Option<u64> {
    let [hour, minute, second] = numbers(clock, ':')?;
    let is_valid = (1970..=YEAR_MAX).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    is_valid.then(|| ((days_since_epoch(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01, counting years from March so that the leap day comes last.
const fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(|part| part.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

fn fraction(decimals: &str) -> Option<u64> {
    let (mut nanos, mut unit) = (0, NANOS);
    for digit in decimals.chars().take(9) {
        unit /= 10;
        nanos += u64::from(digit.to_digit(10)?) * unit;
    }
    Some(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telemetry_times_are_read() {
        let rows = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-22T07:58:29.858Z", Some(1_795_334_309_858_000_000)),
            ("2024-02-29T12:00:00.000001Z", Some(1_709_208_000_000_001_000)),
            ("2000-03-01T00:00:00+00:00", Some(951_868_800_000_000_000)),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-22 07:58:29Z", None),
            ("2026-11-22T07:58:29", None),
            ("nonsense", None),
        ];
        for (text, nanos) in rows {
            assert_eq!(rfc3339(text), nanos.map(UnixNanos), "{text}");
        }
    }

    #[test]
    fn times_are_written_in_the_basic_format_as_they_are_read() {
        for text in [
            "1970-01-01T00:00:00Z",
            "1999-12-31T23:59:59Z",
            "2000-02-29T12:00:00Z",
            "2000-03-01T00:00:00Z",
            "2024-12-31T23:59:59Z",
            "2026-11-22T07:58:29Z",
            "2100-02-28T00:00:00Z",
            "2100-03-01T01:02:03Z",
            "2400-12-31T23:59:59Z",
        ] {
            let at = rfc3339(text).expect("valid");
            assert_eq!(basic_format(at), text.replace(['-', ':'], ""));
            assert_eq!(basic_format(UnixNanos(at.0 + NANOS - 1)), text.replace(['-', ':'], ""));
        }
    }

    #[test]
    fn http_dates_are_read() {
        let now = rfc3339("2026-11-22T07:58:00Z").expect("valid");
        let rows = [
            ("Sun, 22 Nov 2026 07:58:29 GMT", Some(29)),
            ("Sun, 22 Nov 2026 07:57:29 GMT", Some(0)),
            ("Sunday, 22-Nov-26 07:58:29 GMT", Some(29)),
            ("Sun Nov 22 07:58:29 2026", Some(29)),
            ("Thu Jan  1 00:00:00 1970", Some(0)),
            ("Sunday, 22-Nov-2026 07:58:29 GMT", None),
            ("Sunday, 22Nov26 07:58:29 GMT", None),
            ("Sun, 22 Nov 2026 07:58:29 CET", None),
            ("soon", None),
        ];
        for (text, seconds) in rows {
            assert_eq!(until_http_date(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
