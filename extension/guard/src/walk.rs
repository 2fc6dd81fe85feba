//! The walk through a request: into the messages that can hold text, past all others, noting what is to change.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use policy::Signal;
use wire::proto::{Field, Value, field_len, fields, put_bytes, put_number, put_varint, varint_len};

use crate::census::Fate;
use crate::detect::commands::Arguments;
use crate::edits::{EDITS_MAX, Edits};
use crate::keys::{Facts, Naming, is_scheme};
use crate::limits::cut;
use crate::pairs::{is_value, naming_of_pair, string_of};
use crate::rewrite::REDACTED;
use crate::schema::{self, DROPPED_EVENTS, DROPPED_LINKS, Message, Part};
use crate::values::{
    ANY_ARRAY, ANY_BYTES, ANY_MAP, ANY_STRING, KEY, VALUE, is_any_text, is_text, key_and_value,
};
use crate::{Guard, Refused, alike, text};

const ANY_FLAG: u32 = 2;
const ANY_INT: u32 = 3;
const ANY_DOUBLE: u32 = 4;

/// Values within values; protobuf's own readers give up at about as many.
const DEPTH_MAX: usize = 32;
/// Bytes of the three counts of what was left out, which may all have to be written.
const COUNTS_MAX: usize = 3 * (2 + 5);
/// Above this a number in floating point is not exact, and no card.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Where a field stands in the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    start: usize,
    content: usize,
    end: usize,
}

impl Place {
    pub(crate) const fn of(field: &Field<'_>, base: usize) -> Self {
        Self { start: base + field.start, content: base + field.content_start(), end: base + field.end }
    }

    const fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    pub(crate) const fn contents(&self) -> Range<usize> {
        self.content..self.end
    }
}

/// What is counted in one message.
#[derive(Default)]
struct Tally {
    attributes: Counted,
    events: Counted,
    links: Counted,
}

/// One kind of thing in a message: how many were kept, how many left out, and where the message says so.
#[derive(Default)]
struct Counted {
    kept: usize,
    left_out: u64,
    said: Option<(Range<usize>, u64)>,
}

pub(crate) struct Walk<'a> {
    pub(crate) guard: &'a mut Guard,
    pub(crate) signal: Signal,
    pub(crate) bytes: &'a [u8],
    pub(crate) edits: Edits,
    /// Only items that are too large as a whole are looked at.
    pub(crate) is_trimming: bool,
    /// Whether there was one that may be.
    pub(crate) has_large: bool,
    /// What the last message looked into is to lose, where it is too large.
    surplus: Vec<usize>,
}

pub(crate) type Delta = Result<isize, Refused>;

impl<'a> Walk<'a> {
    pub(crate) fn new(guard: &'a mut Guard, signal: Signal, bytes: &'a [u8], is_trimming: bool) -> Self {
        let surplus = Vec::new();
        Self { guard, signal, bytes, edits: Edits::default(), is_trimming, has_large: false, surplus }
    }

    /// Walks one message; says by how much it gets longer.
    pub(crate) fn message(&mut self, kind: Message, range: Range<usize>) -> Delta {
        let is_item = matches!(kind, Message::Span | Message::Record);
        let surplus = if is_item { self.surplus_of(kind, &range)? } else { Vec::new() };
        let saved = std::mem::replace(&mut self.surplus, surplus);
        let mut tally = Tally::default();
        let (mut delta, base) = (0, range.start);
        let mut walk = fields(&self.bytes[range.clone()]);
        while let Some(field) = walk.next()? {
            self.has_room()?;
            let place = Place::of(&field, base);
            match field.value {
                Value::Bytes(_) => delta += self.part(kind, field.number, place, &mut tally)?,
                Value::Varint(said) => tally.note(kind, field.number, place.range(), said),
                _ => {}
            }
        }
        self.surplus = saved;
        Ok(delta + self.settle(kind, range.end, tally))
    }

    /// # Errors
    /// When nothing more may change.
    const fn has_room(&self) -> Result<(), Refused> {
        if self.edits.len() < EDITS_MAX { Ok(()) } else { Err(Refused::Crowded) }
    }

