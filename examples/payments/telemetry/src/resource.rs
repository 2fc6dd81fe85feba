//! Who is speaking: the resource attributes that Lambda's environment variables tell.

use std::env;

use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
};

/// This function as Lambda describes it, unless `OTEL_RESOURCE_ATTRIBUTES` or `OTEL_SERVICE_NAME` say
/// otherwise.
pub(crate) fn detect() -> Resource {
    let resource = Resource::builder_empty()
        .with_attributes(attributes(|name| env::var(name).ok()))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => resource.with_service_name(name).build(),
        _ => resource.build(),
    }
}

fn attributes(var: impl Fn(&str) -> Option<String>) -> Vec<KeyValue> {
    let mut attributes =
        vec![KeyValue::new("cloud.provider", "aws"), KeyValue::new("cloud.platform", "aws_lambda")];
    let mut add = |key: &'static str, value: Option<Value>| {
        attributes.extend(value.map(|value| KeyValue::new(key, value)));
    };
    let text = |name: &str| var(name).map(Value::from);
    add("cloud.region", text("AWS_REGION"));
    add("service.name", text("AWS_LAMBDA_FUNCTION_NAME"));
    add("faas.name", text("AWS_LAMBDA_FUNCTION_NAME"));
    add("faas.version", text("AWS_LAMBDA_FUNCTION_VERSION"));
    add("faas.instance", text("AWS_LAMBDA_LOG_STREAM_NAME"));
    add("faas.max_memory", var("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|mb| bytes(&mb)).map(Value::from));
    add("aws.log.group.names", var("AWS_LAMBDA_LOG_GROUP_NAME").map(one));
    add("aws.log.stream.names", var("AWS_LAMBDA_LOG_STREAM_NAME").map(one));
    attributes
}

fn bytes(megabytes: &str) -> Option<i64> {
    megabytes.parse::<i64>().ok()?.checked_mul(1024 * 1024)
}

fn one(value: String) -> Value {
    Value::Array(Array::String(vec![StringValue::from(value)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(key: &str, vars: &[(&str, &str)]) -> Option<String> {
        let var = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        attributes(var).into_iter().find(|a| a.key.as_str() == key).map(|a| a.value.to_string())
    }

    #[test]
    fn the_environment_becomes_attributes() {
        let vars = [("AWS_LAMBDA_FUNCTION_NAME", "authorize"), ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")];
        assert_eq!(value("faas.name", &vars).as_deref(), Some("authorize"));
        assert_eq!(value("service.name", &vars).as_deref(), Some("authorize"));
        assert_eq!(value("faas.max_memory", &vars).as_deref(), Some("134217728"));
        assert_eq!(value("cloud.platform", &vars).as_deref(), Some("aws_lambda"));
    }

    #[test]
    fn what_is_unset_or_unreadable_is_left_out() {
        assert_eq!(value("faas.name", &[]), None);
        assert_eq!(value("faas.max_memory", &[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "lots")]), None);
    }
}
