// One span, one counter and one log record, sent by the stock Node OpenTelemetry SDK: see tests/clients.rs.
//
//   node send.mjs <http-json|http-protobuf|grpc> <endpoint> <request id> [<Unix socket>]

import { createRequire } from "node:module";

const require = createRequire(process.env.CLIENTS_MODULES + "/");
const { SpanKind, SpanStatusCode } = require("@opentelemetry/api");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BasicTracerProvider, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace-base");
const { MeterProvider, PeriodicExportingMetricReader } = require("@opentelemetry/sdk-metrics");
const { LoggerProvider, SimpleLogRecordProcessor } = require("@opentelemetry/sdk-logs");

const [protocol, endpoint, requestId, socketPath] = process.argv.slice(2);
const flavour = { "http-json": "http", "http-protobuf": "proto", grpc: "grpc" }[protocol];
const exporter = (signal, name) => {
  const { [name]: Exporter } = require(`@opentelemetry/exporter-${signal}-otlp-${flavour}`);
  const path = { trace: "traces", metrics: "metrics", logs: "logs" }[signal];
  const url = protocol === "grpc" ? endpoint : `${endpoint}/v1/${path}`;
  const http = socketPath ? { httpAgentOptions: { socketPath, keepAlive: true } } : {};
  return watched(new Exporter({ url, compression: process.env.CLIENTS_COMPRESSION ?? "gzip", ...http }));
};

// The SDK swallows what an exporter says, and this test is about that.
const failures = [];
const watched = (exporter) => {
  const send = exporter.export.bind(exporter);
  exporter.export = (items, done) =>
    send(items, (result) => {
      if (result.code !== 0) failures.push(String(result.error?.message ?? result.error));
      done(result);
    });
  return exporter;
};

const resource = resourceFromAttributes({ "service.name": `node ${protocol}` });

const meters = new MeterProvider({
  resource,
  readers: [new PeriodicExportingMetricReader({ exporter: exporter("metrics", "OTLPMetricExporter") })],
});
const meter = meters.getMeter("clients");
meter.createCounter("payments").add(3, { currency: "EUR" });
meter.createHistogram("duration").record(0.25);
await meters.shutdown();

const loggers = new LoggerProvider({
  resource,
  processors: [new SimpleLogRecordProcessor({ exporter: exporter("logs", "OTLPLogExporter") })],
});
loggers.getLogger("clients").emit({ body: { said: "a payment", bytes: new Uint8Array([1, 2, 255]) }, severityNumber: 9 });
await loggers.shutdown();

// Last: it ends the invocation.
const tracers = new BasicTracerProvider({
  resource,
  spanProcessors: [new SimpleSpanProcessor(exporter("trace", "OTLPTraceExporter"))],
});
const span = tracers.getTracer("clients").startSpan("pay", {
  kind: SpanKind.SERVER,
  attributes: { "faas.invocation_id": requestId, amount: 9007199254740991, rate: 0.1, list: ["a", "é"] },
});
span.addEvent("charged", { attempt: 1 });
span.setStatus({ code: SpanStatusCode.ERROR, message: "declined" });
span.end();
await tracers.shutdown();

if (failures.length > 0) {
  console.error(failures.join("\n"));
  process.exit(1);
}
