//! `PUT /2022-07-01/telemetry`: the body, its bounds, and what is wrong with it.

use std::time::Duration;

use serde::Deserialize;

use super::event::EventKind;
use crate::answer::ApiError;

/// The port the platform keeps for itself.
const FORBIDDEN_PORT: u16 = 9001;

/// A valid subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) schema: SchemaVersion,
    pub(crate) types: Vec<String>,
    pub(crate) buffering: Buffering,
    pub(crate) destination: Destination,
}

/// When a batch is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buffering {
    pub(crate) items_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) timeout: Duration,
}

/// Where batches go; the host, always the sandbox itself, is 127.0.0.1 here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A POST of a JSON array for each batch, acknowledged by 2xx.
    Http { authority: String, port: u16, path: String },
    /// One connection, one event per line, no acknowledgement.
    Tcp { port: u16 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "the versions are dates")]
pub(crate) enum SchemaVersion {
    V2022_07_01,
    V2022_12_13,
    V2025_01_29,
}

impl SchemaVersion {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "2022-07-01" => Some(Self::V2022_07_01),
            "2022-12-13" => Some(Self::V2022_12_13),
            "2025-01-29" => Some(Self::V2025_01_29),
            _ => None,
        }
    }

    pub(crate) fn is_known_to_managed_instances(self) -> bool {
        self == Self::V2025_01_29
    }

    pub(crate) fn has_object_records(self) -> bool {
        self != Self::V2022_07_01
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    schema_version: String,
    types: Vec<String>,
    buffering: Option<BufferingBody>,
    destination: DestinationBody,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BufferingBody {
    max_items: Option<u64>,
    max_bytes: Option<u64>,
    timeout_ms: Option<u64>,
}

#[derive(Deserialize)]
struct DestinationBody {
    protocol: String,
    #[serde(alias = "uri")]
    #[serde(rename = "URI")]
    uri: Option<String>,
    port: Option<u16>,
}

impl Subscription {
    /// # Errors
    /// [`ApiError::Validation`] names the field that is wrong.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let body: Body = serde_json::from_slice(body).map_err(|e| ApiError::Validation(e.to_string()))?;
        let schema = SchemaVersion::parse(&body.schema_version).ok_or_else(|| {
            ApiError::Validation(format!("schemaVersion {} is unknown", body.schema_version))
        })?;
        Ok(Self {
            schema,
            types: types(body.types)?,
            buffering: buffering(&body.buffering.unwrap_or_default())?,
            destination: destination(body.destination)?,
        })
    }

    pub(crate) fn wants(&self, kind: EventKind) -> bool {
        self.types.iter().any(|t| t == kind.stream())
    }
}

fn types(mut types: Vec<String>) -> Result<Vec<String>, ApiError> {
    if types.is_empty() {
        return Err(ApiError::Validation("types is empty".into()));
    }
    if let Some(unknown) = types.iter().find(|t| !matches!(t.as_str(), "platform" | "function" | "extension"))
    {
        return Err(ApiError::Validation(format!("types: {unknown} is unknown")));
    }
    types.dedup();
    Ok(types)
}

fn buffering(body: &BufferingBody) -> Result<Buffering, ApiError> {
    let within = |name: &str, value: Option<u64>, default: u64, range: std::ops::RangeInclusive<u64>| {
        let value = value.unwrap_or(default);
        if range.contains(&value) {
            return Ok(usize::try_from(value).expect("the ranges fit 32 bits"));
        }
        let (low, high) = (range.start(), range.end());
        Err(ApiError::Validation(format!("buffering.{name} must be {low} to {high}, not {value}")))
    };
    Ok(Buffering {
        items_max: within("maxItems", body.max_items, 10_000, 1_000..=10_000)?,
        bytes_max: within("maxBytes", body.max_bytes, 262_144, 262_144..=1_048_576)?,
        timeout: Duration::from_millis(within("timeoutMs", body.timeout_ms, 1_000, 25..=30_000)? as u64),
    })
}

