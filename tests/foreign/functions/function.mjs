// The same as function.py, in Node.js without any dependency.

import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/`;
const receiver = process.env.OTEL_EXPORTER_OTLP_ENDPOINT;
const TIMER_MS = 1500;

function span(name, requestId, start, end) {
  const own = {
    name,
    kind: 2,
    attributes: [{ key: "faas.invocation_id", value: { stringValue: requestId } }],
    traceId: randomBytes(16).toString("hex"),
    spanId: randomBytes(8).toString("hex"),
    startTimeUnixNano: `${start}000000`,
    endTimeUnixNano: `${end}000000`,
  };
  return { resourceSpans: [{ scopeSpans: [{ spans: [own] }] }] };
}

async function post(body) {
  if (receiver) {
    const headers = { "content-type": "application/json" };
    await fetch(`${receiver}/v1/traces`, { method: "POST", headers, body: JSON.stringify(body) });
  }
}

const ways = {
  nothing: async () => {},
  "at its end": post,
  "by a timer": async (body) => void setTimeout(post, TIMER_MS, body),
};

process.on("SIGTERM", () => process.exit(0));
for (;;) {
  const next = await fetch(`${api}next`);
  const requestId = next.headers.get("lambda-runtime-aws-request-id");
  const event = await next.json();
  const began = Date.now();
  await pause(1000 * (event.sleep ?? 0.02));
  if (event.crash) {
    process.exit(3);
  }
  await ways[event.sends](span(event.name ?? "own", requestId, began, Date.now()));
  await fetch(`${api}${requestId}/response`, { method: "POST", body: '"ok"' });
}