    fn part(&mut self, kind: Message, number: u32, place: Place, tally: &mut Tally) -> Delta {
        match schema::part(self.signal, kind, number) {
            Part::Other => Ok(0),
            Part::Text | Part::SpanName | Part::State if self.is_trimming => Ok(0),
            Part::SpanName => self.child(place, |walk, range| Ok(walk.name(range))),
            Part::State => self.child(place, |walk, range| Ok(walk.state(range))),
            Part::Text => self.child(place, |walk, range| Ok(walk.text(range, &Facts::NONE, 0))),
            Part::Any if self.is_trimming => Ok(0),
            Part::Any => self.child(place, |walk, range| walk.any(range, &Facts::NONE, 0, 0)),
            Part::Attribute => {
                let max = self.guard.limits.attributes;
                self.counted(kind, place, &mut tally.attributes, max, |walk| {
                    walk.attribute(place, kind, 0, None)
                })
            }
            Part::Message(Message::Event) => {
                let max = self.guard.limits.events;
                self.counted(kind, place, &mut tally.events, max, |walk| {
                    walk.inner(Message::Event, place).map(Some)
                })
            }
            Part::Message(Message::Link) => {
                let max = self.guard.limits.links;
                self.counted(kind, place, &mut tally.links, max, |walk| {
                    walk.inner(Message::Link, place).map(Some)
                })
            }
            Part::Message(Message::Data) => self.child(place, |walk, range| walk.points(number, range)),
            Part::Message(inner) => self.inner(inner, place),
        }
    }

    /// A message inside, unless nothing in it can matter.
    fn inner(&mut self, kind: Message, place: Place) -> Delta {
        let length = place.end - place.content;
        if !self.guard.is_searching || self.is_trimming {
            let is_counting = self.guard.census.is_some() && !self.is_trimming;
            let is_harmless = match kind {
                Message::Resource | Message::Scope | Message::Exemplar | Message::Status => true,
                Message::Metric => !is_counting,
                Message::Span | Message::Record if self.is_trimming => length <= self.guard.limits.item,
                Message::Span | Message::Record => length <= self.guard.harmless_len,
                _ => false,
            };
            let is_item = matches!(kind, Message::Span | Message::Record);
            if is_harmless && is_item && is_counting {
                return Ok(self.glanced(kind, place));
            }
            if is_harmless {
                return Ok(0);
            }
        }
        if matches!(kind, Message::Span | Message::Record) && !self.is_trimming {
            self.guard.take_turn();
        }
        if kind == Message::Metric && alike::is_crowded(&self.bytes[place.contents()]).unwrap_or(false) {
            self.guard.limited.refused += 1;
            return Ok(self.edits.put(place.range(), b""));
        }
        match kind {
            Message::Span | Message::Record | Message::Metric => self.item(kind, place),
            _ => self.child(place, |walk, range| walk.message(kind, range)),
        }
    }

    /// A span or record that is only looked at for its name and its counts: one that cannot be read passes as it came, and
    /// the scan refuses it.
    fn glanced(&mut self, kind: Message, place: Place) -> isize {
        let mark = self.edits.len();
        self.glance(kind, place).unwrap_or_else(|_| {
            self.edits.truncate(mark);
            0
        })
    }

    /// A span, log record or metric: one that cannot be read, or that a bug of ours stops at, is refused alone, and all
    /// others pass.
    ///
    /// Where something is to be hidden it is left out, because nobody knows what is in it. Otherwise it passes as it
    /// came, and the scan refuses it if no decoder can read it.
    fn item(&mut self, kind: Message, place: Place) -> Delta {
        let mark = self.edits.len();
        let surplus = std::mem::take(&mut self.surplus);
        // What a panic may leave half-done is taken back below; of the guard itself that is a count at most.
        let walking = AssertUnwindSafe(|| self.child(place, |walk, range| walk.message(kind, range)));
        match catch_unwind(walking) {
            Ok(Ok(delta)) => {
                self.surplus = surplus;
                return Ok(delta);
            }
            // Of all that follows nothing could be left out either.
            Ok(Err(Refused::Crowded)) => return Err(Refused::Crowded),
            Ok(Err(Refused::Malformed(_))) | Err(_) => {}
        }
        self.edits.truncate(mark);
        self.surplus = surplus;
        if !self.guard.is_searching {
            return Ok(0);
        }
        self.guard.limited.refused += 1;
        Ok(self.edits.put(place.range(), b""))
    }

