//! What programs print around a value: a type, a constructor, a visibility. `Some(Secret("…"))`, `[]string{"…"}`,
//! `(string) (len=11) "…"`, `Password { Value = … }`, `<SecretStr: '…'>`, `[password:protected] => …`: the value is all of it,
//! up to the bracket or the quotation mark that ends it.

use std::ops::Range;

use super::secrets::{BLANKS_MAX, VALUES, is_name};
use super::states::gone_len;

/// A type, or the name of a constructor.
const TYPE_MAX: usize = 64;
/// Casts before a value: `(*string)(0xc000012345)((len=11) "…")`.
const CASTS_MAX: usize = 4;
/// Options before a value in PowerShell.
const OPTIONS_MAX: usize = 4;
/// Bytes of a constructor with something in it that may as well be a password with a bracket.
const BARE_MAX: usize = 256;
/// Between a name and its bracket in `[password:App\User:private]`.
const VISIBILITY_MAX: usize = 128;

/// What follows a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapped {
    /// The value ends here, with its last bracket.
    Until(usize),
    /// Here the value begins that is wrapped, in quotation marks, in brackets, or as it is.
    Before(usize),
}

/// Whether the quotation mark at the second place ends what the one at the first has begun.
pub(super) type Ends<'a> = &'a dyn Fn(usize, usize) -> bool;

/// How a value that `rest` begins with is wrapped, if it is.
pub(super) fn wrapped(rest: &[u8], ends: Ends<'_>) -> Option<Wrapped> {
    match rest.first()? {
        b'!' => tag(rest),
        b'(' => casts(rest),
        b'<' | b'#' => angle(rest, ends),
        _ => cmdlet(rest).or_else(|| constructor(rest, ends)),
    }
}

/// Where the value begins behind a name, a colon and a visibility, from that colon on: PHP's `[password:protected] => …`,
/// `["password":"App\User":private]=>…`.
pub(super) fn visibility(rest: &[u8]) -> Option<usize> {
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'\\' | b'"' | b':');
    let length = rest.iter().take(VISIBILITY_MAX).take_while(is_part).count();
    let behind = rest[length..].strip_prefix(b"]")?;
    let is_arrow = behind.strip_prefix(b" ").unwrap_or(behind).starts_with(b"=>");
    let said = &rest[..length];
    (is_arrow && (said.ends_with(b"protected") || said.ends_with(b"private"))).then_some(length + 1)
}

/// PowerShell's `ConvertTo-SecureString "…"`, with options before the value.
fn cmdlet(rest: &[u8]) -> Option<Wrapped> {
    let word = |rest: &[u8]| rest.iter().take(TYPE_MAX).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let verb = word(rest);
    let noun = rest[verb..].strip_prefix(b"-").map(word).filter(|length| *length > 0)?;
    let mut at = verb + 1 + noun;
    for _ in 0..OPTIONS_MAX {
        let option = rest[at..].strip_prefix(b" -").map_or(0, word);
        at += if option > 0 { option + 2 } else { break };
    }
    let is_it = rest[0].is_ascii_uppercase() && rest[verb + 1].is_ascii_uppercase();
    (is_it && matches!(rest[at..], [b' ', b'"' | b'\'', ..])).then_some(Wrapped::Before(at + 1))
}

/// The length of `new ` before a type with brackets.
pub(super) fn new_len(rest: &[u8]) -> usize {
    const NEW: &[u8] = b"new ";
    let Some(behind) = rest.strip_prefix(NEW) else { return 0 };
    let path = behind.iter().take(TYPE_MAX).take_while(|byte| is_path(**byte)).count();
    if path > 0 && behind.get(path) == Some(&b'(') { NEW.len() } else { 0 }
}

/// Where the element begins that has the value of the one around it: `<Value>`, behind blanks.
pub(super) fn inner_tag(rest: &[u8]) -> Option<usize> {
    let open = blanks(rest);
    let tag = rest[open..].strip_prefix(b"<")?;
    let length = tag.iter().take(TYPE_MAX).take_while(|byte| is_name(**byte)).count();
    let is_value = VALUES.iter().any(|word| tag[..length].eq_ignore_ascii_case(word));
    (is_value && tag.get(length) == Some(&b'>')).then_some(open + length + 2)
}

/// What Spring prints of a field: `rejected value [hunter2X]; codes …`, and where in it the value is.
pub(super) fn rejected(rest: &[u8]) -> Option<Range<usize>> {
    const BEFORE: &[u8] = b"rejected value [";
    let inner = rest.strip_prefix(BEFORE)?;
    // What stands for a value that has gone has a bracket of its own.
    let gone = gone_len(inner).unwrap_or(0);
    let rest = &inner[gone..];
    // A bracket may be a part of it, where a semicolon behind another one is near.
    let near = &rest[..rest.len().min(BARE_MAX)];
    let end = near.windows(2).position(|part| part == b"];");
    let end = end.or_else(|| rest.iter().position(|byte| *byte == b']'));
    let length = end.map_or(inner.len(), |end| gone + end);
    Some(BEFORE.len()..BEFORE.len() + length)
}

