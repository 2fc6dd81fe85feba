//! Protobuf on the wire: walking the fields of a message in place, and writing the few that we make.

use std::fmt;

/// Bytes that are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// A field goes on beyond the end of its message.
    Truncated,
    /// A number of more than 64 bits.
    Varint,
    /// A field number of zero, a wire type that does not exist, or the end of a group that has not begun.
    Tag,
    /// A text that is not UTF-8.
    Text,
    /// A field that is not of the type that its schema says.
    Type,
    /// Messages within messages, deeper than protobuf's readers follow.
    Depth,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "a field goes beyond the end of its message",
            Self::Varint => "a number has more than 64 bits",
            Self::Tag => "a field has no valid number or type",
            Self::Text => "a text is not UTF-8",
            Self::Type => "a field is not of the type that its schema says",
            Self::Depth => "messages are nested too deep",
        })
    }
}

impl std::error::Error for WireError {}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number of its own length.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Text, bytes, or a message.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
    /// A group, which OTLP has none of: decoders pass over one that they do not know.
    Group,
}

impl<'a> Value<'a> {
    /// The bytes of a length-delimited field; empty for any other type.
    pub const fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// The content of a field that must be a message.
    pub(crate) const fn message(self) -> Result<&'a [u8], WireError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::Type),
        }
    }

    /// The number of a varint field; zero for any other type.
    pub const fn varint(self) -> u64 {
        match self {
            Self::Varint(number) => number,
            _ => 0,
        }
    }
}

/// One field, and where it stands in the message that was walked.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Its number; never zero.
    pub number: u32,
    /// What it holds.
    pub value: Value<'a>,
    /// Where its tag begins.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
}

impl Field<'_> {
    /// Where the content of a length-delimited field begins.
    pub const fn content_start(&self) -> usize {
        self.end - self.value.bytes().len()
    }
}

/// Groups within groups that protobuf's decoders follow.
const GROUPS_MAX: usize = 100;

/// Walks the fields of a message.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    message: &'a [u8],
    at: usize,
}

/// The fields of `message`, from its beginning.
pub const fn fields(message: &[u8]) -> Fields<'_> {
    Fields { message, at: 0 }
}

impl<'a> Fields<'a> {
    /// The next field, or `None` at the end of the message.
    ///
    /// # Errors
    /// When the bytes that follow are no field.
    #[inline(always)]
    #[expect(
        clippy::should_implement_trait,
        reason = "`?` and then the option read better than an option of results"
    )]
    pub fn next(&mut self) -> Result<Option<Field<'a>>, WireError> {
        let start = self.at;
        if start >= self.message.len() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || tag > u64::from(u32::MAX) {
            return Err(WireError::Tag);
        }
        let value = match tag & 7 {
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                Value::Bytes(self.take(length)?)
            }
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            3 => self.group(tag >> 3)?,
            _ => return Err(WireError::Tag),
        };
        Ok(Some(Field { number: number as u32, value, start, end: self.at }))
    }

    /// Passes over the group of field `number`, whose beginning has been read.
    #[cold]
    #[inline(never)]
    fn group(&mut self, number: u64) -> Result<Value<'a>, WireError> {
        let mut open = vec![number];
        while let Some(innermost) = open.last().copied() {
            if self.at >= self.message.len() {
                return Err(WireError::Truncated);
            }
            let tag = self.varint()?;
            if tag >> 3 == 0 || tag > u64::from(u32::MAX) {
                return Err(WireError::Tag);
            }
            match tag & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.take(8)?),
                2 => {
                    let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                    self.take(length)?;
                }
                3 if open.len() == GROUPS_MAX => return Err(WireError::Depth),
                3 => open.push(tag >> 3),
                4 if tag >> 3 == innermost => drop(open.pop()),
                5 => drop(self.take(4)?),
                _ => return Err(WireError::Tag),
            }
        }
        Ok(Value::Group)
    }

    /// The content of the next field, if that is another of a repeated length-delimited field with a number below 16.
    /// Attributes are more than half of a span's fields, and this takes a third of [`Fields::next`].
    ///
    /// # Errors
    /// When it goes beyond the end of the message.
    #[inline(always)]
    pub(crate) fn more(&mut self, number: u32) -> Result<Option<&'a [u8]>, WireError> {
        let tag = (number << 3 | 2) as u8;
        if self.message.get(self.at) != Some(&tag) {
            return Ok(None);
        }
        self.at += 1;
        let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
        self.take(length).map(Some)
    }

    /// Where the next field begins.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// Nearly all tags and lengths have one byte, and most others two: a loop over up to ten costs twice as much as
    /// all else that is done to a field.
    #[inline(always)]
    fn varint(&mut self) -> Result<u64, WireError> {
        match self.message[self.at..] {
            [byte, ..] if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            [low, high, ..] if high < 0x80 => {
                self.at += 2;
                Ok(u64::from(low & 0x7f) | u64::from(high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut number = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = *self.message.get(self.at).ok_or(WireError::Truncated)?;
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // The tenth byte has room for one bit.
                return if shift == 63 && byte > 1 { Err(WireError::Varint) } else { Ok(number) };
            }
        }
        Err(WireError::Varint)
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("take gives as many bytes as asked"))
    }

    #[inline(always)]
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(length).ok_or(WireError::Truncated)?;
        let bytes = self.message.get(self.at..end).ok_or(WireError::Truncated)?;
        self.at = end;
        Ok(bytes)
    }
}

