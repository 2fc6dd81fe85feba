//! Which requests go through a proxy: as curl and the HTTP client have it, and what they get wrong said here.

use hyper_util::client::proxy::matcher::Matcher;

use super::{Protocol, Reader, endpoint};

/// The variables that name hosts which need no proxy.
pub(super) const EXCEPTED: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// How requests to a backend get there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// Whether the proxies that the environment names are passed by.
    pub(super) is_direct: bool,
    /// The proxy's host and port, where one is used.
    pub(super) proxy: Option<String>,
}

impl Reader {
    /// The way to `url`.
    ///
    /// Shape: what is in this environment is met directly, whatever `NO_PROXY` says: no proxy could reach it. gRPC without
    /// TLS is HTTP/2 from the first byte, which no HTTP proxy passes on: it is sent directly, and a problem says so.
    pub(super) fn way_to(&mut self, setting: &str, url: &str, protocol: Protocol) -> Way {
        let uri: http::Uri = url.parse().unwrap_or_default();
        if endpoint::is_here(uri.host().unwrap_or_default()) {
            return Way { is_direct: true, proxy: None };
        }
        let Some(intercept) = self.proxies().intercept(&uri) else { return Way::default() };
        if protocol == Protocol::Grpc && uri.scheme_str() == Some("http") {
            let reason = "gRPC without TLS cannot pass an HTTP proxy: it is sent directly; use https://, or name the host in NO_PROXY";
            self.problem(setting, reason);
            return Way { is_direct: true, proxy: None };
        }
        Way {
            is_direct: false,
            proxy: intercept.uri().authority().map(|authority| endpoint::shown(authority.as_str())),
        }
    }

    /// As the HTTP client reads the same variables.
    fn proxies(&self) -> Matcher {
        let first =
            |names: [&str; 2]| names.iter().find_map(|name| self.get(name)).unwrap_or_default().to_owned();
        Matcher::builder()
            .http(first(["HTTP_PROXY", "http_proxy"]))
            .https(first(["HTTPS_PROXY", "https_proxy"]))
            .all(first(["ALL_PROXY", "all_proxy"]))
            .no(first(EXCEPTED))
            .build()
    }
}