    /// The data points of a metric, whose data is field `data` of it.
    fn points(&mut self, data: u32, range: Range<usize>) -> Delta {
        let (mark, kind, base) = (self.edits.len(), schema::point_of(data), range.start);
        let mut delta = 0;
        let mut walk = fields(&self.bytes[range.clone()]);
        while let Some(field) = walk.next()? {
            if let (1, Value::Bytes(_)) = (field.number, field.value) {
                delta += self.inner(kind, Place::of(&field, base))?;
            }
        }
        if self.edits.len() == mark {
            return Ok(delta);
        }
        let changed = self.edits.applied_since(mark, self.bytes, &range);
        let Some((joined, gone)) = alike::joined(data, &self.bytes[range.clone()], &changed)? else {
            return Ok(delta);
        };
        self.guard.merged_points += gone;
        self.edits.truncate(mark);
        Ok(self.edits.put(range, &joined))
    }

    /// Walks the content of a field, and mends its length.
    pub(crate) fn child(
        &mut self,
        place: Place,
        walk: impl FnOnce(&mut Self, Range<usize>) -> Delta,
    ) -> Delta {
        let inner = walk(self, place.contents())?;
        if inner == 0 {
            return Ok(0);
        }
        let length =
            (place.end - place.content).checked_add_signed(inner).expect("nothing gets shorter than empty");
        let mut mended = Vec::with_capacity(varint_len(length as u64));
        put_varint(&mut mended, length as u64);
        let tag =
            self.bytes[place.start..].iter().position(|byte| *byte < 0x80).expect("a tag has an end") + 1;
        Ok(inner + self.edits.put(place.start + tag..place.content, &mended))
    }

    /// One of several: kept, changed, or left out and counted.
    fn counted(
        &mut self,
        kind: Message,
        place: Place,
        counted: &mut Counted,
        max: usize,
        walk: impl FnOnce(&mut Self) -> Result<Option<isize>, Refused>,
    ) -> Delta {
        let is_surplus = (is_limited(kind) && max > 0 && counted.kept >= max && !self.is_trimming)
            || self.surplus.binary_search(&place.start).is_ok();
        let kept = if is_surplus { None } else { walk(self)? };
        match kept {
            Some(delta) => {
                counted.kept += 1;
                Ok(delta)
            }
            None => {
                counted.left_out += 1;
                Ok(self.edits.put(place.range(), b""))
            }
        }
    }

    /// Writes down in the message what was left out of it.
    fn settle(&mut self, kind: Message, end: usize, tally: Tally) -> isize {
        let mut delta = 0;
        let places = [
            (schema::attributes(kind).dropped, tally.attributes),
            (Some(DROPPED_EVENTS), tally.events),
            (Some(DROPPED_LINKS), tally.links),
        ];
        let limited = &mut self.guard.limited;
        for (index, (field, counted)) in places.into_iter().enumerate() {
            let (Some(field), true) = (field, counted.left_out > 0) else { continue };
            *[&mut limited.attributes, &mut limited.events, &mut limited.links][index] += counted.left_out;
            let (place, said) = counted.said.unwrap_or((end..end, 0));
            let mut written = Vec::new();
            put_number(&mut written, field, said.saturating_add(counted.left_out).min(u64::from(u32::MAX)));
            delta += self.edits.put(place, &written);
        }
        delta
    }

