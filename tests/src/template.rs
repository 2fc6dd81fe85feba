//! `template.yaml` as CloudFormation reads it, as far as the functions in it go: their settings and their variables.
//!
//! One truth: the demo runs the functions that the template deploys, with the variables that it gives them.
//!
//! ```
//! let template = tests::template::Template::parse(
//!     "Parameters: {Backend: {Default: \"\"}}
//! Globals: {Function: {Timeout: 10, Environment: {Variables: {ENDPOINT: !Ref Backend}}}}
//! Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {Handler: a.b, Runtime: python3.13}}}",
//! );
//! let template = template.expect("YAML").with("Backend", "http://backend");
//! assert_eq!(template.functions().expect("it is whole")["F"].environment["ENDPOINT"], "http://backend");
//! ```

mod intrinsic;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// A template, and what its parameters and resources are in some world.
#[derive(Clone, Debug)]
pub struct Template {
    document: Value,
    /// What `Ref` gives by a name, and `Fn::GetAtt` by `Name.Attribute`.
    world: BTreeMap<String, String>,
}

/// A function, with everything resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Such as `receipt.handler`.
    pub handler: String,
    /// Such as `python3.13`.
    pub runtime: String,
    /// After this the platform ends it.
    pub timeout: Duration,
    /// In MB.
    pub memory_mb: u32,
    /// Its variables, those of `Globals` among them.
    pub environment: BTreeMap<String, String>,
}

impl Template {
    /// The template of this repository.
    ///
    /// # Errors
    /// When it cannot be read, in words.
    pub fn ours() -> Result<Self, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text)
    }

    /// Reads a template; its parameters have their defaults.
    ///
    /// # Errors
    /// When it is not YAML, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
        let document = documents.first().map(to_json).ok_or("it is empty")?;
        let parameters = document["Parameters"].as_object().into_iter().flatten();
        let world = parameters
            .filter_map(|(name, parameter)| Some((name.clone(), intrinsic::text(parameter.get("Default")?)?)))
            .collect();
        Ok(Self { document, world })
    }

    /// With this value of a parameter, a resource, or (as `Name.Attribute`) of a resource's attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.world.insert(name.to_owned(), value.into());
        self
    }

    /// All of it, with short forms such as `!Ref` written out.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The logical ids of the resources of one type.
    pub fn resources<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let all = self.document["Resources"].as_object().into_iter().flatten();
        all.filter(move |(_, resource)| resource["Type"] == kind)
            .map(|(id, resource)| (id.as_str(), resource))
    }

    /// The functions that SAM makes in this world, by their logical ids.
    ///
    /// # Errors
    /// When one is not whole, or needs something that the world does not have; in words.
    pub fn functions(&self) -> Result<BTreeMap<String, Function>, String> {
        let mut functions = BTreeMap::new();
        for (id, resource) in self.resources("AWS::Serverless::Function") {
            let condition = resource.get("Condition");
            let is_made = condition
                .map_or(Ok(true), |it| intrinsic::holds(it, &self.world, &self.document["Conditions"]));
            if is_made? {
                functions.insert(id.to_owned(), self.function(id, &resource["Properties"])?);
            }
        }
        Ok(functions)
    }

    fn function(&self, id: &str, own: &Value) -> Result<Function, String> {
        let global = &self.document["Globals"]["Function"];
        let find = |name: &str| {
            let value = own.get(name).or_else(|| global.get(name));
            let value = value.map(|value| self.resolve(value)).transpose()?.flatten();
            value.ok_or_else(|| format!("{id} has no {name}"))
        };
        let number = |name: &str| {
            let text = find(name)?;
            text.parse::<u32>().map_err(|_| format!("{id}: {name} is no number: {text}"))
        };
        let mut environment = BTreeMap::new();
        for properties in [global, own] {
            let variables = properties["Environment"]["Variables"].as_object().into_iter().flatten();
            for (name, value) in variables {
                let value = self.resolve(value).map_err(|error| format!("{id}: {name}: {error}"))?;
                environment.extend(value.map(|value| (name.clone(), value)));
            }
        }
        Ok(Function {
            handler: find("Handler")?,
            runtime: find("Runtime")?,
            timeout: Duration::from_secs(number("Timeout")?.into()),
            memory_mb: number("MemorySize").unwrap_or(128),
            environment,
        })
    }

    fn resolve(&self, value: &Value) -> Result<Option<String>, String> {
        intrinsic::resolve(value, &self.world, &self.document["Conditions"])
    }
}

