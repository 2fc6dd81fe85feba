//! The layer and the example functions, as Lambda unpacks them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::archive::Entry;
use crate::target::Target;
use crate::{Result, archive, checksum, compile, crates, notices, sbom, size, tools};

/// The name that the extension registers under; Lambda insists that its file is called the same.
const EXTENSION: &str = "prefreeze";

/// Builds the layer's zip, with its checksum and its bill of materials beside it, and says what it weighs.
pub(crate) fn layer(target: Target) -> Result<()> {
    let contents = Contents::build(target)?;
    let zip = archive::zip(&contents.entries)?;
    let path = layer_path(target);
    fs::create_dir_all(path.parent().expect("a path inside the target folder"))?;
    fs::write(&path, &zip)?;
    fs::write(path.with_extension("zip.sha256"), checksum::line(&zip, &file_name(&path)))?;
    fs::write(path.with_extension("cdx.json"), &contents.bill)?;
    size::print(target)
}

/// Builds everything of the layer again, in a folder of its own, and compares it with the one built last.
///
/// # Errors
/// When a single byte differs: then what people deploy cannot be checked against its source.
pub(crate) fn reproduce(target: Target) -> Result<()> {
    let first = fs::read(layer_path(target))
        .map_err(|error| format!("no layer for {}: {error}; run `make layer` first", target.name()))?;
    let elsewhere = tools::target_folder().join("reproduce");
    let binary = compile::release_in(Some(&elsewhere), "extension", EXTENSION, target)?;
    let second = archive::zip(&Contents::around(binary, target)?.entries)?;
    if first != second {
        return Err(format!("two builds of the layer for {} differ", target.name()).into());
    }
    print!(
        "built twice, the same {} bytes: {}",
        first.len(),
        checksum::line(&first, &file_name(&layer_path(target)))
    );
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().expect("a path that ends in a file's name").to_string_lossy().into_owned()
}

/// Builds the layer's files and leaves them unpacked in `folder`.
pub(crate) fn layer_into(target: Target, folder: &Path) -> Result<()> {
    write_all(&Contents::build(target)?.entries, folder)
}

/// Builds the example function `name` and leaves its `bootstrap` in `folder`.
pub(crate) fn function_into(name: &str, target: Target, folder: &Path) -> Result<()> {
    let bytes = compile::release(name, name, target)?;
    write_all(&[Entry { path: "bootstrap".to_owned(), mode: 0o755, bytes }], folder)
}

/// Where [`layer`] leaves its zip.
pub(crate) fn layer_path(target: Target) -> PathBuf {
    tools::target_folder().join("layer").join(format!("{EXTENSION}-{}.zip", target.name()))
}

/// Where cargo leaves the layer's binary.
pub(crate) fn binary_path(target: Target) -> PathBuf {
    compile::path(EXTENSION, target)
}

/// What is in the layer, and what goes beside it.
struct Contents {
    entries: Vec<Entry>,
    /// CycloneDX.
    bill: String,
}

impl Contents {
    fn build(target: Target) -> Result<Self> {
        Self::around(compile::release("extension", EXTENSION, target)?, target)
    }

    /// Layers share `/opt`, and a later one overwrites an earlier one's files: all names here are ours alone.
    fn around(binary: Vec<u8>, target: Target) -> Result<Self> {
        let linked = crates::linked("extension", target)?;
        let bill = sbom::of(EXTENSION, &binary, &linked);
        let licence = fs::read(tools::workspace().join("LICENSE"))?;
        let share = |name: &str| format!("share/{EXTENSION}/{name}");
        let notices = notices::of(&linked)?.into_bytes();
        let entries = vec![
            Entry { path: format!("extensions/{EXTENSION}"), mode: 0o755, bytes: binary },
            Entry { path: share("LICENSE"), mode: 0o644, bytes: licence },
            Entry { path: share("THIRD-PARTY.txt"), mode: 0o644, bytes: notices },
        ];
        Ok(Self { entries, bill })
    }
}

fn write_all(entries: &[Entry], folder: &Path) -> Result<()> {
    for entry in entries {
        let path = folder.join(&entry.path);
        fs::create_dir_all(path.parent().expect("a file in a folder"))?;
        fs::write(&path, &entry.bytes)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode))?;
    }
    Ok(())
}
