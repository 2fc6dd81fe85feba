//! Quotation marks that are doubled, as they are within a text in quotation marks: `"{""password"":""…""}"` in a cell of CSV, in
//! C#, in a log of PostgreSQL.

use super::secrets::ends_value;

/// Marks around a value, and of one in it.
const DOUBLED: usize = 2;
const DOUBLED_AGAIN: usize = 4;

/// Whether two quotation marks stand before what begins at `start`, and are no empty value and not three.
pub(super) fn is_doubled(text: &[u8], start: usize) -> bool {
    let Some((head, rest)) = text.split_at_checked(start) else { return false };
    let Some(quote) = head.last().filter(|byte| matches!(byte, b'"' | b'\'')) else { return false };
    let opening = head.iter().rev().take(DOUBLED_AGAIN).take_while(|byte| *byte == quote).count();
    let closing = rest.iter().take(DOUBLED_AGAIN).take_while(|byte| *byte == quote).count();
    // `""+x` is an empty text and what a program adds to it.
    let is_sign = |byte: &u8| matches!(byte, b'=' | b':' | b'+' | b'.' | b'?' | b'<' | b'>');
    let goes_on = rest.first().is_some_and(|byte| !ends_value(*byte) && !is_sign(byte));
    // Four are an empty value.
    opening == DOUBLED && (goes_on || closing == DOUBLED)
}

/// How many of so many marks beside each other belong to a value whose marks are doubled, and whether it ends there: a mark
/// within it is doubled twice.
pub(super) const fn end_of_doubled(marks: usize) -> (usize, bool) {
    let left = marks % DOUBLED_AGAIN;
    if left >= DOUBLED { (marks - left, true) } else { (marks, false) }
}
