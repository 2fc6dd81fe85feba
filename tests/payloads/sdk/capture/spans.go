// The spans of the capture: a server's, and three of a client within it, with something of everything.
package main

import (
	"context"
	"errors"
	"math"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	ctx := context.Background()
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(os.Getenv("ENDPOINT")))
	if err != nil {
		panic(err)
	}
	about := resource.NewSchemaless(
		attribute.String("service.name", "payments"), attribute.StringSlice("tags", []string{"a", "b"}))
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	tracer := provider.Tracer("go-sdk", trace.WithInstrumentationVersion("1.2.3"))
	within, root := tracer.Start(ctx, "POST /payments", trace.WithSpanKind(trace.SpanKindServer))
	for n := range 3 {
		link := trace.Link{SpanContext: root.SpanContext()}
		_, span := tracer.Start(within, "charge", trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(link))
		span.SetAttributes(attribute.String("http.route", "/payments"), attribute.Int("n", n),
			attribute.Float64("amount", 12.5), attribute.Bool("ok", true),
			attribute.IntSlice("ids", []int{1, 2, 3}), attribute.Int64("large", math.MaxInt64))
		span.AddEvent("retry", trace.WithAttributes(attribute.String("why", "timeout")))
		span.RecordError(errors.New("declined"), trace.WithStackTrace(true))
		span.SetStatus(codes.Error, "declined")
		span.End()
	}
	root.End()
	if err := provider.Shutdown(ctx); err != nil {
		panic(err)
	}
}
