//! The books: what can be posted, and why a payment cannot.

use std::fmt;

use serde::Deserialize;

/// The currencies that have an account.
const ACCOUNTS: [&str; 3] = ["EUR", "GBP", "USD"];

/// An authorized payment, as `authorize` queued it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Payment {
    pub(crate) id: String,
    pub(crate) amount_minor: u64,
    pub(crate) currency: String,
}

/// Why a payment could not be posted. Such a message is poison: it fails again until the queue gives it
/// to its dead-letter queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    Malformed { problem: String },
    NoAccount { currency: String },
}

/// Posts the payment in this message body.
pub(crate) fn post(body: &str) -> Result<Payment, Rejection> {
    let payment: Payment =
        serde_json::from_str(body).map_err(|error| Rejection::Malformed { problem: error.to_string() })?;
    if !ACCOUNTS.contains(&payment.currency.as_str()) {
        return Err(Rejection::NoAccount { currency: payment.currency });
    }
    println!("posted {} {} for {}", payment.amount_minor, payment.currency, payment.id);
    Ok(payment)
}

impl Rejection {
    pub(crate) fn error_type(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed_message",
            Self::NoAccount { .. } => "no_account",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { problem } => write!(f, "not a payment: {problem}"),
            Self::NoAccount { currency } => write!(f, "no account in {currency}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_is_posted() {
        let payment =
            post(r#"{"id":"p-1","amount_minor":1999,"currency":"EUR"}"#).expect("it has an account");
        assert_eq!((payment.id.as_str(), payment.amount_minor), ("p-1", 1999));
    }

    #[test]
    fn what_cannot_be_posted_says_why() {
        let error_type = |body| post(body).map_err(|rejection| rejection.error_type());
        assert_eq!(error_type(r#"{"id":"p-1","amount_minor":1,"currency":"XTS"}"#), Err("no_account"));
        assert_eq!(error_type("hello"), Err("malformed_message"));
    }
}