    /// A `KeyValue`; `None` when it is to go.
    ///
    /// What the key of a map says holds for all that is in it: its `within`.
    fn attribute(
        &mut self,
        place: Place,
        of: Message,
        depth: usize,
        within: Option<&Facts>,
    ) -> Result<Option<isize>, Refused> {
        if self.is_trimming {
            return Ok(Some(0));
        }
        let (key, value) = key_and_value(&self.bytes[place.contents()])?;
        let facts = self.guard.facts(key);
        let facts = within.map_or(facts, |map| facts.within(map));
        if self.guard.is_forbidden(&facts) {
            return Ok(None);
        }
        let mut max = if is_limited(of) { self.guard.value_max(&facts) } else { 0 };
        let is_plain = place.end - place.content == field_len(key.len()) + field_len(value.len());
        // Decoders put a message together that comes in several pieces.
        let is_text = facts.naming == Naming::Secret
            && if is_plain { is_text(value)? } else { is_any_text(&self.bytes[place.contents()])? };
        let is_secret = is_text
            && self.guard.is_secret(&facts, is_text)
            && !string_of(value).is_some_and(|value| is_plain && is_scheme(key, value));
        let mut instead = is_secret.then(|| REDACTED.to_vec());
        if depth == 0 && instead.is_none() {
            match self.guard.fate(key, value, &facts, of) {
                Fate::Drop => return Ok(None),
                Fate::Cut(length) => max = if max == 0 { length } else { max.min(length) },
                Fate::Become(text) => instead = Some(text),
                Fate::Keep => {}
            }
        }
        if is_plain && facts.is_clean && instead.is_none() && self.is_quiet(value, &facts, max) {
            return Ok(Some(0));
        }
        self.child(place, |walk, range| walk.pair(range, &facts, instead.as_deref(), max, depth)).map(Some)
    }

    /// Whether an `AnyValue` of one field can be seen at a glance to hold nothing.
    fn is_quiet(&self, value: &[u8], facts: &Facts, max: usize) -> bool {
        match fields(value).next() {
            Ok(Some(field)) if field.end == value.len() => match (field.number, field.value) {
                (ANY_STRING | ANY_BYTES, Value::Bytes(text)) => self.guard.is_quiet(text, facts, max),
                (ANY_INT, Value::Varint(number)) => {
                    number < text::NUMBER_MIN && facts.own == 0 && !facts.is_literal
                }
                (ANY_FLAG, Value::Varint(_)) => facts.own == 0 && !facts.is_literal,
                _ => false,
            },
            _ => false,
        }
    }

    /// The two halves of a `KeyValue`, with `instead` in place of the value where there is one.
    fn pair(
        &mut self,
        range: Range<usize>,
        facts: &Facts,
        instead: Option<&[u8]>,
        max: usize,
        depth: usize,
    ) -> Delta {
        let (mut delta, base) = (0, range.start);
        let mut parts = fields(&self.bytes[range]);
        while let Some(field) = parts.next()? {
            let part = Place::of(&field, base);
            delta += match (field.number, field.value, instead) {
                (KEY, Value::Bytes(_), _) if !facts.is_clean => {
                    self.child(part, |walk, range| Ok(walk.text(range, &Facts::NONE, 0)))?
                }
                (VALUE, Value::Bytes(content), Some(word)) => {
                    self.child(part, |walk, range| Ok(walk.replace_any(range, content, word)))?
                }
                (VALUE, Value::Bytes(_), None) => {
                    self.child(part, |walk, range| walk.any(range, facts, max, depth))?
                }
                _ => 0,
            };
        }
        Ok(delta)
    }

    /// In place of a value, whatever its type, a word.
    fn replace_any(&mut self, range: Range<usize>, content: &[u8], word: &[u8]) -> isize {
        let mut value = Vec::new();
        put_bytes(&mut value, ANY_STRING, word);
        if value == content {
            return 0;
        }
        if word == REDACTED {
            self.guard.note_secret();
        }
        self.edits.put(range, &value)
    }

    /// In place of a word of a command what is left of it.
    fn argument(&mut self, range: Range<usize>, word: &[u8], max: usize) -> isize {
        let mut value = Vec::new();
        put_bytes(&mut value, ANY_STRING, if max > 0 { cut(word, max) } else { word });
        self.edits.put(range, &value)
    }

