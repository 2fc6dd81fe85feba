// The spans of the capture: a server's, and three of a client within it, with something of everything.

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import java.util.concurrent.TimeUnit;

public class Spans {
    public static void main(String[] arguments) {
        var exporter = OtlpHttpSpanExporter.builder().setEndpoint(System.getenv("ENDPOINT")).build();
        var about = Attributes.builder().put("service.name", "payments").put("tags", "a", "b").build();
        var provider = SdkTracerProvider.builder()
                .setResource(Resource.create(about))
                .addSpanProcessor(BatchSpanProcessor.builder(exporter).build())
                .build();
        var tracer = provider.tracerBuilder("java-sdk").setInstrumentationVersion("1.2.3").build();
        var root = tracer.spanBuilder("POST /payments").setSpanKind(SpanKind.SERVER).startSpan();
        for (long n = 0; n < 3; n++) {
            var span = tracer.spanBuilder("charge")
                    .setSpanKind(SpanKind.CLIENT)
                    .setParent(Context.root().with(root))
                    .addLink(root.getSpanContext())
                    .startSpan();
            span.setAttribute("http.route", "/payments");
            span.setAttribute("n", n);
            span.setAttribute("amount", 12.5);
            span.setAttribute("ok", true);
            span.setAttribute("large", Long.MAX_VALUE);
            span.setAttribute(AttributeKey.longArrayKey("ids"), java.util.List.of(1L, 2L, 3L));
            span.addEvent("retry", Attributes.builder().put("why", "timeout").build());
            span.recordException(new RuntimeException("declined"));
            span.setStatus(StatusCode.ERROR, "declined");
            span.end();
        }
        root.end();
        provider.shutdown().join(10, TimeUnit.SECONDS);
    }
}
