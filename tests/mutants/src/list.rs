//! The mutants that cargo-mutants names: where each is, and what it puts there.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::Result;

/// What kind of code a mutant replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum Genre {
    /// The body of a function, by a value.
    FnValue,
    /// An operator between two operands.
    BinaryOperator,
    /// An operator before its operand, by nothing.
    UnaryOperator,
    /// An arm of a `match` that has a wildcard, by nothing.
    MatchArm,
    /// The condition of an arm, by `true` or `false`.
    MatchArmGuard,
    /// A field of a struct expression that has a base, by nothing.
    StructField,
    /// An expression, by another one that a person thought of: the simulation alone must notice.
    #[serde(skip)]
    Named,
}

/// What a mutant is called, wherever it moves in its file. Two mutants in equal lines of one function share a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    /// From the package's `src` folder.
    pub(crate) file: String,
    /// What is replaced by what, and in which function.
    pub(crate) change: String,
    /// The line of code, with the replaced part in `«»`; empty if the change is told without it.
    pub(crate) code: String,
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file, self.change)?;
        if self.code.is_empty() { Ok(()) } else { write!(f, "\t{}", self.code) }
    }
}

/// One change to one file.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    pub(crate) genre: Genre,
    pub(crate) name: Name,
    /// The file, from the root of the repository.
    pub(crate) path: String,
    /// The line where it begins, from 1.
    pub(crate) line: usize,
    /// The bytes of the file that it replaces.
    pub(crate) range: Range<usize>,
    pub(crate) replacement: String,
}

/// The texts of the files that have mutants, by path.
pub(crate) type Sources = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Listed {
    file: String,
    genre: Genre,
    name: String,
    replacement: String,
    span: Span,
}

#[derive(Deserialize)]
struct Span {
    start: Position,
    end: Position,
}

/// Counted from 1, in characters.
#[derive(Deserialize)]
struct Position {
    line: usize,
    column: usize,
}