    fn any(&mut self, range: Range<usize>, facts: &Facts, max: usize, depth: usize) -> Delta {
        if depth > DEPTH_MAX {
            return Ok(self.unsearched(range));
        }
        let (mut delta, base, mark) = (0, range.start, self.edits.len());
        let mut parts = fields(&self.bytes[range.clone()]);
        while let Some(field) = parts.next()? {
            let place = Place::of(&field, base);
            delta += match (field.number, field.value) {
                (ANY_STRING | ANY_BYTES, Value::Bytes(_)) => {
                    self.child(place, |walk, range| Ok(walk.text(range, facts, max)))?
                }
                (ANY_FLAG, Value::Varint(_)) => self.flag(place, facts),
                (ANY_INT, Value::Varint(number)) => {
                    self.number(place, number.cast_signed().unsigned_abs(), facts)
                }
                (ANY_DOUBLE, Value::Fixed64(bits)) => {
                    let number = f64::from_bits(bits);
                    let is_exact = number.fract() == 0.0 && number.abs() < EXACT_MAX;
                    match is_exact {
                        true => self.number(place, number.abs() as u64, facts),
                        false => self.fraction(place, number, facts),
                    }
                }
                (ANY_ARRAY, Value::Bytes(_)) => self.child(place, |walk, range| {
                    let mut words = Arguments::default();
                    walk.each(range, |walk, place| {
                        let secret = string_of(&walk.bytes[place.contents()]).and_then(|word| {
                            let secret = words.secret_of(word)?;
                            walk.guard.redact_argument(word, secret, facts)
                        });
                        walk.child(place, |walk, range| match secret {
                            Some(word) => Ok(walk.argument(range, &word, max)),
                            None => walk.any(range, facts, max, depth + 1),
                        })
                    })
                })?,
                (ANY_MAP, Value::Bytes(_)) if self.guard.hides_whatever(facts) => self.hidden(place),
                (ANY_MAP, Value::Bytes(_)) => {
                    self.child(place, |walk, range| walk.map(range, max > 0, depth + 1, facts))?
                }
                _ => 0,
            };
            if matches!(field.number, ANY_ARRAY | ANY_MAP) && self.is_spent_since(mark) {
                self.edits.truncate(mark);
                return Ok(self.unsearched(range));
            }
        }
        Ok(delta)
    }

    /// Whether the budget is spent and something has changed since the `mark`: what is left of an array or a map, which may
    /// be millions of values, is not hidden one by one.
    fn is_spent_since(&self, mark: usize) -> bool {
        self.guard.budget.is_spent() && self.edits.len() > mark
    }

    /// A value below the deepest level that is searched, or beyond the budget: hidden where something is to be hidden, else
    /// passed as it is.
    fn unsearched(&mut self, range: Range<usize>) -> isize {
        if self.guard.redaction.is_none() || range.is_empty() {
            return 0;
        }
        let mut value = Vec::new();
        put_bytes(&mut value, ANY_STRING, REDACTED);
        if self.bytes[range.clone()] == value[..] {
            return 0;
        }
        self.guard.limited.unsearched += 1;
        self.edits.put(range, &value)
    }

    /// The messages in field 1 of an array or map.
    fn each(&mut self, range: Range<usize>, mut walk: impl FnMut(&mut Self, Place) -> Delta) -> Delta {
        let (mut delta, base, mark) = (0, range.start, self.edits.len());
        let mut parts = fields(&self.bytes[range]);
        while let Some(field) = parts.next()? {
            self.has_room()?;
            if self.is_spent_since(mark) {
                break;
            }
            if let (1, Value::Bytes(_)) = (field.number, field.value) {
                delta += walk(self, Place::of(&field, base))?;
            }
        }
        Ok(delta)
    }

    /// The entries of a map. One that is a name and its value (`{name: "x-api-key", value: …}`) is searched as such.
    fn map(&mut self, range: Range<usize>, is_limited: bool, depth: usize, facts: &Facts) -> Delta {
        let naming = match self.guard.hides_secrets() {
            true => naming_of_pair(&self.bytes[range.clone()])?,
            false => Naming::Plain,
        };
        self.each(range, |walk, place| {
            let (key, value) = key_and_value(&walk.bytes[place.contents()])?;
            let is_named = naming != Naming::Plain && is_value(key);
            if !is_named || (naming == Naming::Secret && !is_text(value)?) {
                return walk.entry(place, is_limited, depth, facts);
            }
            let facts = walk.guard.facts(key);
            walk.child(place, |walk, range| walk.pair(range, &facts, Some(REDACTED), 0, depth))
        })
    }

