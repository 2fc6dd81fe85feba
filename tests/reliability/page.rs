//! `docs/reliability.md`: written from the measurements, and compared with them, milliseconds aside.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::catalogue::{GROUPS, Item};
use super::coverage::LIST;
use super::managed::Seen;
use super::play::{Measured, Mode, Recovered};

/// What only `make outages` and `make soak` measure: written by hand, from what they printed.
const LONG_RUNS: &str = include_str!("long_runs.md");

const TOP: &str = "\
# Reliability

Written by `UPDATE=1 cargo test -p tests --test reliability`; without `UPDATE`, that test checks that every word of
this page but the milliseconds is still true.

Each row is an environment of the local Lambda ([tests/sandbox](../tests/sandbox/README.md)) with the real extension, a
function, and a backend that records: a healthy invocation, the fault, a healthy invocation, and SHUTDOWN. The
environment is frozen (SIGSTOP) between them.

* **caller**: what the caller of the faulty invocation saw. Everything but `ok` is what Lambda itself answers then.
* **added**: from the function's end to the extension's `/next`, in ms; the longest, where the fault lasts for several
  invocations; – where the extension was ended before it could ask. The ceiling is 500 ms
  (`PREFREEZE_FLUSH_TIMEOUT_MS`) unless the row has another. The build is unoptimised and shares its machine with other
  rows: these are upper bounds, `make bench` measures.
* **accepted**, **arrived**: spans that the function got a 200 for during the fault, and those of them in the backend
  at the end.
* **not delivered**: the reasons that the summary line at SHUTDOWN counts, and what was refused to the function's face.
* **recovered**: when the backend had everything: before the freeze that follows, in the next invocation (beside its
  handler, which waits for it, or before its freeze), or in SHUTDOWN. In `continuous`, one more invocation runs while
  the backend is still ill, because only then is it sent anything.

If the platform's events are lost *and* the function sends nothing, nobody can tell that an invocation is over. The first
such invocation is held until its deadline (2 s in these rows) less a margin, later ones are not. If the subscription is
refused, no event can arrive, and no invocation is held for one: until the function has sent a span that names its
invocation, its spans leave with the next invocation. A local emulator (202) freezes nothing: no invocation is held, and data
leaves as it comes.

Three rows have a backend that nothing mends while the process runs, or a SHUTDOWN without time: what was accepted is
`held` then, which means that it lies in `/tmp`, for the next process in the same environment.

A wall clock cannot be stepped for one process on a shared machine (a time namespace moves only the monotonic clocks),
so the clock rows step the platform's: deadlines and the times of its events differ by a minute from the clock of the
function and of the extension, which is what either of them can notice of a step of its own.

In every row: the books balance; nothing accepted is missing without a counted reason; the extension lives until
SHUTDOWN, unless it is the one that is killed.
";

const MANAGED: &str = "
## Managed Instances

An environment of Managed Instances takes several invocations at once, is never frozen, tells extensions of nothing but
SHUTDOWN, and says of an invocation only that it began and how it was reported. In each row there is one with four
workers: four healthy invocations, four of which the first goes wrong, four healthy ones, and SHUTDOWN. A gate in the
handlers makes sure that all four are open at the same time. What is left leaves on the extension's beat, once a second;
`PREFREEZE_FLUSH` changes nothing.

* **callers**: what the four saw, the first of them first.
* **settled**: from the end of the four, when the backend was well, until it had all of their spans, in ms. In the rows
  with an ill backend the extension has tried it, and has said that it is down, before it becomes well.
* **accepted**, **arrived**: spans of the four.
* **own spans**: SERVER spans of the four in the backend, sent or rebuilt, and those in error. The span that a function
  sends itself stays as it is.
* **when**: with nothing else to wake the extension, or in SHUTDOWN.

A process that ends takes the environment with it, and another one with a `/tmp` of its own takes its place. So what the
backend does not take in the SHUTDOWN that follows is lost there, as is what an extension that is killed has not sent:
no row shows otherwise.

";

/// The page.
pub(crate) fn render(tables: &[(Mode, Vec<Measured>)], managed: &[Seen]) -> String {
    let mut page = TOP.to_owned();
    for (mode, rows) in tables {
        page += &format!("\n## `PREFREEZE_FLUSH={}`\n\n", mode.name());
        page += "| who | fault | caller | added | accepted | arrived | not delivered | recovered |\n";
        page += "|---|---|---|---|---|---|---|---|\n";
        rows.iter().for_each(|row| page += &line(*mode, row));
    }
    page += MANAGED;
    page += "| who | fault | callers | settled | accepted | arrived | own spans | when |\n";
    page += "|---|---|---|---|---|---|---|---|\n";
    managed.iter().for_each(|seen| page += &managed_line(seen));
    page + &which() + &reference() + LONG_RUNS
}

fn managed_line(seen: &Seen) -> String {
    let Seen { row, callers, settled, accepted, arrived, roots, in_error, .. } = seen;
    let (first, others) = callers.split_first().expect("there are four");
    let callers = match others.iter().all(|other| other == first) {
        true => format!("{} × {first}", callers.len()),
        false => format!("{first}, {} × {}", others.len(), others[0]),
    };
    let (who, what, when) = (row.who, row.what, row.arrives());
    let settled = settled.as_secs_f64() * 1_000.0;
    let own = if *in_error == 0 { roots.to_string() } else { format!("{roots}, {in_error} in error") };
    format!("| {who} | {what} | {callers} | {settled:.1} | {accepted} | {arrived} | {own} | {when} |\n")
}

