// The spans of the capture: a server's, and three of a client within it, with something of everything.
import { SpanKind, SpanStatusCode, context, trace } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const { OTLPTraceExporter } = await import(`@opentelemetry/exporter-trace-otlp-${process.argv[2]}`);
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "payments", tags: ["a", "b"] }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: process.env.ENDPOINT }))],
});
const tracer = provider.getTracer("node-sdk", "1.2.3");
const root = tracer.startSpan("POST /payments", { kind: SpanKind.SERVER });
for (let n = 0; n < 3; n++) {
  const within = trace.setSpan(context.active(), root);
  const links = [{ context: root.spanContext() }];
  const span = tracer.startSpan("charge", { kind: SpanKind.CLIENT, links }, within);
  // The last one is what a database's largest key becomes in JavaScript, and no 64 bits of an integer.
  span.setAttributes({
    "http.route": "/payments", n, amount: 12.5, ok: true, ids: [1, 2, 3], large: Number(2n ** 63n - 1n),
  });
  span.addEvent("retry", { why: "timeout" });
  span.recordException(new Error("declined"));
  span.setStatus({ code: SpanStatusCode.ERROR, message: "declined" });
  span.end();
}
root.end();
await provider.shutdown();
