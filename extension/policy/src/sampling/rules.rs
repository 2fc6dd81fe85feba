//! Rules: what they look at, and what becomes of a trace that they match. The first that matches counts.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::threshold::Ratio;
use crate::span::Kind;
use crate::time::Duration;

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What people call it.
    pub name: Arc<str>,
    /// What a span must be like; all of it. Without any condition, every span is.
    pub when: Vec<Condition>,
    /// Which spans are looked at.
    pub looks_at: LooksAt,
    /// What becomes of the trace.
    pub then: Action,
    /// Whether a [`Action::Drop`] is meant for failures too: they are kept otherwise.
    pub even_failures: bool,
}

/// Which spans of a trace a rule looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LooksAt {
    /// The one that stands for the invocation.
    #[default]
    Entry,
    /// Each; one that matches is enough.
    Any,
}

/// What becomes of a trace that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// So much of it is kept, by consistent probability.
    Ratio(Ratio),
    /// It is kept.
    Keep,
    /// It is left out, unless it failed or the code asked for it.
    Drop,
    /// So many are kept in a second, and no more.
    PerSecond(f64),
}

/// One thing that a span must be like.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Its name.
    Name(Pattern),
    /// `http.route`, or the older `http.target` where there is none.
    Route(Pattern),
    /// `service.name`.
    Service(Pattern),
    /// `faas.trigger`.
    Trigger(Pattern),
    /// An attribute of it, or of its resource where it has none of this key.
    Attribute(Arc<str>, Test),
    /// Its kind.
    Kind(Kind),
    /// Whether its status is ERROR.
    IsError(bool),
    /// It took at least so long.
    AtLeast(Duration),
    /// It took at most so long.
    AtMost(Duration),
}

/// What an attribute must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Text like this; a number or a flag as it is written.
    Like(Pattern),
    /// This number.
    Number(f64),
    /// This flag.
    Flag(bool),
    /// A number in this range, ends included.
    Between(f64, f64),
    /// There (true), or not there.
    Present(bool),
}

/// Text with `*` for any text and `?` for any one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// The pattern `text`.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether `text` matches. Takes at most the product of both lengths, and most often their sum.
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), text.chars());
        // Where to go on when what follows the last star does not match after all.
        let mut again = None;
        loop {
            let (at_pattern, at_rest) = (pattern.clone(), rest.clone());
            match (pattern.next(), rest.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    again = Some((pattern.clone(), at_rest.clone()));
                    rest = at_rest;
                }
                (Some('?'), Some(_)) => {}
                (Some(one), Some(other)) if one == other => {}
                _ => {
                    drop(at_pattern);
                    let Some((after_star, mut from)) = again.take() else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    (pattern, rest) = (after_star.clone(), from.clone());
                    again = Some((after_star, from));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        let rows = [
            ("GET /health", "GET /health", true),
            ("GET /health", "GET /healthz", false),
            ("GET /health*", "GET /healthz", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*/pay*", "POST /payments", true),
            ("*a*b*c", "xxaxxbxxbxxc", true),
            ("*a*b*c", "xxaxxcxx", false),
            ("?ay", "pay", true),
            ("?ay", "ay", false),
            ("**", "anything", true),
            ("*é?", "café!", true),
            ("*ab", "aab", true),
        ];
        for (pattern, text, matches) in rows {
            assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn a_pattern_made_to_take_long_does_not() {
        let pattern = Pattern::new(&alloc::format!("{}b", "*a".repeat(50)));
        assert!(!pattern.matches(&"a".repeat(5_000)));
    }
}
