//! `docs/cost.md` works the payment flow through; every number in it is reckoned here again.

use std::fmt::Write;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use policy::{Architecture, Prices};
use prost::Message;
use tests::otlp::{Ids, SpanExt, server_span, span, traces};

/// Payments in a month, and the share of them that fails and is kept whatever the ratio is.
const PAYMENTS: f64 = 10_000_000.0;
const FAILED: f64 = 0.02;
/// Functions in the flow, each invoked once for a payment.
const FUNCTIONS: f64 = 2.0;
/// The memory of each function.
const MEMORY: u64 = 512 << 20;
/// How long a flush holds an invocation: a backend 20 ms away and our own 0.2 ms, and our own 0.04 ms.
const HELD_END: f64 = 0.020_2;
const HELD_CONTINUOUS: f64 = 0.000_04;
/// SQS's price of a million requests to a standard queue, and how many it counts for a message: it is sent, received and deleted,
/// the last two in tens.
const QUEUE_MILLION: f64 = 0.40;
const QUEUE_REQUESTS: f64 = 1.0 + 2.0 / 10.0;
/// What SQS counts as one request.
const QUEUE_CHUNK: usize = 64 << 10;
/// Lambda's price of a million requests.
const LAMBDA_MILLION: f64 = 0.20;
/// The forwarder takes so many messages at once, and so many seconds for them.
const FORWARDED: f64 = 100.0;
const FORWARDING: f64 = 0.100;
/// How long a function runs for a payment.
const HANDLER: f64 = 0.120;

/// A span below the payment's root.
fn call(number: u64, name: &str, kind: SpanKind, texts: &[(&str, &str)]) -> Span {
    let root = Ids::new(1);
    let call = span(name, root.sibling(number)).with_parent(root).with_kind(kind);
    texts.iter().fold(call, |call, (key, value)| call.with_text(key, value))
}

/// What `authorize` sends for one payment.
fn authorize() -> ExportTraceServiceRequest {
    let fraud = [
        ("http.request.method", "POST"),
        ("server.address", "fraud.internal"),
        ("url.full", "https://fraud.internal/v1/score"),
    ];
    let put = [
        ("db.system.name", "aws.dynamodb"),
        ("db.operation.name", "PutItem"),
        ("aws.request_id", "VR5T1E6F6G1QK0M2C0D1B4T0L7VV4KQNSO5AEMVJF66Q9ASUAAJG"),
    ];
    let settle = [
        ("messaging.system", "aws_sqs"),
        ("messaging.destination.name", "settlements"),
        ("messaging.message.id", "0b4e6d34-9c2f-4c0e-8f4a-5d1a0f3c7e21"),
    ];
    let own = server_span("POST /payments", Ids::new(1), "2ceb2c3e-0000-4000-8000-000000000001")
        .with_text("http.request.method", "POST")
        .with_text("http.route", "/payments")
        .with_text("url.path", "/payments")
        .with_text("user_agent.original", "shop/4.2 (checkout)")
        .with_text("cloud.resource_id", "arn:aws:lambda:ap-south-1:123456789012:function:authorize");
    traces([
        call(1, "validate", SpanKind::Internal, &[("payment.method", "card"), ("payment.currency", "INR")]),
        call(2, "POST", SpanKind::Client, &fraud),
        call(3, "PutItem payments", SpanKind::Client, &put),
        call(4, "send settlements", SpanKind::Producer, &settle),
        own,
    ])
}

/// What `reconcile` sends for it.
fn reconcile() -> ExportTraceServiceRequest {
    let get = [
        ("db.system.name", "aws.dynamodb"),
        ("db.operation.name", "GetItem"),
        ("aws.request_id", "9TT0S5G6F6G1QK0M2C0D1B4T0L7VV4KQNSO5AEMVJF66Q9ASUAAJG"),
    ];
    let own = [
        ("messaging.system", "aws_sqs"),
        ("messaging.destination.name", "settlements"),
        ("faas.invocation_id", "2ceb2c3e-0000-4000-8000-000000000002"),
    ];
    traces([
        call(5, "GetItem payments", SpanKind::Client, &get),
        call(6, "settle", SpanKind::Internal, &[("settlement.batch", "2026-11-22T07")]),
        call(7, "process settlements", SpanKind::Consumer, &own),
    ])
}