    /// One entry of a map: an attribute that nobody counts.
    fn entry(&mut self, place: Place, is_limited: bool, depth: usize, map: &Facts) -> Delta {
        let of = if is_limited { Message::Span } else { Message::Resource };
        match self.attribute(place, of, depth, Some(map))? {
            Some(delta) => Ok(delta),
            None => {
                self.guard.note_secret();
                Ok(self.edits.put(place.range(), b""))
            }
        }
    }

    #[cfg(test)]
    fn panic_at(&self, range: &Range<usize>) {
        assert_ne!(&self.bytes[range.clone()], tests::BUG, "a bug that a test has planted");
    }

    /// The name of a span: redacted first, so that its template is of what is left.
    pub(crate) fn name(&mut self, range: Range<usize>) -> isize {
        #[cfg(test)]
        self.panic_at(&range);
        let whole = &self.bytes[range.clone()];
        let redacted = self.guard.redact(whole, &Facts::NONE);
        let named = self.guard.name(redacted.as_deref().unwrap_or(whole));
        match named.or(redacted) {
            Some(name) if name != whole => self.edits.put(range, &name),
            _ => 0,
        }
    }

    /// The entries of a `tracestate`, each by itself; sampling's own, which are nothing but hex, stay as they are.
    fn state(&mut self, range: Range<usize>) -> isize {
        let (mut delta, mut start, mark) = (0, range.start, self.edits.len());
        let state = &self.bytes[range.clone()];
        for entry in state.split(|byte| *byte == b',') {
            let place = start..start + entry.len();
            start = place.end + 1;
            if self.is_spent_since(mark) {
                self.edits.truncate(mark);
                self.guard.limited.unsearched += 1;
                return self.edits.put(range, REDACTED);
            }
            if !is_of_sampling(entry) {
                delta += self.text(place, &Facts::NONE, 0);
            }
        }
        delta
    }

    /// A text, redacted, and then cut to `max` where that is not 0.
    ///
    /// It is searched whole and cut after that: a cut before could end inside of what is to be hidden, or what is hidden
    /// could make it so much shorter that something cut in two is in it again. A cut may make something look like what is
    /// to be hidden, such as the first sixteen of twenty digits: that is hidden too.
    fn text(&mut self, range: Range<usize>, facts: &Facts, max: usize) -> isize {
        let whole = &self.bytes[range.clone()];
        let mut redacted = self.guard.redact(whole, facts);
        let is_long = max > 0 && redacted.as_deref().unwrap_or(whole).len() > max;
        if is_long {
            self.guard.limited.values += 1;
            let short = cut(redacted.as_deref().unwrap_or(whole), max).to_vec();
            redacted =
                self.guard.redact(&short, facts).map(|again| cut(&again, max).to_vec()).or(Some(short));
        }
        redacted.map_or(0, |left| self.edits.put(range, &left))
    }

    /// A number that is to be hidden becomes a text.
    fn number(&mut self, place: Place, number: u64, facts: &Facts) -> isize {
        let Some(redacted) = self.guard.redact_number(number, facts) else { return 0 };
        let mut field = Vec::new();
        put_bytes(&mut field, ANY_STRING, &redacted);
        self.edits.put(place.range(), &field)
    }

    /// A number that is not whole is no card, but a rule may be about its key.
    fn fraction(&mut self, place: Place, number: f64, facts: &Facts) -> isize {
        if self.guard.hides_whatever(facts) {
            return self.hidden(place);
        }
        if facts.own == 0 {
            return 0;
        }
        let Some(redacted) = self.guard.redact(number.to_string().as_bytes(), facts) else { return 0 };
        let mut field = Vec::new();
        put_bytes(&mut field, ANY_STRING, &redacted);
        self.edits.put(place.range(), &field)
    }