fn destination(body: DestinationBody) -> Result<Destination, ApiError> {
    let wrong = |why: &str| ApiError::Validation(format!("destination: {why}"));
    let destination = match body.protocol.to_ascii_uppercase().as_str() {
        "HTTP" => http_destination(&body.uri.ok_or_else(|| wrong("URI is missing"))?)?,
        "TCP" => Destination::Tcp { port: body.port.ok_or_else(|| wrong("port is missing"))? },
        _ => return Err(wrong("protocol must be HTTP or TCP")),
    };
    match &destination {
        Destination::Http { port, .. } | Destination::Tcp { port } if *port == FORBIDDEN_PORT => {
            Err(wrong("port 9001 is reserved"))
        }
        _ => Ok(destination),
    }
}

fn http_destination(uri: &str) -> Result<Destination, ApiError> {
    let wrong = |why: &str| ApiError::Validation(format!("destination.URI: {why}"));
    let uri: http::Uri = uri.parse().map_err(|_| wrong("not a URI"))?;
    if uri.scheme_str() != Some("http") {
        return Err(wrong("the scheme must be http"));
    }
    if !matches!(uri.host(), Some("sandbox.localdomain" | "sandbox")) {
        return Err(wrong("the host must be sandbox.localdomain or sandbox"));
    }
    let authority = uri.authority().expect("a URI with a host has an authority").to_string();
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    Ok(Destination::Http { authority, port: uri.port_u16().unwrap_or(80), path })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn valid() -> Value {
        json!({"schemaVersion": "2022-12-13", "types": ["platform"],
               "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4323/t?x=1"}})
    }

    fn check(change: impl FnOnce(&mut Value), verdict: Result<(), &str>) {
        let mut body = valid();
        change(&mut body);
        match (Subscription::parse(body.to_string().as_bytes()), verdict) {
            (Ok(_), Ok(())) => {}
            (Err(ApiError::Validation(why)), Err(part)) if why.contains(part) => {}
            (got, wanted) => panic!("{body}: got {got:?}, wanted {wanted:?}"),
        }
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let subscription = Subscription::parse(valid().to_string().as_bytes()).unwrap();
        let buffering =
            Buffering { items_max: 10_000, bytes_max: 262_144, timeout: Duration::from_millis(1_000) };
        assert_eq!(subscription.buffering, buffering);
        let authority = "sandbox.localdomain:4323".to_owned();
        assert_eq!(
            subscription.destination,
            Destination::Http { authority, port: 4323, path: "/t?x=1".into() }
        );
    }

    #[test]
    fn bounds_are_validated() {
        let buffering =
            |name: &'static str, value: u64| move |b: &mut Value| b["buffering"] = json!({name: value});
        check(buffering("maxItems", 1_000), Ok(()));
        check(buffering("maxItems", 999), Err("maxItems"));
        check(buffering("maxItems", 10_001), Err("maxItems"));
        check(buffering("maxBytes", 1_048_576), Ok(()));
        check(buffering("maxBytes", 262_143), Err("maxBytes"));
        check(buffering("timeoutMs", 25), Ok(()));
        check(buffering("timeoutMs", 24), Err("timeoutMs"));
        check(buffering("timeoutMs", 30_001), Err("timeoutMs"));
    }

    #[test]
    fn versions_types_and_destinations_are_validated() {
        check(|b| b["schemaVersion"] = json!("2025-01-29"), Ok(()));
        check(|b| b["schemaVersion"] = json!("1999-01-01"), Err("schemaVersion"));
        check(|b| b["types"] = json!([]), Err("types"));
        check(|b| b["types"] = json!(["platform", "metrics"]), Err("metrics"));
        check(|b| b["destination"] = json!({"protocol": "TCP", "port": 4323}), Ok(()));
        check(|b| b["destination"] = json!({"protocol": "TCP"}), Err("port"));
        check(|b| b["destination"] = json!({"protocol": "UDP", "port": 1}), Err("protocol"));
        for (uri, verdict) in [
            ("http://sandbox:1234", Ok(())),
            ("http://sandbox.localdomain:9001", Err("9001")),
            ("http://localhost:1234", Err("host")),
            ("https://sandbox:1234", Err("scheme")),
        ] {
            check(|b| b["destination"]["URI"] = json!(uri), verdict);
        }
    }
}
