//! What a request means by its path and headers: taken by its intent where that is plain, for a setting of an SDK that is
//! a little wrong must not cost every span.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName};
use policy::Signal;

use super::body::{Format, Packing};

/// How our own exports begin to name their client: see `exporter`.
const OURSELVES: &str = "prefreeze/";

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To take telemetry.
    Export(Signal),
    /// To take note of spans that have begun.
    Started,
    /// To flush.
    Flush,
}

/// What `path` asks for.
///
/// Shape: its last two words count. SDKs append `v1/traces` to whatever they are told is the endpoint, so that a slash too
/// many, a prefix, or the whole path once more stand before it.
pub(super) fn asked(path: &str) -> Option<Asked> {
    let mut words = path.rsplit('/').filter(|word| !word.is_empty());
    let (last, version) = (words.next()?, words.next()?);
    match (version, last) {
        ("v1", "traces") => Some(Asked::Export(Signal::Traces)),
        ("v1", "metrics") => Some(Asked::Export(Signal::Metrics)),
        ("v1", "logs") => Some(Asked::Export(Signal::Logs)),
        ("v1", "started") => Some(Asked::Started),
        ("v1", "flush") => Some(Asked::Flush),
        _ => None,
    }
}

/// How the body is written; `Err` has the type that is not understood. `Ok(None)` where nothing says, or what says means
/// nothing: the body itself tells then.
pub(super) fn format_of(headers: &HeaderMap) -> Result<Option<Format>, &str> {
    let Some(value) = text(headers, CONTENT_TYPE) else { return Ok(None) };
    let media_type = value.split(';').next().unwrap_or_default().trim();
    let is = |known: &str| media_type.eq_ignore_ascii_case(known);
    if is("application/x-protobuf") || is("application/protobuf") || is("application/vnd.google.protobuf") {
        Ok(Some(Format::Protobuf))
    } else if is("application/json") || is("text/json") {
        Ok(Some(Format::Json))
    } else if is("") || is("text/plain") || is("application/octet-stream") {
        Ok(None)
    } else {
        Err(media_type)
    }
}

/// How a body is written whose sender does not say: no message of OTLP begins with a brace.
pub(super) fn format_by_look(body: &[u8]) -> Format {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if text.trim_ascii_start().first() == Some(&b'{') { Format::Json } else { Format::Protobuf }
}

/// How the body is packed; `Err` has the name that is not understood.
pub(super) fn packing_of(headers: &HeaderMap) -> Result<Packing, &str> {
    let name = text(headers, CONTENT_ENCODING).unwrap_or_default();
    Packing::named(name).ok_or(name)
}

/// Whether a request is an export of our own that has come back: the endpoint is one of our addresses, by whatever name.
pub(super) fn is_from_ourselves(headers: &HeaderMap) -> bool {
    text(headers, USER_AGENT).is_some_and(|agent| agent.starts_with(OURSELVES))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("not ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("a value"))])
    }

    #[test]
    fn paths_are_taken_by_their_intent() {
        let traces = Some(Asked::Export(Signal::Traces));
        let rows = [
            ("/v1/traces", traces),
            ("/v1/traces/", traces),
            ("//v1/traces", traces),
            ("/v1//traces", traces),
            ("/v1/traces/v1/traces", traces),
            ("/otlp/v1/traces", traces),
            ("/v1/traces/v1/metrics", Some(Asked::Export(Signal::Metrics))),
            ("/v1/logs", Some(Asked::Export(Signal::Logs))),
            ("/v1/started/", Some(Asked::Started)),
            ("/v1/flush", Some(Asked::Flush)),
            ("/v2/traces", None),
            ("/traces", None),
            ("/v1/spans", None),
            ("/api/v2/spans", None),
            ("/", None),
            ("", None),
        ];
        for (path, expected) in rows {
            assert_eq!(asked(path), expected, "{path:?}");
        }
    }

    #[test]
    fn content_types_are_taken_by_their_intent() {
        let rows = [
            ("application/x-protobuf", Ok(Some(Format::Protobuf))),
            ("application/protobuf", Ok(Some(Format::Protobuf))),
            ("Application/X-Protobuf; proto=x", Ok(Some(Format::Protobuf))),
            ("application/json; charset=utf-8", Ok(Some(Format::Json))),
            ("text/json", Ok(Some(Format::Json))),
            ("text/plain;charset=UTF-8", Ok(None)),
            ("application/octet-stream", Ok(None)),
            ("", Ok(None)),
            ("application/xml", Err("application/xml")),
        ];
        for (value, expected) in rows {
            assert_eq!(format_of(&headers(CONTENT_TYPE, value)), expected, "{value:?}");
        }
        assert_eq!(format_of(&HeaderMap::new()), Ok(None));
        assert_eq!(format_by_look(b" \n{}"), Format::Json);
        assert_eq!(format_by_look(b"\xef\xbb\xbf{}"), Format::Json);
        assert_eq!(format_by_look(&[0x0a, 0x02]), Format::Protobuf);
        assert_eq!(format_by_look(b""), Format::Protobuf);
    }

    #[test]
    fn only_our_own_exports_are_from_ourselves() {
        for (agent, expected) in
            [("prefreeze/0.1.0", true), ("OTel-OTLP-Exporter-Python/1.2", false), ("", false)]
        {
            assert_eq!(is_from_ourselves(&headers(USER_AGENT, agent)), expected, "{agent:?}");
        }
        assert!(!is_from_ourselves(&HeaderMap::new()));
    }
}
