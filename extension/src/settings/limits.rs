//! What known backends take in one request, told by their host: cut before it is sent, nothing is refused for its size.
//!
//! # Sources
//! Read in November 2026. CloudWatch: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html>.
//! New Relic: <https://docs.newrelic.com/docs/opentelemetry/best-practices/opentelemetry-otlp/>. Datadog:
//! <https://docs.datadoghq.com/opentelemetry/setup/otlp_ingest/>. Dynatrace:
//! <https://docs.dynatrace.com/docs/ingest-from/opentelemetry/otlp-api>. Coralogix:
//! <https://coralogix.com/docs/opentelemetry/>. Honeycomb: `husky`, the library that reads its requests.

use policy::{RequestLimit, RequestLimits, Signal};

const MB: usize = 1_000_000;

/// One row: which hosts, and what they take of traces, metrics and logs.
struct Known {
    is_it: fn(&str) -> bool,
    limits: RequestLimits,
}

const fn bytes(bytes: usize) -> RequestLimit {
    RequestLimit { bytes, ..RequestLimit::NONE }
}

const fn all(bytes: usize) -> RequestLimits {
    [RequestLimit { bytes, ..RequestLimit::NONE }; Signal::ALL.len()]
}

/// CloudWatch counts 26 bytes for a log record beside its text.
const RECORDS: usize = 10_000;

const KNOWN: [Known; 6] = [
    Known {
        is_it: is_aws,
        limits: [
            RequestLimit { items: 10_000, ..bytes(5 * MB) },
            RequestLimit { items: 1_000, ..bytes(MB) },
            RequestLimit { items: RECORDS, ..bytes((1 << 20) - 26 * RECORDS) },
        ],
    },
    Known { is_it: |host| host.ends_with(".nr-data.net"), limits: all(MB) },
    Known {
        is_it: |host| {
            host.starts_with("otlp.") && (host.contains("datadoghq.") || host.contains("ddog-gov."))
        },
        // Of metrics half a megabyte where they are not packed.
        limits: [bytes(3_200_000), bytes(MB / 2), RequestLimit::NONE],
    },
    Known {
        is_it: |host| host.ends_with(".dynatrace.com"),
        limits: [bytes(8 * MB), bytes(4 * MB), bytes(2 * MB)],
    },
    Known { is_it: |host| host.ends_with(".coralogix.com"), limits: all(2 * MB) },
    Known { is_it: |host| host.ends_with(".honeycomb.io"), limits: all(20 << 20) },
];

/// One of CloudWatch's three hosts, in any region and partition, by dual stack, FIPS or an endpoint of a VPC.
fn is_aws(host: &str) -> bool {
    let is_of_aws = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|end| host.ends_with(end));
    is_of_aws
        && host.split('.').any(|label| {
            matches!(label.strip_suffix("-fips").unwrap_or(label), "xray" | "monitoring" | "logs")
        })
}

/// What the host of `url` takes of `signal` in one request.
pub(super) fn of(url: &str, signal: Signal) -> RequestLimit {
    let uri: Option<http::Uri> = url.parse().ok();
    let host = uri.and_then(|uri| uri.host().map(|host| host.trim_end_matches('.').to_ascii_lowercase()));
    let known = host.and_then(|host| KNOWN.iter().find(|known| (known.is_it)(&host)));
    known.map_or(RequestLimit::NONE, |known| known.limits[signal as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number as people read it.
    fn shown(number: usize) -> String {
        let text = number.to_string();
        let groups: Vec<_> = text.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
        groups.join(",")
    }

    #[test]
    fn the_page_has_them_all() {
        const NAMES: [&str; KNOWN.len()] =
            ["CloudWatch", "New Relic", "Datadog", "Dynatrace", "Coralogix", "Honeycomb"];
        let page = include_str!("../../../docs/limits.md");
        for (name, Known { limits, .. }) in NAMES.iter().zip(KNOWN) {
            let cell = |limit: &RequestLimit| match (limit.bytes, limit.items) {
                (usize::MAX, _) => "–".to_owned(),
                (bytes, usize::MAX) => shown(bytes),
                (bytes, items) => format!("{}, {} of them", shown(bytes), shown(items)),
            };
            let row = format!("| {name} | {} |", limits.each_ref().map(cell).join(" | "));
            assert!(page.contains(&row), "docs/limits.md lacks: {row}");
        }
    }

    #[test]
    fn known_hosts_have_their_limits() {
        let none = RequestLimit::NONE;
        let rows = [
            ("https://xray.eu-west-1.amazonaws.com/v1/traces", Signal::Traces, (5_000_000, 10_000)),
            ("https://monitoring.us-east-1.amazonaws.com/v1/metrics", Signal::Metrics, (1_000_000, 1_000)),
            ("https://logs.cn-north-1.amazonaws.com.cn/v1/logs", Signal::Logs, (788_576, 10_000)),
            ("https://logs-fips.us-east-1.api.aws/v1/logs", Signal::Logs, (788_576, 10_000)),
            ("https://vpce-1.xray.us-east-1.vpce.amazonaws.com/", Signal::Traces, (5_000_000, 10_000)),
            ("https://otlp.eu01.nr-data.net:4318/v1/logs", Signal::Logs, (1_000_000, none.items)),
            ("https://otlp.datadoghq.eu/v1/traces", Signal::Traces, (3_200_000, none.items)),
            ("https://OTLP.us5.datadoghq.com/v1/metrics", Signal::Metrics, (500_000, none.items)),
            ("https://abc.live.dynatrace.com/api/v2/otlp", Signal::Logs, (2_000_000, none.items)),
            ("https://ingress.ap1.coralogix.com/", Signal::Traces, (2_000_000, none.items)),
            ("https://api.eu1.honeycomb.io/v1/traces", Signal::Traces, (20_971_520, none.items)),
            ("https://api.amazonaws.com/v1/traces", Signal::Traces, (none.bytes, none.items)),
            ("https://xray.example.com/v1/traces", Signal::Traces, (none.bytes, none.items)),
            ("https://collector:4318/v1/traces", Signal::Traces, (none.bytes, none.items)),
            ("no URL", Signal::Traces, (none.bytes, none.items)),
        ];
        for (url, signal, (bytes, items)) in rows {
            assert_eq!(of(url, signal), RequestLimit { bytes, items, ..RequestLimit::NONE }, "{url}");
        }
    }
}
