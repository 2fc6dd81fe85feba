//! A payment, and why one may be refused.

use std::{error::Error, fmt, iter};

use opentelemetry::KeyValue;
use serde::{Deserialize, Serialize};

/// What the caller asks for. Amounts are whole minor units (cents), never floating point.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Payment {
    pub(crate) id: String,
    pub(crate) amount_minor: u64,
    pub(crate) currency: String,
    /// Stands for the card at the payment provider. A secret: it goes into no span and no message.
    pub(crate) card_token: String,
}

/// What reconciliation needs to know of an authorized payment.
#[derive(Debug, Serialize)]
pub(crate) struct Authorized<'a> {
    pub(crate) id: &'a str,
    pub(crate) amount_minor: u64,
    pub(crate) currency: &'a str,
}

/// Why a payment was not authorized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request makes no sense.
    Invalid { problem: String },
    /// The fraud check said no.
    Declined { reason: String },
    /// Someone we depend on did not do its part.
    Unavailable { service: &'static str },
}

impl Payment {
    pub(crate) fn parse(body: &str) -> Result<Self, Refusal> {
        let invalid = |problem: String| Refusal::Invalid { problem };
        let payment: Self = serde_json::from_str(body).map_err(|error| invalid(error.to_string()))?;
        if payment.amount_minor == 0 {
            return Err(invalid("amount_minor must be positive".into()));
        }
        if payment.currency.len() != 3 || !payment.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(invalid("currency must be an ISO 4217 code".into()));
        }
        Ok(payment)
    }

    pub(crate) fn authorized(&self) -> Authorized<'_> {
        Authorized { id: &self.id, amount_minor: self.amount_minor, currency: &self.currency }
    }
}

impl Refusal {
    /// The caller learns which service failed; the cause is for our own log.
    pub(crate) fn unavailable(service: &'static str, cause: &dyn Error) -> Self {
        let causes = iter::successors(Some(cause), |&error| error.source());
        let causes: Vec<_> = causes.map(ToString::to_string).collect();
        eprintln!("{service} unavailable: {}", causes.join(": "));
        Self::Unavailable { service }
    }
}

/// What became of the payment, for the invocation's span. A decline is an answer, not an error.
pub(crate) fn outcome(answer: &Result<Payment, Refusal>) -> Vec<KeyValue> {
    let outcome = |outcome: &'static str| KeyValue::new("payment.outcome", outcome);
    match answer {
        Ok(payment) => vec![outcome("authorized"), KeyValue::new("payment.id", payment.id.clone())],
        Err(Refusal::Invalid { .. }) => vec![outcome("invalid")],
        Err(Refusal::Declined { reason }) => {
            vec![outcome("declined"), KeyValue::new("payment.decline_reason", reason.clone())]
        }
        Err(Refusal::Unavailable { .. }) => vec![outcome("unavailable")],
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { problem } => write!(f, "invalid payment: {problem}"),
            Self::Declined { reason } => write!(f, "declined: {reason}"),
            Self::Unavailable { service } => write!(f, "{service} unavailable, try again later"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(amount_minor: u64, currency: &str) -> String {
        format!(r#"{{"id":"p-1","amount_minor":{amount_minor},"currency":"{currency}","card_token":"tok"}}"#)
    }

    #[test]
    fn a_payment_is_read() {
        let payment = Payment::parse(&body(1999, "EUR")).expect("it is valid");
        assert_eq!((payment.id.as_str(), payment.amount_minor), ("p-1", 1999));
    }

    #[test]
    fn nonsense_is_refused() {
        for body in ["", "[]", "{}", &body(0, "EUR"), &body(1, "euro"), &body(1, "eur")] {
            assert!(matches!(Payment::parse(body), Err(Refusal::Invalid { .. })), "{body}");
        }
    }

    #[test]
    fn the_queue_never_sees_the_card() {
        let payment = Payment::parse(&body(1999, "EUR")).expect("it is valid");
        let message = serde_json::to_string(&payment.authorized()).expect("it is plain data");
        assert_eq!(message, r#"{"id":"p-1","amount_minor":1999,"currency":"EUR"}"#);
    }
}
