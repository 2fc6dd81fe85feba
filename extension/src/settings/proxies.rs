//! Which requests go through a proxy: as curl and the HTTP client have it, and what they get wrong said here.

use hyper_util::client::proxy::matcher::Matcher;

use super::{Protocol, Reader, endpoint};

/// The variables that name hosts which need no proxy.
pub(super) const EXCEPTED: [&str; 2] = ["NO_PROXY", "no_proxy"];

const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];

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
        if !self.is_proxy_usable(&uri) {
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

    /// Whether the proxy that is meant for `uri`, if any, can be used; a problem says why not.
    fn is_proxy_usable(&mut self, uri: &http::Uri) -> bool {
        let of_scheme = if uri.scheme_str() == Some("https") { HTTPS } else { HTTP };
        let Some((name, value)) =
            of_scheme.iter().chain(&ALL).find_map(|name| Some((*name, self.get(name)?.to_owned())))
        else {
            return true;
        };
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", &value));
        let parsed: Result<http::Uri, _> = format!("http://{rest}").parse();
        let is_host = parsed.is_ok_and(|uri| {
            let after_host = uri.authority().zip(uri.host()).and_then(|(authority, host)| {
                authority.as_str().rsplit_once(host).map(|(_, rest)| rest.trim_start_matches(':').to_owned())
            });
            uri.host().is_some_and(|host| !host.is_empty())
                && after_host.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_ok())
        });
        let reason = if !is_host {
            "not a host and port, such as http://proxy:3128; requests go directly"
        } else if !["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
            "only proxies for HTTP are known, not this scheme; requests go directly"
        } else {
            return true;
        };
        self.problem(name, reason);
        false
    }

    /// Whether a proxy for plain HTTP is named that SDKs may take for requests to us, too.
    pub(super) fn is_receiver_behind_proxy(&self) -> bool {
        let to_us = http::Uri::from_static("http://127.0.0.1:4318");
        self.proxies().intercept(&to_us).is_some()
    }

    /// As the HTTP client reads the same variables.
    fn proxies(&self) -> Matcher {
        let first =
            |names: [&str; 2]| names.iter().find_map(|name| self.get(name)).unwrap_or_default().to_owned();
        Matcher::builder().http(first(HTTP)).https(first(HTTPS)).all(first(ALL)).no(first(EXCEPTED)).build()
    }
}