/// Which rows play which fault of the design's list.
fn which() -> String {
    let mut part = "\n## Which row is which fault\n\n".to_owned();
    part += "The faults that the design must survive, and the rows above in which they happen; a test keeps this whole.\n\n";
    part += "| fault | rows |\n|---|---|\n";
    for (fault, rows) in LIST {
        part += &format!("| {fault} | {} |\n", rows.join("; "));
    }
    part
}

/// What plays each fault of the platform reference.
fn reference() -> String {
    let mut part = "\n## The faults of the platform reference\n\n".to_owned();
    part += "Everything that can go wrong around an extension, as our notes on the platform list it, and the rows above or \
             the tests that play it; a test checks that each of them exists. *Not played* has its reason.\n\n";
    part += "| of | fault | rows | tests |\n|---|---|---|---|\n";
    for (group, items) in GROUPS {
        for Item { fault, rows, tests, note } in items {
            let names: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
            let mut rows = rows.join("; ");
            if !note.is_empty() {
                let is_played = !(rows.is_empty() && tests.is_empty());
                let word = if is_played { "" } else { "*Not played:* " };
                let space = if rows.is_empty() { "" } else { ". " };
                rows += &format!("{space}{word}{note}");
            }
            part += &format!("| {group} | {fault} | {rows} | {} |\n", names.join(", "));
        }
    }
    part
}

fn line(mode: Mode, row: &Measured) -> String {
    let Measured { fault, caller, added_ms, accepted, arrived, .. } = row;
    let added = added_ms.map_or("–".to_owned(), |ms| format!("{ms:.1}"));
    let is_waited_for = mode == Mode::End && fault.has_time && fault.freezes;
    let recovered = match (row.recovered, is_waited_for) {
        (Recovered::Same, true) => "before the freeze",
        (Recovered::Next, true) => "next invocation",
        // Whether the freeze comes before the answer is nobody's decision then.
        (Recovered::Same | Recovered::Next, false) => "by the next invocation",
        (Recovered::Later, _) => "when the backend is well",
        (Recovered::Reset, _) => "in the SHUTDOWN it caused",
        (Recovered::Shutdown, _) => "SHUTDOWN",
        (Recovered::Nothing | Recovered::Never, _) => "–",
    };
    let (who, what, rest) = (fault.who, fault.what, not_delivered(row));
    format!("| {who} | {what} | {caller} | {added} | {accepted} | {arrived} | {rest} | {recovered} |\n")
}

fn not_delivered(row: &Measured) -> String {
    let dropped = row.books.dropped.keys().map(|reason| format!("`{reason}`"));
    let held = (row.books.held > 0).then(|| "held".to_owned());
    // Whether a function gets as far as sending, once the extension was killed beside it, is nobody's decision.
    let is_killed = (row.fault.faults)().kill.is_some();
    let refused = row.refused.iter().filter(|answer| !is_killed || *answer != "unheard");
    let refused = refused.map(|answer| answer.replace('-', " "));
    let words: Vec<String> = dropped.chain(held).chain(refused).collect();
    if words.is_empty() { "–".to_owned() } else { words.join(", ") }
}

/// Writes the page with `UPDATE=1`, or else compares.
///
/// # Panics
/// When the page says something else.
pub(crate) fn write_or_compare(page: &str) {
    let there = fs::read_to_string(path()).unwrap_or_default();
    let page = with_table_of(page, &there);
    if env::var_os("UPDATE").is_some() {
        return fs::write(path(), page).expect("the documentation can be written");
    }
    let (said, true_now) = (without_milliseconds(&there), without_milliseconds(&page));
    let news: Vec<&String> = true_now.iter().filter(|line| !said.contains(line)).collect();
    assert!(news.is_empty(), "docs/reliability.md does not say (UPDATE=1 writes it):\n{news:#?}");
    assert_eq!(said, true_now, "docs/reliability.md says more than is true: UPDATE=1 writes it");
}

/// `page` with the table that the simulation has written into the page that is `there`.
fn with_table_of(page: &str, there: &str) -> String {
    let [begin, end] = ["<!-- livelock: begin -->\n", "<!-- livelock: end -->"];
    let table = there.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map(|(table, _)| table);
    page.replacen(&format!("{begin}{end}"), &format!("{begin}{}{end}", table.unwrap_or_default()), 1)
}

/// Which of these is first, where a request hangs beside handlers, is a matter of milliseconds, too.
const HANGING: (&str, [&str; 2]) =
    (" accepts and never answers ", [" when the backend is well ", " SHUTDOWN "]);

/// The page's lines; in those of a table, nothing in place of the fourth column.
fn without_milliseconds(page: &str) -> Vec<String> {
    let blank = |line: &str| {
        let mut columns: Vec<&str> = line.split('|').collect();
        if columns.len() > 4 {
            columns[4] = "";
        }
        if columns.len() > 9 && columns[2] == HANGING.0 && HANGING.1.contains(&columns[8]) {
            columns[8] = "";
        }
        columns.join("|")
    };
    page.lines().map(blank).collect()
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reliability.md")
}

#[test]
fn only_the_milliseconds_may_differ() {
    let row = |added: &str, arrived: &str| format!("| a | b | ok | {added} | 3 | {arrived} | – | – |");
    assert_eq!(without_milliseconds(&row("1.2", "3")), without_milliseconds(&row("77.0", "3")));
    assert_ne!(without_milliseconds(&row("1.2", "3")), without_milliseconds(&row("1.2", "2")));
    let hangs = |recovered: &str| {
        format!("| backend | accepts and never answers | ok | 0.0 | 3 | 3 | – | {recovered} |")
    };
    let [well, last, next] = ["when the backend is well", "SHUTDOWN", "next invocation"]
        .map(|word| without_milliseconds(&hangs(word)));
    assert!(well == last && well != next);
}
