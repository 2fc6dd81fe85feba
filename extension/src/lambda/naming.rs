//! Under which name to register: the platform knows an extension by the name of its file in `/opt/extensions`.
//!
//! # Source
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html#extensions-registration-api-a>

use std::path::Path;

use crate::settings;

/// The name of its file in the layer that we build.
const IN_LAYER: &str = "prefreeze";
/// The folder that the platform starts extensions from.
const FOLDER: &str = "extensions";

/// The names to try, the likeliest first.
pub(super) fn candidates() -> Vec<String> {
    names_of(&settings::program())
}

/// The names that the file may have which the platform started, where this process was started as `program`.
///
/// A file may be renamed: extensions start in the order of their names. Where a script in that folder starts us from
/// elsewhere, its name is most likely that of our file in the layer, whose place it took.
fn names_of(program: &Path) -> Vec<String> {
    let own = program.file_name().map(|name| name.to_string_lossy().into_owned());
    let is_extension = program.parent().and_then(Path::file_name).is_some_and(|folder| folder == FOLDER);
    let mut names: Vec<_> = own.into_iter().chain([IN_LAYER.to_owned()]).collect();
    if !is_extension {
        names.reverse();
    }
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_file_that_the_platform_started() {
        let rows: [(&str, &[&str]); 6] = [
            ("/opt/extensions/prefreeze", &["prefreeze"]),
            ("/opt/extensions/00-prefreeze", &["00-prefreeze", "prefreeze"]),
            ("/opt/bin/prefreeze", &["prefreeze"]),
            ("/opt/bin/traced", &["prefreeze", "traced"]),
            ("traced", &["prefreeze", "traced"]),
            ("", &["prefreeze"]),
        ];
        for (program, names) in rows {
            assert_eq!(names_of(Path::new(program)), names, "{program}");
        }
    }
}
