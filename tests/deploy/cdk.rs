//! The page on the CDK: it compiles, it synthesizes, and every function comes out with layer and variables.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;

use super::blocks;
use super::tools::{folder, npm, run};

const LANGUAGES: [&str; 7] = ["python", "node", "java", "go", "dotnet", "ruby", "rust"];

#[test]
fn the_page_synthesizes() {
    let Some(modules) = npm() else { return };
    let folder = folder("cdk");
    let blocks = blocks::of("docs/deploy/cdk.md", "ts", "cdk");
    let app = "const app = new cdk.App({ outdir: \"out\" });\nnew ShopStack(app, \"Shop\");\napp.synth();\n";
    fs::write(folder.join("app.ts"), format!("{}\n{app}", blocks.concat())).expect("the folder is ours");
    for language in LANGUAGES {
        fs::create_dir(folder.join(language)).expect("the folder is ours");
        fs::write(folder.join(language).join("code"), language).expect("the folder is ours");
    }
    symlink(&modules, folder.join("node_modules")).expect("the folder is ours");

    let compiler = modules.join("typescript/bin/tsc");
    let options = ["--strict", "--skipLibCheck", "--module", "commonjs", "--target", "es2022", "app.ts"];
    run(Command::new("node").arg(compiler).args(options).current_dir(&folder));
    run(Command::new("node").arg("app.js").current_dir(&folder));

    let text = fs::read_to_string(folder.join("out/Shop.template.json")).expect("it was synthesized");
    let template: Value = serde_json::from_str(&text).expect("JSON");
    let resources = template["Resources"].as_object().expect("resources");
    let functions: Vec<&Value> =
        resources.values().filter(|each| each["Type"] == "AWS::Lambda::Function").collect();
    assert_eq!(functions.len(), LANGUAGES.len());
    for function in functions {
        let properties = &function["Properties"];
        let layer = properties["Layers"][0].as_str().unwrap_or_default();
        assert!(layer.contains(":layer:prefreeze-arm64:"), "{properties}");
        let variables = &properties["Environment"]["Variables"];
        assert_eq!(variables["OTEL_EXPORTER_OTLP_ENDPOINT"], "http://127.0.0.1:4318");
        assert_eq!(variables["PREFREEZE_EXPORTER_OTLP_ENDPOINT"], "https://otlp.example.com");
    }
}
