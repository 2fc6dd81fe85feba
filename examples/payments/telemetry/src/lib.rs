//! OpenTelemetry for a Lambda function: every span reaches the extension before the answer leaves.
//!
//! Three calls make a function traced: [`Telemetry::start`] at init, [`Telemetry::invocation`] when an
//! event arrives, [`Telemetry::flush`] before the handler returns. The exporter speaks OTLP over HTTP to the
//! extension's Unix socket; where there is none, to what the standard variables say, left alone `localhost:4318`.

mod announce;
mod invocation;
mod propagation;
mod resource;
mod socket;

use std::{borrow::Cow, sync::atomic::AtomicBool, time::Duration};

use opentelemetry::{
    Context, KeyValue, global,
    trace::{SpanBuilder, SpanKind, SpanRef, Status, TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};

use self::announce::Announcer;
pub use propagation::{context_from, headers, linked_context, xray_header};

/// How long an invocation may wait for its spans to be handed over. The extension answers within a
/// millisecond or two; when it does not, the caller's answer is worth more than the trace.
const FLUSH_BUDGET: Duration = Duration::from_secs(1);

/// The tracer of this execution environment.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    /// True until the first invocation has started.
    is_cold: AtomicBool,
}

impl Telemetry {
    /// Sets up tracing from the `OTEL_*` and `AWS_LAMBDA_*` variables. Never fails: a function whose
    /// exporter cannot be built runs untraced, and says so once.
    #[must_use]
    pub fn start() -> Self {
        // The HTTP client below leaves the choice of cryptography to the program. An error means that
        // the program has chosen before, which is just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        global::set_text_map_propagator(TraceContextPropagator::new());

        let provider = SdkTracerProvider::builder().with_resource(resource::detect());
        let client = socket::client();
        let exporter = socket::exporter(client.clone()).build();
        let provider = match exporter.and_then(|exporter| Ok((exporter, Announcer::start(client)?))) {
            Ok((exporter, announcer)) => {
                provider.with_span_processor(announcer).with_batch_exporter(exporter).build()
            }
            Err(error) => {
                eprintln!("running untraced: {error}");
                provider.build()
            }
        };
        Self { tracer: provider.tracer("payments"), provider, is_cold: AtomicBool::new(true) }
    }

    /// Starts the span of this invocation, and returns it as the context that everything below runs in.
    /// End it last, so that it is the one to tell the extension that the invocation is over.
    pub fn invocation(
        &self,
        mut span: SpanBuilder,
        parent: &Context,
        event: &lambda_runtime::Context,
    ) -> Context {
        // Before it begins, because so it is announced: with the id of its invocation.
        let attributes = invocation::attributes(event, &self.is_cold);
        span.attributes.get_or_insert_default().extend(attributes);
        parent.with_span(span.start_with_context(&self.tracer, parent))
    }

    /// Starts a span below the current one.
    pub fn span(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        attributes: Vec<KeyValue>,
    ) -> Context {
        let span = SpanBuilder::from_name(name).with_kind(kind).with_attributes(attributes);
        Context::current_with_span(span.start(&self.tracer))
    }

    /// Hands every ended span to the extension. A failure costs spans, never the invocation.
    pub async fn flush(&self) {
        let provider = self.provider.clone();
        let flush = tokio::task::spawn_blocking(move || provider.force_flush());
        match tokio::time::timeout(FLUSH_BUDGET, flush).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => eprintln!("spans not flushed: {error}"),
            Ok(Err(error)) => eprintln!("spans not flushed: {error}"),
            Err(_) => eprintln!("spans not flushed within {FLUSH_BUDGET:?}"),
        }
    }
}

/// Marks a span as failed; `error_type` is one of few values, such as a status code or a variant's name.
pub fn fail(
    span: &SpanRef<'_>,
    error_type: impl Into<Cow<'static, str>>,
    description: impl Into<Cow<'static, str>>,
) {
    span.set_attribute(KeyValue::new("error.type", error_type.into()));
    span.set_status(Status::error(description));
}
