//! A queue of SQS as an endpoint: `sqs:<ARN or URL>`.

use policy::{RequestLimit, Signal};

use super::proxies::Way;
use super::{Destination, Packing, Protocol, Reader, endpoint};
use crate::aws::{QUEUE_ITEMS_BYTES, QUEUE_SPANS_BYTES, Queue};

/// What such an endpoint begins with.
pub(super) const PREFIX: &str = "sqs:";

const ENDPOINT: &str = "PREFREEZE_EXPORTER_OTLP_ENDPOINT";
const AUTH: &str = "PREFREEZE_EXPORTER_OTLP_AUTH";
const HEADERS: &str = "PREFREEZE_EXPORTER_OTLP_HEADERS";
const PROTOCOL: &str = "PREFREEZE_EXPORTER_OTLP_PROTOCOL";
const COMPRESSION: &str = "PREFREEZE_EXPORTER_OTLP_COMPRESSION";

impl Reader {
    /// The queue that the setting `name` names for `signal` by `text`; `None`, and a problem, where nothing can be sent there.
    pub(super) fn queue(&mut self, signal: Signal, name: &str, text: &str) -> Option<Destination> {
        let region = self.get("AWS_REGION").map(str::to_owned);
        let queue = match Queue::parse(text.trim(), region.as_deref(), self.names(), endpoint::is_here) {
            Ok(queue) => queue,
            Err(reason) => {
                self.problem(name, reason);
                return None;
            }
        };
        if self.credentials().is_none() {
            let reason =
                "a queue needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, to sign what is sent to it";
            self.problem(name, reason);
            return None;
        }
        self.suit_queue(signal);
        let url = match self.stand_in("AWS_ENDPOINT_URL_SQS") {
            Some((url, _)) => format!("{}/", url.trim_end_matches('/')),
            None => queue.host_url.clone(),
        };
        let protocol = Protocol::HttpProtobuf;
        let Way { is_direct, proxy } = self.way_to(name, &url, protocol);
        let bytes = match signal {
            Signal::Traces => QUEUE_SPANS_BYTES,
            Signal::Metrics | Signal::Logs => QUEUE_ITEMS_BYTES,
        };
        let limit = RequestLimit { bytes, ..RequestLimit::NONE };
        Some(Destination {
            url,
            headers: Vec::new(),
            secrets: Vec::new(),
            scope: Some(queue.scope.clone()),
            protocol,
            packing: Packing::Gzip,
            tls: self.tls_files(signal),
            is_direct,
            proxy,
            limit,
            queue: Some(queue),
        })
    }

