//! What is looked at unasked in a span or log record within all limits: its name, and when it is its turn the
//! values of its attributes, which stay as they are.

use std::ops::Range;

use wire::proto::{Value, WireError, fields};

use crate::census::Census;
use crate::schema::{self, Message, Part};
use crate::values::key_and_value;
use crate::walk::{Delta, Place, Walk};

impl Walk<'_> {
    /// Of a span or record nothing but the name may change.
    pub(crate) fn glance(&mut self, kind: Message, place: Place) -> Delta {
        let Some(census) = &mut self.guard.census else { return Ok(0) };
        let message = &self.bytes[place.contents()];
        if census.turns.next() {
            note(census, self.signal, kind, message)?;
        }
        let stays = kind == Message::Record || short_name(message).is_some_and(|name| census.passes(name));
        if stays { Ok(0) } else { self.child(place, |walk, range| walk.first_name(range)) }
    }

    /// The name, wherever it stands.
    fn first_name(&mut self, range: Range<usize>) -> Delta {
        let base = range.start;
        let mut walk = fields(&self.bytes[range]);
        while let Some(field) = walk.next()? {
            let is_name = schema::part(self.signal, Message::Span, field.number) == Part::SpanName;
            if is_name && matches!(field.value, Value::Bytes(_)) {
                return self.child(Place::of(&field, base), |walk, range| Ok(walk.name(range)));
            }
        }
        Ok(0)
    }
}

/// The name of a span before which are its ids, trace state and flags only, and nothing of 128 bytes or more: so
/// every SDK writes it, and finding it takes a fifth of a walk. `None` where it has to be looked for.
fn short_name(span: &[u8]) -> Option<&[u8]> {
    const NAME: u8 = 5 << 3 | 2;
    let mut left = span;
    loop {
        let behind = match *left {
            [NAME, length, ref behind @ ..] if length < 0x80 => return behind.get(..usize::from(length)),
            // Fields 1 to 4, of bytes.
            [0x0a | 0x12 | 0x1a | 0x22, length, ref behind @ ..] if length < 0x80 => {
                behind.get(usize::from(length)..)
            }
            // Field 16, of four bytes.
            [0x85, 0x01, _, _, _, _, ref behind @ ..] => Some(behind),
            _ => None,
        };
        left = behind?;
    }
}

/// Takes note of the values of all attributes in `message`, and of those of its events and links.
fn note(census: &mut Census, signal: policy::Signal, kind: Message, message: &[u8]) -> Result<(), WireError> {
    let mut walk = fields(message);
    while let Some(field) = walk.next()? {
        let Value::Bytes(content) = field.value else { continue };
        match schema::part(signal, kind, field.number) {
            Part::Attribute => {
                let (key, value) = key_and_value(content)?;
                census.note(key, value);
            }
            Part::Message(inner @ (Message::Event | Message::Link)) => note(census, signal, inner, content)?,
            _ => {}
        }
    }
    Ok(())
}
