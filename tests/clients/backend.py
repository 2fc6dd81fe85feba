"""An OTLP/gRPC backend by grpcio: see tests/clients/export.rs.

    python backend.py [--longest <bytes>] [--tls <certificate> <key>] <answer>...

Prints its port, then a line of JSON for each call that it took. The answers are given one after the other, then
OK for ever: OK, PARTIAL, the name of a status, or RESOURCE_EXHAUSTED+<seconds> for one with a RetryInfo.
Ends with its standard input.
"""

import argparse
import concurrent.futures
import importlib
import json
import sys
import threading

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

options = argparse.ArgumentParser()
options.add_argument("--longest", type=int, default=4 << 20)
options.add_argument("--tls", nargs=2)
options.add_argument("answers", nargs="*")
options = options.parse_args()
one_at_a_time = threading.Lock()


def names_of(request):
    """The names of whatever is in a request, and where there are none, its texts."""
    group = next(iter(request.DESCRIPTOR.fields)).name
    for resource in getattr(request, group):
        for scope in next(value for field, value in resource.ListFields() if field.name.startswith("scope_")):
            for field, items in scope.ListFields():
                if field.name in ("spans", "metrics", "log_records"):
                    yield from (getattr(item, "name", "") or item.body.string_value for item in items)


def say(seen):
    """One write for each line: `print` writes the end of a line apart, and calls come on several threads."""
    with one_at_a_time:
        sys.stdout.write(json.dumps(seen) + "\n")
        sys.stdout.flush()


def retry_info(code, delay):
    status = status_pb2.Status(code=code.value[0], message="scripted")
    detail = any_pb2.Any()
    info = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=int(delay * 1_000_000_000)))
    detail.Pack(info)
    status.details.append(detail)
    return (("grpc-status-details-bin", status.SerializeToString()),)


def handler(signal, response_class):
    def export(request, context):
        answer = options.answers.pop(0) if options.answers else "OK"
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        seen = {"signal": signal, "names": list(names_of(request)), "metadata": metadata, "answer": answer}
        say(seen)
        if answer == "PARTIAL":
            response = response_class()
            response.partial_success.rejected_spans = 1
            return response
        if answer != "OK":
            name, _, delay = answer.partition("+")
            code = getattr(grpc.StatusCode, name)
            if delay:
                context.set_trailing_metadata(retry_info(code, float(delay)))
            context.abort(code, "scripted")
        return response_class()

    return export


server = grpc.server(
    concurrent.futures.ThreadPoolExecutor(4),
    options=[("grpc.max_receive_message_length", options.longest), ("grpc.so_reuseport", 0)],
)
for signal in ("trace", "metrics", "logs"):
    module = importlib.import_module(f"opentelemetry.proto.collector.{signal}.v1.{signal}_service_pb2")
    title = signal.capitalize()
    request_class = getattr(module, f"Export{title}ServiceRequest")
    response_class = getattr(module, f"Export{title}ServiceResponse")
    method = grpc.unary_unary_rpc_method_handler(
        handler(signal, response_class),
        request_deserializer=request_class.FromString,
        response_serializer=response_class.SerializeToString,
    )
    service = f"opentelemetry.proto.collector.{signal}.v1.{title}Service"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))

if options.tls:
    certificate, key = (open(path, "rb").read() for path in options.tls)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
sys.stdin.read()
server.stop(0).wait()
