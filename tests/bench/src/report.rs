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

    pub(crate) fn add(&mut self, name: &'static str, value: u64) {
        self.cells.push((name, value));
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

    fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let cells = row.cells.iter().map(|(name, value)| (name.replace(' ', "_"), json!(value)));
            (row.name.clone(), Value::Object(cells.collect()))
        });
        json!({ "title": self.title, "rows": rows.collect::<Map<_, _>>() })
    }
}

pub(crate) fn json(sections: &[Section]) -> String {
    let all: Vec<Value> = sections.iter().map(Section::json).collect();
    format!("{:#}\n", json!({ "sections": all }))
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
    fn a_small_part_keeps_its_digits() {
        assert_eq!(
            [ratio(1, 24), ratio(24, 1), ratio(0, 1), ratio(1, 0)],
            ["1/24.0", "24.00x", "0.00x", "-"]
        );
    }

    #[test]
    fn the_json_names_every_number() {
        let value: Value = serde_json::from_str(&json(&[section()])).expect("JSON");
        assert_eq!(value["sections"][0]["rows"]["ours"]["next_us"], 1250);
    }
}
