//! How large each binary is, and the layers: on a cold start, every page that is touched is read first.

use crate::Result;
use crate::report::{Row, Section};
use crate::setup::Setup;

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let mut files: Vec<_> =
        setup.variants.iter().map(|variant| (variant.name.clone(), variant.path.clone())).collect();
    for architecture in ["x86_64", "arm64"] {
        let layer = setup.folder.with_file_name("layer").join(format!("prefreeze-{architecture}.zip"));
        // Nobody has to have built both.
        if layer.is_file() {
            files.push((format!("layer, {architecture}"), layer));
        }
    }
    let rows =
        files.iter().map(|(name, path)| Ok(Row::new(name).with("bytes", std::fs::metadata(path)?.len())));
    Ok(Section {
        title: "size of the stripped binary, and of the layer".to_owned(),
        rows: rows.collect::<Result<_>>()?,
    })
}
