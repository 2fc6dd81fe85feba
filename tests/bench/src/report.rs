//! Results, as a table for people and as JSON for machines.

use serde_json::{Map, Value, json};

/// One table: a row per variant, the baseline first.
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

/// One variant's numbers, each under a name that ends in its unit.
pub(crate) struct Row {
    name: String,
    cells: Vec<(&'static str, u64)>,
}

impl Row {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), cells: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: u64) -> Self {
        self.add(name, value);
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn cell(&self, name: &str) -> Option<u64> {
        self.cells.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }

    pub(crate) fn add(&mut self, name: &'static str, value: u64) {
        self.cells.push((name, value));
    }

    /// What it takes more than `baseline`.
    pub(crate) fn less(&self, baseline: &Self) -> Self {
        let pairs = self.cells.iter().zip(&baseline.cells);
        let cells = pairs.map(|((name, value), (_, base))| (*name, value.saturating_sub(*base))).collect();
        Self { name: format!("{} less {}", self.name, baseline.name), cells }
    }

    /// Each number as a multiple of the baseline's.
    fn ratios(&self, baseline: &Self) -> Vec<String> {
        let pairs = self.cells.iter().zip(&baseline.cells);
        pairs.map(|((_, value), (_, base))| ratio(*value, *base)).collect()
    }
}

/// As a multiple or, where that has no digits to tell by, as a part.
#[expect(clippy::cast_precision_loss, reason = "a ratio is shown with two digits")]
fn ratio(value: u64, base: u64) -> String {
    if base == 0 {
        String::from("-")
    } else if value == 0 || value * 5 >= base {
        format!("{:.2}x", value as f64 / base as f64)
    } else {
        format!("1/{:.1}", base as f64 / value as f64)
    }
}

impl Section {
    /// The rows, and below them each one's ratio to the first.
    pub(crate) fn table(&self) -> String {
        let Some((baseline, others)) = self.rows.split_first() else { return String::new() };
        let mut lines = vec![
            std::iter::once(String::new())
                .chain(baseline.cells.iter().map(|(name, _)| (*name).to_owned()))
                .collect(),
        ];
        for row in &self.rows {
            lines.push(line(&row.name, row.cells.iter().map(|(_, value)| value.to_string())));
        }
        for row in others {
            lines.push(line(&format!("{} / {}", row.name, baseline.name), row.ratios(baseline)));
        }
        format!("{}\n{}", self.title, aligned(&lines))
    }

    /// The same as [`Section::table`], for a page.
    pub(crate) fn markdown(&self) -> String {
        let Some(baseline) = self.rows.first() else { return String::new() };
        let cells = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let names = baseline.cells.iter().map(|(name, _)| (*name).to_owned());
        let mut text = cells(std::iter::once(String::new()).chain(names).collect());
        text += &format!("|---|{}\n", "---:|".repeat(baseline.cells.len()));
        for row in &self.rows {
            let values = row.cells.iter().map(|(_, value)| grouped(*value));
            text += &cells(std::iter::once(row.name.clone()).chain(values).collect());
        }
        text
    }

    fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let cells = row.cells.iter().map(|(name, value)| (name.replace(' ', "_"), json!(value)));
            (row.name.clone(), Value::Object(cells.collect()))
        });
        json!({ "title": self.title, "rows": rows.collect::<Map<_, _>>() })
    }
}

/// All of it, and what it was measured on.
pub(crate) fn json(machine: &str, sections: &[Section]) -> String {
    let all: Vec<Value> = sections.iter().map(Section::json).collect();
    format!("{:#}\n", json!({ "machine": machine, "sections": all }))
}

/// `page` with `text` between the marks of the table `name`; `None` where it has no such marks.
pub(crate) fn put_into_page(page: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- bench {name} -->\n"), "<!-- end -->");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}{text}{end}{after}"))
}

/// Thousands set apart.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

fn line(name: &str, cells: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(cells).collect()
}

/// Columns as wide as their widest cell; names to the left, numbers to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(String::len).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text += &if column == 0 { format!("  {cell:width$}") } else { format!("  {cell:>width$}") };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Section {
        let rows = vec![Row::new("floor").with("next us", 500), Row::new("ours").with("next us", 1250)];
        Section { title: "start".to_owned(), rows }
    }

    #[test]
    fn the_table_ends_with_ratios_to_the_baseline() {
        let table = section().table();
        assert_eq!(
            table,
            "start\n                next us\n  floor             500\n  ours             1250\n  ours / floor    2.50x\n"
        );
    }

    #[test]
    fn a_page_gets_the_table_between_its_marks() {
        let page = "# Page\n<!-- bench start -->\nold\n<!-- end -->\nmore\n<!-- end -->";
        let table = section().markdown();
        assert_eq!(table, "|  | next us |\n|---|---:|\n| floor | 500 |\n| ours | 1,250 |\n");
        let filled = put_into_page(page, "start", &table).expect("it has the marks");
        assert_eq!(filled, page.replace("old\n", &table));
        assert_eq!(put_into_page(page, "other", &table), None);
    }

    #[test]
    fn a_small_part_keeps_its_digits() {
        assert_eq!(
            [ratio(1, 24), ratio(24, 1), ratio(0, 1), ratio(1, 0)],
            ["1/24.0", "24.00x", "0.00x", "-"]
        );
    }

    #[test]
    fn the_json_names_every_number() {
        let value: Value = serde_json::from_str(&json("a machine", &[section()])).expect("JSON");
        assert_eq!(value["sections"][0]["rows"]["ours"]["next_us"], 1250);
    }
}
