//! Single values of OTLP/JSON: text, hex, base64 and numbers in all their spellings, written as protobuf.

use std::borrow::Cow;

use super::Conversion;
use super::reader::{Read, Reader, Unexpected};
use crate::base64;
use crate::otlp::schema::{ANY_DOUBLE, Kind};
use crate::otlp::valid::is_ascii;
use crate::proto::{put_bytes, put_double, put_fixed32, put_fixed64, put_head, put_number, put_varint};

/// Writes field `number` with the value that comes next.
pub(super) fn put(conversion: &mut Conversion<'_>, number_field: u32, kind: Kind) -> Read<()> {
    let Conversion { json, out, mended, .. } = conversion;
    match kind {
        Kind::Whole => match number(json, &[])? {
            whole if whole.signed().is_some() => {
                put_number(out, number_field, whole.signed().map_or(0, i64::cast_unsigned));
            }
            // What JavaScript writes of a whole number beyond 64 bits, or of a fraction.
            other => {
                *mended += 1;
                put_double(out, ANY_DOUBLE, other.double());
            }
        },
        Kind::Text => put_bytes(out, number_field, &unicode(&json.text()?)),
        Kind::Id(length) => put_id(out, number_field, &json.text()?, length),
        Kind::Bytes => put_bytes(out, number_field, &base64::decode(&json.text()?).ok_or(Unexpected)?),
        _ => match scalar(json, kind)? {
            Scalar::Varint(value) => put_number(out, number_field, value),
            Scalar::Fixed32(value) => put_fixed32(out, number_field, value),
            Scalar::Fixed64(value) => put_fixed64(out, number_field, value),
        },
    }
    Ok(())
}

/// Writes one number of several in one field.
pub(super) fn put_packed(conversion: &mut Conversion<'_>, kind: Kind) -> Read<()> {
    let Conversion { json, out, .. } = conversion;
    match scalar(json, kind)? {
        Scalar::Varint(value) => put_varint(out, value),
        Scalar::Fixed32(value) => out.extend_from_slice(&value.to_le_bytes()),
        Scalar::Fixed64(value) => out.extend_from_slice(&value.to_le_bytes()),
    }
    Ok(())
}

/// A value that is not bytes, as it goes onto the wire.
enum Scalar {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
}

fn scalar(json: &mut Reader<'_>, kind: Kind) -> Read<Scalar> {
    if matches!(kind, Kind::Flag) {
        return flag(json).map(|flag| Scalar::Varint(flag.into()));
    }
    let names = if let Kind::Enum(names) = kind { names } else { &[] };
    let number = number(json, names)?;
    let fits = match kind {
        Kind::Unsigned => number.unsigned().map(Scalar::Varint),
        Kind::Int | Kind::Whole | Kind::Enum(_) => {
            number.signed().map(|value| Scalar::Varint(value.cast_unsigned()))
        }
        Kind::Zigzag => {
            number.signed().map(|value| Scalar::Varint((value << 1 ^ value >> 63).cast_unsigned()))
        }
        Kind::Fixed32 => number.unsigned().and_then(|value| u32::try_from(value).ok()).map(Scalar::Fixed32),
        Kind::Fixed64 => number.unsigned().map(Scalar::Fixed64),
        Kind::Signed64 => number.signed().map(|value| Scalar::Fixed64(value.cast_unsigned())),
        Kind::Double => Some(Scalar::Fixed64(number.double().to_bits())),
        Kind::Flag | Kind::Text | Kind::Id(_) | Kind::Bytes | Kind::Message(_) => None,
    };
    fits.ok_or(Unexpected)
}

/// `true` or `false`, as a word or as a text.
fn flag(json: &mut Reader<'_>) -> Read<bool> {
    match json.peek()? {
        b't' => json.word("true").map(|()| true),
        b'"' => match &*json.text()? {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err(Unexpected),
        },
        _ => json.word("false").map(|()| false),
    }
}

/// A number, a number as text, or one of the `names` that stand for their places.
fn number(json: &mut Reader<'_>, names: &[&str]) -> Read<Number> {
    if json.peek()? != b'"' {
        return Number::from_json(json.number()?).ok_or(Unexpected);
    }
    let text = json.text()?;
    let text = std::str::from_utf8(&text).map_err(|_| Unexpected)?;
    let named = names.iter().position(|name| *name == text).map(|at| Number::Positive(at as u64));
    named.or_else(|| Number::from_text(text)).ok_or(Unexpected)
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

    /// A number as JSON spells it, which is not beyond what a `double` can be.
    fn from_json(number: &str) -> Option<Self> {
        if let Ok(value) = number.parse() {
            return Some(Self::Positive(value));
        }
        match number.parse() {
            // A whole number has no minus zero.
            Ok(value) if value != 0 => Some(Self::Negative(value)),
            _ => number.parse().ok().filter(|value: &f64| value.is_finite()).map(Self::Fraction),
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

/// A text, with the replacement character for what is no Unicode: protobuf's strings must be.
pub(super) fn unicode(text: &[u8]) -> Cow<'_, [u8]> {
    if is_ascii(text) {
        return text.into();
    }
    match String::from_utf8_lossy(text) {
        Cow::Borrowed(text) => text.as_bytes().into(),
        Cow::Owned(text) => text.into_bytes().into(),
    }
}

/// Writes an id of so many bytes; one that is not hex, or empty, is left out.
fn put_id(out: &mut Vec<u8>, number: u32, hex: &[u8], length: usize) {
    if hex.ends_with(b"=") {
        return put_base64_id(out, number, hex, length);
    }
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

/// The same in base64, as protobuf's own JSON writers have ids against the specification. Hex has no `=`, and of 8 and of 16
/// bytes base64 always ends with one.
#[cold]
fn put_base64_id(out: &mut Vec<u8>, number: u32, text: &[u8], length: usize) {
    if let Some(id) = base64::decode(text).filter(|id| id.len() == length) {
        put_bytes(out, number, &id);
    }
}
