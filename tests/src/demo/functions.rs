//! The three functions as Lambda would have them configured.

use std::{ffi::OsString, path::Path, time::Duration};

use sandbox::FunctionSpec;

use super::{Trouble, payments::AUTHORIZE_TIMEOUT, places::Places, sqs::Sqs};
use crate::http1::Reserved;

pub(super) const AUTHORIZE: &str = "authorize";
pub(super) const RECONCILE: &str = "reconcile";
pub(super) const RECEIPT: &str = "receipt";

/// What the functions need to know of the world.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) places: &'a Places,
    pub(super) python: &'a Path,
    /// Where the extension sends what it has.
    pub(super) backend: String,
    pub(super) fraud_url: String,
    pub(super) sqs: &'a Sqs,
}

/// The functions, and the ports on which their extensions receive: kept from others as long as they are held.
pub(super) fn specs(world: &World<'_>) -> Result<(Vec<FunctionSpec>, Vec<Reserved>), Trouble> {
    let ports: Vec<Reserved> = (0..3).map(|_| Reserved::new()).collect();
    let extensions = world.places.extensions()?;
    let function = |name: &str, port: &Reserved, timeout, command, env: Vec<(&str, String)>| FunctionSpec {
        name: name.into(),
        command,
        timeout,
        env: env
            .into_iter()
            .chain(tracing(world, port))
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        extensions_dir: Some(extensions.clone()),
        // On one host an environment cannot have the port of another to itself: one environment per function.
        max_concurrency: 1,
        ..FunctionSpec::default()
    };
    let sqs =
        |queue: &Sqs| vec![("AWS_ENDPOINT_URL_SQS", queue.url()), ("QUEUE_URL", queue.queue_url.clone())];
    let rust = |name| Ok::<_, Trouble>(vec![world.places.binary(name)?.into_os_string()]);
    let python = ["-m", "awslambdaric", "receipt.handler"].map(OsString::from);

    let mut authorize_env = sqs(world.sqs);
    authorize_env.extend([
        ("FRAUD_URL", world.fraud_url.clone()),
        ("FRAUD_TIMEOUT_MS", "60000".to_owned()),
        ("PAYMENTS_TEST_MODE", "1".to_owned()),
    ]);
    let authorize = function(AUTHORIZE, &ports[0], AUTHORIZE_TIMEOUT, rust(AUTHORIZE)?, authorize_env);
    let patient = Duration::from_secs(10);
    let reconcile = function(RECONCILE, &ports[1], patient, rust(RECONCILE)?, sqs(world.sqs));
    let receipt_command = [world.python.as_os_str().to_owned()].into_iter().chain(python).collect();
    let receipt_env = vec![("PYTHONDONTWRITEBYTECODE", "1".to_owned())];
    let receipt = FunctionSpec {
        handler: "receipt.handler".into(),
        working_dir: Some(world.places.receipt.clone()),
        ..function(RECEIPT, &ports[2], patient, receipt_command, receipt_env)
    };
    Ok((vec![authorize, reconcile, receipt], ports))
}

/// The function sends to the extension, the extension to the backend.
fn tracing<'a>(world: &World<'_>, port: &Reserved) -> [(&'a str, String); 4] {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", port.address())),
        // Spans that ended leave soon, and so outlive a function that dies.
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
        ("PREFREEZE_RECEIVER_HTTP", port.address().to_string()),
        ("PREFREEZE_EXPORTER_OTLP_ENDPOINT", world.backend.clone()),
    ]
}
