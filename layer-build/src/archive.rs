//! A zip whose bytes depend on nothing but the files in it: sorted, without the day it was made.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::Result;

/// One file of a layer or function.
pub(crate) struct Entry {
    /// Where it goes, relative to `/opt` or `/var/task`.
    pub(crate) path: String,
    /// Unix permission bits. Lambda runs an extension only with the execute bit set *inside the zip*.
    pub(crate) mode: u32,
    pub(crate) bytes: Vec<u8>,
}

/// The zip of these entries, in the order of their paths.
pub(crate) fn zip(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));

    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for entry in sorted {
        writer.start_file(entry.path.as_str(), options(entry.mode))?;
        writer.write_all(&entry.bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

fn options(mode: u32) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default()) // 1980-01-01, the beginning of zip's time
        .unix_permissions(mode)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use zip::ZipArchive;

    use super::*;

    fn entry(path: &str, mode: u32, text: &str) -> Entry {
        Entry { path: path.to_owned(), mode, bytes: text.repeat(100).into_bytes() }
    }

    fn binary() -> Entry {
        entry("extensions/prefreeze", 0o755, "code")
    }

    fn licence() -> Entry {
        entry("share/prefreeze/LICENSE", 0o644, "terms")
    }

    #[test]
    fn same_files_same_bytes_in_any_order() {
        let one = zip(&[binary(), licence()]).expect("zips");
        let two = zip(&[licence(), binary()]).expect("zips");
        assert_eq!(one, two);
    }

    #[test]
    fn files_keep_mode_content_and_no_date() {
        let bytes = zip(&[licence(), binary()]).expect("zips");
        let mut archive = ZipArchive::new(Cursor::new(bytes)).expect("reads its own zip");
        let mut file = archive.by_index(0).expect("two files");
        assert_eq!(file.name().expect("UTF-8"), "extensions/prefreeze");
        assert_eq!(file.unix_mode().map(|mode| mode & 0o7777), Some(0o755));
        assert_eq!(file.last_modified(), Some(DateTime::default()));
        let mut text = String::new();
        file.read_to_string(&mut text).expect("inflates");
        assert_eq!(text, "code".repeat(100));
    }
}
