//! Livelock rows: short handlers before slow backends, with a freeze in between. Wherever an answer can be
//! read, everything is acknowledged within three healthy invocations, and no span is delivered more than twice.
//!
//! `SIM_ROW="5 20 1000 continuous ill machine"` tells the story of one row; the last two words may be left out.
//! `UPDATE=1 cargo test --profile sim -p simulation --test livelock` writes the table into `docs/reliability.md`.

use simulation::{MODES, Row, World, rows};

/// Handlers and backends of the rows, in milliseconds.
const HANDLERS_MS: [u64; 3] = [1, 5, 50];
const BACKENDS_MS: [u64; 4] = [5, 20, 90, 1_200];
/// A flush holds an invocation for no longer: `PREFREEZE_FLUSH_TIMEOUT_MS`.
const FLUSH_MS: u64 = 1_000;
/// Where the table is, and what stands around it.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reliability.md");
const MARKS: [&str; 2] = ["<!-- livelock: begin -->\n", "<!-- livelock: end -->\n"];

/// The table, and the rows that break the bounds.
fn table() -> (String, Vec<String>) {
    let mut broken = Vec::new();
    let names = MODES.map(|(_, name)| name).join(" | ");
    let mut table = format!("| handler | answer | {names} |\n|---|---|---|---|---|\n");
    for handler_ms in HANDLERS_MS {
        for backend_ms in BACKENDS_MS {
            let cells = MODES.map(|(mode, _)| {
                let rows = rows(handler_ms, backend_ms, mode);
                let (lost, kept): (Vec<Row>, Vec<Row>) =
                    rows.into_iter().partition(|row| row.freezes_machine);
                let [kept, lost] = [kept, lost].map(|rows| worst(&rows, &mut broken));
                // Nothing was acknowledged at all.
                let is_never = lost.0 == 0 && backend_ms >= FLUSH_MS;
                let lag = if is_never { "never".to_owned() } else { lost.0.to_string() };
                format!("{}, {} × / {lag}, {} ×", kept.0, kept.1, lost.1)
            });
            table += &format!("| {handler_ms} ms | {backend_ms} ms | {} |\n", cells.join(" | "));
        }
    }
    (table, broken)
}

/// After how many healthy invocations a span is acknowledged, and how often it is delivered, at the most.
///
/// Where a freeze loses every answer that comes in it, and nobody waits for answers, nothing tells of that before a connection
/// breaks, some seconds later. Where an answer takes longer than a flush may, none is ever read then, but for one that takes a
/// handler and a flush together. Nothing bounds the invocations; but the backend is found to be down, and probes offer it one
/// batch after the other: in the 48 invocations of a row and in SHUTDOWN, no span more than six times.
const fn bounds(row: &Row) -> (u64, u32) {
    match (row.freezes_machine, row.backend_ms >= FLUSH_MS) {
        (false, _) => (3, 2),
        (true, false) => (5, 2),
        (true, true) => (u64::MAX, 6),
    }
}

/// The worst of several rows: invocations until everything was acknowledged, and deliveries of one span.
fn worst(rows: &[Row], broken: &mut Vec<String>) -> (u64, u32) {
    let mut worst = (0, 0);
    for row in rows {
        match std::panic::catch_unwind(|| World::scripted(row).run()) {
            Ok(story) => {
                let (lag_max, copies_max) = bounds(row);
                if story.lag > lag_max || story.copies > copies_max {
                    broken.push(format!("{} invocations, {} × in {row:?}", story.lag, story.copies));
                }
                worst = (worst.0.max(story.lag), worst.1.max(story.copies));
            }
            Err(_) => broken.push(format!("the world of {row:?} fails")),
        }
    }
    worst
}

/// The row that somebody wants to see.
fn wanted() -> Option<Row> {
    let text = std::env::var("SIM_ROW").ok()?;
    let words: Vec<&str> = text.split(' ').collect();
    let number = |index: usize| words.get(index)?.parse().ok();
    let mode = MODES.into_iter().find(|(_, name)| name.trim_matches('`') == words[3])?.0;
    let (is_ill, freezes_machine) = (words.contains(&"ill"), words.contains(&"machine"));
    Some(Row {
        handler_ms: number(0)?,
        backend_ms: number(1)?,
        gap_ms: number(2)?,
        mode,
        is_ill,
        freezes_machine,
    })
}

#[test]
fn everything_is_acknowledged_in_a_few_invocations() {
    if let Some(row) = wanted() {
        let story = World::scripted(&row).aloud().run();
        return println!("{} invocations, {} ×", story.lag, story.copies);
    }
    let (table, broken) = table();
    println!("{table}");
    assert!(broken.is_empty(), "{} rows:\n{}", broken.len(), broken.join("\n"));
    let page = std::fs::read_to_string(PAGE).expect("the page is there");
    let [begin, end] = MARKS.map(|mark| page.find(mark).unwrap_or_else(|| panic!("no {mark} in {PAGE}")));
    let begin = begin + MARKS[0].len();
    if std::env::var_os("UPDATE").is_some() {
        let page = format!("{}{table}{}", &page[..begin], &page[end..]);
        std::fs::write(PAGE, page).expect("the source tree is writable when asked to update it");
    } else {
        assert_eq!(&page[begin..end], table, "UPDATE=1 writes what is true");
    }
}
