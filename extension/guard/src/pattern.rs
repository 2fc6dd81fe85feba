//! Own patterns: regular expressions whose matches are all found in time that is linear in the text.
//!
//! A search that starts anew behind each match, as every engine in the ecosystem does, is quadratic: `\d+(?:.*USD)?` on
//! `1 1 1 …` looks for `USD` to the end of the text for each `1`. Here one pass from the end to the beginning notes for
//! every place which steps of the pattern can still lead to a match. A second pass from the beginning then never takes a
//! step in vain: it reads each byte once, and its matches are those of a backtracking engine (leftmost, and of several
//! the one that the pattern prefers).
//!
//! Classes such as `\d` and `\b`, and `(?i)`, are about ASCII, as in `regex-lite`. A byte that is no UTF-8 is a character
//! of its own, which `.` and negated classes match.

mod find;
mod parse;
mod program;

pub(crate) use program::Pattern;

use parse::Parser;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is none, or has more than 512 steps; says why.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        Self::compile(&Parser::parse(text)?)
    }
}
