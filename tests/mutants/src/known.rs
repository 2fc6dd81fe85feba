//! The committed list of survivors: each with the reason why it is let live.
//!
//! A heading in brackets says what holds of the mutants below it: `[equal]` if no test can tell them from the original,
//! `[accepted]` if one could and it is not worth it, each with its reason; and `[open]`, without one, for those that nobody
//! has looked at yet. Each line below names a mutant as [`Name`] prints it. Below `[unread]` are files, or the begins of their
//! paths, whose survivors nobody has gone through yet.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::Result;
use crate::list::Name;

/// What is said of a mutant that survives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// Nothing can tell it from the original.
    Equal(String),
    /// A test could, and it is not worth it.
    Accepted(String),
    /// Nobody has looked at it yet.
    Open,
    /// Nobody has gone through the survivors of these files.
    Unread,
}

/// The list: how many mutants of each name, for equal lines of one function share theirs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// What stands above the first heading.
    head: String,
    groups: Vec<(Why, Vec<Name>)>,
}

impl Known {
    pub(crate) fn read(text: &str) -> Result<Self> {
        let mut known = Self::default();
        for line in text.lines() {
            if line.trim().is_empty() {
                continue;
            }
            if let Some(heading) = line.strip_prefix('[') {
                known.groups.push((why(heading)?, Vec::new()));
            } else if let Some((why, names)) = known.groups.last_mut() {
                names.push(if *why == Why::Unread { file(line) } else { name(line)? });
            } else {
                known.head.push_str(line);
                known.head.push('\n');
            }
        }
        Ok(known)
    }

    /// The list as it is committed.
    pub(crate) fn text(&self) -> String {
        let mut text = self.head.clone();
        for (why, names) in self.groups.iter().filter(|(_, names)| !names.is_empty()) {
            let heading = match why {
                Why::Equal(reason) => format!("[equal] {reason}"),
                Why::Accepted(reason) => format!("[accepted] {reason}"),
                Why::Open => "[open]".to_owned(),
                Why::Unread => "[unread]".to_owned(),
            };
            write!(text, "\n{heading}\n").expect("a string takes everything");
            for name in names {
                let line = if *why == Why::Unread { name.file.clone() } else { name.to_string() };
                writeln!(text, "  {line}").expect("a string takes everything");
            }
        }
        text
    }

    /// How many are listed, by name.
    pub(crate) fn counts(&self) -> BTreeMap<&Name, usize> {
        let mut counts = BTreeMap::new();
        let groups = self.groups.iter().filter(|(why, _)| *why != Why::Unread);
        groups.flat_map(|(_, names)| names).for_each(|name| *counts.entry(name).or_default() += 1);
        counts
    }

    /// How many mutants nobody has looked at, and how many files, or begins of paths, nobody has gone through.
    pub(crate) fn left(&self) -> [usize; 2] {
        [Why::Open, Why::Unread].map(|why| self.of(&why).count())
    }

    /// Whether nobody has gone through the survivors of this file.
    pub(crate) fn is_unread(&self, file: &str) -> bool {
        self.of(&Why::Unread).any(|unread| file.starts_with(&unread.file))
    }

    fn of(&self, why: &Why) -> impl Iterator<Item = &Name> {
        self.groups.iter().filter(move |(other, _)| other == why).flat_map(|(_, names)| names)
    }

    /// Takes this one off.
    pub(crate) fn remove(&mut self, name: &Name) {
        for (_, names) in &mut self.groups {
            if let Some(index) = names.iter().position(|other| other == name) {
                names.remove(index);
                return;
            }
        }
    }

    /// Lists these as open.
    pub(crate) fn add(&mut self, names: impl IntoIterator<Item = Name>) {
        if !self.groups.iter().any(|(why, _)| *why == Why::Open) {
            self.groups.push((Why::Open, Vec::new()));
        }
        let open = self.groups.iter_mut().find(|(why, _)| *why == Why::Open);
        let (_, open) = open.expect("it is there or was made");
        open.extend(names);
        open.sort();
    }
}

fn why(heading: &str) -> Result<Why> {
    let (kind, reason) = heading.split_once(']').unwrap_or((heading, ""));
    let reason = reason.trim().to_owned();
    match (kind, reason.is_empty()) {
        ("equal", false) => Ok(Why::Equal(reason)),
        ("accepted", false) => Ok(Why::Accepted(reason)),
        ("open", true) => Ok(Why::Open),
        ("unread", true) => Ok(Why::Unread),
        _ => {
            Err(format!("[equal] or [accepted] with a reason, [open] or [unread] without: [{heading}").into())
        }
    }
}

fn file(line: &str) -> Name {
    Name { file: line.trim().to_owned(), change: String::new(), code: String::new() }
}

fn name(line: &str) -> Result<Name> {
    let (told, code) = line.trim().split_once('\t').unwrap_or((line.trim(), ""));
    let (file, change) = told.split_once(": ").ok_or_else(|| format!("no mutant: {line}"))?;
    Ok(Name { file: file.to_owned(), change: change.to_owned(), code: code.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A head.\n\n[equal] Both are the same.\n  a.rs: replace + with - in f\tx «+» 0\n\n[open]\n  b.rs: replace g with ()\n\n[unread]\n  agent/\n";

    #[test]
    fn a_list_reads_as_it_was_written() {
        let mut known = Known::read(TEXT).expect("it is a list");
        assert_eq!((known.text(), known.left(), known.counts().len()), (TEXT.to_owned(), [1, 1], 2));
        assert!(known.is_unread("agent/a.rs") && !known.is_unread("b.rs"));
        let name = name("b.rs: replace g with ()").expect("it is a name");
        known.add([name.clone()]);
        assert_eq!(known.counts()[&name], 2);
        known.remove(&name);
        assert_eq!(known.text(), TEXT);
    }

    #[test]
    fn a_mutant_without_a_reason_is_refused() {
        for text in ["[equal]\n", "[accepted] \n", "[open] later\n", "[other] why\n", "[open]\n  no mutant\n"]
        {
            assert!(Known::read(text).is_err(), "{text}");
        }
    }
}
