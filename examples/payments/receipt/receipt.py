"""Renders the receipt of a payment, traced with the stock OpenTelemetry SDK and nothing of ours."""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

FUNCTION = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "receipt")
COLLECTOR = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318").rstrip("/")
FLUSH_BUDGET_S = 1
ANNOUNCE_DELAY_MS = 20
TEMPLATE = "Receipt for payment {id}: {amount:.2f} {currency}. Thank you."


class Announcer(SpanProcessor):
    """Announces spans when they begin: a killed function cannot tell of those that it leaves open."""

    def __init__(self):
        exporter = OTLPSpanExporter(endpoint=f"{COLLECTOR}/v1/started", timeout=FLUSH_BUDGET_S)
        self.batches = BatchSpanProcessor(exporter, schedule_delay_millis=ANNOUNCE_DELAY_MS)

    def on_start(self, span, parent_context=None):
        self.batches.on_end(span)

    def on_end(self, span):
        """An announcement that has not left is not needed any more."""

    def shutdown(self):
        self.batches.shutdown()


provider = TracerProvider(
    resource=Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", FUNCTION),
            "cloud.provider": "aws",
            "cloud.platform": "aws_lambda",
            "faas.name": FUNCTION,
        }
    )
)
provider.add_span_processor(Announcer())
# The exporter keeps to its timeout, retries included; `force_flush` does not keep to the one it is given.
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=FLUSH_BUDGET_S)))
tracer = provider.get_tracer("receipt")

is_cold = True


def handler(event, context):
    """Answers `{"receipt": "…"}` for `{"id", "amount_minor", "currency"}`."""
    global is_cold
    attributes = {
        "faas.invocation_id": context.aws_request_id,
        "faas.trigger": "other",
        "faas.coldstart": is_cold,
        "aws.lambda.invoked_arn": context.invoked_function_arn,
        "cloud.resource_id": context.invoked_function_arn,
    }
    is_cold = False
    try:
        with tracer.start_as_current_span(FUNCTION, kind=SpanKind.SERVER, attributes=attributes) as span:
            try:
                return {"receipt": render(load(event))}
            except KeyError as error:
                span.set_attribute("error.type", "KeyError")
                span.set_status(Status(StatusCode.ERROR, f"the payment has no {error}"))
                raise
    finally:
        # Never raises: a receipt is worth more than its trace.
        if not provider.force_flush():
            print("spans not flushed")


def load(event):
    with tracer.start_as_current_span("load payment") as span:
        payment = {key: event[key] for key in ("id", "amount_minor", "currency")}
        span.set_attribute("payment.id", payment["id"])
        return payment


def render(payment):
    with tracer.start_as_current_span("render receipt"):
        amount = payment["amount_minor"] / 100
        return TEMPLATE.format(id=payment["id"], amount=amount, currency=payment["currency"])