/// Every mutant of `package` in the workspace at `root`, and the sources.
pub(crate) fn list(root: &Path, cargo_mutants: &Path, package: &str) -> Result<(Vec<Mutant>, Sources)> {
    let output = Command::new(cargo_mutants)
        .args(["mutants", "--package", package, "--list", "--json"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("{}: {error}", cargo_mutants.display()))?;
    if !output.status.success() {
        return Err(format!("cargo-mutants: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    read(&String::from_utf8(output.stdout)?, |path| Ok(std::fs::read_to_string(root.join(path))?))
}

/// Understands a list, with the sources that `source` has.
pub(crate) fn read(json: &str, source: impl Fn(&str) -> Result<String>) -> Result<(Vec<Mutant>, Sources)> {
    let listed: Vec<Listed> = serde_json::from_str(json)?;
    let mut sources = Sources::new();
    let mut mutants = Vec::new();
    for listed in listed {
        if !sources.contains_key(&listed.file) {
            sources.insert(listed.file.clone(), source(&listed.file)?);
        }
        let source = &sources[&listed.file];
        mutants.push(listed.mutant(source));
    }
    Ok((mutants, sources))
}

/// The mutants in a table: what each is called, its file below `folder`, the code it replaces, and what by.
///
/// # Errors
/// When a file does not have that code exactly once: the table is to be mended then.
pub(crate) fn named(table: &str, folder: &str, sources: &Sources) -> Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for line in table.lines().skip(1) {
        let [change, file, code, replacement, _] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("not five columns: {line}").into());
        };
        let path = format!("{folder}/{file}");
        let source = sources.get(&path).ok_or_else(|| format!("{change}: there is no {path}"))?;
        let range =
            find(source, code).ok_or_else(|| format!("{change}: {path} does not have this once: {code}"))?;
        let name = Name { file: file.to_owned(), change: change.to_owned(), code: String::new() };
        let line = source[..range.start].lines().count();
        mutants.push(Mutant {
            genre: Genre::Named,
            name,
            path,
            line,
            range,
            replacement: replacement.to_owned(),
        });
    }
    Ok(mutants)
}

/// Where `code` is, if it is there once, whatever blanks and line breaks are in either.
fn find(source: &str, code: &str) -> Option<Range<usize>> {
    let is_code = |(_, c): &(usize, char)| !c.is_whitespace();
    let places: Vec<_> = source.char_indices().filter(is_code).map(|(at, _)| at).collect();
    let dense = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<Vec<_>>();
    let (source_chars, code) = (dense(source), dense(code));
    if code.is_empty() {
        return None;
    }
    let mut found = source_chars.windows(code.len()).enumerate().filter(|(_, window)| **window == code);
    let (first, _) = found.next()?;
    let last = places[first + code.len() - 1];
    let end = last + source[last..].chars().next().map_or(0, char::len_utf8);
    found.next().is_none().then(|| places[first]..end)
}

impl Listed {
    fn mutant(self, source: &str) -> Mutant {
        let range = offset(source, &self.span.start)..offset(source, &self.span.end);
        let file = self.file.split_once("/src/").map_or(&*self.file, |(_, file)| file).to_owned();
        // `path:line:column: change`
        let change = self.name.splitn(4, ':').nth(3).unwrap_or(&self.name).trim().to_owned();
        let code = match self.genre {
            Genre::BinaryOperator | Genre::UnaryOperator | Genre::MatchArmGuard => marked(source, &range),
            _ => String::new(),
        };
        Mutant {
            genre: self.genre,
            name: Name { file, change, code },
            line: self.span.start.line,
            range,
            path: self.file,
            replacement: self.replacement,
        }
    }
}

/// The byte at which a position is.
fn offset(source: &str, at: &Position) -> usize {
    let lines = source.split_inclusive('\n');
    let before: usize = lines.take(at.line - 1).map(str::len).sum();
    let in_line: usize = source[before..].chars().take(at.column - 1).map(char::len_utf8).sum();
    before + in_line
}

/// The lines that `range` is in, without what stands before and behind, and with the range in `«»`.
fn marked(source: &str, range: &Range<usize>) -> String {
    let from = source[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let to = source[range.end..].find('\n').map_or(source.len(), |at| range.end + at);
    let parts = [&source[from..range.start], "«", &source[range.clone()], "»", &source[range.end..to]];
    parts.concat().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_named_by_its_line_and_not_by_the_number_of_it() {
        const JSON: &str = r#"[{"file": "a/src/b.rs", "genre": "BinaryOperator", "replacement": "-",
            "name": "a/src/b.rs:2:14: replace + with - in f",
            "span": {"start": {"line": 2, "column": 14}, "end": {"line": 2, "column": 15}}}]"#;
        let source = "fn f() -> usize {\n    \"é\".len()+ 1\n}\n";
        let (mutants, sources) = read(JSON, |_| Ok(source.to_owned())).expect("it is a list");
        assert_eq!(mutants[0].name.to_string(), "b.rs: replace + with - in f\t\"é\".len()«+» 1");
        assert_eq!(&sources["a/src/b.rs"][mutants[0].range.clone()], "+");
    }

    #[test]
    fn a_named_mutant_is_found_by_its_code() {
        let source = "fn f() {\n    a(b,\n        é)\n}\nfn g() { c; c }\n";
        let sources = Sources::from([("x/src/b.rs".to_owned(), source.to_owned())]);
        let table = |code: &str| format!("head\nf gives nothing\tb.rs\t{code}\t0\twhy\n");
        let mutants = named(&table("a(b, é)"), "x/src", &sources).expect("it is there");
        assert_eq!((&source[mutants[0].range.clone()], mutants[0].line), ("a(b,\n        é)", 2));
        for code in ["c", "a(c)", ""] {
            assert!(named(&table(code), "x/src", &sources).is_err(), "{code}");
        }
    }

    /// Reads every file below `folder` into `sources`.
    fn read_all(folder: &Path, sources: &mut Sources) {
        for entry in std::fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                read_all(&path, sources);
            } else {
                let text = std::fs::read_to_string(&path).expect("it is a text");
                let name = path.strip_prefix(crate::ROOT).expect("it is in the repository");
                sources.insert(name.to_str().expect("names are ASCII").to_owned(), text);
            }
        }
    }

    #[test]
    fn every_mutant_that_a_person_has_named_applies_to_policy_as_it_is() {
        let (root, mut sources) = (Path::new(crate::ROOT), Sources::new());
        read_all(&root.join(crate::MUTATED).join("src"), &mut sources);
        let table = std::fs::read_to_string(root.join(crate::NAMED)).expect("it is there");
        let mutants = named(&table, &format!("{}/src", crate::MUTATED), &sources).expect("each applies once");
        assert!(mutants.len() >= 8, "the eight that the simulation once let live: {}", mutants.len());
    }
}
