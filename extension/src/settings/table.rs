//! The one table of settings: every variable that is read, its default, and a line of help.

use std::fmt::Write;

/// A variable.
pub(super) struct Setting {
    /// Its name; where it has forms for one signal, those put it before the last word.
    pub(super) name: &'static str,
    /// What its value looks like.
    pub(super) kind: &'static str,
    /// What holds when it is not set, in words where it is not a value.
    pub(super) default: &'static str,
    /// One line.
    pub(super) help: &'static str,
    /// Whether `…_TRACES_…`, `…_METRICS_…` and `…_LOGS_…` forms exist, which win over it.
    pub(super) per_signal: bool,
    /// Whether its value is never printed.
    pub(super) is_secret: bool,
}

const PLAIN: Setting =
    Setting { name: "", kind: "", default: "", help: "", per_signal: false, is_secret: false };

/// Every variable of Prefreeze. Those of the platform and of OpenTelemetry that are read too: [`FOREIGN`].
pub(super) static TABLE: [Setting; 56] = [
    Setting {
        name: "PREFREEZE_EXPORTER_OTLP_ENDPOINT",
        kind: "URL",
        default: "none: data is dropped and counted",
        help: "Where data goes: the base URL of an OTLP backend; for OTLP/HTTP, `/v1/traces` and so on are appended. A signal's own form is used as it is. `aws`, or `aws:eu-west-1`: CloudWatch, in the function's region or in another one. `sqs:<ARN or URL>`: a queue, from which a [forwarder](hybrid.md) sends on.",
        per_signal: true,
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_EXPORTER_OTLP_AUTH",
        kind: "auto, none, sigv4, sigv4:service:region",
        default: "auto",
        help: "Whether requests are signed with the function's role (Signature Version 4): `auto` signs those to CloudWatch that have no header `authorization`.",
        per_signal: true,
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_EXPORTER_OTLP_HEADERS",
        kind: "k=v,k=v",
        default: "none",
        help: "Headers of every request, values percent-encoded; API keys belong here. `secret://<ARN or name>#<field>` at the end of a value is read from Secrets Manager or Parameter Store.",
        per_signal: true,
        is_secret: true,
    },
    Setting {
        name: "PREFREEZE_EXPORTER_OTLP_PROTOCOL",
        kind: "http/protobuf, grpc",
        default: "http/protobuf",
        help: "How data is sent. With grpc the endpoint is scheme, host and port; its path plays no part.",
        per_signal: true,
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_EXPORTER_OTLP_COMPRESSION",
        kind: "gzip, zstd, none",
        default: "gzip",
        help: "How requests are packed; gzip takes the place of zstd for a backend that turns out not to know it.",
        per_signal: true,
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_EXPORTER_OTLP_TIMEOUT",
        kind: "ms",
        default: "10000",
        help: "The longest that one request may take; 0 is no limit of its own. A flush is bounded besides.",
        per_signal: true,
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_EXPORTER_OTLP_CERTIFICATE",
        kind: "path",
        default: "none",
        help: "PEM file of certificates to trust, besides the built-in roots.",
        per_signal: true,
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        kind: "path",
        default: "none",
        help: "PEM file of our own certificate chain, for mutual TLS.",
        per_signal: true,
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_EXPORTER_OTLP_CLIENT_KEY",
        kind: "path",
        default: "none",
        help: "PEM file of its private key.",
        per_signal: true,
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_RECEIVER_HTTP",
        kind: "address:port, none",
        default: "127.0.0.1:4318",
        help: "Where the function's SDK sends to, as OTLP/HTTP. Where it is taken, that is said, and nothing is received there.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_RECEIVER_GRPC",
        kind: "address:port, none",
        default: "127.0.0.1:4317",
        help: "The same as OTLP/gRPC. Each of the three understands both, whatever comes.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_RECEIVER_UDS",
        kind: "path, none",
        default: "`prefreeze.sock` in `TMPDIR`, or in `/tmp`",
        help: "The same over a Unix socket. A dead process's socket is replaced; anything else that is there is left alone.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_RECEIVER_MAX_BODY_BYTES",
        kind: "bytes",
        default: "16777216",
        help: "The longest request that is taken from the function, packed and unpacked; a longer one gets 413.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_FLUSH",
        kind: "end, continuous, adaptive",
        default: "adaptive",
        help: "When data leaves: before the freeze, beside the next invocation, or whichever suits the rate.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_FLUSH_TIMEOUT_MS",
        kind: "ms",
        default: "1000",
        help: "The most that a flush may hold an invocation; the function's deadline bounds it further.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_COST_CAP_MS_PER_MIN",
        kind: "ms",
        default: "none",
        help: "The most that flushes may hold invocations in one minute, all together; above it data leaves beside the next invocations.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_FLUSH_MAX_STALENESS_MS",
        kind: "ms",
        default: "10000",
        help: "In `adaptive`: data older than this does not wait for a next invocation.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_RECONNECT_AFTER_MS",
        kind: "ms",
        default: "20000",
        help: "After a pause between invocations of this length, connections to the backend are replaced, and answers that were under way are awaited for a moment only. Lower it for a backend that closes idle connections sooner.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_DEADLINE_MARGIN_MS",
        kind: "ms",
        default: "500",
        help: "How long before its deadline an invocation of which nothing is heard is flushed; at most a quarter of its time.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_BUFFER_BYTES",
        kind: "bytes",
        default: "a tenth of the function's memory, 4 to 32 MiB",
        help: "How much memory data may take, its bookkeeping included: two thirds for what is kept for later, of which beyond that the least valuable is dropped and counted, and a third for what is being received and sent, and for the gaps that an allocator leaves.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_SPOOL",
        kind: "always, outage, off",
        default: "always",
        help: "What is also kept on disk, where it survives a kill of Prefreeze: everything accepted, what could not be sent, or nothing.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_SPOOL_DIR",
        kind: "path",
        default: "`prefreeze` in `TMPDIR`, or in `/tmp`",
        help: "The folder for it; its parent must exist.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_SPOOL_MAX_BYTES",
        kind: "bytes",
        default: "67108864",
        help: "How much may be on disk.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_BATCH_BYTES",
        kind: "bytes",
        default: "4194304",
        help: "The largest request, before packing; smaller where [a known backend](limits.md#what-backends-take) takes less.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_SAMPLING_RATIO",
        kind: "0 to 1",
        default: "1",
        help: "How much is kept of traces that nothing else speaks for: all, or a share that is the same in every function ([sampling](sampling.md)).",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_SAMPLING_RULES",
        kind: "JSON",
        default: "none",
        help: "Rules, the first that matches counts: how much of which traces is kept. See [sampling](sampling.md).",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_SAMPLING_RULES_FILE",
        kind: "path",
        default: "none",
        help: "The same in a file of the function's package; a relative path begins at its root.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_SAMPLING_COLD_STARTS",
        kind: "on, off",
        default: "on",
        help: "Whether cold starts are kept. This and the following matter where not everything is kept.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_SAMPLING_SLOW",
        kind: "off, ms, p99",
        default: "p99",
        help: "What is kept because it was slow: nothing, what lasts so long, or what exceeds this percentile of its operation.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_SAMPLING_RARE",
        kind: "on, off",
        default: "on",
        help: "Whether what has not been seen in this environment for ten minutes is kept.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_SAMPLING_BOOST",
        kind: "0 to 1, off",
        default: "ten times the ratio",
        help: "How much is kept of an operation while its errors or its latency depart from their baseline.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_SAMPLING_XRAY",
        kind: "ignore, obey",
        default: "ignore",
        help: "Whether `Sampled=` of the X-Ray header decides; where X-Ray is off upstream it says 0 to everything.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_XRAY_PARENT",
        kind: "link, parent, ignore",
        default: "link; `parent` where traces go to `aws`",
        help: "What the X-Ray header means for a span that has no other parent; `parent` is for X-Ray backends.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_METRICS",
        kind: "otlp, emf, both, none",
        default: "otlp",
        help: "How metrics leave: as OTLP where there is an endpoint for metrics, as lines of CloudWatch's embedded metric format, both, or not at all. docs/metrics.md lists them.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_METRICS_INTERVAL_MS",
        kind: "ms",
        default: "60000",
        help: "The least time between two exports of metrics; they ride on a flush, and always on SHUTDOWN.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_METRICS_SPANS",
        kind: "on, off",
        default: "on",
        help: "Calls, errors and durations of every operation, from all SERVER, CONSUMER and CLIENT spans, before sampling. The default is off where a destination has spans for itself (docs/routing.md).",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_METRICS_SERIES_MAX",
        kind: "count",
        default: "200",
        help: "The most series of one metric; what finds no place is counted under `otel.metric.overflow`.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_METRICS_EMF_NAMESPACE",
        kind: "text",
        default: "Prefreeze",
        help: "The CloudWatch namespace of `emf` lines.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        kind: "delta, cumulative, lowmemory",
        default: "delta",
        help: "What points of counters and distributions say: what came since the points before, or since the environment began. `lowmemory` is `delta`. Which one a store needs: [metrics](metrics.md#what-each-store-needs).",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        kind: "base2_exponential_bucket_histogram, explicit_bucket_histogram",
        default: "base2_exponential_bucket_histogram",
        help: "How distributions are told; the second is for backends that do not know the first, and less exact.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_ALLOWED_HOSTS",
        kind: "host, .ending, region",
        default: "all",
        help: "Where data may go, separated by commas: hosts, endings such as `.example.in`, AWS regions such as `ap-south-1`. A destination or proxy that is not among them gets nothing; see [privacy](privacy.md).",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_DESTINATIONS",
        kind: "JSON list",
        default: "none",
        help: "Further destinations beside the one above, up to seven: each with `name`, `endpoint`, `headers` and so on, what is for it (`signals`, `match`, `spans`), whether that goes nowhere else (`only`), and whether invocations may be held for it (`hold`); see [routing](routing.md).",
        is_secret: true,
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_DESTINATIONS_FILE",
        kind: "path",
        default: "none",
        help: "The same list in a file of the function's package.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_REDACT",
        kind: "JSON list",
        default: "none",
        help: "What is hidden before anything is kept: `all`, or some of `cards`, `aadhaar`, `pan`, `ibans`, `upi`, `emails`, `phones`, `tokens`, `keys`, `urls`, `sql`, and own rules; see [privacy](privacy.md).",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_REDACT_FILE",
        kind: "path",
        default: "none",
        help: "The same list in a file of the function's package.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_REDACT_KEY",
        kind: "text",
        default: "none",
        help: "The key of the hashes that take the place of values (HMAC-SHA-256); without one, values are masked.",
        is_secret: true,
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_ATTRIBUTES",
        kind: "JSON object, off",
        default: "{}",
        help: "Which attributes may go on and how many values they may have: `allow`, `deny`, `limit`, `names`, `templates`, `dimensions`. By default span names and metric dimensions are bounded, and keys that look like identifiers are reported; `off` turns that off; see [privacy](privacy.md#cardinality).",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_ATTRIBUTES_FILE",
        kind: "path",
        default: "none",
        help: "The same object in a file of the function's package.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_LIMIT_VALUE_BYTES",
        kind: "bytes",
        default: "65536",
        help: "The longest value of an attribute of a span, event, link or log record; a longer one is cut. 0 is no limit, here and below.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_LIMIT_STACKTRACE_BYTES",
        kind: "bytes",
        default: "65536",
        help: "The same for stack traces.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_LIMIT_ATTRIBUTES",
        kind: "number",
        default: "128",
        help: "The most attributes of a span, event, link or log record; further ones are left out and counted in it.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_LIMIT_EVENTS",
        kind: "number",
        default: "128",
        help: "The most events of a span, alike.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_LIMIT_LINKS",
        kind: "number",
        default: "128",
        help: "The most links of a span, alike.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_LIMIT_SPAN_BYTES",
        kind: "bytes",
        default: "262144",
        help: "The largest span or log record; the largest attributes, events and links of a larger one are left out and counted in it.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_LOGS",
        kind: "none, errors, all",
        default: "none",
        help: "What the function logs and the platform reports, as OTLP log records under the invocation's span: nothing, errors only, or everything.",
        ..PLAIN
    },
    Setting {
        name: "PREFREEZE_PRICES",
        kind: "JSON",
        default: "list prices of AWS in us-east-1 as of 2025-06, Lambda's for the layer's architecture (docs/cost.md)",
        help: "Prices for the estimate of cost, any of: `as_of`, `currency`, `ingested_gb`, `egress_gb`, `stored_gb_month`, `stored_days`, `lambda_gb_second`.",
        ..PLAIN
    },
];

