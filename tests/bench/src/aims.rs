//! What was promised, beside what was measured: held or missed, as the figures say.

use crate::report::{Row, Section};

/// A measurement, and where it is found: the name of its table, of its row, of its column.
type Place = (&'static str, &'static str, &'static str);

/// How a measurement is held to its bound.
enum Bound {
    /// It is no more than this.
    Most(u64),
    /// That many times it is no more than that of another place.
    Times(u64, Place),
    /// It is no more than that of another place, and this.
    Above(Place, u64),
}

/// One promise.
struct Aim {
    what: &'static str,
    place: Place,
    bound: Bound,
}

const fn most(what: &'static str, place: Place, bound: u64) -> Aim {
    Aim { what, place, bound: Bound::Most(bound) }
}

const START: &str = "start-warm";
const LESS_FLOOR: &str = "prefreeze less floor";
const AFTER: &str = "post-runtime";
/// What is held in a function of 128 MB, in KiB.
const HELD_KIB: u64 = 13_107;

/// Every promise that a table can show.
const AIMS: [Aim; 30] = [
    most("exec to register, above the floor, us", (START, LESS_FLOOR, "median"), 600),
    most("exec to the first `/next`, above the floor, us", (START, LESS_FLOOR, "next median"), 1_000),
    most("memory at the first `/next`, KiB", (START, "prefreeze", "RSS KiB"), 8 << 10),
    most("layer for x86_64, bytes", ("weight", "layer, x86_64", "bytes"), 3_500_000),
    most("layer for arm64, bytes", ("weight", "layer, arm64", "bytes"), 3_500_000),
    times("scan and splice of 50 spans, ten times as fast as decode and encode, ns", "50: min"),
    times("the same of 200 spans", "200: min"),
    most("spool, 50 spans kept and settled, ns", ("spool", "keep and settle", "median ns"), 30_000),
    most("200 to 50 spans, protobuf, us", ("ack", "protobuf", "median us"), 300),
    most("– gzip", ("ack", "protobuf, gzip", "median us"), 300),
    most("– zstd", ("ack", "protobuf, zstd", "median us"), 300),
    most("– Unix socket", ("ack", "protobuf, Unix socket", "median us"), 300),
    most("– JSON", ("ack", "JSON", "median us"), 300),
    most("– JSON, gzip", ("ack", "JSON, gzip", "median us"), 300),
    most("– gRPC", ("ack", "gRPC", "median us"), 300),
    most("– gRPC, gzip", ("ack", "gRPC, gzip", "median us"), 300),
    most("`end`, 5 spans, above the round trip, us", (AFTER, "`end`, 5 spans", "median less it us"), 1_000),
    most("– 50 spans", (AFTER, "`end`, 50 spans", "median less it us"), 1_000),
    most("– 500 spans", (AFTER, "`end`, 500 spans", "median less it us"), 1_000),
    most("`continuous`, 5 spans, us", (AFTER, "`continuous`, 5 spans", "median us"), 500),
    most("– 50 spans", (AFTER, "`continuous`, 50 spans", "median us"), 500),
    most("– 500 spans", (AFTER, "`continuous`, 500 spans", "median us"), 500),
    most("CPU per invocation, `end`, 5 spans, us", (AFTER, "`end`, 5 spans", "CPU us"), 700),
    most("– 50 spans", (AFTER, "`end`, 50 spans", "CPU us"), 700),
    most("– 500 spans", (AFTER, "`end`, 500 spans", "CPU us"), 700),
    most("CPU per invocation, `continuous`, 5 spans, us", (AFTER, "`continuous`, 5 spans", "CPU us"), 700),
    most("– 50 spans", (AFTER, "`continuous`, 50 spans", "CPU us"), 700),
    bounded("10,000 spans in 128 MB: as at the start, and the bound of 12.8 MB; peak KiB", "10,000 spans"),
    bounded("– backend down", "10,000 spans, backend down"),
    bounded("– backend down, spool off", "10,000 spans, backend down, spool off"),
];

const fn times(what: &'static str, column: &'static str) -> Aim {
    let bound = Bound::Times(10, ("ingest", "decode and encode", column));
    Aim { what, place: ("ingest", "scan and splice all", column), bound }
}

const fn bounded(what: &'static str, row: &'static str) -> Aim {
    let bound = Bound::Above((START, "prefreeze", "RSS KiB"), HELD_KIB);
    Aim { what, place: ("growth", row, "peak KiB"), bound }
}

/// All promises as a Markdown table; `None` where a table they are in was not measured.
pub(crate) fn table(sections: &[(&str, &Section)]) -> Option<String> {
    let mut text = String::from("| aim | bound | measured | |\n|---|---:|---:|---|\n");
    for aim in &AIMS {
        // Nobody has to have built both layers.
        let Some(measured) = cell(sections, aim.place) else {
            sections.iter().find(|(name, _)| *name == aim.place.0)?;
            continue;
        };
        let (bound, is_held) = match aim.bound {
            Bound::Most(bound) => (bound, measured <= bound),
            Bound::Times(times, place) => {
                (cell(sections, place)? / times, measured * times <= cell(sections, place)?)
            }
            Bound::Above(place, more) => {
                (cell(sections, place)? + more, measured <= cell(sections, place)? + more)
            }
        };
        let word = if is_held { "held" } else { "**missed**" };
        let numbers = [bound, measured].map(crate::report::grouped);
        text += &format!("| {} | {} | {} | {word} |\n", aim.what, numbers[0], numbers[1]);
    }
    Some(text)
}

fn cell(sections: &[(&str, &Section)], (table, row, column): Place) -> Option<u64> {
    let (_, section) = sections.iter().find(|(name, _)| *name == table)?;
    section.rows.iter().find(|own| own.name() == row).and_then(|row| Row::cell(row, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(rows: &[(&str, &'static str, u64)]) -> Section {
        let rows = rows.iter().map(|(name, column, value)| Row::new(name).with(column, *value));
        Section { title: String::new(), rows: rows.collect() }
    }

    #[test]
    fn a_promise_is_held_at_its_bound_and_missed_beyond() {
        for (measured, word) in [(600, "held"), (601, "**missed**")] {
            let all: Vec<_> = ["start-warm", "weight", "ingest", "spool", "ack", "post-runtime", "growth"]
                .map(|name| (name, section(&[(LESS_FLOOR, "median", measured)])))
                .into();
            let all: Vec<_> = all.iter().map(|(name, section)| (*name, section)).collect();
            let table = table(&all).expect("every table is there");
            assert!(table.ends_with(&format!(
                "| exec to register, above the floor, us | 600 | {measured} | {word} |\n"
            )));
        }
    }

    #[test]
    fn without_a_table_there_are_none() {
        assert_eq!(table(&[("start-warm", &section(&[]))]), None);
    }

    #[test]
    fn ten_times_as_fast_is_a_tenth_of_the_time() {
        let ingest =
            section(&[("decode and encode", "50: min", 1_000), ("scan and splice all", "50: min", 101)]);
        let place = ("ingest", "scan and splice all", "50: min");
        assert_eq!(cell(&[("ingest", &ingest)], place), Some(101));
        assert_eq!(cell(&[("ingest", &ingest)], ("ingest", "copy", "50: min")), None);
    }
}
