//! The layers' bills of materials against CycloneDX's own schema.

use super::tools::{python, run, skip, target};

/// Prints what is wrong, and fails for it.
const VALIDATE: &str = "\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(None if problem is None else str(problem))
";

#[test]
fn bills_keep_to_the_schema() {
    for architecture in ["x86_64", "arm64"] {
        let bill = target().join(format!("layer/prefreeze-{architecture}.cdx.json"));
        if !bill.is_file() {
            skip(&format!("no {}: `make layer` has not made it", bill.display()));
            continue;
        }
        let Some(mut python) = python("python") else { return };
        run(python.args(["-c", VALIDATE]).arg(bill));
    }
}
