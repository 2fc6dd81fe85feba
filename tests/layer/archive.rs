//! What is in the zips, and what the checksums beside them say.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::made::LAYERS;

/// The most that a layer may weigh; the same limit as `make size` has.
const ZIP_BYTES_MAX: usize = 3_500_000;

#[test]
fn a_zip_holds_the_extension_its_licence_and_the_notices_and_nothing_else() {
    for layer in LAYERS {
        let Some(bytes) = layer.zip() else { continue };
        assert!(bytes.len() <= ZIP_BYTES_MAX, "{layer:?} has {} bytes", bytes.len());
        let mut zip = ZipArchive::new(Cursor::new(bytes)).expect("a zip");
        let mut files = Vec::new();
        for index in 0..zip.len() {
            let file = zip.by_index(index).expect("it is there");
            let mode = file.unix_mode().expect("made for Unix") & 0o7777;
            let day = file.last_modified().expect("a date");
            assert_eq!((day.year(), day.month(), day.day()), (1980, 1, 1), "no date of ours");
            files.push((file.name().expect("UTF-8").into_owned(), mode));
        }
        let expected = [
            ("extensions/prefreeze", 0o755),
            ("share/prefreeze/LICENSE", 0o644),
            ("share/prefreeze/THIRD-PARTY.txt", 0o644),
        ];
        assert_eq!(files, expected.map(|(name, mode)| (name.to_owned(), mode)), "{layer:?}");
    }
}

#[test]
fn the_notices_hold_the_terms_of_what_is_linked() {
    for layer in LAYERS {
        let Some(bytes) = layer.zip() else { continue };
        let mut zip = ZipArchive::new(Cursor::new(bytes)).expect("a zip");
        let mut text = String::new();
        let mut file = zip.by_name("share/prefreeze/THIRD-PARTY.txt").expect("the notices");
        file.read_to_string(&mut text).expect("UTF-8");
        for words in ["  rustls 0.", "  tokio 1.", "Permission is hereby granted"] {
            assert!(text.contains(words), "{layer:?}: no {words:?}");
        }
    }
}

#[test]
fn a_checksum_is_that_of_its_zip() {
    for layer in LAYERS {
        let (Some(zip), Some(line)) = (layer.zip(), layer.beside("zip.sha256")) else { continue };
        let line = String::from_utf8(line).expect("UTF-8");
        let (digest, name) = line.trim_end().split_once("  ").expect("as sha256sum prints it");
        assert_eq!(name, format!("prefreeze-{}.zip", layer.0));
        assert_eq!(digest, super::bill::sha256(&zip), "{layer:?}");
    }
}
