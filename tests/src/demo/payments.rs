//! The payments that the demo makes, each with the end that it must come to.

use std::time::Duration;

use serde_json::{Value, json};

/// `authorize`'s timeout. Its fraud client is more patient, so that silence ends as a timeout.
pub(super) const AUTHORIZE_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Payment {
    pub(super) id: &'static str,
    amount_minor: u64,
    currency: &'static str,
    card_token: &'static str,
    pub(super) end: End,
}

/// What becomes of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Authorized and reconciled.
    Reconciled,
    /// Authorized, but reconciliation refuses it until the queue gives it up.
    DeadLetter,
    /// The fraud check says no: 402.
    Declined,
    /// The fraud API is out of order: 503.
    Unavailable,
    /// `authorize` dies.
    Crash,
    /// The fraud API never answers, and Lambda ends `authorize`.
    Timeout,
}

/// In this order, one after the other: the first invocation is a cold start, and so is each one that follows a
/// crash or a timeout.
pub(super) const PAYMENTS: [Payment; 9] = [
    payment("p-1", 4_250, "XTS", "tok_visa", End::DeadLetter),
    payment("p-2", 1_999, "EUR", "tok_visa", End::Reconciled),
    payment("p-3", 89_900, "EUR", "tok_stolen", End::Declined),
    payment("p-4", 350, "GBP", "tok_amex", End::Reconciled),
    payment("p-5", 12_000, "USD", "tok_down", End::Unavailable),
    payment("p-6", 7_700, "EUR", "tok_crash", End::Crash),
    payment("p-7", 2_500, "EUR", "tok_visa", End::Reconciled),
    payment("p-8", 640, "USD", "tok_hang", End::Timeout),
    payment("p-9", 990, "USD", "tok_visa", End::Reconciled),
];

const fn payment(
    id: &'static str,
    amount_minor: u64,
    currency: &'static str,
    card_token: &'static str,
    end: End,
) -> Payment {
    Payment { id, amount_minor, currency, card_token, end }
}

impl Payment {
    /// The HTTP API event (payload format 2.0) of `POST /payments`.
    pub(super) fn http_event(&self) -> Value {
        let body = json!({
            "id": self.id,
            "amount_minor": self.amount_minor,
            "currency": self.currency,
            "card_token": self.card_token,
        });
        json!({
            "version": "2.0",
            "routeKey": "POST /payments",
            "rawPath": "/payments",
            "rawQueryString": "",
            "headers": {
                "content-type": "application/json",
                "host": "pay.example.com",
                "x-forwarded-proto": "https",
            },
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "demo",
                "domainName": "pay.example.com",
                "domainPrefix": "pay",
                "http": {
                    "method": "POST",
                    "path": "/payments",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "203.0.113.7",
                    "userAgent": "prefreeze-demo",
                },
                "requestId": format!("api-{}", self.id),
                "routeKey": "POST /payments",
                "stage": "$default",
            },
            "body": body.to_string(),
            "isBase64Encoded": false,
        })
    }

    /// The event that `receipt` is invoked with.
    pub(super) fn receipt_event(&self) -> Value {
        json!({ "id": self.id, "amount_minor": self.amount_minor, "currency": self.currency })
    }

    /// How often the queue delivers it to `reconcile`.
    pub(super) fn deliveries(&self) -> usize {
        match self.end {
            End::Reconciled => 1,
            End::DeadLetter => super::sqs::DELIVERIES,
            End::Declined | End::Unavailable | End::Crash | End::Timeout => 0,
        }
    }
}

impl End {
    /// The status that `authorize` must answer; `None` where it cannot answer any more.
    pub(super) fn status_code(self) -> Option<u64> {
        match self {
            Self::Reconciled | Self::DeadLetter => Some(202),
            Self::Declined => Some(402),
            Self::Unavailable => Some(503),
            Self::Crash | Self::Timeout => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Reconciled => "reconciled",
            Self::DeadLetter => "dead letter",
            Self::Declined => "declined",
            Self::Unavailable => "unavailable",
            Self::Crash => "crash",
            Self::Timeout => "timeout",
        }
    }
}
