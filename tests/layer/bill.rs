//! The bill of materials: it is of this binary, and names what it is linked from.

use std::fs;
use std::path::Path;

use rustls::crypto::ring::default_provider;
use serde_json::Value;

use super::made::LAYERS;

#[test]
fn a_bill_is_of_the_binary_in_the_zip() {
    for layer in LAYERS {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bill-{}", layer.0));
        let (Some(binary), Some(bill)) = (layer.binary(&folder), layer.beside("cdx.json")) else { continue };
        let bill: Value = serde_json::from_slice(&bill).expect("JSON");
        let product = &bill["metadata"]["component"];
        let digest = sha256(&fs::read(binary).expect("it was written"));
        assert_eq!(product["hashes"][0]["content"], digest, "{layer:?}");
        assert_eq!((&bill["bomFormat"], &product["name"]), (&"CycloneDX".into(), &"prefreeze".into()));
        let names: Vec<&str> = bill["components"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|each| each["name"].as_str())
            .collect();
        for name in ["rustls", "ring", "tokio", "hyper", "webpki-roots", "policy", "wire"] {
            assert!(names.contains(&name), "{layer:?} is linked with {name}: {names:?}");
        }
    }
}

/// SHA-256 in hex, by the cryptography that is here anyway.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let suites = default_provider().cipher_suites;
    let hash = suites
        .iter()
        .filter_map(|suite| suite.tls13())
        .map(|suite| suite.common.hash_provider)
        .find(|hash| hash.output_len() == 32)
        .expect("TLS 1.3 has a suite with SHA-256");
    hash.hash(bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