/// Whether `bytes` are numbers, one after the other, and nothing else.
pub(crate) fn varints(bytes: &[u8]) -> Result<(), WireError> {
    let mut walk = fields(bytes);
    while walk.at < bytes.len() {
        walk.varint()?;
    }
    Ok(())
}

/// How many bytes `number` takes as a varint.
pub const fn varint_len(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// How many bytes a length-delimited field of `length` bytes takes, for field numbers below 16.
pub const fn field_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

/// Writes `number` in as few bytes as it takes.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    put_varint(out, u64::from(number << 3 | wire_type));
}

/// The head of a length-delimited field of `length` bytes.
pub fn put_head(out: &mut Vec<u8>, number: u32, length: usize) {
    put_tag(out, number, 2);
    put_varint(out, length as u64);
}

/// A length-delimited field.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_head(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

/// A varint field.
pub fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, 0);
    put_varint(out, value);
}

/// A field of eight bytes.
pub fn put_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_fixed32(out: &mut Vec<u8>, number: u32, value: u32) {
    put_tag(out, number, 5);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A `double`.
pub fn put_double(out: &mut Vec<u8>, number: u32, value: f64) {
    put_fixed64(out, number, value.to_bits());
}

/// A `sint32`, whose sign is its lowest bit.
pub fn put_signed(out: &mut Vec<u8>, number: u32, value: i32) {
    put_number(out, number, u64::from(((value << 1) ^ (value >> 31)).cast_unsigned()));
}

/// A repeated field of varints, in one piece.
pub(crate) fn put_packed(out: &mut Vec<u8>, number: u32, values: &[u64]) {
    put_message(out, number, |content| values.iter().for_each(|value| put_varint(content, *value)));
}

/// A length-delimited field whose content `fill` writes.
pub fn put_message(out: &mut Vec<u8>, number: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    fill(&mut content);
    put_bytes(out, number, &content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back_as_they_were_written() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, 1, number);
            assert_eq!(out.len(), 1 + varint_len(number));
            let field = fields(&out).next().expect("valid").expect("one field");
            assert_eq!(field.value, Value::Varint(number));
        }
    }

    #[test]
    fn a_group_is_one_field_whatever_is_in_it() {
        // Group 15, in it a number, eight bytes, a text, four bytes and another group; behind it field 1.
        let group =
            [0x7b, 0x08, 1, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0x1a, 1, 0x7c, 0x25, 0, 0, 0, 0, 0x2b, 0x2c, 0x7c];
        let message = [&group[..], &[0x08, 7]].concat();
        let mut walk = fields(&message);
        let found = walk.next().expect("valid").expect("the group");
        assert_eq!((found.number, found.value, found.end), (15, Value::Group, group.len()));
        let next = walk.next().expect("valid").expect("what follows");
        assert_eq!((next.number, next.value), (1, Value::Varint(7)));
    }

    #[test]
    fn bytes_that_are_no_message_are_named() {
        let rows: [(&[u8], WireError); 10] = [
            (&[0x0a, 5, 1], WireError::Truncated),
            (&[0x0a], WireError::Truncated),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], WireError::Varint),
            (&[0x82, 0x80, 0x80, 0x80, 0x10, 0], WireError::Tag),
            (&[0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1], WireError::Varint),
            (&[0x00, 1], WireError::Tag),
            (&[0x0c], WireError::Tag),
            (&[0x0b], WireError::Truncated),
            (&[0x0b, 0x14], WireError::Tag),
            (&[0x0b; 101], WireError::Depth),
        ];
        for (bytes, error) in rows {
            assert_eq!(fields(bytes).next().map(|_| ()), Err(error), "{bytes:?}");
        }
    }
}
