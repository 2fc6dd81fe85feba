//! Which hosts data may go to: a list that every destination, and every proxy on the way, must be on.

use policy::Signal;

use super::{Destination, Problem, Reader, Vaults};
use crate::aws::{DOMAINS, is_region};

const ALLOWED: &str = "PREFREEZE_ALLOWED_HOSTS";

/// The variables that name a proxy, as curl and most HTTP clients have them.
pub(super) const PROXIES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// The hosts that data may go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hosts {
    /// Whole names and addresses, in small letters.
    names: Vec<String>,
    /// Endings, each with its first dot.
    endings: Vec<String>,
}

impl Hosts {
    /// Whether `host` is on the list. A name is compared as a name: where it leads is not known here.
    pub(super) fn allow(&self, host: &str) -> bool {
        let host = plain(host);
        self.names.contains(&host) || self.endings.iter().any(|ending| host.ends_with(ending))
    }

    fn add(&mut self, item: &str) -> Result<(), &'static str> {
        let item = plain(item);
        let ending = item.strip_prefix("*.").or_else(|| item.strip_prefix('.'));
        let name = ending.unwrap_or(&item);
        let is_address = item.parse::<std::net::IpAddr>().is_ok();
        let is_name = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        if !is_name && !is_address {
            return Err("neither a host without a port, an ending such as .example.com, nor an AWS region");
        }
        match ending {
            Some(ending) => self.endings.push(format!(".{ending}")),
            None if is_region(&item) => {
                self.endings.extend(DOMAINS.map(|domain| format!(".{item}.{domain}")));
            }
            None => self.names.push(item),
        }
        Ok(())
    }
}

/// In small letters, without the brackets of an IPv6 address and the dot that may end a name.
fn plain(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

impl Reader {
    /// The hosts that data may go to; `None` where all may. An item that is wrong allows nothing: so does a list
    /// in which none is right.
    pub(super) fn allowed_hosts(&mut self) -> Option<Hosts> {
        let text = self.get(ALLOWED)?.to_owned();
        let mut hosts = Hosts { names: Vec::new(), endings: Vec::new() };
        for (index, item) in text.split(',').map(str::trim).enumerate().filter(|(_, item)| !item.is_empty()) {
            if let Err(why) = hosts.add(item) {
                self.problem(ALLOWED, format!("item {}: {why}", index + 1));
            }
        }
        Some(hosts)
    }

    /// Takes away the destinations that data may not go to, and the proxies on the way to the others; both are said.
    pub(super) fn keep_within(
        &mut self,
        hosts: Option<&Hosts>,
        vaults: &Vaults,
        destinations: [Option<Destination>; Signal::ALL.len()],
    ) -> [Option<Destination>; Signal::ALL.len()] {
        let Some(hosts) = hosts else { return destinations };
        let is_direct = self.must_go_directly(hosts);
        let mut signals = Signal::ALL.into_iter();
        destinations.map(|destination| {
            let signal = signals.next().expect("there is a destination for each signal");
            let destination = destination?;
            let host = |url: &str| url.parse::<http::Uri>().ok()?.host().map(str::to_owned);
            let mut asked =
                destination.secrets.iter().filter_map(|secret| host(&vaults.url(&secret.reference)));
            if let Some(strange) = asked.find(|host| !hosts.allow(host)) {
                let variable = self.form("PREFREEZE_EXPORTER_OTLP_HEADERS", signal);
                let what = "a secret would be read there, and without it all data is dropped and counted";
                self.refuse(&variable, format!("{strange} is not in {ALLOWED}; {what}"));
                return None;
            }
            drop(asked);
            let host = host(&destination.url).unwrap_or_default();
            if hosts.allow(&host) {
                let is_direct = is_direct || destination.is_direct;
                let proxy = destination.proxy.filter(|_| !is_direct);
                return Some(Destination { is_direct, proxy, ..destination });
            }
            let variable = self.form("PREFREEZE_EXPORTER_OTLP_ENDPOINT", signal);
            self.refuse(
                &variable,
                format!("{host} is not in {ALLOWED}; what was to go there is dropped and counted"),
            );
            None
        })
    }

    /// Whether requests pass the proxies by that the environment names, because data may not go through one of them.
    pub(super) fn goes_directly(&mut self, hosts: Option<&Hosts>) -> bool {
        hosts.is_some_and(|hosts| self.must_go_directly(hosts))
    }

    /// Whether one of the proxies that the environment names is not on the list.
    fn must_go_directly(&mut self, hosts: &Hosts) -> bool {
        let is_strange = |url: &str| {
            let uri: Option<http::Uri> = url.parse().ok();
            // Most clients take `proxy:3128` for `http://proxy:3128`.
            let uri = uri.filter(|uri| uri.host().is_some()).or_else(|| format!("http://{url}").parse().ok());
            !uri.as_ref().and_then(http::Uri::host).is_some_and(|host| hosts.allow(host))
        };
        let strange: Vec<_> =
            PROXIES.into_iter().filter(|name| self.get(name).is_some_and(is_strange)).collect();
        for name in &strange {
            self.refuse(name, format!("this proxy is not in {ALLOWED}; none is used"));
        }
        !strange.is_empty()
    }

    pub(super) fn refuse(&mut self, name: &str, reason: String) {
        let refusal = Problem { name: name.to_owned(), reason };
        if !self.refused.contains(&refusal) {
            self.refused.push(refusal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(items: &[&str]) -> Hosts {
        let mut hosts = Hosts { names: Vec::new(), endings: Vec::new() };
        items.iter().for_each(|item| hosts.add(item).expect("an item"));
        hosts
    }

    #[test]
    fn hosts_endings_and_regions_are_told_apart() {
        let list = hosts(&[
            "otlp.example.in",
            ".corp.example.com",
            "*.in.example.org",
            "ap-south-1",
            "127.0.0.1",
            "[::1]",
        ]);
        let rows = [
            ("otlp.example.in", true),
            ("OTLP.Example.IN.", true),
            ("x.otlp.example.in", false),
            ("notlp.example.in", false),
            ("a.corp.example.com", true),
            ("corp.example.com", false),
            ("evilcorp.example.com", false),
            ("b.in.example.org", true),
            ("xray.ap-south-1.amazonaws.com", true),
            ("vpce-1.logs.ap-south-1.vpce.amazonaws.com", true),
            ("xray.us-east-1.amazonaws.com", false),
            ("ap-south-1.amazonaws.com.evil.org", false),
            ("xray-ap-south-1.amazonaws.com", false),
            ("127.0.0.1", true),
            ("[::1]", true),
            ("127.0.0.2", false),
            ("localhost", false),
            ("", false),
        ];
        for (host, expected) in rows {
            assert_eq!(list.allow(host), expected, "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let mut list = hosts(&[]);
        for item in ["https://a.io", "a.io:443", "a.io/x", "*", ".", "*.", "a b"] {
            assert!(list.add(item).is_err(), "{item}");
        }
        assert!(!list.allow("a.io"));
    }
}
