//! How large each binary is: on a cold start, every page that is touched is read first.

use crate::Result;
use crate::report::{Row, Section};
use crate::setup::Setup;

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let rows = setup.variants.iter().map(|variant| {
        let bytes = std::fs::metadata(&variant.path)?.len();
        Ok(Row::new(&variant.name).with("bytes", bytes))
    });
    Ok(Section { title: "size of the stripped binary".to_owned(), rows: rows.collect::<Result<_>>()? })
}
