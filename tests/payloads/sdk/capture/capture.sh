#!/usr/bin/env bash
# Captures what the SDKs of four languages send for the same spans, into the folder above: go.bin, java.bin, node.bin,
# node.json, python.bin. Needs go, javac and mvn, node and npm, python3, and the registries of their packages.
#
# Captured so on 2026-11-28. There is no capture of .NET: no registry that the authors reach has its SDK.
# Ids, times and stack traces are new in each capture; tests/black_box/mutated.rs takes them as they are.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
into=$(dirname "$here")
root=$(cd "$here/../../../.." && pwd)
# Stack traces hold paths: this one is nobody's.
work=/tmp/prefreeze-sdk
rm -rf "$work" && mkdir -p "$work" && cp "$here"/* "$work" && cd "$work"
trap 'rm -rf "$work"' EXIT

# Runs a program with an endpoint that writes the body of the first request to a file.
capture() {
    local file=$1
    shift
    python3 "$work/receive.py" "$into/$file" "$work/port" &
    local receiver=$!
    while [ ! -s "$work/port" ]; do sleep 0.05; done
    ENDPOINT="http://127.0.0.1:$(cat "$work/port")/v1/traces" "$@"
    wait "$receiver"
    rm "$work/port"
    echo "$file: $(wc -c < "$into/$file") bytes"
}

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --requirement "$root/tests/clients/requirements.txt"
capture python.bin venv/bin/python spans.py

cp "$root/tests/clients/package.json" "$root/tests/clients/package-lock.json" .
npm ci --silent --ignore-scripts --no-audit --no-fund
capture node.bin node spans.mjs proto
capture node.json node spans.mjs http

go mod init capture 2> /dev/null
go get go.opentelemetry.io/otel/sdk@v1.47.0 go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp@v1.47.0 2> /dev/null
go mod tidy 2> /dev/null
go build -trimpath -o spans spans.go
capture go.bin ./spans

mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory="$work/jars"
capture java.bin java -cp "$work/jars/*" Spans.java
