//! The software bill of materials, as CycloneDX: what is in the binary, from where, and under what terms.

use serde_json::{Value, json};

use crate::checksum;
use crate::crates::{Crate, Linked, Title};

/// The newest version that the usual scanners read.
const SPECIFICATION: &str = "1.6";

/// The document for `binary`, which was linked from `linked`; it ends with a newline.
///
/// It holds no date and no random number, so that the same binary has the same bill.
pub(crate) fn of(name: &str, binary: &[u8], linked: &Linked) -> String {
    let root = &linked.crates[&linked.root];
    let digest = checksum::hex(binary);
    let mut product = component("application", &linked.root, root);
    product["name"] = name.into();
    product["hashes"] = json!([{ "alg": "SHA-256", "content": digest }]);
    let others = linked.crates.iter().filter(|(title, _)| **title != linked.root);
    let components: Vec<Value> = others.map(|(title, each)| component("library", title, each)).collect();
    let dependencies: Vec<Value> =
        linked.crates.iter().map(|(title, each)| dependency(title, each)).collect();
    let bill = json!({
        "$schema": format!("http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json"),
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": format!("urn:uuid:{}", uuid(&digest)),
        "version": 1,
        "metadata": {
            "tools": { "components": [{
                "type": "application", "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION"),
            }] },
            "component": product,
        },
        "components": components,
        "dependencies": dependencies,
    });
    format!("{bill:#}\n")
}

fn component(kind: &str, title: &Title, each: &Crate) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": reference(title),
        "name": title.name,
        "version": title.version,
        "licenses": [{ "expression": each.licence }],
        "purl": reference(title),
    });
    if let Some(checksum) = &each.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if let Some(repository) = &each.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    component
}

fn dependency(title: &Title, each: &Crate) -> Value {
    json!({ "ref": reference(title), "dependsOn": each.uses.iter().map(reference).collect::<Vec<_>>() })
}

/// A package URL, which serves as the name inside of the document too. A plus sign has a meaning in URLs.
fn reference(title: &Title) -> String {
    format!("pkg:cargo/{}@{}", title.name, title.version.replace('+', "%2B"))
}

/// The first 128 bits of a digest in the form of a UUID of version 8: one's own content, no chance.
fn uuid(hex: &str) -> String {
    let variant = b"89ab"[usize::from(hex.as_bytes()[16] % 4)] as char;
    format!("{}-{}-8{}-{variant}{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crates;
    use crate::target::Target;

    #[test]
    fn the_extension_has_a_bill() {
        let linked = crates::linked("extension", Target::X86_64).expect("cargo knows the workspace");
        let text = of("prefreeze", b"binary", &linked);
        assert_eq!(text, of("prefreeze", b"binary", &linked), "same binary, same bill");
        let bill: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(bill["metadata"]["component"]["name"], "prefreeze");
        let components = bill["components"].as_array().expect("a list");
        let find = |name: &str| components.iter().find(|each| each["name"] == name);
        let rustls = find("rustls").expect("TLS is linked");
        assert_eq!(rustls["hashes"][0]["alg"], "SHA-256");
        assert!(rustls["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/rustls@0.")));
        assert!(find("extension").is_none(), "it is the product, not one of its parts");

        let dependencies = bill["dependencies"].as_array().expect("a list");
        assert_eq!(dependencies.len(), components.len() + 1, "each component and the product");
        let known: Vec<&Value> = dependencies.iter().map(|each| &each["ref"]).collect();
        let named = dependencies.iter().flat_map(|each| each["dependsOn"].as_array().expect("a list"));
        assert!(named.into_iter().all(|name| known.contains(&name)), "every reference leads somewhere");
    }

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        let uuid = uuid(&checksum::hex(b"abc"));
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'8');
        assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
    }
}
