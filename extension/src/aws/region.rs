//! Regions, and the hosts of CloudWatch in them.
//!
//! # Sources
//! Partitions and their domains: `partitions.json` of AWS's SDKs, November 2026. The three hosts:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html>.

use policy::Signal;

use super::Scope;

/// The regions of one partition, by what their names begin with, and the domains of their hosts.
struct Partition {
    begins: &'static [&'static str],
    domain: &'static str,
    /// Of hosts that have addresses of IPv6, too; `None` where none is known.
    dual_stack: Option<&'static str>,
}

const fn partition(
    begins: &'static [&'static str],
    domain: &'static str,
    dual_stack: Option<&'static str>,
) -> Partition {
    Partition { begins, domain, dual_stack }
}

/// The first that fits; any other region is of the last.
const PARTITIONS: [Partition; 7] = [
    partition(&["cn-"], "amazonaws.com.cn", Some("api.amazonwebservices.com.cn")),
    partition(&["eusc-"], "amazonaws.eu", Some("api.amazonwebservices.eu")),
    partition(&["us-iso-"], "c2s.ic.gov", None),
    partition(&["us-isob-"], "sc2s.sgov.gov", None),
    partition(&["eu-isoe-"], "cloud.adc-e.uk", None),
    partition(&["us-isof-"], "csp.hci.ic.gov", None),
    partition(&[""], "amazonaws.com", Some("api.aws")),
];

/// What the names of AWS's own hosts in a region end in, behind the region.
pub const DOMAINS: [&str; 14] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "api.amazonwebservices.com.cn",
    "api.amazonwebservices.eu",
    "vpce.amazonaws.com",
    "vpce.amazonaws.com.cn",
    "vpce.amazonaws.eu",
    "on.aws",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

fn partition_of(region: &str) -> &'static Partition {
    let fits = |partition: &&Partition| partition.begins.iter().any(|begin| region.starts_with(begin));
    PARTITIONS.iter().find(fits).unwrap_or(&PARTITIONS[PARTITIONS.len() - 1])
}

/// The domain of the hosts of `region`.
pub fn domain_of(region: &str) -> &'static str {
    partition_of(region).domain
}

/// Whether this may be a region: `ap-south-1`, `us-gov-west-1`, `eusc-de-east-1`.
pub fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = parts.split_last() else { return false };
    words.len() >= 2
        && (words[0].len() == 2 || words[0] == "eusc")
        && words.iter().all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Which of its names a host of AWS's is asked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// By one whose cryptography is validated by FIPS 140.
    pub fips: bool,
    /// By one with addresses of IPv6, too.
    pub dual_stack: bool,
}

/// CloudWatch's endpoints for OTLP.
pub struct CloudWatch;

impl CloudWatch {
    /// The name of its service for `signal`, which is that of its host and in signatures.
    pub const fn service(signal: Signal) -> &'static str {
        match signal {
            Signal::Traces => "xray",
            Signal::Metrics => "monitoring",
            Signal::Logs => "logs",
        }
    }

    /// The URL for `signal` in `region`.
    pub fn url(signal: Signal, region: &str, names: Names) -> String {
        let path = match signal {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        };
        format!("https://{}/v1/{path}", host_of(Self::service(signal), region, names))
    }

    /// The service and the region that `host` is of, where it is one of CloudWatch's.
    pub fn scope(host: &str) -> Option<Scope> {
        scope_of(host, &Signal::ALL.map(Self::service))
    }
}

/// The host of `service` in `region`.
///
/// Where its partition has no names for dual stack, or `us-gov-` no name of its own for FIPS, the usual one is it.
pub(super) fn host_of(service: &str, region: &str, names: Names) -> String {
    let partition = partition_of(region);
    let domain = partition.dual_stack.filter(|_| names.dual_stack).unwrap_or(partition.domain);
    // The hosts of the other services in GovCloud are validated, and have no other name.
    let has_name = !region.starts_with("us-gov-") || service == "xray";
    let fips = if names.fips && has_name { "-fips" } else { "" };
    format!("{service}{fips}.{region}.{domain}")
}

