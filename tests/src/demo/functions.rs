//! The functions as `template.yaml` has them configured, and what is different on one machine.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use sandbox::FunctionSpec;

use super::{
    Trouble,
    payments::AUTHORIZE_TIMEOUT,
    places::Places,
    sqs::{Queue, Sqs},
};
use crate::{
    http1::Reserved,
    template::{Function, Template},
};

pub(super) const AUTHORIZE: &str = "authorize";
pub(super) const RECONCILE: &str = "reconcile";
pub(super) const RECEIPT: &str = "receipt";
/// Where telemetry goes through a queue.
pub(super) const FORWARDER: &str = "forwarder";

/// What the functions need to know of the world.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) places: &'a Places,
    pub(super) python: &'a Path,
    /// Where the extension sends what it has.
    pub(super) backend: String,
    pub(super) fraud_url: String,
    pub(super) sqs: &'a Sqs,
    /// The queue for telemetry, where it goes through one.
    pub(super) telemetry: Option<&'a Queue>,
}

/// The functions, and the ports on which their extensions receive: kept from others as long as they are held.
pub(super) fn specs(world: &World<'_>) -> Result<(Vec<FunctionSpec>, Vec<Reserved>), Trouble> {
    let template = Template::ours().map_err(|error| format!("cannot read template.yaml: {error}"))?;
    let template = template
        .with("BackendEndpoint", &world.backend)
        .with("FraudUrl", &world.fraud_url)
        .with("PaymentQueue", &world.sqs.queue_url);
    let template = match world.telemetry {
        None => template,
        Some(queue) => template
            .with("ThroughQueue", "yes")
            .with("TelemetryQueue", &queue.url)
            .with("TelemetryQueue.Arn", &queue.arn),
    };
    let functions = template.functions().map_err(|error| format!("template.yaml: {error}"))?;
    let extensions = world.places.extensions()?;
    let mut specs = Vec::new();
    let mut ports = Vec::new();
    for (id, function) in functions {
        let port = Reserved::new();
        specs.push(spec(world, &name_of(&id), function, &port, extensions.clone())?);
        ports.push(port);
    }
    Ok((specs, ports))
}

/// `AuthorizeFunction` is `authorize`: the folder of its sources, and its binary.
fn name_of(id: &str) -> String {
    id.strip_suffix("Function").unwrap_or(id).to_lowercase()
}

fn spec(
    world: &World<'_>,
    name: &str,
    function: Function,
    port: &Reserved,
    extensions: PathBuf,
) -> Result<FunctionSpec, Trouble> {
    let is_python = function.runtime.starts_with("python");
    let command = if is_python {
        let arguments = ["-m", "awslambdaric", &function.handler].map(OsString::from);
        [world.python.as_os_str().to_owned()].into_iter().chain(arguments).collect()
    } else {
        vec![world.places.binary(name)?.into_os_string()]
    };
    let mut env = function.environment;
    env.extend(on_one_machine(name, port, world.sqs));
    Ok(FunctionSpec {
        name: name.into(),
        command,
        handler: function.handler,
        working_dir: is_python.then(|| world.places.receipt.clone()),
        memory_mb: function.memory_mb,
        // A hanging third party is part of the play, and nobody wants to watch it for long.
        timeout: if name == AUTHORIZE { AUTHORIZE_TIMEOUT } else { function.timeout },
        env: env.into_iter().collect(),
        extensions_dir: Some(extensions),
        // On one host an environment cannot have the port of another to itself: one environment per function.
        max_concurrency: 1,
        ..FunctionSpec::default()
    })
}

/// Variables that the template does not have, or not so: ports of one's own, a local SQS, and the play's own wishes.
fn on_one_machine(name: &str, port: &Reserved, sqs: &Sqs) -> BTreeMap<String, String> {
    // The Rust functions reach their extensions by the Unix socket or not at all: nothing else listens.
    let receiver = if name == RECEIPT { port.address().to_string() } else { "none".to_owned() };
    let mut variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", port.address())),
        ("PREFREEZE_RECEIVER_HTTP", receiver),
        // Nobody here sends it, and several environments cannot share the usual port.
        ("PREFREEZE_RECEIVER_GRPC", "none".to_owned()),
        ("AWS_ENDPOINT_URL_SQS", sqs.url()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
    ];
    if name == AUTHORIZE {
        variables.extend([("FRAUD_TIMEOUT_MS", "60000".to_owned()), ("PAYMENTS_TEST_MODE", "1".to_owned())]);
    }
    if name == FORWARDER {
        // Nobody wants to watch it wait.
        variables.push(("RETRY_DELAY_S", "1".to_owned()));
    }
    variables.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
