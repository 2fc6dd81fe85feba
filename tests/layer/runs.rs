//! Both layers' binaries at work: the one of this machine as it is, the other one under an emulator.

use std::path::Path;
use std::process::Command;

use tests::platform::Script;

use super::made::LAYERS;
use super::story;

#[test]
fn each_layer_registers_receives_and_exports() {
    for layer in LAYERS {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("runs-{}", layer.0));
        let Some(words) = layer.binary(&folder).and_then(|binary| layer.command(binary)) else { continue };
        story::play(Script::new().program(words));
        println!("{} registered, received and exported", layer.0);
    }
}

#[test]
fn each_layer_says_its_version() {
    for layer in LAYERS {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("version-{}", layer.0));
        let Some(words) = layer.binary(&folder).and_then(|binary| layer.command(binary)) else { continue };
        let output = Command::new(&words[0]).args(&words[1..]).arg("--version").output().expect("it starts");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            concat!("prefreeze ", env!("CARGO_PKG_VERSION"))
        );
    }
}
