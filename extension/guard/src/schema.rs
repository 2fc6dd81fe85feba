//! Where text can stand in an OTLP request: each message's fields that hold some, or hold messages that do.
//!
//! # Source
//! <https://github.com/open-telemetry/opentelemetry-proto/tree/v1.9.0/opentelemetry/proto>

use policy::Signal;

/// A message that is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Request,
    Group,
    Resource,
    ScopeGroup,
    Scope,
    Span,
    Event,
    Link,
    Status,
    Metric,
    /// A gauge, a sum or a kind of histogram.
    Data,
    NumberPoint,
    HistogramPoint,
    ExponentialPoint,
    SummaryPoint,
    Exemplar,
    Record,
}

impl Message {
    /// Whether it is a data point of a metric: its attributes are dimensions.
    pub(crate) const fn is_point(self) -> bool {
        matches!(self, Self::NumberPoint | Self::HistogramPoint | Self::ExponentialPoint | Self::SummaryPoint)
    }

    /// Whether its attributes are the function's own words for what it did, and not for what it is.
    pub(crate) const fn is_described_freely(self) -> bool {
        !matches!(self, Self::Resource | Self::Scope | Self::Metric)
    }
}

/// What a length-delimited field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Nothing of interest, or nothing known: passed on as it is.
    Other,
    /// Words.
    Text,
    /// The name of a span.
    SpanName,
    /// A `tracestate`: entries of tracing systems.
    State,
    /// One `KeyValue` of several.
    Attribute,
    /// One `AnyValue`.
    Any,
    /// A message.
    Message(Message),
}

/// What field `number` of `message` is, in a request of `signal`.
pub(crate) const fn part(signal: Signal, message: Message, number: u32) -> Part {
    use Message as M;
    match (message, number) {
        (M::Request, 1) => Part::Message(M::Group),
        (M::Group, 1) => Part::Message(M::Resource),
        (M::Group, 2) => Part::Message(M::ScopeGroup),
        (M::ScopeGroup, 1) => Part::Message(M::Scope),
        (M::ScopeGroup, 2) => match signal {
            Signal::Traces => Part::Message(M::Span),
            Signal::Metrics => Part::Message(M::Metric),
            Signal::Logs => Part::Message(M::Record),
        },
        (M::Span, 5) => Part::SpanName,
        (M::Span | M::Link, 3) => Part::State,
        (M::Span, 11) => Part::Message(M::Event),
        (M::Span, 13) => Part::Message(M::Link),
        (M::Span, 15) => Part::Message(M::Status),
        (M::Metric, 5) | (M::Metric, 7) | (M::Metric, 9) | (M::Metric, 10) | (M::Metric, 11) => {
            Part::Message(M::Data)
        }
        (M::NumberPoint, 5) | (M::HistogramPoint, 8) | (M::ExponentialPoint, 11) => {
            Part::Message(M::Exemplar)
        }
        (M::Scope, 1 | 2) | (M::Event | M::Status | M::Metric, 2) | (M::Metric, 1) | (M::Record, 3 | 12) => {
            Part::Text
        }
        (M::Record, 5) => Part::Any,
        (M::Metric, 12) => Part::Attribute,
        _ if attributes(message).is_some_and_number(number) => Part::Attribute,
        _ => Part::Other,
    }
}

/// The message of a metric's data points, by the field that the data is.
pub(crate) const fn point_of(data: u32) -> Message {
    match data {
        9 => Message::HistogramPoint,
        10 => Message::ExponentialPoint,
        11 => Message::SummaryPoint,
        _ => Message::NumberPoint,
    }
}

/// Where a message has its attributes, and where it counts those that were left out, if it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes {
    pub(crate) field: u32,
    pub(crate) dropped: Option<u32>,
}

/// See [`Attributes`]; field 0, which does not exist, where there are none.
pub(crate) const fn attributes(message: Message) -> Attributes {
    let (field, dropped) = match message {
        Message::Resource => (1, Some(2)),
        Message::Scope => (3, Some(4)),
        Message::Span => (9, Some(10)),
        Message::Event => (3, Some(4)),
        Message::Link => (4, Some(5)),
        Message::Record => (6, Some(7)),
        Message::NumberPoint | Message::SummaryPoint | Message::Exemplar => (7, None),
        Message::HistogramPoint => (9, None),
        Message::ExponentialPoint => (1, None),
        Message::Metric => (12, None),
        _ => (0, None),
    };
    Attributes { field, dropped }
}

impl Attributes {
    const fn is_some_and_number(self, number: u32) -> bool {
        self.field != 0 && self.field == number
    }
}

/// Where a span counts the events and the links that were left out.
pub(crate) const DROPPED_EVENTS: u32 = 12;
pub(crate) const DROPPED_LINKS: u32 = 14;
