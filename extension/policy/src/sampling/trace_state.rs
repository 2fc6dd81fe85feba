//! The member of a tracestate that tells how a span was sampled (`ot=th:…;rv:…`), read and rewritten.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/>, <https://www.w3.org/TR/trace-context-2/#tracestate-header>

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::threshold::{Randomness, Threshold};

/// Whose member it is.
const KEY: &str = "ot";
/// Members that a tracestate may have.
const MEMBERS_MAX: usize = 32;
/// Characters that the value of a member may have.
const VALUE_MAX: usize = 256;

/// What is known of the sampling that a span has been through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// Nothing was said.
    Unsaid,
    /// By this threshold.
    By(Threshold),
    /// Something was said that is not a threshold.
    Unreadable,
}

/// What a tracestate says of sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplingState {
    /// `th`.
    pub sampled: Sampled,
    /// `rv`, where there is a valid one.
    pub randomness: Option<Randomness>,
}

/// What is to become of the threshold in a tracestate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThresholdEdit {
    /// It stays as it is.
    Leave,
    /// There is none afterwards.
    Erase,
    /// It is this one afterwards.
    Write(Threshold),
}

/// Reads what `text` says of sampling. Never fails: what cannot be read says nothing.
pub fn read(text: &str) -> SamplingState {
    let mut state = SamplingState { sampled: Sampled::Unsaid, randomness: None };
    // Of nearly every span.
    if text.is_empty() {
        return state;
    }
    for part in own_value(text).unwrap_or_default().split(';') {
        if let Some(threshold) = part.strip_prefix("th:") {
            state.sampled = Threshold::from_hex(threshold).map_or(Sampled::Unreadable, Sampled::By);
        } else if let Some(randomness) = part.strip_prefix("rv:") {
            state.randomness = Randomness::from_hex(randomness);
        }
    }
    state
}

/// `text` after `edit`, or `None` when it stays as it is.
///
/// Shape: only the threshold in our own member changes, and that member goes to the front, as W3C asks for
/// one that was changed. Where the limits of W3C leave no room for a threshold, there is none afterwards. A
/// tracestate that is malformed is not ours to mend: it stays.
pub fn rewrite(text: &str, edit: ThresholdEdit) -> Option<String> {
    let written = match edit {
        ThresholdEdit::Leave => return None,
        ThresholdEdit::Erase => None,
        ThresholdEdit::Write(threshold) => Some(format!("th:{threshold}")),
    };
    let others: Vec<_> = members(text).filter(|member| key(member) != Some(KEY)).collect();
    let own: Vec<_> = members(text).filter(|member| key(member) == Some(KEY)).collect();
    if own.len() > 1 || others.iter().any(|member| key(member).is_none()) {
        return None;
    }
    let old = own_value(text).unwrap_or_default();
    let kept: Vec<_> = old.split(';').filter(|part| !part.is_empty() && !part.starts_with("th:")).collect();
    let mut value = written.unwrap_or_default();
    join(&mut value, &kept, ';');
    if value.len() > VALUE_MAX || (!value.is_empty() && others.len() >= MEMBERS_MAX) {
        value.clear();
        join(&mut value, &kept, ';');
    }
    if value == old {
        return None;
    }
    let mut out = if value.is_empty() { String::new() } else { format!("{KEY}={value}") };
    join(&mut out, &others, ',');
    Some(out)
}

fn join(out: &mut String, parts: &[&str], between: char) {
    for part in parts {
        if !out.is_empty() {
            out.push(between);
        }
        out.push_str(part);
    }
}

fn members(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty())
}

fn key(member: &str) -> Option<&str> {
    member.split_once('=').map(|(key, _)| key)
}

fn own_value(text: &str) -> Option<&str> {
    members(text)
        .find_map(|member| member.split_once('=').filter(|(key, _)| *key == KEY))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn th(text: &str) -> Threshold {
        Threshold::from_hex(text).expect("a threshold")
    }

    #[test]
    fn what_is_said_is_read() {
        let rows = [
            ("", Sampled::Unsaid, None),
            ("x=th:8", Sampled::Unsaid, None),
            ("ot=th:8", Sampled::By(th("8")), None),
            ("x=1, ot=rv:00000000000001;th:c;z:1 ,y=2", Sampled::By(th("c")), Some("00000000000001")),
            ("ot=th:C", Sampled::Unreadable, None),
            ("ot=th:;rv:1", Sampled::Unreadable, None),
            ("ot", Sampled::Unsaid, None),
        ];
        for (text, sampled, randomness) in rows {
            let randomness = randomness.map(|text| Randomness::from_hex(text).expect("14 digits"));
            assert_eq!(read(text), SamplingState { sampled, randomness }, "{text:?}");
        }
    }

    #[test]
    fn only_our_own_threshold_changes() {
        use ThresholdEdit::{Erase, Leave, Write};
        let half = Write(th("8"));
        let rows = [
            ("a=1", Leave, None),
            ("", half, Some("ot=th:8")),
            ("a=1,b=2", half, Some("ot=th:8,a=1,b=2")),
            ("a=1,ot=rv:00000000000001;th:4,b=2", half, Some("ot=th:8;rv:00000000000001,a=1,b=2")),
            ("ot=th:8,a=1", half, None),
            ("ot=th:8,a=1", Erase, Some("a=1")),
            ("ot=th:8", Erase, Some("")),
            ("a=1,ot=q:z;th:8", Erase, Some("ot=q:z,a=1")),
            ("a=1", Erase, None),
            ("malformed", half, None),
            ("ot=th:8,ot=th:c", Erase, None),
        ];
        for (text, edit, after) in rows {
            assert_eq!(rewrite(text, edit).as_deref(), after, "{text:?} {edit:?}");
        }
    }

    #[test]
    fn the_limits_of_w3c_hold() {
        let full = (0..32).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(
            rewrite(&full, ThresholdEdit::Write(th("8"))),
            None,
            "nobody's member makes room for ours"
        );
        let long = format!("ot=th:8;x:{}", "y".repeat(250));
        let after = rewrite(&long, ThresholdEdit::Write(th("fd70a"))).expect("the old threshold goes");
        assert_eq!(read(&after).sampled, Sampled::Unsaid);
    }

    #[test]
    fn there_may_be_as_many_members_and_characters_as_w3c_allows() {
        let others = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        let write = ThresholdEdit::Write(th("8"));
        assert_eq!(rewrite(&others(31), write), Some(format!("ot=th:8,{}", others(31))));
        assert_eq!(rewrite(&others(32), write), None);
        // `th:8;` and the rest are 256 characters, and then one more.
        for (rest, expected) in [(251, true), (252, false)] {
            let rest = format!("x:{}", "y".repeat(rest - 2));
            let after = rewrite(&format!("ot={rest}"), write);
            assert_eq!(after, expected.then(|| format!("ot=th:8;{rest}")), "{}", rest.len());
        }
    }

    #[test]
    fn blanks_and_empty_members_mean_nothing() {
        let write = ThresholdEdit::Write(th("8"));
        assert_eq!(rewrite(" a=1 ,,\tb=2,", write).as_deref(), Some("ot=th:8,a=1,b=2"));
        assert_eq!(rewrite("a=1,ot=;;q:z;", write).as_deref(), Some("ot=th:8;q:z,a=1"));
        assert_eq!(read(" ot=th:8 ").sampled, Sampled::By(th("8")));
    }
}
