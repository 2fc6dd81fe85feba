"""Calls that no SDK makes, by grpcio, and the statuses that come back, one a line: see tests/clients.rs.

    python calls.py <address> <longest message>
"""

import gzip
import sys

import grpc

address, longest = sys.argv[1], int(sys.argv[2])
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
CALLS = {
    "empty": (EXPORT, b"", None),
    "gzip": (EXPORT, b"\x0a\x00", grpc.Compression.Gzip),
    "deflate": (EXPORT, b"\x0a\x00" * 50, grpc.Compression.Deflate),
    "no such method": ("/opentelemetry.proto.collector.trace.v1.TraceService/Import", b"", None),
    "no such service": ("/opentelemetry.proto.collector.profiles.v1.ProfilesService/Export", b"", None),
    "garbage": (EXPORT, b"\xff\xff\xff", None),
    "too long": (EXPORT, b"\x00" * (longest + 1), None),
    "a bomb": (EXPORT, b"\x00" * (longest * 100), grpc.Compression.Gzip),
    "after all that": (EXPORT, b"", None),
}

with grpc.insecure_channel(address) as channel:
    for name, (method, message, compression) in CALLS.items():
        call = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
        try:
            answer = call(message, compression=compression, timeout=30)
            print(f"{name}: OK {answer!r}")
        except grpc.RpcError as error:
            print(f"{name}: {error.code().name} {error.details()}")
