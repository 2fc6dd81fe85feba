//! How large things may be, and what is done with those that are larger.

/// Bounds on what a function sends; 0 is none.
///
/// Attributes of resources, scopes and metrics are exempt, as in the OpenTelemetry SDKs: they say who measures.
///
/// # Source
/// <https://opentelemetry.io/docs/specs/otel/common/#attribute-limits>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a value: what is longer is cut, between two characters.
    pub value: usize,
    /// The same for stack traces.
    pub stacktrace: usize,
    /// Attributes of a span, event, link or log record: further ones are left out and counted in it.
    pub attributes: usize,
    /// Events of a span, alike.
    pub events: usize,
    /// Links of a span, alike.
    pub links: usize,
    /// Bytes of a span or log record: its largest attributes, events and links are left out until it fits.
    pub item: usize,
}

impl Limits {
    /// No limit at all.
    pub const NONE: Self = Self { value: 0, stacktrace: 0, attributes: 0, events: 0, links: 0, item: 0 };

    /// The bytes of a span or record that is certainly within all limits: the usual one is, and need not be
    /// looked into. An attribute with a key of one byte takes seven, an event that has a time eleven, a link
    /// with its two ids twenty-eight. `None` where there is no limit.
    pub(crate) fn harmless_len(&self) -> Option<usize> {
        let bounds = [
            self.value,
            self.stacktrace,
            self.item,
            self.attributes.saturating_mul(7),
            self.events.saturating_mul(11),
            self.links.saturating_mul(28),
        ];
        bounds.into_iter().filter(|bound| *bound > 0).min()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // OpenTelemetry's own default is no limit. A prompt of a language model or a long statement passes; what would
            // fill the memory of a small function, or a request of gRPC, does not.
            value: 64 << 10,
            stacktrace: 64 << 10,
            attributes: 128,
            events: 128,
            links: 128,
            item: 256 << 10,
        }
    }
}

/// How often each limit was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limited {
    /// Values cut.
    pub values: u64,
    /// Attributes left out.
    pub attributes: u64,
    /// Events left out.
    pub events: u64,
    /// Links left out.
    pub links: u64,
    /// Spans and records that were too large as a whole.
    pub items: u64,
    /// Spans, records and metrics that cannot be read, and so were left out alone.
    pub refused: u64,
    /// Values hidden whole, because they are nested too deep, or are beyond what is searched of one request.
    pub unsearched: u64,
}

/// The longest beginning of `text` of at most `max` bytes that does not end inside a character.
pub(crate) fn cut(text: &[u8], max: usize) -> &[u8] {
    if text.len() <= max {
        return text;
    }
    let is_inside = |byte: u8| byte & 0xc0 == 0x80;
    // A character has four bytes at most: what goes on longer is no text, and cut where it is.
    let end = (max.saturating_sub(3)..=max).rev().find(|end| !is_inside(text[*end])).unwrap_or(max);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_between_two_characters() {
        let rows: [(&str, usize, &str); 5] =
            [("abc", 3, "abc"), ("abc", 2, "ab"), ("aé", 2, "a"), ("a😀b", 4, "a"), ("a😀b", 5, "a😀")];
        for (text, max, expected) in rows {
            assert_eq!(cut(text.as_bytes(), max), expected.as_bytes(), "{text} {max}");
        }
        assert_eq!(cut(&[0x80; 10], 6), [0x80; 6]);
    }

    #[test]
    fn the_usual_span_is_within_all_limits() {
        assert_eq!(Limits::default().harmless_len(), Some(896));
        assert_eq!(Limits::NONE.harmless_len(), None);
        assert_eq!(Limits { value: 10, ..Limits::NONE }.harmless_len(), Some(10));
    }
}
