//! The fraud check: somebody else's HTTP API, and the CLIENT span around asking it.

use std::{env, error::Error, fmt, time::Duration};

use opentelemetry::{
    Context, KeyValue,
    context::FutureExt as _,
    trace::{SpanKind, TraceContextExt as _},
};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;
use telemetry::Telemetry;

use crate::payment::Payment;

/// Shorter than any sensible function timeout, so that a silent third party costs an answer of 503 and
/// not the invocation. `FRAUD_TIMEOUT_MS` overrides it.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A client of the API at `FRAUD_URL`.
#[derive(Debug)]
pub(crate) struct Fraud {
    http: Client,
    scores: Url,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "decision", rename_all = "lowercase")]
pub(crate) enum Verdict {
    Approve,
    Decline { reason: String },
}

/// Why there is no verdict.
#[derive(Debug)]
pub(crate) enum FraudError {
    /// It answered, but not with success.
    Status(StatusCode),
    /// It did not answer, or not in time, or not in JSON.
    Http(reqwest::Error),
}

impl Fraud {
    pub(crate) fn from_env() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let base = env::var("FRAUD_URL").map_err(|_| "FRAUD_URL must name the fraud API")?;
        let timeout = match env::var("FRAUD_TIMEOUT_MS") {
            Ok(ms) => Duration::from_millis(ms.parse().map_err(|_| "FRAUD_TIMEOUT_MS must be a number")?),
            Err(_) => TIMEOUT,
        };
        let scores = Url::parse(&base)?.join("/v1/scores")?;
        Ok(Self { http: Client::builder().timeout(timeout).build()?, scores })
    }

    pub(crate) async fn score(
        &self,
        telemetry: &Telemetry,
        payment: &Payment,
    ) -> Result<Verdict, FraudError> {
        let cx = telemetry.span("POST /v1/scores", SpanKind::Client, self.attributes());
        let verdict = self.ask(payment).with_context(cx.clone()).await;
        match &verdict {
            Ok(verdict) => cx.span().set_attribute(KeyValue::new("fraud.decision", verdict.name())),
            Err(error) => telemetry::fail(&cx.span(), error.error_type(), ""),
        }
        cx.span().end();
        verdict
    }

    async fn ask(&self, payment: &Payment) -> Result<Verdict, FraudError> {
        let cx = Context::current();
        let question = json!({ "card_token": payment.card_token, "amount_minor": payment.amount_minor });
        let mut request = self.http.post(self.scores.clone()).json(&question);
        for (name, value) in telemetry::headers(&cx) {
            request = request.header(name, value);
        }

        let response = request.send().await?;
        let status = response.status();
        cx.span().set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if !status.is_success() {
            return Err(FraudError::Status(status));
        }
        Ok(response.json().await?)
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let mut attributes = vec![
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("url.full", self.scores.to_string()),
            KeyValue::new("url.template", "/v1/scores"),
        ];
        let host = self.scores.host_str().map(ToOwned::to_owned);
        attributes.extend(host.map(|host| KeyValue::new("server.address", host)));
        let port = self.scores.port_or_known_default().map(i64::from);
        attributes.extend(port.map(|port| KeyValue::new("server.port", port)));
        attributes
    }
}

impl Verdict {
    fn name(&self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Decline { .. } => "decline",
        }
    }
}

impl FraudError {
    fn error_type(&self) -> String {
        match self {
            Self::Status(status) => status.as_u16().to_string(),
            Self::Http(error) if error.is_timeout() => "timeout".into(),
            Self::Http(error) if error.is_connect() => "connect".into(),
            Self::Http(error) if error.is_decode() => "decode".into(),
            Self::Http(_) => "_OTHER".into(),
        }
    }
}

impl From<reqwest::Error> for FraudError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

impl fmt::Display for FraudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the fraud API answered {status}"),
            Self::Http(error) => write!(f, "the fraud API gave no answer: {error}"),
        }
    }
}

impl Error for FraudError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_read() {
        let verdict = |json| serde_json::from_str::<Verdict>(json).ok();
        assert_eq!(verdict(r#"{"decision":"approve","score":3}"#), Some(Verdict::Approve));
        assert_eq!(
            verdict(r#"{"decision":"decline","reason":"stolen card"}"#),
            Some(Verdict::Decline { reason: "stolen card".into() })
        );
        assert_eq!(verdict(r#"{"decision":"perhaps"}"#), None);
    }

    #[test]
    fn a_status_is_its_own_error_type() {
        assert_eq!(FraudError::Status(StatusCode::SERVICE_UNAVAILABLE).error_type(), "503");
    }
}
