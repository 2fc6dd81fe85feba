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
  layer            build target/layer/prefreeze-TARGET.zip with its .sha256 and its bill of materials, and
                   report its size
  size             report the size of the layer built last
  reproduce        build the layer a second time, from nothing, and compare
  release          gather both layers with all that is published beside them, and print how
  emulator         fetch what runs the layer's binary on this machine
  dashboards       write docs/dashboards and the dashboard in template.yaml from their one description
  function NAME    build the example function NAME as a file called bootstrap; needs --into and --target

Options:
  --target TARGET  x86_64 or arm64, both without it; always linked for glibc 2.26, which every Lambda runtime has
  --into FOLDER    put the unpacked files there instead of a zip: what `sam build` asks for
  --help           this text";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Layer { targets: Vec<Target> },
    LayerInto { target: Target, into: PathBuf },
    Function { name: String, target: Target, into: PathBuf },
    Size { targets: Vec<Target> },
    Reproduce { targets: Vec<Target> },
    Emulator { targets: Vec<Target> },
    Dashboards,
    Release,
}

/// Reads the program's arguments, its own name first.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let mut parser = lexopt::Parser::from_iter(args);
    let mut words = Vec::new();
    let mut target = None;
    let mut into = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("target") => target = Some(parser.value()?.parse()?),
            Long("into") => into = Some(PathBuf::from(parser.value()?)),
            Value(word) => words.push(word.string()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    command(&words, target, into)
}

fn command(words: &[String], target: Option<Target>, into: Option<PathBuf>) -> Result<Command> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let targets = target.map_or_else(|| Target::ALL.to_vec(), |one| vec![one]);
    match (words.as_slice(), target, into) {
        ([], ..) => Ok(Command::Help),
        (["layer"], _, None) => Ok(Command::Layer { targets }),
        (["layer"], Some(target), Some(into)) => Ok(Command::LayerInto { target, into }),
        (["function", name], Some(target), Some(into)) => {
            Ok(Command::Function { name: (*name).to_owned(), target, into })
        }
        (["layer" | "function", ..], None, Some(_)) => Err("one folder is for one --target".into()),
        (["function", _], _, None) => Err("function needs --into FOLDER".into()),
        (["size"], _, None) => Ok(Command::Size { targets }),
        (["reproduce"], _, None) => Ok(Command::Reproduce { targets }),
        (["release"], None, None) => Ok(Command::Release),
        (["dashboards"], None, None) => Ok(Command::Dashboards),
        (["emulator"], _, None) => Ok(Command::Emulator { targets }),
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
        let both = || vec![Target::X86_64, Target::Arm64];
        check("", &Command::Help);
        check("layer --help", &Command::Help);
        check("layer", &Command::Layer { targets: both() });
        check("layer --target x86_64", &Command::Layer { targets: vec![Target::X86_64] });
        let into = Command::LayerInto { target: Target::Arm64, into: "a".into() };
        check("layer --target arm64 --into a", &into);
        check("size --target=x86_64", &Command::Size { targets: vec![Target::X86_64] });
        check("reproduce", &Command::Reproduce { targets: both() });
        check("emulator --target arm64", &Command::Emulator { targets: vec![Target::Arm64] });
        let bootstrap = Command::Function { name: "f".to_owned(), target: Target::X86_64, into: "a".into() };
        check("function f --target x86_64 --into a", &bootstrap);
    }

    #[test]
    fn bad_lines() {
        for line in [
            "deploy",
            "function f",
            "function f --into a",
            "layer --into a",
            "layer --target sparc",
            "layer --fast",
            "size --into a",
            "dashboards --target arm64",
        ] {
            assert!(parse_line(line).is_err(), "accepted: {line}");
        }
    }
}