/// Variables of others that are read, and what for.
pub(super) static FOREIGN: [(&str, &str); 25] = [
    ("OTEL_SERVICE_NAME", "`service.name` of what Prefreeze adds, and of resources that have none."),
    ("OTEL_RESOURCE_ATTRIBUTES", "Further resource attributes, `k=v,k=v`; a single error discards them all."),
    (
        "OTEL_TRACES_EXPORTER",
        "With the other variables that load or set up an SDK (`OTEL_SDK_DISABLED`, `NODE_OPTIONS`, `JAVA_TOOL_OPTIONS`, `AWS_LAMBDA_EXEC_WRAPPER` …): whether the function's own spans are expected, and awaited past the end of an invocation.",
    ),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "With its forms for one signal: where the function's SDK sends to. A line says so where that is not Prefreeze.",
    ),
    ("AWS_LAMBDA_RUNTIME_API", "The platform's API."),
    ("AWS_LAMBDA_FUNCTION_NAME", "`faas.name`, and the names of spans that Prefreeze makes."),
    ("AWS_LAMBDA_FUNCTION_VERSION", "`faas.version`."),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "`faas.max_memory`, and the default of `PREFREEZE_BUFFER_BYTES`."),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "What counts as a cold start."),
    ("AWS_REGION", "`cloud.region`, and the region of the endpoint `aws`."),
    ("AWS_ACCESS_KEY_ID", "Who signs requests to AWS. It is never printed, nor are the next two."),
    ("AWS_SECRET_ACCESS_KEY", "With what."),
    ("AWS_SESSION_TOKEN", "With which session."),
    (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "Where the platform has these three, with SnapStart: read there instead.",
    ),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "What it wants to be told for that. It is never printed."),
    (
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "Where log records go at CloudWatch, unless `x-aws-log-group` is among the headers.",
    ),
    ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "What is asked for secrets in place of AWS Secrets Manager."),
    ("AWS_ENDPOINT_URL_SSM", "The same for Parameter Store."),
    ("AWS_ENDPOINT_URL_SQS", "The same for the queue of the endpoint `sqs:`."),
    ("AWS_ENDPOINT_URL", "The same for all three."),
    (
        "AWS_USE_FIPS_ENDPOINT",
        "`true`: the endpoints `aws` and `sqs:` with an ARN are asked by their names for FIPS.",
    ),
    ("AWS_USE_DUALSTACK_ENDPOINT", "`true`: by those that have addresses of IPv6, too."),
    (
        "HTTPS_PROXY",
        "A proxy on the way to an HTTP backend, as are `HTTP_PROXY`, `ALL_PROXY` and their forms in small letters; `NO_PROXY` names hosts that need none.",
    ),
    ("LAMBDA_TASK_ROOT", "Where relative paths of rules and certificates begin."),
    ("TMPDIR", "Where the spool's folder and the Unix socket are by default."),
];

/// The reference page.
pub(super) fn markdown() -> String {
    let mut page = String::from(
        "# Configuration\n\nWritten by `prefreeze config --markdown` from the table in the code; a test keeps it so.\n\n\
         All settings are environment variables of the function. An invalid value never stops the function: it is\n\
         reported once, by name and reason, and the default holds. `prefreeze config` shows what holds.\n\n\
         | variable | value | default | what it does |\n|---|---|---|---|\n",
    );
    for setting in &TABLE {
        let forms = if setting.per_signal { " ¹" } else { "" };
        let Setting { name, kind, default, help, .. } = setting;
        let _ = writeln!(page, "| `{name}`{forms} | {kind} | {default} | {help} |");
    }
    page.push_str(
        "\n¹ also for one signal, with `TRACES`, `METRICS` or `LOGS` after `OTLP`, as in\n\
         `PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT`; that form wins. These have the meaning of the OpenTelemetry\n\
         variables without the prefix, which already tell the function's SDK to send to Prefreeze.\n\n\
         Also read:\n\n| variable | for |\n|---|---|\n",
    );
    for (name, help) in FOREIGN {
        let _ = writeln!(page, "| `{name}` | {help} |");
    }
    page
}
