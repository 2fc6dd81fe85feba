//! One description of what a dashboard shows, written as CloudWatch's and as Grafana's.

mod cloudwatch;
mod grafana;

use std::fs;
use std::path::PathBuf;

use self::grafana::Points;
use crate::Result;
use crate::tools::workspace;

/// One graph.
struct Panel {
    title: &'static str,
    /// What a person should take from it.
    help: &'static str,
    lines: &'static [Line],
}

/// One quantity in a graph, for each function.
struct Line {
    label: &'static str,
    metric: Metric,
    shown: Shown,
}

/// A metric and who emits it. Those of ours are checked against the extension's own table by `tests/deploy`.
enum Metric {
    /// Prefreeze, as it is called in docs/metrics.md, with its unit there.
    Own(&'static str, Unit),
    /// The platform, in the namespace AWS/Lambda; Grafana has no graph of it.
    Lambda(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Count,
    Seconds,
    Bytes,
}

/// How the values of an interval are put together.
#[derive(Clone, Copy)]
enum Shown {
    /// Of a counter.
    Sum,
    /// Of a counter, one line for each value of this attribute; in CloudWatch all of them together.
    SumBy(&'static str),
    /// Of a histogram, in percent.
    Quantile(u8),
}

const fn sum(label: &'static str, name: &'static str, unit: Unit) -> Line {
    Line { label, metric: Metric::Own(name, unit), shown: Shown::Sum }
}

const fn sum_by(by: &'static str, label: &'static str, name: &'static str, unit: Unit) -> Line {
    Line { label, metric: Metric::Own(name, unit), shown: Shown::SumBy(by) }
}

const fn quantile(label: &'static str, name: &'static str, unit: Unit, percent: u8) -> Line {
    Line { label, metric: Metric::Own(name, unit), shown: Shown::Quantile(percent) }
}

const fn of_lambda(label: &'static str, name: &'static str) -> Line {
    Line { label, metric: Metric::Lambda(name), shown: Shown::Sum }
}

/// What a dashboard shows, from what a caller notices to what it costs.
const PANELS: &[Panel] = &[
    Panel {
        title: "Invocations",
        help: "All invocations are these together.",
        lines: &[
            sum("succeeded", "faas.invocations", Unit::Count),
            sum("failed", "faas.errors", Unit::Count),
            sum("timed out", "faas.timeouts", Unit::Count),
        ],
    },
    Panel {
        title: "Duration of the function's code",
        help: "Without what extensions did after it.",
        lines: &[
            quantile("P50", "faas.invoke_duration", Unit::Seconds, 50),
            quantile("P95", "faas.invoke_duration", Unit::Seconds, 95),
            quantile("P99", "faas.invoke_duration", Unit::Seconds, 99),
        ],
    },
    Panel {
        title: "Errors",
        help: "Out of memory is counted among the failed ones too.",
        lines: &[
            sum("failed", "faas.errors", Unit::Count),
            sum("timed out", "faas.timeouts", Unit::Count),
            sum("out of memory", "aws.lambda.out_of_memory", Unit::Count),
            of_lambda("throttled", "Throttles"),
        ],
    },
    Panel {
        title: "Cold starts",
        help: "Invocations that waited for an init or a restore.",
        lines: &[sum("cold starts", "faas.coldstarts", Unit::Count)],
    },
    Panel {
        title: "Init",
        help: "How long it took, extensions included.",
        lines: &[
            quantile("P50", "faas.init_duration", Unit::Seconds, 50),
            quantile("P95", "faas.init_duration", Unit::Seconds, 95),
            quantile("P99", "faas.init_duration", Unit::Seconds, 99),
        ],
    },
    Panel {
        title: "Overhead: time billed after the function was done",
        help: "Callers do not wait for it; it is billed all the same.",
        lines: &[
            quantile("P50", "aws.lambda.post_runtime_duration", Unit::Seconds, 50),
            quantile("P95", "aws.lambda.post_runtime_duration", Unit::Seconds, 95),
            quantile("P99", "aws.lambda.post_runtime_duration", Unit::Seconds, 99),
            quantile("flush P95", "prefreeze.flush.duration", Unit::Seconds, 95),
        ],
    },
    Panel {
        title: "Cost: billed time",
        help: "Times memory and price, it is the bill. Grafana tells what our flushes cost from the function's own.",
        lines: &[sum_by("owner", "billed", "prefreeze.billed.duration", Unit::Seconds)],
    },
    Panel {
        title: "Bytes to the backend",
        help: "Grafana tells `raw` from `sent`; in CloudWatch they are one sum.",
        lines: &[sum_by("stage", "bytes", "prefreeze.export.bytes", Unit::Bytes)],
    },
    Panel {
        title: "Cost of telemetry, estimated",
        help: "By PREFREEZE_PRICES; Grafana tells the kinds apart, and what sampling avoided is another line.",
        lines: &[
            sum_by("kind", "spent", "prefreeze.cost.spent", Unit::Count),
            sum_by("kind", "avoided", "prefreeze.cost.avoided", Unit::Count),
        ],
    },
    Panel {
        title: "Telemetry",
        help: "What was received and made is delivered, sampled out, dropped, or still held.",
        lines: &[
            sum("received", "prefreeze.items.received", Unit::Count),
            sum("made", "prefreeze.items.made", Unit::Count),
            sum("delivered", "prefreeze.items.delivered", Unit::Count),
            sum("sampled out", "prefreeze.items.sampled_out", Unit::Count),
        ],
    },
    Panel {
        title: "Telemetry dropped",
        help: "Anything but zero wants a look: the summary line in the function's log names the reasons.",
        lines: &[
            sum_by("reason", "dropped", "prefreeze.items.dropped", Unit::Count),
            sum("requests tried again", "prefreeze.export.retries", Unit::Count),
            sum("platform events lost", "prefreeze.telemetry.logs_dropped", Unit::Count),
        ],
    },
    Panel {
        title: "Memory in use",
        help: "All processes of the environment together.",
        lines: &[
            quantile("P50", "faas.mem_usage", Unit::Bytes, 50),
            quantile("P99", "faas.mem_usage", Unit::Bytes, 99),
        ],
    },
];

/// A file, or a part of one, and what is to be in it.
struct Written {
    path: PathBuf,
    text: String,
}

/// Writes every dashboard to where it belongs.
pub(crate) fn write() -> Result<()> {
    for Written { path, text } in all()? {
        fs::write(&path, text)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Every file that holds a dashboard, as it should be.
fn all() -> Result<Vec<Written>> {
    let folder = workspace().join("docs/dashboards");
    let template = workspace().join("template.yaml");
    let text = between_marks(&fs::read_to_string(&template)?, &cloudwatch::for_template())?;
    Ok(vec![
        Written { path: folder.join("cloudwatch.json"), text: cloudwatch::standalone() },
        Written { path: folder.join("grafana-deltas.json"), text: grafana::dashboard(Points::Deltas) },
        Written { path: folder.join("grafana-totals.json"), text: grafana::dashboard(Points::Totals) },
        Written { path: template, text },
    ])
}

const BEGIN: &str = "        # Written by `make dashboards`, from here\n";
const END: &str = "        # to here.\n";

/// `template` with `body` between its marks, as deep as they are.
fn between_marks(template: &str, body: &str) -> Result<String> {
    let (before, rest) = template.split_once(BEGIN).ok_or("template.yaml has no place for the dashboard")?;
    let (_, after) = rest.split_once(END).ok_or("template.yaml has no end of the dashboard")?;
    let body: String = body.lines().map(|line| format!("        {line}\n")).collect();
    Ok(format!("{before}{BEGIN}{body}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dashboard_is_written_as_it_is_described() {
        for Written { path, text } in all().expect("they can be made") {
            let there = fs::read_to_string(&path).unwrap_or_default();
            assert!(there == text, "{} is not up to date: run `make dashboards`", path.display());
        }
    }

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let template = format!("a\n{BEGIN}old\n{END}b\n");
        let expected = format!("a\n{BEGIN}        new\n{END}b\n");
        assert_eq!(between_marks(&template, "new\n").expect("marks"), expected);
        assert!(between_marks("no marks", "new").is_err());
    }
}