    /// What a queue has no use for is said, where it can be meant for nothing else.
    fn suit_queue(&mut self, signal: Signal) {
        let reasons = [
            (HEADERS, "a queue takes no headers; the forwarder sends its own"),
            (AUTH, "what is sent to a queue is always signed"),
            (PROTOCOL, "a queue is sent to over HTTP"),
            (COMPRESSION, "a message to a queue is packed by gzip"),
        ];
        let as_it_is = ["auto", "gzip", "http/protobuf"];
        let is_queue = |signal| {
            let text = self.get(&self.form(ENDPOINT, signal));
            text.is_none_or(|text| text.starts_with(PREFIX))
        };
        let has_queues_only = Signal::ALL.into_iter().all(is_queue);
        for (setting, reason) in reasons {
            let form = self.form(setting, signal);
            let is_other = self.get(&form).is_some_and(|text| !as_it_is.contains(&text));
            if is_other && (form != setting || has_queues_only) {
                self.problem(&form, reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    const ARN: &str = "sqs:arn:aws:sqs:eu-west-1:111122223333:telemetry";
    const TRACES: &str = "PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT";
    const ROLE: [(&str, &str); 3] =
        [("AWS_REGION", "ap-south-1"), ("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "s3cret")];

    fn read(variables: &[(&str, &str)]) -> Settings {
        let all = ROLE.iter().chain(variables);
        Settings::from_variables(all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn problems(settings: &Settings) -> Vec<String> {
        settings.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_queue_takes_every_signal() {
        let settings = read(&[(ENDPOINT, ARN)]);
        assert_eq!(problems(&settings), [""; 0]);
        assert!(settings.credentials.is_some(), "it is signed");
        for (signal, to) in Signal::ALL.into_iter().zip(&settings.destinations) {
            let to = to.as_ref().expect("it goes there");
            assert_eq!(to.url, "https://sqs.eu-west-1.amazonaws.com/");
            assert_eq!(to.shown(), "sqs:https://sqs.eu-west-1.amazonaws.com/111122223333/telemetry");
            let scope = to.scope.as_ref().map(|scope| (&*scope.service, &*scope.region));
            assert_eq!((scope, to.packing), (Some(("sqs", "eu-west-1")), Packing::Gzip));
            let most = if signal == Signal::Traces { QUEUE_SPANS_BYTES } else { QUEUE_ITEMS_BYTES };
            assert_eq!(to.limit.bytes, most);
        }
        let page = settings.describe();
        assert!(page.contains("Logs go to sqs:https://sqs.eu-west-1.amazonaws.com/111122223333/telemetry\n"));
    }

    #[test]
    fn one_signal_goes_there_and_others_elsewhere() {
        let settings = read(&[
            (ENDPOINT, "https://otlp.example.com"),
            (HEADERS, "x-key=1"),
            (PROTOCOL, "grpc"),
            (COMPRESSION, "zstd"),
            (TRACES, ARN),
        ]);
        assert_eq!(problems(&settings), [""; 0], "they are for the others");
        let [traces, metrics, _] = settings.destinations.each_ref().map(|to| to.as_ref().expect("somewhere"));
        assert!(traces.queue.is_some() && traces.headers.is_empty());
        assert_eq!((&metrics.queue, metrics.protocol, metrics.headers.len()), (&None, Protocol::Grpc, 1));
    }

    #[test]
    fn what_a_queue_does_not_take_is_said() {
        for (variables, problem) in [
            (
                [(TRACES, ARN), ("PREFREEZE_EXPORTER_OTLP_TRACES_HEADERS", "x-key=1")],
                "PREFREEZE_EXPORTER_OTLP_TRACES_HEADERS: a queue takes no headers; the forwarder sends its own",
            ),
            (
                [(ENDPOINT, ARN), (AUTH, "none")],
                "PREFREEZE_EXPORTER_OTLP_AUTH: what is sent to a queue is always signed",
            ),
            (
                [(ENDPOINT, ARN), (PROTOCOL, "grpc")],
                "PREFREEZE_EXPORTER_OTLP_PROTOCOL: a queue is sent to over HTTP",
            ),
            (
                [(ENDPOINT, ARN), (COMPRESSION, "zstd")],
                "PREFREEZE_EXPORTER_OTLP_COMPRESSION: a message to a queue is packed by gzip",
            ),
        ] {
            let settings = read(&variables);
            assert_eq!(problems(&settings), [problem]);
            assert!(settings.destinations[0].as_ref().is_some_and(|to| to.queue.is_some()), "it is used yet");
        }
    }

    #[test]
    fn nothing_is_sent_to_what_is_no_queue_or_cannot_be_signed() {
        let settings = read(&[(ENDPOINT, "sqs:telemetry")]);
        assert_eq!(
            problems(&settings),
            ["PREFREEZE_EXPORTER_OTLP_ENDPOINT: neither the URL nor the ARN of a queue"]
        );
        assert_eq!(settings.destinations, [None, None, None]);
        let no_role = [(ENDPOINT.to_owned(), ARN.to_owned())];
        let settings = Settings::from_variables(no_role.into_iter());
        assert_eq!(settings.destinations, [None, None, None]);
        assert!(problems(&settings)[0].contains("AWS_ACCESS_KEY_ID"), "{:?}", settings.problems);
    }

    #[test]
    fn a_stand_in_is_asked_where_a_variable_names_one() {
        for (variable, url, expected) in [
            ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:4566", "http://127.0.0.1:4566/"),
            ("AWS_ENDPOINT_URL", "https://aws.example.com/", "https://aws.example.com/"),
            ("AWS_ENDPOINT_URL_SQS", "http://example.com", "https://sqs.eu-west-1.amazonaws.com/"),
        ] {
            let settings = read(&[(ENDPOINT, ARN), (variable, url)]);
            assert_eq!(settings.destinations[0].as_ref().map(|to| &*to.url), Some(expected), "{url}");
        }
    }

    #[test]
    fn allowed_hosts_bound_queues() {
        for (hosts, is_sent) in
            [("eu-west-1", true), ("ap-south-1", false), ("sqs.eu-west-1.amazonaws.com", true)]
        {
            let settings = read(&[(ENDPOINT, ARN), ("PREFREEZE_ALLOWED_HOSTS", hosts)]);
            assert_eq!(settings.destinations[0].is_some(), is_sent, "{hosts}");
            assert_eq!(settings.refused.is_empty(), is_sent, "{:?}", settings.refused);
        }
    }
}
