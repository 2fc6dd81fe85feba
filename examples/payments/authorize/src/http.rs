//! An HTTP API event (payload format 2.0) in, its answer out, and the SERVER span between them.
//!
//! `aws_lambda_events` has complete types; these are the fields that this function reads.

use std::collections::HashMap;

use opentelemetry::{
    KeyValue, Value,
    trace::{SpanBuilder, SpanKind, SpanRef},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::payment::{Payment, Refusal};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Request {
    /// `POST /payments`, or `$default`.
    pub(crate) route_key: String,
    pub(crate) raw_path: String,
    /// Names are lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) request_context: RequestContext,
    pub(crate) body: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RequestContext {
    domain_name: Option<String>,
    http: Http,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Http {
    method: String,
    protocol: String,
    source_ip: Option<String>,
    user_agent: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    status_code: u16,
    headers: HashMap<&'static str, &'static str>,
    body: String,
}

impl Request {
    /// The invocation's span: SERVER, named by method and route, so that its name has few values.
    pub(crate) fn span(&self) -> SpanBuilder {
        let name = self.route().map_or_else(|| self.method().to_owned(), |_| self.route_key.clone());
        SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(self.attributes())
    }

    fn method(&self) -> &str {
        &self.request_context.http.method
    }

    fn route(&self) -> Option<&str> {
        self.route_key.split_once(' ').map(|(_, route)| route)
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let context = &self.request_context;
        let scheme = self.headers.get("x-forwarded-proto").map_or("https", String::as_str);
        let optional = |key: &'static str, value: Option<&str>| {
            value.map(|value| KeyValue::new(key, Value::from(value.to_owned())))
        };
        let mut attributes = vec![
            KeyValue::new("faas.trigger", "http"),
            KeyValue::new("http.request.method", self.method().to_owned()),
            KeyValue::new("url.path", self.raw_path.clone()),
            KeyValue::new("url.scheme", scheme.to_owned()),
        ];
        attributes.extend(optional("http.route", self.route()));
        attributes.extend(optional("server.address", context.domain_name.as_deref()));
        attributes.extend(optional("client.address", context.http.source_ip.as_deref()));
        attributes.extend(optional("user_agent.original", context.http.user_agent.as_deref()));
        attributes.extend(optional("network.protocol.version", context.http.protocol.strip_prefix("HTTP/")));
        attributes
    }
}

impl Response {
    /// Puts the answer on the span. Only a 5xx is this server's error; a 4xx is the caller's affair.
    pub(crate) fn record(&self, span: &SpanRef<'_>) {
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(self.status_code)));
        if self.status_code >= 500 {
            telemetry::fail(span, self.status_code.to_string(), "");
        }
    }
}

impl From<&Result<Payment, Refusal>> for Response {
    fn from(answer: &Result<Payment, Refusal>) -> Self {
        let (status_code, body) = match answer {
            Ok(payment) => (202, json!({ "id": payment.id, "status": "authorized" })),
            Err(refusal) => (status_code(refusal), json!({ "error": refusal.to_string() })),
        };
        let headers = HashMap::from([("content-type", "application/json")]);
        Self { status_code, headers, body: body.to_string() }
    }
}

fn status_code(refusal: &Refusal) -> u16 {
    match refusal {
        Refusal::Invalid { .. } => 400,
        Refusal::Declined { .. } => 402,
        Refusal::Unavailable { .. } => 503,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{
        "version": "2.0", "routeKey": "POST /payments", "rawPath": "/payments", "rawQueryString": "",
        "headers": {"content-type": "application/json", "x-forwarded-proto": "https"},
        "requestContext": {
            "accountId": "123456789012", "apiId": "api", "domainName": "pay.example.com", "stage": "$default",
            "http": {"method": "POST", "path": "/payments", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7",
                     "userAgent": "curl/8"}
        },
        "body": "{}", "isBase64Encoded": false
    }"#;

    fn attribute(request: &Request, key: &str) -> Option<String> {
        request.attributes().into_iter().find(|a| a.key.as_str() == key).map(|a| a.value.to_string())
    }

    #[test]
    fn an_http_api_event_becomes_a_server_span() {
        let request: Request = serde_json::from_str(EVENT).expect("it is an event");
        let span = request.span();
        assert_eq!((span.name.as_ref(), span.span_kind), ("POST /payments", Some(SpanKind::Server)));
        assert_eq!(attribute(&request, "http.route").as_deref(), Some("/payments"));
        assert_eq!(attribute(&request, "server.address").as_deref(), Some("pay.example.com"));
        assert_eq!(attribute(&request, "network.protocol.version").as_deref(), Some("1.1"));
    }

    #[test]
    fn without_a_route_the_method_names_the_span() {
        let event = EVENT.replace("POST /payments", "$default");
        let request: Request = serde_json::from_str(&event).expect("it is an event");
        assert_eq!(request.span().name, "POST");
        assert_eq!(attribute(&request, "http.route"), None);
    }

    #[test]
    fn a_refusal_has_its_status() {
        let refuse = |refusal| Response::from(&Err(refusal)).status_code;
        assert_eq!(refuse(Refusal::Invalid { problem: String::new() }), 400);
        assert_eq!(refuse(Refusal::Declined { reason: String::new() }), 402);
        assert_eq!(refuse(Refusal::Unavailable { service: "fraud check" }), 503);
    }
}
