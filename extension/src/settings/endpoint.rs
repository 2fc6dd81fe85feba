//! The URL of a backend: understood, checked, and shown without what is secret in it.

use super::Receivers;

/// What becomes of the path of an endpoint.
#[derive(Clone, Copy)]
pub(super) enum UrlPath {
    /// It is a base: this is appended.
    Append(&'static str),
    /// It is a signal's own.
    AsItIs,
    /// gRPC: the path is the method.
    Method(&'static str),
}

/// The URL for a signal.
///
/// # Errors
/// With the reason, without the value: it may be a secret.
///
/// # Source
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp>
pub(super) fn url(text: &str, path: UrlPath, receivers: &Receivers) -> Result<String, String> {
    // Marks that a file of variables or a template has left around it, as around a header.
    let text = wire::key_values::unquoted(text.trim());
    // A browser's part, which no server is sent.
    let text = text.split('#').next().unwrap_or_default();
    let uri: http::Uri = text.parse().map_err(|_| "not a URL")?;
    let authority = uri.authority().filter(|_| matches!(uri.scheme_str(), Some("http" | "https")));
    let (Some(authority), Some(scheme)) = (authority, uri.scheme_str()) else {
        return Err("not an http:// or https:// URL".into());
    };
    if authority.host().is_empty() {
        return Err("the URL has no host".into());
    }
    let after_host = authority.as_str().rsplit_once(authority.host()).map_or("", |(_, rest)| rest);
    let port = match after_host.strip_prefix(':') {
        None => {
            if scheme == "https" {
                443
            } else {
                80
            }
        }
        Some(port) => {
            port.parse().ok().filter(|port| *port != 0).ok_or("the port is not a number from 1 to 65535")?
        }
    };
    let mut own = receivers.http.iter().chain(&receivers.grpc);
    if own.any(|own| own.port() == port) && is_here(authority.host()) {
        return Err("it is Prefreeze's own address: data would go round in a circle".into());
    }
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let base = uri.path().trim_end_matches('/');
    // Pages of backends show the URL of one signal, and it is often given as that of all.
    let of_signal = ["/v1/traces", "/v1/metrics", "/v1/logs"];
    let base = of_signal.iter().find_map(|path| base.strip_suffix(path)).unwrap_or(base);
    Ok(match path {
        UrlPath::Append(path) => format!("{scheme}://{authority}{base}/{path}{query}"),
        UrlPath::AsItIs => format!("{scheme}://{authority}{}{query}", uri.path()),
        UrlPath::Method(path) => format!("{scheme}://{authority}{path}"),
    })
}

/// Whether a name leads to this environment. Other spellings of it are found out by what arrives: see `intake`.
pub(super) fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback =
        host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified());
    let names = ["localhost", "sandbox", "sandbox.localdomain"];
    is_loopback || names.iter().any(|name| name.eq_ignore_ascii_case(host.trim_end_matches('.')))
}

/// A URL for people: a user's name and password, a query, and words of a path that nobody would think of may be secrets.
pub(super) fn shown(url: &str) -> String {
    let (url, query) = match url.split_once('?') {
        Some((url, _)) => (url, "?…"),
        None => (url, ""),
    };
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let word = |word| if may_be_token(word) { "…" } else { word };
    let path = path.split('/').map(word).collect::<Vec<_>>().join("/");
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}…@{host}{path}{query}"),
        None => format!("{scheme}{authority}{path}{query}"),
    }
}

/// Whether a word of a path reads like a token, as some backends have them in their endpoints: a long run of letters and
/// digits in one, or nothing but hex.
fn may_be_token(word: &str) -> bool {
    const RUN_MIN: usize = 16;
    const HEX_MIN: usize = 32;
    let is_mixed = |run: &str| {
        run.bytes().any(|byte| byte.is_ascii_digit()) && run.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    let mut runs = word.split(['-', '_', '.', '~']);
    let is_hex = || word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    runs.any(|run| run.len() >= RUN_MIN && is_mixed(run)) || word.len() >= HEX_MIN && is_hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_in_a_url_is_not_shown() {
        let rows = [
            ("http://c:4318", "http://c:4318"),
            ("https://user:pa:ss@c/x?token=abc#d", "https://…@c/x?…"),
            ("https://us@er@c", "https://…@c"),
            ("user:pass@proxy:3128", "…@proxy:3128"),
            ("https://c/a@b", "https://c/a@b"),
            (
                "https://c/receiver/v1/otlp/ZaVnC4dhaV1Zq8ea==/v1/traces",
                "https://c/receiver/v1/otlp/…/v1/traces",
            ),
            ("https://c/0f8fad5b-d9cb-469f-a165-70867728950e/v1/traces", "https://c/…/v1/traces"),
            (
                "https://c/otlp-ingest-prod-01/opentelemetry/v1/traces",
                "https://c/otlp-ingest-prod-01/opentelemetry/v1/traces",
            ),
            ("", ""),
        ];
        for (url, expected) in rows {
            assert_eq!(shown(url), expected, "{url}");
        }
    }
}
