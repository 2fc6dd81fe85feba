//! The examples of docs/routing.md, as they stand there.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::Value;
use tests::collector::Collector;
use tests::otlp::{Ids, SpanExt};
use tests::platform::{Platform, Script};

use super::world::{World, server_span};

const PAGE: &str = include_str!("../../docs/routing.md");

/// A section with a list of destinations, and a table of what goes where.
struct Example<'a> {
    title: &'a str,
    list: &'a str,
    /// The endpoint of the first destination, if it has one.
    first: Option<&'a str>,
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    name: &'a str,
    is_failure: bool,
    trace_end: &'a str,
    goes_to: Vec<&'a str>,
}

/// What stands between the first of these fences and its end.
fn block<'a>(section: &'a str, fence: &str) -> Option<&'a str> {
    section.split_once(fence)?.1.split_once("```").map(|(block, _)| block.trim())
}

fn row(line: &str) -> Option<Row<'_>> {
    let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
    let [name, status, trace_end, goes_to] = cells[..] else { return None };
    let goes_to = goes_to.split(", ").filter(|to| *to != "nowhere").collect();
    Some(Row { name, is_failure: status == "error", trace_end, goes_to })
}

fn examples() -> Vec<Example<'static>> {
    let sections = PAGE.split("\n## ").skip(1);
    let example = |section: &'static str| {
        let rows = section.lines().skip_while(|line| !line.starts_with("| span |")).skip(2);
        Some(Example {
            title: section.lines().next()?,
            list: block(section, "```json")?,
            first: block(section, "```sh").and_then(|line| Some(line.split_once('=')?.1)),
            rows: rows.map_while(row).collect(),
        })
    };
    sections.filter_map(example).collect()
}

#[test]
fn each_example_of_the_page_does_what_it_says() {
    let examples = examples();
    assert_eq!(examples.len(), 3, "the page has three");
    for Example { title, list, first, rows } in examples {
        let mut list: Value = serde_json::from_str(list).unwrap_or_else(|error| panic!("{title}: {error}"));
        let mut backends = BTreeMap::from([("default".to_owned(), Collector::start())]);
        for member in list.as_array_mut().expect("a list") {
            let backend = Collector::start();
            member["endpoint"] = backend.endpoint().into();
            backends.insert(member["name"].as_str().expect("a name").to_owned(), backend);
        }
        let script = Script::new().env("PREFREEZE_DESTINATIONS", list.to_string());
        let script = match first {
            Some(_) => script.env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", backends["default"].endpoint()),
            None => script,
        };
        let world = World { platform: Platform::ready(&script), collector: Collector::start() };
        for (number, row) in (1..).zip(&rows) {
            let request_id = format!("r-{number}");
            let mut span = server_span(row.name, Ids::new(number), &request_id);
            let end = (0..row.trace_end.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&row.trace_end[at..at + 2], 16));
            let end: Vec<u8> = end.collect::<Result<_, _>>().expect("digits");
            span.trace_id.truncate(16 - end.len());
            span.trace_id.extend(end);
            let span = if row.is_failure { span.with_status(StatusCode::Error, "") } else { span };
            world.invoke(&request_id);
            world.post_spans([span]);
            world.platform.wait_next();
        }
        world.close();
        for (name, backend) in &backends {
            let arrived: Vec<_> = backend
                .spans()
                .into_iter()
                .map(|seen| {
                    (
                        seen.span.name.clone(),
                        hex(&seen.span.trace_id),
                        seen.span.status.is_some_and(|it| it.code == 2),
                    )
                })
                .collect();
            let expected: Vec<_> = rows
                .iter()
                .filter(|row| row.goes_to.contains(&name.as_str()))
                .map(|row| (row.name, row.trace_end, row.is_failure))
                .collect();
            assert_eq!(arrived.len(), expected.len(), "{title}, {name}: {arrived:?}, not {expected:?}");
            for (name, end, is_failure) in &expected {
                let is_it = |(own, id, failed): &&(String, String, bool)| {
                    own == name && id.ends_with(end) && failed == is_failure
                };
                assert!(arrived.iter().any(|seen| is_it(&seen)), "{title}: {name} …{end} in {arrived:?}");
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
