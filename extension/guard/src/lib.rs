//! What may not leave, taken out of OTLP requests before anything is kept, counted or sent.
//!
//! A request goes in as the bytes that came, and comes out as the bytes that may go on: the same ones where no
//! rule touches them, patched in place where no length changes, and re-framed around what changed otherwise.
//! Nothing that no rule touches is decoded, and unknown fields pass as they are.
//!
//! Pure: no clock, no I/O. What it remembers is bounded (see [`keys`](self) and [`Limits`]).

mod alike;
mod attributes;
mod buckets;
mod cardinality;
mod census;
mod detect;
mod edits;
mod exempt;
mod glance;
mod hash;
mod keys;
mod limits;
mod names;
mod pairs;
mod pattern;
mod point;
mod rewrite;
mod rules;
mod schema;
mod text;
mod turns;
mod values;
mod view;
mod walk;
mod words;

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use policy::{Guarded, Signal};
use wire::proto::WireError;

use crate::census::{Census, Fate};
use crate::keys::{Book, Facts, Verdict};
use crate::schema::Message;
use crate::text::{Budget, Hits};
use crate::walk::Walk;

pub use crate::attributes::Attributes;
pub use crate::cardinality::Identifier;
pub use crate::census::Counts;
pub use crate::limits::{Limited, Limits};
pub use crate::rewrite::Action;
pub use crate::rules::{Kind, Redaction};

/// Why a request cannot be guarded, and so is refused: nothing passes unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no protobuf, outside of its spans, log records and metrics: one of those is left out alone.
    Malformed(WireError),
    /// More stretches of it would have to change than there is room for.
    Crowded,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(_) => "the body is not an OTLP request",
            Self::Crowded => "more values of the request would have to change than there is room for",
        })
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            Self::Crowded => None,
        }
    }
}

impl From<WireError> for Refused {
    fn from(error: WireError) -> Self {
        Self::Malformed(error)
    }
}

/// What the guard is told.
#[derive(Debug, Default)]
pub struct Rules {
    /// What is hidden.
    pub redaction: Redaction,
    /// How large things may be.
    pub limits: Limits,
    /// Which attributes may go on, and how many values they may have; `None` where that is off, and then
    /// nothing is counted.
    pub attributes: Option<Attributes>,
}

/// See the module.
#[derive(Debug)]
pub struct Guard {
    redaction: Option<Redaction>,
    census: Option<Box<Census>>,
    limits: Limits,
    /// [`Limits::harmless_len`].
    harmless_len: usize,
    /// Whether attributes are asked to be searched or changed, and not only to be counted or cut.
    is_searching: bool,
    /// Whether the attributes of the span or record under way are taken note of.
    is_turn: bool,
    /// Data points that became part of another, because a rule made them alike.
    merged_points: u64,
    book: Book,
    /// What may still be searched of the request, or text, that is looked at.
    budget: Budget,
    /// The same of its keys.
    key_budget: Budget,
    hits: Hits,
    limited: Limited,
}

impl Guard {
    /// A guard for `rules`, or `None` when they ask for nothing: then there is nothing to call.
    pub fn new(rules: Rules) -> Option<Self> {
        let Rules { redaction, limits, attributes } = rules;
        let harmless_len = limits.harmless_len();
        if redaction.is_empty() && harmless_len.is_none() && attributes.is_none() {
            return None;
        }
        let census = attributes.map(|rules| Box::new(Census::new(rules)));
        let rules_attributes = census.as_ref().is_some_and(|census| census.rules_attributes());
        let hits = Hits { own: vec![0; redaction.own.len()], ..Hits::default() };
        Some(Self {
            is_searching: !redaction.is_empty() || rules_attributes,
            redaction: (!redaction.is_empty()).then_some(redaction),
            census,
            is_turn: false,
            merged_points: 0,
            limits,
            harmless_len: harmless_len.unwrap_or(usize::MAX),
            book: Book::default(),
            budget: Budget::whole(),
            key_budget: Budget::of_keys(),
            hits,
            limited: Limited::default(),
        })
    }

    /// What may go on of an export request of `signal`.
    ///
    /// # Errors
    /// When the bytes are no such request and something is to be hidden: then nothing of it may go on, for what it
    /// holds cannot be told.
    pub fn apply(&mut self, signal: Signal, bytes: Bytes) -> Result<Bytes, Refused> {
        self.begin();
        let (guarded, has_large) = self.pass(signal, bytes, false)?;
        Ok(if has_large { self.pass(signal, guarded, true)?.0 } else { guarded })
    }

    /// Another request, or text.
    const fn begin(&mut self) {
        (self.budget, self.key_budget) = (Budget::whole(), Budget::of_keys());
    }

