//! What must not leave, and how large it may be: the settings of the guard.

use std::fs::File;
use std::io::Read;

use guard::{Attributes, Limits, Redaction, Rules};

use super::Reader;

/// A longer file is no list of rules that anyone wrote.
const FILE_MAX: u64 = 256 << 10;
const REDACT: &str = "PREFREEZE_REDACT";
const ATTRIBUTES: &str = "PREFREEZE_ATTRIBUTES";
const KEY: &str = "PREFREEZE_REDACT_KEY";
/// In place of an object: names and dimensions pass as they are, and nothing is counted.
const OFF: &str = "off";

impl Reader {
    /// Reads everything that the guard is told. A file of rules is read here and now, before the function can
    /// send anything: what is to be hidden must be known first.
    pub(super) fn guarding(&mut self) -> Rules {
        Rules { redaction: self.redaction(), limits: self.limits(), attributes: self.attributes() }
    }

    fn redaction(&mut self) -> Redaction {
        let key = self.get(KEY).map(|key| key.as_bytes().to_vec());
        let (name, text) = match self.inline_or_file(REDACT) {
            Ok(Some(found)) => found,
            Ok(None) => return Redaction::default(),
            Err((name, why)) => {
                self.problem(&name, format!("{why}; everything built in is redacted"));
                return Redaction::everything(key.as_deref());
            }
        };
        let (redaction, faults) = Redaction::parse(&text, key.as_deref());
        faults.into_iter().for_each(|fault| self.problem(&name, fault));
        redaction
    }

    /// Unset, and where they cannot be read, the default rules hold.
    fn attributes(&mut self) -> Option<Attributes> {
        let key = self.get(KEY).map(|key| key.as_bytes().to_vec());
        let (name, text) = match self.inline_or_file(ATTRIBUTES) {
            Ok(Some(found)) => found,
            Ok(None) => return Some(Attributes::default()),
            Err((name, why)) => {
                self.problem(&name, why);
                return Some(Attributes::default());
            }
        };
        if text.trim() == OFF {
            return None;
        }
        let (attributes, faults) = Attributes::parse(&text, key.as_deref());
        faults.into_iter().for_each(|fault| self.problem(&name, fault));
        Some(attributes)
    }

    /// The text of a structured setting: its own value, or else that of the file its `_FILE` form names; and the
    /// variable that it is from.
    fn inline_or_file(&mut self, name: &str) -> Result<Option<(String, String)>, (String, String)> {
        let file = format!("{name}_FILE");
        if let Some(text) = self.get(name).map(str::to_owned) {
            if self.get(&file).is_some() {
                self.problem(&file, format!("{name} is set too, and holds"));
            }
            return Ok(Some((name.to_owned(), text)));
        }
        let Some(path) = self.get(&file) else { return Ok(None) };
        let mut text = String::new();
        let read = File::open(path).and_then(|opened| opened.take(FILE_MAX + 1).read_to_string(&mut text));
        match read {
            Ok(length) if length as u64 <= FILE_MAX => Ok(Some((file, text))),
            Ok(_) => Err((file, "the file is longer than 256 KiB".into())),
            Err(error) => Err((file, format!("the file cannot be read: {error}"))),
        }
    }

    fn limits(&mut self) -> Limits {
        let default = Limits::default();
        let mut read =
            |name, default: usize| self.number(name, default as u64, 0..=u64::from(u32::MAX)) as usize;
        Limits {
            value: read("PREFREEZE_LIMIT_VALUE_BYTES", default.value),
            stacktrace: read("PREFREEZE_LIMIT_STACKTRACE_BYTES", default.stacktrace),
            attributes: read("PREFREEZE_LIMIT_ATTRIBUTES", default.attributes),
            events: read("PREFREEZE_LIMIT_EVENTS", default.events),
            links: read("PREFREEZE_LIMIT_LINKS", default.links),
            item: read("PREFREEZE_LIMIT_SPAN_BYTES", default.item),
        }
    }
}
