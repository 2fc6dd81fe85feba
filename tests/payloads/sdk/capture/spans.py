"""The spans of the capture: a server's, and three of a client within it, with something of everything."""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "payments", "tags": ["a", "b"]}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=os.environ["ENDPOINT"])))
tracer = provider.get_tracer("python-sdk", "1.2.3")
with tracer.start_as_current_span("POST /payments", kind=trace.SpanKind.SERVER) as root:
    for n in range(3):
        links = [trace.Link(root.get_span_context())]
        with tracer.start_as_current_span("charge", kind=trace.SpanKind.CLIENT, links=links) as span:
            span.set_attributes(
                {"http.route": "/payments", "n": n, "amount": 12.5, "ok": True, "ids": [1, 2, 3], "large": 2**62}
            )
            span.add_event("retry", {"why": "timeout"})
            try:
                raise ValueError("declined")
            except ValueError as error:
                span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR, "declined")
provider.shutdown()