    fn pass(&mut self, signal: Signal, bytes: Bytes, is_trimming: bool) -> Result<(Bytes, bool), Refused> {
        // Limits are not about metrics.
        if signal == Signal::Metrics && !self.is_searching && self.census.is_none() {
            return Ok((bytes, false));
        }
        let mut walk = Walk::new(self, signal, &bytes, is_trimming);
        let walked = walk.message(Message::Request, 0..bytes.len());
        let (edits, has_large) = (walk.edits, walk.has_large);
        match walked {
            // Where nothing is to be hidden, what cannot be bounded passes: whether it is a request is for who
            // reads it to say.
            Err(Refused::Malformed(_)) if !self.is_searching => return Ok((bytes, false)),
            Err(refused) => return Err(refused),
            Ok(_) => {}
        }
        Ok((edits.apply(bytes), has_large && !is_trimming))
    }

    /// What may go on of a text that is no part of a request, such as the name of an error.
    pub fn text(&mut self, text: &str) -> Option<String> {
        self.begin();
        self.redact(text.as_bytes(), &Facts::NONE).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What may go on of the value of a resource's attribute that is not in a request; `None` when nothing may.
    pub fn value(&mut self, key: &str, value: &str) -> Option<String> {
        // Asked at start-up, when nothing is to be allocated for nothing.
        if self.redaction.is_none() {
            return Some(value.to_owned());
        }
        self.begin();
        let facts = self.facts(key.as_bytes());
        if self.is_forbidden(&facts) {
            return None;
        }
        if self.is_secret(&facts, true) && !keys::is_scheme(key.as_bytes(), value.as_bytes()) {
            self.note_secret();
            return Some(String::from_utf8_lossy(rewrite::REDACTED).into_owned());
        }
        let hidden = self.redact(value.as_bytes(), &facts);
        Some(hidden.map_or_else(|| value.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// What was hidden so far: the name of each kind or rule, and how often.
    pub fn redacted(&self) -> impl Iterator<Item = (&str, u64)> {
        let kinds = Kind::ALL.iter().zip(self.hits.kinds).map(|(kind, hits)| (kind.as_str(), hits));
        let rules = self.redaction.iter().flat_map(|redaction| &redaction.own);
        let own = rules.zip(&self.hits.own).map(|(own, hits)| (&*own.name, *hits));
        kinds.chain(own).filter(|(_, hits)| *hits > 0)
    }

    /// How often limits were reached so far.
    pub fn limited(&self) -> Limited {
        Limited { unsearched: self.limited.unsearched + self.hits.unsearched, ..self.limited }
    }

    /// What rules on attributes have done so far.
    pub fn counts(&self) -> Counts {
        let counts = self.census.as_ref().map_or_else(Counts::default, |census| census.counts);
        Counts { merged_points: self.merged_points, ..counts }
    }

    /// All of that as the metrics tell it.
    pub fn guarded(&self) -> Guarded {
        let mut redactions = [0; Guarded::RULES.len()];
        redactions[..self.hits.kinds.len()].copy_from_slice(&self.hits.kinds);
        redactions[self.hits.kinds.len()] = self.hits.own.iter().sum();
        let (limited, counts) = (self.limited(), self.counts());
        let changes = [
            limited.values,
            limited.attributes,
            limited.events,
            limited.links,
            limited.items,
            limited.refused,
            limited.unsearched,
            counts.dropped,
            counts.changed,
            counts.templated,
            counts.other_names,
            counts.other_values,
            counts.merged_points,
        ];
        Guarded { redactions, changes, identifiers: counts.identifiers }
    }

    /// The keys that turned out to be identifiers since this was last asked, hidden where they are themselves
    /// what is to be hidden.
    pub fn take_identifiers(&mut self) -> Vec<Identifier> {
        let Some(census) = &mut self.census else { return Vec::new() };
        let mut found = census.take_identifiers();
        for identifier in &mut found {
            if let Some(hidden) = self.text(&identifier.key) {
                identifier.key = hidden;
            }
        }
        found
    }

    fn facts(&mut self, key: &[u8]) -> Facts {
        let (redaction, census, hits) = (self.redaction.as_ref(), self.census.as_ref(), &self.hits);
        let (budget, limited) = (&mut self.key_budget, &mut self.limited);
        self.book.facts(key, |key| {
            let mut facts = Facts::of(key);
            facts.attribute = census.map_or(Verdict::Keep, |census| census.verdict(key, facts.is_convention));
            let Some(redaction) = redaction else {
                facts.is_clean = true;
                return (facts, true);
            };
            // The keys of an invocation's id are two, and short: whether a rule names them is known in any case.
            if !facts.is_invocation && !text::takes(key, redaction, budget) {
                // Nobody has looked at it: whatever a rule may hide by its key is hidden.
                facts.own = redaction.own_by_key();
                limited.unsearched += 1;
                return (facts, false);
            }
            for (index, own) in redaction.own.iter().enumerate() {
                let is_about_it = own.key.as_ref().is_some_and(|pattern| pattern.is_match(key));
                facts.own |= u64::from(is_about_it) << index;
            }
            // A trial run: what is hidden in a key counts each time that the key comes, and not here.
            facts.is_clean = facts.is_invocation
                || text::redact(key, &Facts::NONE, redaction, &mut hits.clone(), budget).is_none();
            facts.is_excepted = redaction.except.iter().any(|pattern| pattern.is_match(key));
            (facts, true)
        })
    }

    /// What becomes of an attribute of `of`, by the rules on attributes.
    fn fate(&mut self, key: &[u8], value: &[u8], facts: &Facts, of: Message) -> Fate {
        let Some(census) = &mut self.census else { return Fate::Keep };
        if facts.attribute == Verdict::Deny && of.is_described_freely() {
            census.counts.dropped += 1;
            return Fate::Drop;
        }
        match of {
            Message::Span | Message::Event | Message::Link | Message::Record if !self.is_turn => Fate::Keep,
            Message::Span | Message::Event | Message::Link | Message::Record => {
                census.value(key, value, facts.attribute)
            }
            _ if of.is_point() => census.dimension(key, value, facts.is_convention),
            _ => Fate::Keep,
        }
    }

    /// Whether the next span or record is looked at by those who count: where a rule needs them, each is.
    fn take_turn(&mut self) {
        let takes = |census: &mut Box<Census>| census.rules_attributes() || census.turns.next();
        self.is_turn = self.census.as_mut().is_some_and(takes);
    }

    /// What becomes of the name of a span.
    fn name(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        self.census.as_mut()?.name(name)
    }

    fn is_forbidden(&mut self, facts: &Facts) -> bool {
        let is_forbidden =
            self.redaction.as_ref().is_some_and(|redaction| text::is_forbidden(facts, redaction));
        if is_forbidden {
            self.note_secret();
        }
        is_forbidden
    }

    fn is_secret(&self, facts: &Facts, is_text: bool) -> bool {
        self.redaction.as_ref().is_some_and(|redaction| text::is_secret(facts, is_text, redaction))
    }

    /// Whether what a name gives away is hidden.
    fn hides_secrets(&self) -> bool {
        self.redaction.as_ref().is_some_and(|redaction| redaction.action(Kind::Keys).is_some())
    }

    /// Whether a rule hides the value of this key, whatever it is.
    fn hides_whatever(&self, facts: &Facts) -> bool {
        if facts.is_literal && self.redaction.as_ref().is_some_and(|rules| rules.action(Kind::Sql).is_some())
        {
            return true;
        }
        let rules = self.redaction.iter().flat_map(|redaction| &redaction.own).enumerate();
        facts.own != 0
            && rules.into_iter().any(|(index, own)| own.value.is_none() && facts.own & (1 << index) != 0)
    }

    /// Whether nothing of a text can be touched.
    fn is_quiet(&self, text: &[u8], facts: &Facts, max: usize) -> bool {
        (max == 0 || text.len() <= max)
            && self.redaction.as_ref().is_none_or(|redaction| text::is_quiet(text, facts, redaction))
    }

    fn redact(&mut self, text: &[u8], facts: &Facts) -> Option<Vec<u8>> {
        let redaction = self.redaction.as_ref()?;
        text::redact(text, facts, redaction, &mut self.hits, &mut self.budget)
    }

    /// What is left of a word of a command whose `secret` goes, where secrets do.
    fn redact_argument(&mut self, word: &[u8], secret: Range<usize>, facts: &Facts) -> Option<Vec<u8>> {
        let redaction = self.redaction.as_ref()?;
        let hidden = text::redact_secret(word, secret, redaction, &mut self.hits)?;
        Some(self.redact(&hidden, facts).unwrap_or(hidden))
    }

    fn redact_number(&mut self, number: u64, facts: &Facts) -> Option<Vec<u8>> {
        let redaction = self.redaction.as_ref()?;
        text::redact_number(number, facts, redaction, &mut self.hits, &mut self.budget)
    }

    fn note_secret(&mut self) {
        self.hits.kinds[0] += 1;
    }

    const fn value_max(&self, facts: &Facts) -> usize {
        if facts.is_stacktrace { self.limits.stacktrace } else { self.limits.value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_know_the_kinds_by_their_names() {
        let names = Kind::ALL.map(Kind::as_str);
        assert_eq!((&Guarded::RULES[..names.len()], Guarded::RULES[names.len()]), (&names[..], "own"));
    }
}
