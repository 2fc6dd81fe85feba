//! Single values of OTLP/JSON: text, hex, base64 and numbers in all their spellings, written as protobuf.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

use crate::base64;
use crate::otlp::schema::Kind;
use crate::otlp::valid::is_ascii;
use crate::proto::{put_bytes, put_fixed32, put_fixed64, put_head, put_number, put_varint};

/// Writes field `number` with the value that comes next.
pub(super) fn put<'de, D: Deserializer<'de>>(
    out: &mut Vec<u8>,
    number: u32,
    kind: Kind,
    deserializer: D,
) -> Result<(), D::Error> {
    match kind {
        Kind::Text => deserializer.deserialize_bytes(Text { out, number, form: Form::Plain }),
        Kind::Id => deserializer.deserialize_bytes(Text { out, number, form: Form::Hex }),
        Kind::Bytes => deserializer.deserialize_bytes(Text { out, number, form: Form::Base64 }),
        _ => {
            let scalar = scalar(kind, deserializer)?;
            match scalar {
                Scalar::Varint(value) => put_number(out, number, value),
                Scalar::Fixed32(value) => put_fixed32(out, number, value),
                Scalar::Fixed64(value) => put_fixed64(out, number, value),
            }
            Ok(())
        }
    }
}

/// One number of several in one field.
pub(super) struct Packed<'a> {
    pub(super) kind: Kind,
    pub(super) out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Packed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match scalar(self.kind, deserializer)? {
            Scalar::Varint(value) => put_varint(self.out, value),
            Scalar::Fixed32(value) => self.out.extend_from_slice(&value.to_le_bytes()),
            Scalar::Fixed64(value) => self.out.extend_from_slice(&value.to_le_bytes()),
        }
        Ok(())
    }
}

/// A value that is not bytes, as it goes onto the wire.
enum Scalar {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
}

fn scalar<'de, D: Deserializer<'de>>(kind: Kind, deserializer: D) -> Result<Scalar, D::Error> {
    let names = if let Kind::Enum(names) = kind { names } else { &[] };
    let number =
        deserializer.deserialize_any(NumberVisitor { names, is_flag: matches!(kind, Kind::Flag) })?;
    let fits = match kind {
        Kind::Flag | Kind::Unsigned => number.unsigned().map(Scalar::Varint),
        Kind::Int | Kind::Enum(_) => number.signed().map(|value| Scalar::Varint(value.cast_unsigned())),
        Kind::Zigzag => {
            number.signed().map(|value| Scalar::Varint((value << 1 ^ value >> 63).cast_unsigned()))
        }
        Kind::Fixed32 => number.unsigned().and_then(|value| u32::try_from(value).ok()).map(Scalar::Fixed32),
        Kind::Fixed64 => number.unsigned().map(Scalar::Fixed64),
        Kind::Signed64 => number.signed().map(|value| Scalar::Fixed64(value.cast_unsigned())),
        Kind::Double => Some(Scalar::Fixed64(number.double().to_bits())),
        Kind::Text | Kind::Id | Kind::Bytes | Kind::Message(_) => None,
    };
    fits.ok_or_else(|| D::Error::custom("a number out of range"))
}

/// A number as JSON had it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Positive(u64),
    Negative(i64),
    Fraction(f64),
}

impl Number {
    fn unsigned(self) -> Option<u64> {
        match self {
            Self::Positive(value) => Some(value),
            Self::Negative(_) => None,
            // `1.8e19` is a whole number too: so JavaScript writes what it cannot hold exactly.
            Self::Fraction(value) => {
                let is_whole = value.fract() == 0.0 && (0.0..18_446_744_073_709_551_616.0).contains(&value);
                is_whole.then_some(value as u64)
            }
        }
    }

    fn signed(self) -> Option<i64> {
        match self {
            Self::Positive(value) => i64::try_from(value).ok(),
            Self::Negative(value) => Some(value),
            Self::Fraction(value) => {
                let half = 9_223_372_036_854_775_808.0;
                (value.fract() == 0.0 && (-half..half).contains(&value)).then_some(value as i64)
            }
        }
    }

    const fn double(self) -> f64 {
        match self {
            Self::Positive(value) => value as f64,
            Self::Negative(value) => value as f64,
            Self::Fraction(value) => value,
        }
    }

    /// A number as text: decimal, or one of the three that JSON has no word for.
    fn from_text(text: &str) -> Option<Self> {
        if let Ok(value) = text.parse() {
            return Some(Self::Positive(value));
        }
        if let Ok(value) = text.parse() {
            return Some(Self::Negative(value));
        }
        match text {
            "NaN" => Some(Self::Fraction(f64::NAN)),
            "Infinity" => Some(Self::Fraction(f64::INFINITY)),
            "-Infinity" => Some(Self::Fraction(f64::NEG_INFINITY)),
            // Rust reads `inf` and `nan` in any case as well, which JSON does not know.
            _ if text.bytes().any(|byte| byte.is_ascii_digit()) => text.parse().ok().map(Self::Fraction),
            _ => None,
        }
    }
}

struct NumberVisitor {
    /// Names that stand for their places.
    names: &'static [&'static str],
    is_flag: bool,
}

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_flag { "true or false" } else { "a number" })
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Number, E> {
        if self.is_flag { Ok(Number::Positive(value.into())) } else { Err(E::custom("not a number")) }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
        if self.is_flag { Err(E::custom("not true or false")) } else { Ok(Number::Positive(value)) }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
        if self.is_flag { Err(E::custom("not true or false")) } else { Ok(Number::Negative(value)) }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
        if self.is_flag { Err(E::custom("not true or false")) } else { Ok(Number::Fraction(value)) }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        let named = self.names.iter().position(|name| *name == text).map(|at| Number::Positive(at as u64));
        let number = named.or_else(|| Number::from_text(text)).filter(|_| !self.is_flag);
        number.ok_or_else(|| E::custom("not a number"))
    }
}

/// How bytes are spelled.
#[derive(Clone, Copy)]
enum Form {
    Plain,
    Hex,
    Base64,
}

/// Writes a text as a field of bytes.
struct Text<'a> {
    out: &'a mut Vec<u8>,
    number: u32,
    form: Form,
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    // Bytes, because a text that was cut in the middle of a pair of surrogates is no Unicode: JavaScript sends
    // such, and a batch is not lost for it.
    fn visit_bytes<E: Error>(self, text: &[u8]) -> Result<(), E> {
        let bytes = match self.form {
            Form::Plain => unicode(text),
            Form::Hex => {
                put_id(self.out, self.number, text);
                return Ok(());
            }
            Form::Base64 => base64::decode(text).ok_or_else(|| E::custom("not base64"))?.into(),
        };
        put_bytes(self.out, self.number, &bytes);
        Ok(())
    }
}

/// The same, with the replacement character for what is no Unicode: protobuf's strings must be.
fn unicode(text: &[u8]) -> Cow<'_, [u8]> {
    if is_ascii(text) {
        return text.into();
    }
    match String::from_utf8_lossy(text) {
        Cow::Borrowed(text) => text.as_bytes().into(),
        Cow::Owned(text) => text.into_bytes().into(),
    }
}

/// Writes an id; one that is not hex, or empty, is left out.
fn put_id(out: &mut Vec<u8>, number: u32, hex: &[u8]) {
    let (pairs @ [_, ..], []) = hex.as_chunks::<2>() else { return };
    let before = out.len();
    put_head(out, number, pairs.len());
    let start = out.len();
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    out.extend(pairs.iter().map_while(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)));
    if out.len() - start < pairs.len() {
        out.truncate(before);
    }
}