/// The service and the region that `host` is of, where it is one of these `services`: by its usual name, by those for FIPS and
/// dual stack, or by that of an endpoint of a VPC.
pub(super) fn scope_of(host: &str, services: &[&str]) -> Option<Scope> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let labels: Vec<&str> = host.split('.').collect();
    let at = match labels.first() {
        Some(first) if first.starts_with("vpce-") => 1,
        _ => 0,
    };
    let (label, region) = (labels.get(at)?, labels.get(at + 1)?);
    let service = label.strip_suffix("-fips").unwrap_or(label);
    let domain = labels[at + 2..].join(".");
    let partition = partition_of(region);
    let is_of_region = if at == 1 {
        domain.strip_prefix("vpce.") == Some(partition.domain)
    } else {
        domain == partition.domain || Some(domain.as_str()) == partition.dual_stack
    };
    (services.contains(&service) && is_region(region) && is_of_region)
        .then(|| Scope { service: service.to_owned(), region: (*region).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_told_from_other_words() {
        for (text, is_it) in [
            ("ap-south-1", true),
            ("us-gov-west-1", true),
            ("eusc-de-east-1", true),
            ("us-iso-east-1", true),
            ("mx-central-1", true),
            ("us-east-12", true),
            ("us-east-123", false),
            ("us-east", false),
            ("use-east-1", false),
            ("eu-1", false),
            ("EU-west-1", false),
            ("eu-west-a", false),
            ("eu--1", false),
            ("", false),
        ] {
            assert_eq!(is_region(text), is_it, "{text}");
        }
    }

    #[test]
    fn the_hosts_of_each_region_are_known_by_every_name() {
        let (fips, dual) =
            (Names { fips: true, ..Names::default() }, Names { dual_stack: true, ..Names::default() });
        let both = Names { fips: true, dual_stack: true };
        for (signal, region, names, url) in [
            (Signal::Traces, "eu-west-1", Names::default(), "https://xray.eu-west-1.amazonaws.com/v1/traces"),
            (
                Signal::Metrics,
                "us-east-1",
                fips,
                "https://monitoring-fips.us-east-1.amazonaws.com/v1/metrics",
            ),
            (Signal::Logs, "ap-south-1", dual, "https://logs.ap-south-1.api.aws/v1/logs"),
            (Signal::Logs, "ap-south-1", both, "https://logs-fips.ap-south-1.api.aws/v1/logs"),
            (
                Signal::Traces,
                "cn-north-1",
                Names::default(),
                "https://xray.cn-north-1.amazonaws.com.cn/v1/traces",
            ),
            (
                Signal::Traces,
                "cn-north-1",
                dual,
                "https://xray.cn-north-1.api.amazonwebservices.com.cn/v1/traces",
            ),
            (
                Signal::Traces,
                "eusc-de-east-1",
                dual,
                "https://xray.eusc-de-east-1.api.amazonwebservices.eu/v1/traces",
            ),
            (
                Signal::Traces,
                "us-gov-west-1",
                fips,
                "https://xray-fips.us-gov-west-1.amazonaws.com/v1/traces",
            ),
            (Signal::Logs, "us-gov-west-1", fips, "https://logs.us-gov-west-1.amazonaws.com/v1/logs"),
            (Signal::Logs, "us-isob-east-1", dual, "https://logs.us-isob-east-1.sc2s.sgov.gov/v1/logs"),
        ] {
            assert_eq!(CloudWatch::url(signal, region, names), url);
            let host = url.trim_start_matches("https://").split('/').next().unwrap_or_default();
            let scope = CloudWatch::scope(host).unwrap_or_else(|| panic!("{host} is CloudWatch's"));
            assert_eq!((&*scope.service, &*scope.region), (CloudWatch::service(signal), region), "{host}");
        }
    }

    #[test]
    fn only_its_own_hosts_are_signed_for() {
        for (host, scope) in [
            ("vpce-0a1b-c2d3.logs.eu-west-1.vpce.amazonaws.com", Some(("logs", "eu-west-1"))),
            ("vpce-0a1b-eu-west-1a.xray.eu-west-1.vpce.amazonaws.com.", Some(("xray", "eu-west-1"))),
            ("XRAY.EU-WEST-1.amazonaws.com", Some(("xray", "eu-west-1"))),
            ("vpce-0a1b.logs.eu-west-1.amazonaws.com", None),
            ("logs.eu-west-1.vpce.amazonaws.com", None),
            ("sqs.eu-west-1.amazonaws.com", None),
            ("logs.eu-west-1.amazonaws.com.cn", None),
            ("logs.eu-west-1.amazonaws.com.example.org", None),
            ("logs.example.amazonaws.com", None),
            ("logs.eu-west-1", None),
            ("vpce-0a1b", None),
            ("xray", None),
            ("", None),
        ] {
            let found = CloudWatch::scope(host);
            let found = found.as_ref().map(|scope| (&*scope.service, &*scope.region));
            assert_eq!(found, scope, "{host}");
        }
    }
}
