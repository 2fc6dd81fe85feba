//! Lists of `key=value` as the OpenTelemetry variables write them: comma-separated, percent-encoded.

use std::fmt;

/// A member of a list that is not `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadMember {
    /// Its place in the list, from one. The text itself may be a secret.
    pub position: usize,
}

impl fmt::Display for BadMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {} is not key=value with percent-encoding", self.position)
    }
}

impl std::error::Error for BadMember {}

/// The members of `text`, decoded, each on its own: a bad one does not spoil the others.
///
/// # Source
/// `OTEL_EXPORTER_OTLP_HEADERS`: W3C baggage syntax without properties,
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables>
pub fn parse(text: &str) -> impl Iterator<Item = Result<(String, String), BadMember>> + '_ {
    let members = text.split(',').enumerate().filter(|(_, member)| !member.trim().is_empty());
    members.map(|(index, member)| pair(member).ok_or(BadMember { position: index + 1 }))
}

fn pair(member: &str) -> Option<(String, String)> {
    let (key, value) = member.split_once('=')?;
    let (key, value) = (decode(key.trim())?, decode(unquoted(value.trim()))?);
    (!key.is_empty()).then_some((key, value))
}

/// `text` without the quotation marks around it, which baggage does not have: they are a shell's, or YAML's, that were meant to
/// be taken off before.
pub fn unquoted(text: &str) -> &str {
    let within = |mark: char| text.strip_prefix(mark)?.strip_suffix(mark);
    within('"').or_else(|| within('\'')).unwrap_or(text)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        if *first == b'%' {
            let pair = rest.get(..2).and_then(|pair| std::str::from_utf8(pair).ok())?;
            bytes.push(u8::from_str_radix(pair, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_for_themselves() {
        let parsed: Vec<_> = parse("a=1, b = x%20y ,nonsense,c=k=v,%zz=1,").collect();
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        let bad = |position| Err(BadMember { position });
        assert_eq!(parsed, [pair("a", "1"), pair("b", "x y"), bad(3), pair("c", "k=v"), bad(5)]);
    }

    #[test]
    fn quotation_marks_around_a_value_are_none_of_it() {
        for (text, value) in [
            ("a=\"Bearer x\"", "Bearer x"),
            ("a = 'Bearer x' ", "Bearer x"),
            ("a=%22x%22", "\"x\""),
            ("a=\"x", "\"x"),
            ("a=\"", "\""),
            ("a=\"\"", ""),
            ("a='x\"", "'x\""),
        ] {
            assert_eq!(parse(text).next(), Some(Ok(("a".into(), value.into()))), "{text}");
        }
        assert_eq!((unquoted("'a=1'"), unquoted("a='1'")), ("a=1", "a='1'"));
    }
}
