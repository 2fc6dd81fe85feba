//! Values of several lines, as YAML writes them: `password: |` and lines that are further in.

use super::before;

/// Bytes before a line's first word.
const INDENT_MAX: usize = 256;
/// Signs behind the one that begins a block: how far it is in, and what becomes of its last line.
const MARKS_MAX: usize = 2;
/// Empty lines within a block, one behind the other.
const EMPTY_MAX: usize = 16;

/// Where a block of YAML ends that begins at `start`, behind a name before `from`: `|` or `>`, and lines that are
/// further in than that of the name. Empty lines between them belong to it.
pub(super) fn block(text: &[u8], start: usize, from: usize) -> Option<usize> {
    let indent = |line: &[u8]| line.iter().take(INDENT_MAX).take_while(|byte| **byte == b' ').count();
    // The sign `>` is skipped with others.
    let begins = start - usize::from(before(text, start) == Some(b'>'));
    let mut at = begins + 1;
    if !matches!(text.get(begins), Some(b'|' | b'>')) {
        return None;
    }
    let is_mark = |byte: &&u8| matches!(byte, b'-' | b'+' | b'1'..=b'9');
    at += text[at..].iter().take(MARKS_MAX).take_while(is_mark).count();
    if text.get(at) != Some(&b'\n') {
        return None;
    }
    let head = &text[from.saturating_sub(INDENT_MAX)..from];
    let of_name = indent(head.rsplit(|byte| *byte == b'\n').next().unwrap_or(head));
    let (mut next, mut empty) = (at, 0);
    while let Some(line) = text.get(next + 1..).filter(|_| empty <= EMPTY_MAX) {
        let length = line.iter().position(|byte| *byte == b'\n').unwrap_or(line.len());
        let is_empty = line[..length].trim_ascii().is_empty();
        if (length == 0 && line.is_empty()) || (!is_empty && indent(&line[..length]) <= of_name) {
            break;
        }
        next += 1 + length;
        (at, empty) = if is_empty { (at, empty + 1) } else { (next, 0) };
    }
    Some(at)
}
