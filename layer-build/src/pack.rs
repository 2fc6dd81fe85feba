//! The layer and the example functions, as Lambda unpacks them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::archive::Entry;
use crate::target::Target;
use crate::{Result, archive, checksum, compile, notices, size, tools};

/// The name that the extension registers under; Lambda insists that its file is called the same.
const EXTENSION: &str = "prefreeze";

/// Builds the layer's zip with its checksum beside it, and says what it weighs.
pub(crate) fn layer(target: Target) -> Result<()> {
    let zip = archive::zip(&layer_entries(target)?)?;
    let path = layer_path(target);
    let name = path.file_name().expect("a path that ends in a file's name").to_string_lossy().into_owned();
    fs::create_dir_all(path.parent().expect("a path inside the target folder"))?;
    fs::write(&path, &zip)?;
    fs::write(path.with_extension("zip.sha256"), checksum::line(&zip, &name))?;
    size::print(target)
}

/// Builds the layer's files and leaves them unpacked in `folder`.
pub(crate) fn layer_into(target: Target, folder: &Path) -> Result<()> {
    write_all(&layer_entries(target)?, folder)
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

/// Layers share `/opt`, and a later one overwrites an earlier one's files: all names here are ours alone.
fn layer_entries(target: Target) -> Result<Vec<Entry>> {
    let binary = compile::release("extension", EXTENSION, target)?;
    let licence = fs::read(tools::workspace().join("LICENSE"))?;
    let notices = notices::of("extension", target)?;
    Ok(vec![
        Entry { path: format!("extensions/{EXTENSION}"), mode: 0o755, bytes: binary },
        Entry { path: format!("share/{EXTENSION}/LICENSE"), mode: 0o644, bytes: licence },
        Entry {
            path: format!("share/{EXTENSION}/THIRD-PARTY.txt"),
            mode: 0o644,
            bytes: notices.into_bytes(),
        },
    ])
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
