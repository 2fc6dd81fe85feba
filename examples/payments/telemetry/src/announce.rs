//! Announces spans when they begin: a killed function cannot tell of those that it leaves open.

use std::{env, time::Duration};

use opentelemetry::Context;
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanProcessor},
};
use reqwest::blocking::Client;

use crate::socket;

/// An announcement leaves this long after its span has begun, together with others: what a death within it
/// costs is one name in a trace.
const DELAY: Duration = Duration::from_millis(20);

/// A batch processor for the wrong end of a span. Beginning one costs a copy of it, and no waiting: what
/// does not fit into the queue is not announced.
#[derive(Debug)]
pub(crate) struct Announcer(BatchSpanProcessor);

impl Announcer {
    /// Announces to the extension that the spans themselves go to.
    pub(crate) fn start(client: Option<Client>) -> Result<Self, ExporterBuildError> {
        let base = env::var("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_else(|_| "http://localhost:4318".into());
        let exporter = socket::exporter(client)
            .with_endpoint(format!("{}/v1/started", base.trim_end_matches('/')))
            .build()?;
        let config = BatchConfigBuilder::default().with_scheduled_delay(DELAY).build();
        Ok(Self(BatchSpanProcessor::builder(exporter).with_batch_config(config).build()))
    }
}

impl SpanProcessor for Announcer {
    fn on_start(&self, span: &mut Span, _: &Context) {
        if let Some(begun) = span.exported_data() {
            self.0.on_end(begun);
        }
    }

    fn on_end(&self, _: SpanData) {}

    /// Nothing: an announcement that has not left is not needed any more.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}
