"""One span, one counter and one log record, sent by the stock Python OpenTelemetry SDK: see tests/clients.rs.

    python send.py <http-protobuf|grpc> <endpoint> <request id> [<Unix socket>]

gRPC takes the socket as its endpoint: unix:///path.
"""

import importlib
import sys

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

protocol, endpoint, request_id, *socket_path = sys.argv[1:]
failures = []


def exporter(module, name, path):
    flavour = "http" if protocol.startswith("http") else "grpc"
    exporter_class = getattr(importlib.import_module(f"opentelemetry.exporter.otlp.proto.{flavour}.{module}"), name)
    if flavour == "grpc":
        import grpc

        # For a socket, gRPC's C core names its path as the authority, which is none: strict servers refuse it.
        return watched(
            exporter_class(
                endpoint=endpoint,
                insecure=True,
                compression=grpc.Compression.Gzip,
                channel_options=(("grpc.default_authority", "localhost"),),
            )
        )
    from opentelemetry.exporter.otlp.proto.http import Compression

    session = over_socket(socket_path[0]) if socket_path else None
    return watched(exporter_class(endpoint=f"{endpoint}/v1/{path}", compression=Compression.Gzip, session=session))


def watched(exporter):
    """The SDK swallows what an exporter says, and this test is about that."""
    send = exporter.export

    def export(*args, **kwargs):
        result = send(*args, **kwargs)
        if result.name != "SUCCESS":
            failures.append(f"{type(exporter).__name__}: {result}")
        return result

    exporter.export = export
    return exporter


def over_socket(path):
    """A requests session all of whose connections go to a Unix socket."""
    import socket

    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection
    from urllib3.connectionpool import HTTPConnectionPool

    class Connection(HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(path)

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class Adapter(HTTPAdapter):
        pool = Pool("localhost")

        def get_connection_with_tls_context(self, *_args, **_kwargs):
            return self.pool

    session = requests.Session()
    session.mount("http://", Adapter())
    return session


resource = Resource({"service.name": f"python {protocol}"})

reader = PeriodicExportingMetricReader(exporter("metric_exporter", "OTLPMetricExporter", "metrics"))
meters = MeterProvider([reader], resource)
meters.get_meter("clients").create_counter("payments").add(3, {"currency": "EUR"})
meters.get_meter("clients").create_histogram("duration").record(0.25)
meters.shutdown()

loggers = LoggerProvider(resource, shutdown_on_exit=False)
loggers.add_log_record_processor(SimpleLogRecordProcessor(exporter("_log_exporter", "OTLPLogExporter", "logs")))
body = {"said": "a payment", "bytes": b"\x01\x02\xff"}
loggers.get_logger("clients").emit(LogRecord(timestamp=1, body=body, severity_number=SeverityNumber.INFO))
loggers.shutdown()

# Last: it ends the invocation.
tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
tracers.add_span_processor(SimpleSpanProcessor(exporter("trace_exporter", "OTLPSpanExporter", "traces")))
attributes = {"faas.invocation_id": request_id, "amount": 9007199254740991, "rate": 0.1, "list": ["a", "é"]}
span = tracers.get_tracer("clients").start_span("pay", kind=SpanKind.SERVER, attributes=attributes)
span.add_event("charged", {"attempt": 1})
span.set_status(Status(StatusCode.ERROR, "declined"))
span.end()
tracers.shutdown()

sys.exit("\n".join(failures) or 0)
