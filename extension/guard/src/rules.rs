//! What is to be redacted: a JSON list of built-in names and own rules, read leniently and with every fault named.
//!
//! ```json
//! ["cards", {"use": "emails", "action": "mask"}, {"name": "orders", "value": "ORD-[0-9]{6}", "action": "hash"},
//!  {"key": "customer\\.name", "action": "delete"}, {"except": "^order\\.id$"}]
//! ```

use serde_json::Value;

use crate::hash::Hasher;
use crate::pattern::Pattern;
use crate::rewrite::Action;
use crate::text::shortest;

/// A kind of value that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Payment cards.
    Cards,
    /// Aadhaar numbers.
    Aadhaar,
    /// Indian income-tax numbers.
    Pan,
    /// Numbers of bank accounts (IBAN).
    Ibans,
    /// Payment addresses of UPI.
    Upi,
    /// E-mail addresses.
    Emails,
    /// Telephone numbers.
    Phones,
    /// Credentials, by their shape.
    Tokens,
    /// Credentials and card data, by their name.
    Keys,
    /// Values in the queries of URLs.
    Urls,
    /// Literals in statements for databases.
    Sql,
}

impl Kind {
    /// Every kind, in the order in which a text is searched: what is known by its surroundings first.
    pub const ALL: [Self; 11] = [
        Self::Keys,
        Self::Sql,
        Self::Urls,
        Self::Tokens,
        Self::Emails,
        Self::Upi,
        Self::Ibans,
        Self::Cards,
        Self::Aadhaar,
        Self::Phones,
        Self::Pan,
    ];

    /// Its name in settings, logs and documentation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cards => "cards",
            Self::Aadhaar => "aadhaar",
            Self::Pan => "pan",
            Self::Ibans => "ibans",
            Self::Upi => "upi",
            Self::Emails => "emails",
            Self::Phones => "phones",
            Self::Tokens => "tokens",
            Self::Keys => "keys",
            Self::Urls => "urls",
            Self::Sql => "sql",
        }
    }
}

/// Own rules are bits of a number.
const OWN_MAX: usize = 64;

/// One own rule: about keys, about values, or about values of keys.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) name: String,
    pub(crate) key: Option<Pattern>,
    pub(crate) value: Option<Pattern>,
    pub(crate) action: Action,
}

/// What is to be redacted.
#[derive(Debug, Default)]
pub struct Redaction {
    /// What is done for each kind, in the order of [`Kind::ALL`]; `None` where it is not asked for.
    pub(crate) kinds: [Option<Action>; Kind::ALL.len()],
    pub(crate) own: Vec<Own>,
    /// Keys whose values are only searched for secrets by name.
    pub(crate) except: Vec<Pattern>,
    pub(crate) hasher: Option<Hasher>,
    /// Shorter texts hold nothing that is looked for.
    pub(crate) shortest: usize,
    /// The classes of bytes one of which most of the kinds asked for have.
    pub(crate) telling: u8,
    /// Whether credentials are looked for, which have no such byte.
    pub(crate) has_tokens: bool,
    /// Fewer digits in a text make none of what is looked for.
    pub(crate) digits_min: u32,
}

impl Redaction {
    /// Everything that is built in.
    pub fn everything(key: Option<&[u8]>) -> Self {
        let kinds = [Some(Action::Fitting); Kind::ALL.len()];
        Self { kinds, hasher: key.map(Hasher::new), ..Self::default() }.ready()
    }

    /// With what follows from the kinds worked out.
    fn ready(mut self) -> Self {
        let asked_for = Kind::ALL.into_iter().zip(self.kinds).filter(|(_, action)| action.is_some());
        let asked_for: Vec<Kind> = asked_for.map(|(kind, _)| kind).collect();
        self.shortest = asked_for.iter().map(|kind| shortest(*kind)).min().unwrap_or(usize::MAX);
        self.telling = asked_for.iter().fold(0, |telling, kind| telling | crate::text::telling(*kind));
        self.has_tokens = asked_for.contains(&Kind::Tokens);
        self.digits_min =
            asked_for.iter().map(|kind| crate::text::fewest_digits(*kind)).min().unwrap_or(u32::MAX);
        self
    }