/// The same as JSON: `!Ref A` as `{"Ref": "A"}`, every other short form as `{"Fn::…": …}`.
fn to_json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::FloatingPoint(number)) => json!(number.into_inner()),
        Yaml::Value(Scalar::Boolean(is)) => json!(is),
        Yaml::Sequence(items) => items.iter().map(to_json).collect(),
        Yaml::Mapping(entries) => {
            let entry = |(key, value)| (intrinsic::text(&to_json(key)).unwrap_or_default(), to_json(value));
            Value::Object(entries.iter().map(entry).collect())
        }
        Yaml::Tagged(tag, value) if tag.handle == "!" => {
            let key = match tag.suffix.as_str() {
                short @ ("Ref" | "Condition") => short.to_owned(),
                short => format!("Fn::{short}"),
            };
            Value::Object(Map::from_iter([(key, to_json(value))]))
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_written_out() {
        let template = Template::parse("a: !Sub [x, {b: !GetAtt C.D}]\ne: !Condition F\ng: 2012-10-17\n");
        let expected = json!({
            "a": { "Fn::Sub": ["x", { "b": { "Fn::GetAtt": "C.D" } }] },
            "e": { "Condition": "F" },
            "g": "2012-10-17",
        });
        assert_eq!(*template.expect("YAML").document(), expected);
    }

    #[test]
    fn a_functions_own_settings_win_over_the_global_ones() {
        let text = "
Globals:
  Function: {Timeout: 10, MemorySize: 256, Runtime: provided.al2023, Environment: {Variables: {A: 1, B: global}}}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: {Handler: bootstrap, Timeout: 3, Environment: {Variables: {B: own, C: !Ref AWS::NoValue}}}
  Q: {Type: AWS::SQS::Queue}
";
        let functions = Template::parse(text).expect("YAML").functions().expect("whole");
        let variables = [("A", "1"), ("B", "own")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = Function {
            handler: "bootstrap".to_owned(),
            runtime: "provided.al2023".to_owned(),
            timeout: Duration::from_secs(3),
            memory_mb: 256,
            environment: variables.into(),
        };
        assert_eq!(functions, BTreeMap::from([("F".to_owned(), expected)]));
    }

    #[test]
    fn what_is_missing_is_named() {
        let text = "Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {Handler: a, Runtime: b, Timeout: 1, Environment: {Variables: {A: !Ref Q}}}}}";
        let error = Template::parse(text).expect("YAML").functions().expect_err("nobody said what Q is");
        assert_eq!(error, "F: A: nothing says what Q is");
    }

    #[test]
    fn ours_can_be_read_and_needs_only_its_resources() {
        let template = Template::ours().expect("it is YAML");
        let world = ["PaymentQueue", "FraudApi.ApiEndpoint"];
        let template = world.into_iter().fold(template, |template, name| template.with(name, "http://there"));
        let functions = template.functions().expect("every parameter has a default");
        let authorize = &functions["AuthorizeFunction"].environment;
        assert_eq!(authorize["FRAUD_URL"], "http://there");
        assert_eq!(authorize["OTEL_EXPORTER_OTLP_ENDPOINT"], "http://127.0.0.1:4318");
        assert_eq!(authorize["PREFREEZE_EXPORTER_OTLP_HEADERS"], "");

        assert!(!functions.contains_key("ForwarderFunction"), "nobody asked for a queue");

        let hybrid = template.clone().with("ThroughQueue", "yes").with("BackendEndpoint", "http://collector");
        let hybrid = hybrid.with("TelemetryQueue.Arn", "arn:q").with("TelemetryQueue", "http://q");
        let functions = hybrid.with("BackendHeaders", "a=b").functions().expect("the same");
        let seen = |id: &str| {
            [
                "PREFREEZE_EXPORTER_OTLP_ENDPOINT",
                "PREFREEZE_EXPORTER_OTLP_HEADERS",
                "COLLECTOR_URL",
                "QUEUE_URL",
            ]
            .map(|name| functions[id].environment.get(name).map(String::as_str))
        };
        assert_eq!(seen("ReceiptFunction"), [Some("sqs:arn:q"), Some(""), None, None]);
        let forwarder = [Some("http://collector"), Some("a=b"), Some("http://collector"), Some("http://q")];
        assert_eq!(seen("ForwarderFunction"), forwarder);

        let template = template.with("FraudUrl", "http://theirs").with("BackendHeadersSecret", "keys");
        let authorize = &template.functions().expect("the same")["AuthorizeFunction"].environment;
        assert_eq!(authorize["FRAUD_URL"], "http://theirs");
        assert_eq!(authorize["PREFREEZE_EXPORTER_OTLP_HEADERS"], "{{resolve:secretsmanager:keys}}");
    }
}