/// Where the last text in a list of texts begins: the last part of a path, `["body", "password"]`.
pub(super) fn last_of_list(rest: &[u8]) -> Option<usize> {
    let inner =
        rest.first().filter(|byte| **byte == b'[').map(|_| &rest[..rest.len().min(VISIBILITY_MAX)])?;
    let end = inner.iter().position(|byte| *byte == b']')?;
    let last = inner[..end].trim_ascii_end().strip_suffix(b"\"")?;
    last.iter().rposition(|byte| *byte == b'"').map(|mark| mark + 1)
}

/// YAML's `!!str …`, `!vault |`.
fn tag(rest: &[u8]) -> Option<Wrapped> {
    let marks = rest.iter().take(2).take_while(|byte| **byte == b'!').count();
    let word = rest[marks..].iter().take(TYPE_MAX).take_while(|byte| is_name(**byte)).count();
    let at = marks + word;
    let blanks = blanks(&rest[at..]);
    let is_tag = marks == 2 || matches!(rest.get(at + blanks), Some(b'|' | b'>' | b'"' | b'\''));
    (word > 0 && blanks > 0 && is_tag && at + blanks < rest.len()).then_some(Wrapped::Before(at + blanks))
}

/// Go's spew, and C: types in brackets before a value that is quoted, in brackets, or a number.
fn casts(rest: &[u8]) -> Option<Wrapped> {
    let is_type = |byte: &&u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'.' | b'*' | b'[' | b']' | b'{' | b'}' | b'=' | b':' | b' ')
    };
    let mut at = 0;
    for _ in 0..CASTS_MAX {
        let Some(inner) = rest[at..].strip_prefix(b"(") else { break };
        let length = inner.iter().take(TYPE_MAX).take_while(is_type).count();
        if length == 0 || inner.get(length) != Some(&b')') {
            break;
        }
        at += length + 2;
        at += blanks(&rest[at..]);
    }
    let follows = matches!(rest.get(at), Some(b'"' | b'\'' | b'`' | b'{' | b'[' | b'(' | b'<' | b'0'..=b'9'));
    (at > 0 && follows).then_some(Wrapped::Before(at))
}

/// Python's `<SecretStr: '…'>`, Ruby's `#<Secret:0x01 @value="…">`, Erlang's `<<"…">>`.
fn angle(rest: &[u8], ends: Ends<'_>) -> Option<Wrapped> {
    let hash = usize::from(rest[0] == b'#');
    let inner = rest[hash..].strip_prefix(b"<")?;
    let is_binary = inner.starts_with(b"<\"");
    let word = inner.iter().take(TYPE_MAX).take_while(|byte| is_path(**byte)).count();
    let sign = usize::from(inner.get(word) == Some(&b':'));
    let at = hash + 1 + word + sign;
    let blanks = blanks(&rest[at..]);
    if !is_binary && (word == 0 || sign + blanks == 0) {
        return None;
    }
    let is_sure = is_binary || matches!(rest.get(at + blanks), Some(b'"' | b'\''));
    let seen = if is_sure { rest } else { &rest[..rest.len().min(BARE_MAX)] };
    let end = closing(seen, hash, ends);
    (is_sure || end < seen.len()).then_some(Wrapped::Until(end))
}

/// A type or a constructor, and brackets: `[]string{…}`, `String::from(…)`, `Optional[…]`, `Password { Value = … }`; or a
/// quotation mark: `Just "…"`.
fn constructor(rest: &[u8], ends: Ends<'_>) -> Option<Wrapped> {
    let mut at = rest.iter().take(2).take_while(|byte| matches!(byte, b'&' | b'*' | b'%')).count();
    let mut is_type = false;
    // `[]`, `[3]`, `map[string]`.
    while at < TYPE_MAX {
        let map = if rest[at..].starts_with(b"map[") { 3 } else { 0 };
        let Some(inner) = rest[at + map..].strip_prefix(b"[") else { break };
        let is_part = |byte: &&u8| is_path(**byte) && (map > 0 || byte.is_ascii_digit());
        let length = inner.iter().take(TYPE_MAX).take_while(is_part).count();
        if inner.get(length) != Some(&b']') {
            break;
        }
        at += map + length + 2;
        is_type = true;
    }
    let path = rest[at..].iter().take(TYPE_MAX).take_while(|byte| is_path(**byte)).count();
    let is_named = rest.get(at).is_some_and(u8::is_ascii_uppercase);
    if path == 0 {
        return None;
    }
    at += path;
    if is_type && rest[at..].starts_with(b" {}") {
        at += 3;
    }
    let blank = usize::from(rest.get(at) == Some(&b' '));
    match rest.get(at + blank)? {
        b'"' | b'\'' if blank == 1 && is_named => Some(Wrapped::Before(at + 1)),
        b'(' | b'[' if blank == 1 => None,
        b'{' if blank == 1 && !is_named => None,
        b'(' | b'{' | b'[' => {
            let open = at + blank;
            let is_sure = is_type || holds_value(&rest[open + 1..]);
            let seen = if is_sure { rest } else { &rest[..rest.len().min(open + BARE_MAX)] };
            if !is_sure && !is_named {
                return None;
            }
            let end = closing(seen, open, ends);
            let is_closed = matches!(seen[end - 1], b')' | b'}' | b']');
            (is_sure || is_closed).then_some(Wrapped::Until(end))
        }
        _ => None,
    }
}

