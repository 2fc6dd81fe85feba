// The same as function.py, on AWS's own runtime client for Go.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

const timer = 1500 * time.Millisecond

type event struct {
	Sends string  `json:"sends"`
	Name  string  `json:"name"`
	Sleep float64 `json:"sleep"`
	Crash bool    `json:"crash"`
}

func id(bytes int) string {
	random := make([]byte, bytes)
	_, _ = rand.Read(random)
	return hex.EncodeToString(random)
}

func span(name, requestID string, start, end time.Time) []byte {
	type object = map[string]any
	attribute := object{"key": "faas.invocation_id", "value": object{"stringValue": requestID}}
	own := object{
		"name": name, "kind": 2, "attributes": []object{attribute}, "traceId": id(16), "spanId": id(8),
		"startTimeUnixNano": fmt.Sprint(start.UnixNano()), "endTimeUnixNano": fmt.Sprint(end.UnixNano()),
	}
	scope := object{"spans": []object{own}}
	body, _ := json.Marshal(object{"resourceSpans": []object{{"scopeSpans": []object{scope}}}})
	return body
}

func post(body []byte) {
	receiver := os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	if receiver == "" {
		return
	}
	answer, err := http.Post(receiver+"/v1/traces", "application/json", bytes.NewReader(body))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	answer.Body.Close()
}

func handle(ctx context.Context, e event) (string, error) {
	began := time.Now()
	if e.Name == "" {
		e.Name = "own"
	}
	if e.Sleep == 0 {
		e.Sleep = 0.02
	}
	time.Sleep(time.Duration(e.Sleep * float64(time.Second)))
	if e.Crash {
		os.Exit(3)
	}
	invocation, _ := lambdacontext.FromContext(ctx)
	body := span(e.Name, invocation.AwsRequestID, began, time.Now())
	switch e.Sends {
	case "at its end":
		post(body)
	case "by a timer":
		time.AfterFunc(timer, func() { post(body) })
	}
	return "ok", nil
}

func main() {
	lambda.StartWithOptions(handle, lambda.WithEnableSIGTERM())
}