    fn flag(&mut self, place: Place, facts: &Facts) -> isize {
        if self.guard.hides_whatever(facts) { self.hidden(place) } else { 0 }
    }

    /// In place of a value that a rule hides by its key, whatever it is.
    fn hidden(&mut self, place: Place) -> isize {
        let mut field = Vec::new();
        put_bytes(&mut field, ANY_STRING, REDACTED);
        self.edits.put(place.range(), &field)
    }

    /// The fields that an item too large as a whole is to lose: its largest, sorted by their places.
    fn surplus_of(&mut self, kind: Message, range: &Range<usize>) -> Result<Vec<usize>, Refused> {
        let max = self.guard.limits.item;
        if max == 0 || range.len() <= max {
            return Ok(Vec::new());
        }
        self.has_large = true;
        if !self.is_trimming {
            // Cut values may make it small enough: that is seen when they are cut.
            return Ok(Vec::new());
        }
        self.guard.limited.items += 1;
        let mut parts = Vec::new();
        let mut walk = fields(&self.bytes[range.clone()]);
        while let Some(field) = walk.next()? {
            let part = schema::part(self.signal, kind, field.number);
            if matches!(part, Part::Attribute | Part::Message(Message::Event | Message::Link)) {
                parts.push((field.end - field.start, range.start + field.start));
            }
        }
        parts.sort_unstable_by(|one, two| two.cmp(one));
        let mut excess = range.len() - max + COUNTS_MAX;
        let mut surplus: Vec<usize> = parts
            .into_iter()
            .map_while(|(length, start)| {
                let is_needed = excess > 0;
                excess = excess.saturating_sub(length);
                is_needed.then_some(start)
            })
            .collect();
        surplus.sort_unstable();
        Ok(surplus)
    }
}

impl Tally {
    /// A count that the message brings itself; the last one counts.
    fn note(&mut self, kind: Message, number: u32, place: Range<usize>, said: u64) {
        let counted = match (kind, number) {
            (Message::Span, DROPPED_EVENTS) => &mut self.events,
            (Message::Span, DROPPED_LINKS) => &mut self.links,
            _ if schema::attributes(kind).dropped == Some(number) => &mut self.attributes,
            _ => return,
        };
        counted.said = Some((place, said));
    }
}

/// Whether limits hold for the attributes of `message`.
const fn is_limited(message: Message) -> bool {
    matches!(message, Message::Span | Message::Event | Message::Link | Message::Record)
}

/// Whether an entry of a `tracestate` is OpenTelemetry's and holds thresholds and randomness only.
///
/// # Source
/// <https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/>
fn is_of_sampling(entry: &[u8]) -> bool {
    let is_hex = |value: &[u8]| value.len() <= 14 && value.iter().all(u8::is_ascii_hexdigit);
    let is_part = |part: &[u8]| matches!(part, [b't', b'h', b':', hex @ ..] | [b'r', b'v', b':', hex @ ..] if is_hex(hex));
    let parts = entry.trim_ascii().strip_prefix(b"ot=");
    parts.is_some_and(|parts| parts.split(|byte| *byte == b';').all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Redaction, Rules};
    use bytes::Bytes;

    pub(super) const BUG: &[u8] = b"a bug";

    #[test]
    fn a_bug_costs_one_span() {
        let span = |name: &[u8]| {
            let mut span = Vec::new();
            put_bytes(&mut span, 5, name);
            span
        };
        let request = |names: &[&[u8]]| {
            let (mut scope, mut group, mut request) = (Vec::new(), Vec::new(), Vec::new());
            names.iter().for_each(|name| put_bytes(&mut scope, 2, &span(name)));
            put_bytes(&mut group, 2, &scope);
            put_bytes(&mut request, 1, &group);
            Bytes::from(request)
        };
        let rules =
            Rules { redaction: Redaction::everything(None), limits: Limits::default(), attributes: None };
        let mut guard = Guard::new(rules).expect("there are rules");
        let left = guard.apply(Signal::Traces, request(&[b"4111111111111111", BUG, b"two"]));
        assert_eq!(left, Ok(request(&[b"411111******1111", b"two"])));
        assert_eq!(guard.limited().refused, 1);
    }
}
