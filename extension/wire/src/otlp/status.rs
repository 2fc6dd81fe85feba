//! The status of spans that did not end well: the code, and a sentence for the column that viewers show.

use super::scan::SPAN_STATUS;
use crate::proto::{put_bytes, put_message, put_number};

/// `STATUS_CODE_ERROR`.
const ERROR: u64 = 2;

/// What people read, for the classes that the platform gives.
///
/// # Source
/// <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>
const SENTENCES: [(&str, &str); 10] = [
    ("timeout", "the invocation timed out"),
    ("_OTHER", "the invocation failed; the platform gave no reason"),
    ("Runtime.ExitError", "the runtime process exited before the invocation ended"),
    ("Runtime.OutOfMemory", "the function ran out of memory"),
    ("Runtime.Unknown", "the runtime failed for an unknown reason"),
    ("Extension.Crash", "an extension exited"),
    ("Extension.InitError", "an extension failed during initialization"),
    ("Extension.ExitError", "an extension reported an error and exited"),
    ("Sandbox.Failure", "the execution environment failed"),
    ("Function.ResponseSizeTooLarge", "the response was too large"),
];

/// Puts the status of a span that ended with a failure of `class`.
pub(super) fn put_error(out: &mut Vec<u8>, class: &str) {
    let known = SENTENCES.iter().find(|(known, _)| *known == class);
    put_message(out, SPAN_STATUS, |status| {
        match known {
            Some((_, sentence)) => put_bytes(status, 2, sentence.as_bytes()),
            None => put_bytes(status, 2, format!("failed with {class}").as_bytes()),
        }
        put_number(status, 3, ERROR);
    });
}
