//! What only this invocation knows: its id, its ARN, and whether it is the first one here.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::KeyValue;

/// The attributes that tie a span to its invocation. `faas.invocation_id` is the one that the extension
/// looks for: once a SERVER or CONSUMER span with this id has ended, it has everything.
pub(crate) fn attributes(event: &lambda_runtime::Context, is_cold: &AtomicBool) -> Vec<KeyValue> {
    let arn = &event.invoked_function_arn;
    let mut attributes = vec![
        KeyValue::new("faas.invocation_id", event.request_id.clone()),
        KeyValue::new("faas.coldstart", is_cold.swap(false, Ordering::Relaxed)),
        KeyValue::new("aws.lambda.invoked_arn", arn.clone()),
        KeyValue::new("cloud.resource_id", resource_id(arn, &event.env_config.version)),
    ];
    attributes.extend(arn.split(':').nth(4).map(|id| KeyValue::new("cloud.account.id", id.to_owned())));
    attributes
}

/// The invoked ARN with an alias replaced by the version that it led to.
fn resource_id(arn: &str, version: &str) -> String {
    match arn.match_indices(':').nth(6) {
        Some((end, _)) => format!("{}:{version}", &arn[..end]),
        None => arn.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:authorize";

    #[test]
    fn an_alias_becomes_its_version() {
        assert_eq!(resource_id(ARN, "7"), ARN);
        assert_eq!(resource_id(&format!("{ARN}:live"), "7"), format!("{ARN}:7"));
    }

    #[test]
    fn only_the_first_invocation_is_cold() {
        let is_cold = AtomicBool::new(true);
        let mut event = lambda_runtime::Context::default();
        event.request_id = "r-1".into();
        event.invoked_function_arn = ARN.into();

        let first = attributes(&event, &is_cold);
        let second = attributes(&event, &is_cold);

        assert!(first.contains(&KeyValue::new("faas.invocation_id", "r-1")));
        assert!(first.contains(&KeyValue::new("cloud.account.id", "123456789012")));
        assert!(first.contains(&KeyValue::new("faas.coldstart", true)));
        assert!(second.contains(&KeyValue::new("faas.coldstart", false)));
    }
}
