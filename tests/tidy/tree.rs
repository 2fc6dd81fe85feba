//! The tree under scrutiny: paths and texts, read from disk or made up.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::path::Path;
use std::{fs, io};

/// What was built or fetched, never written; `.git` is a file in a second worktree, and names a folder of the machine.
const SKIPPED: &[&str] = &[".git", ".aws-sam", "target", "__pycache__", ".venv"];

/// Every text file, by its path from the workspace's root, with `/` between the parts.
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the text files below `root`; what is not UTF-8 is no text.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if SKIPPED.iter().any(|name| entry.file_name() == *name) {
                    continue;
                }
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file()
                    && let Ok(text) = fs::read_to_string(entry.path())
                {
                    let path = entry.path();
                    let inside = path.strip_prefix(root).expect("an entry is below its root");
                    files.insert(inside.to_string_lossy().into_owned(), text);
                }
            }
        }
        Ok(Self { files })
    }

    /// The Rust files whose path begins with `prefix`: (path, text).
    pub(crate) fn rust(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.starting_with(prefix).filter(|(path, _)| path.ends_with(".rs"))
    }

    /// The files whose path begins with `prefix`: (path, text).
    pub(crate) fn starting_with(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        files.filter(move |(path, _)| path.starts_with(prefix))
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Whether `path` is a folder with at least one file somewhere in it.
    pub(crate) fn has_folder(&self, path: &str) -> bool {
        self.starting_with(&format!("{path}/")).next().is_some()
    }
}

/// One place where a rule does not hold.
pub(crate) struct Violation {
    path: String,
    /// Counted from 1; 0 for the file as a whole.
    line: usize,
    message: String,
}

impl Violation {
    pub(crate) fn of_file(path: &str, message: impl Into<String>) -> Self {
        Self::at(path, 0, message)
    }

    pub(crate) fn at(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl Display for Violation {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}
