//! What `make layer-test` has made: the zips, what lies beside them, and the emulator.

use std::env;
use std::fs::{self, Permissions};
use std::io::{Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

/// One layer, as Lambda calls its architecture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer(pub(super) &'static str);

/// Both that are published.
pub(super) const LAYERS: [Layer; 2] = [Layer("x86_64"), Layer("arm64")];

impl Layer {
    /// The one that this machine runs by itself.
    pub(super) fn native() -> Self {
        if cfg!(target_arch = "x86_64") { LAYERS[0] } else { LAYERS[1] }
    }

    /// Its zip; `None` where it was not made and need not be.
    pub(super) fn zip(self) -> Option<Vec<u8>> {
        self.beside("zip")
    }

    /// A file beside the zip that only differs in its ending.
    pub(super) fn beside(self, ending: &str) -> Option<Vec<u8>> {
        found(&target().join(format!("layer/prefreeze-{}.{ending}", self.0)), "`make layer` has not made it")
    }

    /// The binary out of its zip, in a folder of the test's own.
    pub(super) fn binary(self, folder: &Path) -> Option<PathBuf> {
        let mut zip = ZipArchive::new(Cursor::new(self.zip()?)).expect("a zip");
        let mut bytes = Vec::new();
        let mut file = zip.by_name("extensions/prefreeze").expect("the extension");
        file.read_to_end(&mut bytes).expect("it inflates");
        fs::create_dir_all(folder).expect("the target folder is ours");
        let path = folder.join("prefreeze");
        fs::write(&path, bytes).expect("the target folder is ours");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("the file is ours");
        Some(path)
    }

    /// The words that start `binary` here: under an emulator, where the machine is another one.
    pub(super) fn command(self, binary: PathBuf) -> Option<Vec<PathBuf>> {
        if self.0 == Self::native().0 {
            return Some(vec![binary]);
        }
        let emulator = target().join(format!("tools/emulator-{}/run", self.0));
        found(&emulator, "`make layer-test` has not fetched it")?;
        Some(vec![emulator, binary])
    }
}

/// Says why a test does nothing; in `make layer-test` that is a failure.
///
/// # Panics
/// When `LAYER_TESTS=required`.
pub(super) fn skip(why: &str) {
    assert!(env::var_os("LAYER_TESTS").is_none_or(|value| value != "required"), "not to be skipped: {why}");
    eprintln!("skipped: {why}");
}

fn found(path: &Path, why_not: &str) -> Option<Vec<u8>> {
    let bytes = fs::read(path).ok();
    if bytes.is_none() {
        skip(&format!("no {}: {why_not}", path.display()));
    }
    bytes
}

/// The target folder: this test lies in `<target>/<profile>/deps`.
fn target() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(3).expect("tests lie in <target>/<profile>/deps").to_owned()
}