/// Whether what stands behind an opening bracket is what a program prints, and no password goes on so: something quoted, in
/// brackets itself, or named.
fn holds_value(inner: &[u8]) -> bool {
    let inner = &inner[blanks(inner)..];
    let is_part = |byte: &&u8| is_path(**byte) && **byte != b':';
    let word = inner.iter().take(TYPE_MAX).take_while(is_part).count();
    let is_prefix = word <= 1;
    match inner.get(word) {
        Some(b'"' | b'\'') => is_prefix,
        Some(b'(' | b'[' | b'{' | b'<') => true,
        Some(b'=' | b':') => word > 0,
        Some(b' ') => word > 0 && matches!(inner.get(word + 1), Some(b'=' | b':' | b'{')),
        _ => false,
    }
}

const fn is_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'*' | b'$')
}

fn blanks(rest: &[u8]) -> usize {
    rest.iter().take(BLANKS_MAX).take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Where the bracket that opens at `open` is closed, or the end of what there is. Brackets in quotation marks are text; an
/// apostrophe opens some only where a value may begin, for it is a part of a name, too.
pub(super) fn closing(rest: &[u8], open: usize, ends: Ends<'_>) -> usize {
    let is_angle = rest[open] == b'<';
    let (mut depth, mut mark, mut at) = (0_usize, None, open);
    while let Some(byte) = rest.get(at) {
        match (byte, mark) {
            (b'\\', Some(_)) => at += 1,
            (byte, Some(begun)) => {
                mark = if *byte == rest[begun] && ends(begun, at) { None } else { mark };
            }
            (b'"', None) => mark = Some(at),
            (b'\'', None) => {
                let opens = at.checked_sub(1).is_some_and(|before| {
                    matches!(rest[before], b'(' | b'[' | b'{' | b',' | b'=' | b':' | b' ' | b'\n')
                });
                mark = opens.then_some(at);
            }
            (b'[' | b'{' | b'(', None) => depth += 1,
            (b'<', None) if is_angle => depth += 1,
            (b']' | b'}' | b')', None) | (b'>', None) if *byte != b'>' || is_angle => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_all_that_is_wrapped() {
        let whole = [
            r#"[]string{"a b"}"#,
            r#"map[string][]string{"a":[]string{"b"}}"#,
            "[]uint8{0x68, 0x75}",
            r#"[]interface {}{"a"}"#,
            r#"&main.Secret{Value:"a}"}"#,
            r#"Some(Secret("a)"))"#,
            "Some(\n    \"a b\",\n)",
            r#"String::from("a b")"#,
            r#"Secret { inner: "a b" }"#,
            "Password { Value = a b }",
            "Password(value='a) b')",
            "Optional[a b]",
            "<SecretStr: 'a> b'>",
            r#"#<Secret:0x01 @value="a">"#,
            r#"<<"a b">>"#,
        ];
        for value in whole {
            let rest = format!("{value}, next=1)");
            assert_eq!(wrapped(rest.as_bytes(), &|_, _| true), Some(Wrapped::Until(value.len())), "{value}");
        }
        for (head, value) in [
            ("(string) (len=11) ", "\"a b\""),
            ("(*string)(0xc000012345)", "(\"a\")"),
            ("Just ", "\"a b\""),
            ("!!str ", "a"),
            ("!vault ", "|\n  a"),
        ] {
            let rest = format!("{head}{value}");
            assert_eq!(wrapped(rest.as_bytes(), &|_, _| true), Some(Wrapped::Before(head.len())), "{rest}");
        }
    }

    #[test]
    fn a_password_with_a_bracket_is_not_wrapped() {
        for value in [
            "a(b",
            "Pa(ss word",
            "a<b",
            "<b>x</b>",
            "!pass word",
            "hunter2",
            "(a b",
            "Pa ss",
            "#1",
            "!!str ",
            "",
        ] {
            assert_eq!(wrapped(value.as_bytes(), &|_, _| true), None, "{value}");
        }
    }

    #[test]
    fn a_visibility_is_no_value() {
        for (rest, expected) in [
            ("protected] => a", Some(10)),
            (r"App\User:private] => a", Some(17)),
            (r#""App\User":private]=>"#, Some(19)),
            ("private]", None),
            ("public] => a", None),
        ] {
            assert_eq!(visibility(rest.as_bytes()), expected, "{rest}");
        }
    }
}
