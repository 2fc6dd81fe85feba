//! The page on the Serverless Framework: it packages, and the layer and the variables are in what comes out.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::blocks;
use super::tools::{folder, npm, run};

#[test]
fn the_page_packages() {
    let Some(modules) = npm() else { return };
    let folder = folder("serverless");
    let page = blocks::of("docs/deploy/serverless.md", "yaml", "serverless").concat();
    fs::write(folder.join("serverless.yml"), page).expect("the folder is ours");
    fs::write(folder.join("app.py"), "def handler(event, context): pass\n").expect("the folder is ours");
    let command = modules.join("serverless/bin/serverless.js");
    run(Command::new("node").arg(command).arg("package").current_dir(&folder));

    let text = fs::read_to_string(folder.join(".serverless/cloudformation-template-update-stack.json"));
    let template: Value = serde_json::from_str(&text.expect("it was packaged")).expect("JSON");
    let resources = template["Resources"].as_object().expect("resources");
    let functions: Vec<&Value> =
        resources.values().filter(|each| each["Type"] == "AWS::Lambda::Function").collect();
    assert_eq!(functions.len(), 7, "one for each language");
    for function in functions {
        let properties = &function["Properties"];
        let layer = properties["Layers"][0].as_str().unwrap_or_default();
        assert!(layer.contains(":layer:prefreeze-arm64:"), "{properties}");
        let variables = &properties["Environment"]["Variables"];
        assert_eq!(variables["OTEL_EXPORTER_OTLP_PROTOCOL"], "http/protobuf");
        assert_eq!(variables["OTEL_SERVICE_NAME"], "shop");
        assert_eq!(variables["PREFREEZE_EXPORTER_OTLP_ENDPOINT"], "https://otlp.example.com");
    }
}
