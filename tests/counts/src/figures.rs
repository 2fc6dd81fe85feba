//! The figures that are committed: whose they are, and how far a count may be from them.

use std::fmt;
use std::str::FromStr;

use crate::Result;

/// In per cent. The C library's allocator is another on each distribution, and takes some of every count.
const TOLERANCE: u64 = 5;

/// Instructions of each case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// They hold for this compiler only.
    pub(crate) compiler: String,
    pub(crate) counts: Vec<(String, u64)>,
}

impl Figures {
    /// A line for each case, and whether no count has grown past the tolerance. One that has shrunk as far is worth a
    /// new figure, and fails too: else it could grow back unseen.
    pub(crate) fn compare(&self, now: &[(String, u64)]) -> (String, bool) {
        let (mut lines, mut is_held) = (String::new(), self.counts.len() == now.len());
        for (name, count) in now {
            let known = self.counts.iter().find(|(known, _)| known == name).map(|(_, count)| *count);
            let word = match known {
                None => "has no figure",
                Some(known) if *count * 100 > known * (100 + TOLERANCE) => "has grown",
                Some(known) if *count * 100 < known * (100 - TOLERANCE) => "has shrunk: set the figure anew",
                Some(_) => "",
            };
            is_held &= word.is_empty();
            lines +=
                format!("  {name:24} {count:>9}  of {:>9}  {word}", known.unwrap_or_default()).trim_end();
            lines.push('\n');
        }
        (lines, is_held)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# Instructions of one run of each case, set by `make counts-write`, compared by `make counts`."
        )?;
        writeln!(f, "{}", self.compiler)?;
        self.counts.iter().try_for_each(|(name, count)| writeln!(f, "{count:>9} {name}"))
    }
}

impl FromStr for Figures {
    type Err = Box<dyn std::error::Error>;

    fn from_str(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let compiler = lines.next().ok_or("no compiler is named")?.to_owned();
        let figures = lines.map(|line| {
            let (count, name) = line.trim().split_once(' ').ok_or("a line is a count and a case")?;
            Ok((name.to_owned(), count.parse()?))
        });
        Ok(Self { compiler, counts: figures.collect::<Result<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(count: u64) -> Figures {
        Figures { compiler: "rustc 1.95.0, x86_64".into(), counts: vec![("scan".into(), count)] }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(figures(1_000).to_string().parse::<Figures>().expect("its own form"), figures(1_000));
        assert!("".parse::<Figures>().is_err() && "rustc\nmany scan".parse::<Figures>().is_err());
    }

    #[test]
    fn growing_and_shrinking_past_the_tolerance_fail() {
        let rows = [(950, true), (1_050, true), (949, false), (1_051, false)];
        for (now, is_held) in rows {
            assert_eq!(figures(1_000).compare(&figures(now).counts).1, is_held, "{now}");
        }
    }

    #[test]
    fn a_case_without_a_figure_fails_and_so_does_a_figure_without_a_case() {
        let two = [("scan".to_owned(), 1_000), ("new".to_owned(), 1)];
        assert!(!figures(1_000).compare(&two).1);
        assert!(!figures(1_000).compare(&[]).1);
    }
}