    /// Reads a list; `key` is for keyed hashes. Each fault is named with its place, and the rest of the list
    /// holds. A list that cannot be read at all means everything built in: whoever wrote it wanted something
    /// hidden, and what has left cannot be called back.
    pub fn parse(text: &str, key: Option<&[u8]>) -> (Self, Vec<String>) {
        let rules = match serde_json::from_str::<Value>(text) {
            Ok(Value::Array(rules)) => rules,
            Ok(Value::String(one)) => vec![Value::String(one)],
            Ok(_) => {
                return (Self::everything(key), vec![unreadable("not a JSON list")]);
            }
            Err(error) => {
                let why =
                    format!("not JSON: {}, line {} column {}", kind_of(&error), error.line(), error.column());
                return (Self::everything(key), vec![unreadable(&why)]);
            }
        };
        let mut redaction = Self { hasher: key.map(Hasher::new), ..Self::default() };
        let mut faults = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            if let Err(why) = redaction.add(rule) {
                faults.push(format!("rule {}: {why}", index + 1));
            }
        }
        (redaction.ready(), faults)
    }

    /// Whether nothing is to be redacted.
    pub fn is_empty(&self) -> bool {
        self.kinds.iter().all(Option::is_none) && self.own.is_empty()
    }

    /// The rules that ask for a key: one bit for each, as in `Facts::own`.
    pub(crate) fn own_by_key(&self) -> u64 {
        let by_key = self.own.iter().enumerate().filter(|(_, own)| own.key.is_some());
        by_key.fold(0, |bits, (index, _)| bits | 1 << index)
    }

    pub(crate) fn action(&self, kind: Kind) -> Option<Action> {
        self.kinds[Kind::ALL.iter().position(|other| *other == kind).expect("every kind is in the list")]
    }

    fn add(&mut self, rule: &Value) -> Result<(), String> {
        match rule {
            Value::String(name) => self.turn_on(name, Action::Fitting),
            Value::Object(rule) => {
                let text = |name: &str| {
                    rule.get(name).map(|value| value.as_str().ok_or(format!("{name} is not a text")))
                };
                let unknown = rule
                    .keys()
                    .find(|key| !["use", "name", "key", "value", "action", "except"].contains(&&***key));
                if let Some(unknown) = unknown {
                    return Err(format!("no such word: {unknown:?}"));
                }
                let (wanted, fault) = action(text("action").transpose()?, self.hasher.is_some())?;
                if let Some(name) = text("use").transpose()? {
                    self.turn_on(name, wanted)?;
                } else if let Some(pattern) = text("except").transpose()? {
                    self.except.push(self::pattern(pattern)?);
                } else {
                    self.add_own(
                        text("name").transpose()?,
                        text("key").transpose()?,
                        text("value").transpose()?,
                        wanted,
                    )?;
                }
                fault.map_or(Ok(()), Err)
            }
            _ => Err("neither a name nor an object".into()),
        }
    }

    fn turn_on(&mut self, name: &str, action: Action) -> Result<(), String> {
        if name == "all" {
            self.kinds = [Some(action); Kind::ALL.len()];
            return Ok(());
        }
        let index = Kind::ALL.iter().position(|kind| kind.as_str() == name).ok_or_else(|| {
            let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("no such kind; there are all, {}", names.join(", "))
        })?;
        self.kinds[index] = Some(action);
        Ok(())
    }

    fn add_own(
        &mut self,
        name: Option<&str>,
        key: Option<&str>,
        value: Option<&str>,
        action: Action,
    ) -> Result<(), String> {
        if key.is_none() && value.is_none() {
            return Err("it has neither use, key, value nor except".into());
        }
        if self.own.len() == OWN_MAX {
            return Err(format!("more than {OWN_MAX} own rules"));
        }
        let value = value.map(pattern).transpose()?;
        if value.as_ref().is_some_and(|pattern| pattern.is_match(b"")) {
            return Err("its value pattern matches the empty text".into());
        }
        let name = name.map_or_else(|| format!("rule_{}", self.own.len() + 1), str::to_owned);
        self.own.push(Own { name, key: key.map(pattern).transpose()?, value, action });
        Ok(())
    }
}

