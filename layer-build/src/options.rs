//! What was asked for on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::Result;
use crate::target::Target;

pub(crate) const HELP: &str = "\
Turns the extension's binary into a Lambda layer.

Usage: layer-build COMMAND [OPTIONS]

Commands:
  layer            build target/layer/prefreeze-TARGET.zip with its .sha256, and report its size
  function NAME    build the example function NAME as a file called bootstrap; needs --into
  size             report the size of the layer built last

Options:
  --target TARGET  x86_64 (default) or arm64; always linked for glibc 2.26, which every Lambda runtime has
  --into FOLDER    put the unpacked files there instead of a zip: what `sam build` asks for
  --help           this text";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Layer { target: Target, into: Option<PathBuf> },
    Function { name: String, target: Target, into: PathBuf },
    Size { target: Target },
}

/// Reads the program's arguments, its own name first.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let mut parser = lexopt::Parser::from_iter(args);
    let mut words = Vec::new();
    let mut target = Target::X86_64;
    let mut into = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("target") => target = parser.value()?.parse()?,
            Long("into") => into = Some(PathBuf::from(parser.value()?)),
            Value(word) => words.push(word.string()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    command(&words, target, into)
}

fn command(words: &[String], target: Target, into: Option<PathBuf>) -> Result<Command> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match (words.as_slice(), into) {
        ([], _) => Ok(Command::Help),
        (["layer"], into) => Ok(Command::Layer { target, into }),
        (["function", name], Some(into)) => Ok(Command::Function { name: (*name).to_owned(), target, into }),
        (["function", _], None) => Err("function needs --into FOLDER".into()),
        (["size"], None) => Ok(Command::Size { target }),
        _ => Err(format!("cannot make sense of \"{}\"; see --help", words.join(" ")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Command> {
        parse(std::iter::once("layer-build").chain(line.split_whitespace()).map(OsString::from))
    }

    #[track_caller]
    fn check(line: &str, expected: &Command) {
        assert_eq!(parse_line(line).expect("a good line"), *expected);
    }

    #[test]
    fn good_lines() {
        check("", &Command::Help);
        check("layer --help", &Command::Help);
        check("layer", &Command::Layer { target: Target::X86_64, into: None });
        check(
            "layer --target arm64 --into a",
            &Command::Layer { target: Target::Arm64, into: Some("a".into()) },
        );
        check("size --target=x86_64", &Command::Size { target: Target::X86_64 });
        let bootstrap = Command::Function { name: "f".to_owned(), target: Target::X86_64, into: "a".into() };
        check("function f --into a", &bootstrap);
    }

    #[test]
    fn bad_lines() {
        for line in ["deploy", "function f", "layer --target sparc", "layer --fast", "size --into a"] {
            assert!(parse_line(line).is_err(), "accepted: {line}");
        }
    }
}