fn packed(raw: &[u8]) -> usize {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(raw).expect("memory");
    packer.finish().expect("memory").len()
}

fn page() -> String {
    let [arm64, x86] = [Architecture::Arm64, Architecture::X86].map(|it| Prices::listed(MEMORY, it));
    [introduction(&arm64, &x86), payments(&arm64), billed(&arm64, &x86), queued(&arm64)].concat()
}

/// What the prices are, and what is reckoned with them.
fn introduction(prices: &Prices, x86: &Prices) -> String {
    format!(
        "\
# Cost

Written by `UPDATE=1 cargo test -p tests --test cost`, which otherwise reckons every number of this page again.

Prefreeze tells what it costs in metrics (`prefreeze.cost.*`, `prefreeze.billed.duration`, see [metrics.md](metrics.md))
and in the `cost` of its summary line at SHUTDOWN: what was spent, what sampling avoided, and how much of the billed
time was ours. They are estimates, by prices that carry their date.

## Prices

The default is list prices of AWS in us-east-1 as of {as_of}, in {currency}:

| price | default | from |
|---|---|---|
| `ingested_gb` | {ingested} | CloudWatch Logs, a GB taken in before compression (<https://aws.amazon.com/cloudwatch/pricing/>) |
| `egress_gb` | {egress} | data transfer to the internet, first 10 TB (<https://aws.amazon.com/ec2/pricing/on-demand/>) |
| `stored_gb_month` | {stored} | CloudWatch Logs, a GB kept for a month |
| `stored_days` | {days} | for how long |
| `lambda_gb_second` | {second:.10} in the arm64 layer, {x86_second:.10} in the x86_64 layer | Lambda on demand, first tier (<https://aws.amazon.com/lambda/pricing/>) |

The defaults do not fit every account. These prices differ, and `PREFREEZE_PRICES` replaces any of them:

| differs | prices |
|---|---|
| with the region | all: ingestion and egress by up to a factor of two, Lambda's by some tens of percent |
| with the architecture | `lambda_gb_second`; the default is the price of the architecture that the layer was built for |
| with the amount | `egress_gb`, `lambda_gb_second`: later tiers cost less |
| with provisioned concurrency | `lambda_gb_second`: its duration has a lower price, beside a price for the time in which it is allocated |
| on Managed Instances | `lambda_gb_second`: instances are billed instead of duration; set 0 |
| with the backend | `ingested_gb`, `stored_gb_month`, `stored_days`; `egress_gb` is lower inside a region or over a private link |

Put in what you pay, with the day on which you looked it up:

```sh
PREFREEZE_PRICES='{{\"as_of\":\"2026-11-22\",\"ingested_gb\":0.10,\"egress_gb\":0}}'
```

What is reckoned: ingestion and storage by the bytes of delivered requests before compression (`raw_bytes`), egress by
the bytes on the wire (`sent_bytes`), the function and the extension by billed time (`platform.report`) and the memory
size. The extension's share is the time for which flushes held invocations; what sampling avoided is taken to pack as
well as what was sent. Free tiers, discounts, requests, init and other extensions' time are not in it.

",
        as_of = prices.as_of,
        currency = prices.currency,
        ingested = prices.ingested_gb,
        egress = prices.egress_gb,
        stored = prices.stored_gb_month,
        days = prices.stored_days,
        second = prices.lambda_gb_second,
        x86_second = x86.lambda_gb_second,
    )
}

/// What traces cost at several ratios.
fn payments(prices: &Prices) -> String {
    let requests = [authorize(), reconcile()].map(|request| request.encode_to_vec());
    let (raw, sent): (usize, usize) =
        (requests.iter().map(Vec::len).sum(), requests.iter().map(|request| packed(request)).sum());
    let spans = 8.0;
    let mut page = format!(
        "\
## The payment flow

Ten million payments a month. `authorize` sends five spans for each, `reconcile` three: {raw} bytes, {sent} with gzip
(level 1, a request for each invocation). {failed:.0} % of payments fail, and are kept whatever the ratio is.

| ratio | traces kept | spans sent | GB before packing | GB sent | ingestion | egress | storage | together | avoided |
|---|---|---|---|---|---|---|---|---|---|
",
        failed = FAILED * 100.0,
    );
    let all = prices.of_bytes((PAYMENTS * raw as f64) as u64, PAYMENTS * sent as f64).total();
    for ratio in [1.0, 0.1, 0.01] {
        let kept = (FAILED + (1.0 - FAILED) * ratio) * PAYMENTS;
        let cost = prices.of_bytes((kept * raw as f64) as u64, kept * sent as f64);
        let _ = writeln!(
            page,
            "| {:.0} % | {:.1} % | {:.2} M | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
            ratio * 100.0,
            kept / PAYMENTS * 100.0,
            kept * spans / 1e6,
            kept * raw as f64 / 1e9,
            kept * sent as f64 / 1e9,
            cost.ingestion,
            cost.egress,
            cost.storage,
            cost.total(),
            all - cost.total(),
        );
    }
    page.push_str(
        "
All in USD a month. At 1 % two thirds of what is still sent are the failures, which is what sampling is for. Metrics
see every payment at any ratio.
",
    );
    page
}

/// What waiting for flushes costs.
fn billed(arm64: &Prices, x86: &Prices) -> String {
    let mut page = "
## Billed time

Two functions of 512 MB that run for 120 ms, with a backend 20 ms away ([performance.md](performance.md) measures our
own part, on x86_64 only):

| `PREFREEZE_FLUSH` | held for each invocation | USD a month, arm64 | USD a month, x86_64 | of the functions' own |
|---|---|---|---|---|
"
    .to_owned();
    for (mode, held) in [("end", HELD_END), ("continuous", HELD_CONTINUOUS)] {
        let [arm64, x86] = [arm64, x86].map(|prices| prices.of_seconds(PAYMENTS * FUNCTIONS * held));
        let _ = writeln!(
            page,
            "| `{mode}` | {:.2} ms | {arm64:.2} | {x86:.2} | {:.2} % |",
            held * 1_000.0,
            held / HANDLER * 100.0
        );
    }
    page.push_str(
        "
`adaptive`, the default, is `continuous` where invocations are frequent, and at ten million payments a month they are.
`PREFREEZE_COST_CAP_MS_PER_MIN` bounds what flushing may cost in any case.
",
    );
    page
}

/// What a queue costs beside sending directly.
fn queued(arm64: &Prices) -> String {
    let mut page = "
## Through a queue

[A queue](hybrid.md) between the functions and the backend costs, for the same ten million payments: SQS's requests, at 0.40 USD a million (a message of up to
64 KiB is one to send, and a fifth of one to receive and delete), and the forwarder, at 100 messages and 100 ms for an invocation of 512 MB.

| messages | a month | bytes of a message | SQS | forwarder | together |
|---|---|---|---|---|---|
"
    .to_owned();
    let (authorize, reconcile) = (authorize().encode_to_vec(), reconcile().encode_to_vec());
    for invocations in [1, 10, 100] {
        let together: Vec<u8> =
            (0..invocations).flat_map(|_| [&authorize[..], &reconcile].concat()).collect();
        // Half of them are of one function, and half of the other.
        let size = packed(&together).div_ceil(2).div_ceil(3) * 4;
        let messages = PAYMENTS * FUNCTIONS / f64::from(invocations);
        let chunks = size.div_ceil(QUEUE_CHUNK) as f64;
        let sqs = messages * chunks * QUEUE_REQUESTS * QUEUE_MILLION / 1e6;
        let batches = messages / FORWARDED;
        let forwarder = batches * LAMBDA_MILLION / 1e6 + arm64.of_seconds(batches * FORWARDING);
        let each = if invocations == 1 {
            "one for each invocation".to_owned()
        } else {
            format!("one for {invocations}")
        };
        let _ = writeln!(
            page,
            "| {each} | {:.1} M | {size} | {sqs:.2} | {forwarder:.2} | {:.2} |",
            messages / 1e6,
            sqs + forwarder
        );
    }
    page.push_str(
        "
All in USD a month. Sent directly, none of this is paid, and a flush takes the time to the backend instead of that to SQS. The spans are alike here: many
of yours pack less well. `end` sends one message for each invocation; `continuous` and `adaptive` send one for several where they are frequent. Egress is paid
once, by the forwarder, for fewer and larger requests. Lambda polls an empty queue, too, for less than a million requests a month.
",
    );
    page
}

#[test]
fn the_page_says_what_comes_of_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cost.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, page()).expect("the source tree is writable when asked to update it");
    } else {
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page(), "docs/cost.md is out of date: UPDATE=1 writes it\n{}", page());
    }
}