fn unreadable(why: &str) -> String {
    format!("{why}; everything built in is redacted")
}

/// Never the text itself: it may quote what is to be hidden.
fn kind_of(error: &serde_json::Error) -> &'static str {
    if error.is_eof() { "it ends too early" } else { "a syntax error" }
}

/// The action that a rule asks for; and what is done otherwise where that cannot be done.
fn action(word: Option<&str>, has_key: bool) -> Result<(Action, Option<String>), String> {
    match word {
        None => Ok((Action::Fitting, None)),
        Some("mask") => Ok((Action::Mask, None)),
        Some("delete") => Ok((Action::Delete, None)),
        Some("hash") if has_key => Ok((Action::Hash, None)),
        Some("hash") => {
            let why = "hash needs a key (PREFREEZE_REDACT_KEY), for a plain hash can be undone by trying; masked instead";
            Ok((Action::Mask, Some(why.into())))
        }
        Some(_) => Err("its action is not one of mask, hash, delete".into()),
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|why| format!("its pattern cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_rules_hold_and_bad_ones_are_named_by_their_place() {
        let text = r#"["cards", "dogs", {"use":"emails","action":"mask"}, {"value":"(","action":"mask"}, 7,
            {"name":"order","value":"ORD-[0-9]+","action":"delete"}, {"key":"x","action":"burn"}, {"vlaue":"x"},
            {"value":"a*"}, {"except":"^order"}]"#;
        let (redaction, faults) = Redaction::parse(text, None);
        assert_eq!(redaction.action(Kind::Cards), Some(Action::Fitting));
        assert_eq!(redaction.action(Kind::Emails), Some(Action::Mask));
        assert_eq!(redaction.action(Kind::Pan), None);
        assert_eq!(redaction.own.len(), 1);
        assert_eq!(redaction.except.len(), 1);
        let places: Vec<_> = faults.iter().map(|fault| fault.split(':').next().expect("a place")).collect();
        assert_eq!(places, ["rule 2", "rule 4", "rule 5", "rule 7", "rule 8", "rule 9"], "{faults:#?}");
    }

    #[test]
    fn what_cannot_be_read_hides_everything() {
        for text in ["cards", "{\"cards\":true}", "[\"cards\"", "7"] {
            let (redaction, faults) = Redaction::parse(text, None);
            assert!(Kind::ALL.iter().all(|kind| redaction.action(*kind).is_some()), "{text}");
            assert_eq!(faults.len(), 1, "{text}");
        }
    }

    #[test]
    fn a_hash_without_a_key_masks_and_says_so() {
        let rule = r#"[{"value":"ORD-[0-9]+","action":"hash"}]"#;
        let (without, faults) = Redaction::parse(rule, None);
        assert_eq!((without.own[0].action, faults.len()), (Action::Mask, 1));
        let (with, faults) = Redaction::parse(rule, Some(b"key"));
        assert_eq!((with.own[0].action, faults.len()), (Action::Hash, 0));
    }

    #[test]
    fn a_pattern_that_would_be_too_large_is_refused() {
        let (redaction, faults) = Redaction::parse(r#"[{"value":"(a{100}){100}"}]"#, None);
        assert_eq!((redaction.own.len(), faults.len()), (0, 1));
    }
}
