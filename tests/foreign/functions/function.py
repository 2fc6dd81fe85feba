"""A function without any dependency, which sends its span as an SDK would: before it answers, by a timer, or not at all."""

import http.client
import json
import os
import signal
import sys
import threading
import time
import urllib.request
import uuid

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
RECEIVER = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
TIMER_S = 1.5


def span(name, request_id, start, end):
    attribute = {"key": "faas.invocation_id", "value": {"stringValue": request_id}}
    ids = {"traceId": uuid.uuid4().hex, "spanId": uuid.uuid4().hex[:16]}
    times = {"startTimeUnixNano": str(start), "endTimeUnixNano": str(end)}
    own = {"name": name, "kind": 2, "attributes": [attribute], **ids, **times}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [own]}]}]}


def post(body):
    if RECEIVER:
        request = urllib.request.Request(RECEIVER + "/v1/traces", data=json.dumps(body).encode())
        request.add_header("content-type", "application/json")
        urllib.request.urlopen(request).read()


def by_a_timer(body):
    timer = threading.Timer(TIMER_S, post, (body,))
    timer.daemon = True
    timer.start()


def call(method, path, body=None):
    connection = http.client.HTTPConnection(API)
    connection.request(method, "/2018-06-01/runtime/invocation/" + path, body)
    answer = connection.getresponse()
    return answer.getheader("Lambda-Runtime-Aws-Request-Id"), answer.read()


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    request_id, event = call("GET", "next")
    event = json.loads(event)
    began = time.time_ns()
    time.sleep(event.get("sleep", 0.02))
    if event.get("crash"):
        os._exit(3)
    own = span(event.get("name", "own"), request_id, began, time.time_ns())
    {"nothing": lambda _: None, "at its end": post, "by a timer": by_a_timer}[event["sends"]](own)
    call("POST", request_id + "/response", b'"ok"')
