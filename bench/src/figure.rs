//! What the benchmarks print: tables for people, `figure NAME VALUE UNIT` lines for scripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Collects figures under dotted names and prints each on a line of its own as it is taken.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: BTreeMap<String, f64>,
}

impl Report {
    /// Prints one figure and keeps it. A figure that could not be taken (not a number) is printed
    /// as `nan`, so that a script sees that it is missing.
    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &str) {
        println!("{}", figure_line(name, value, unit));
        self.figures.insert(name.to_owned(), value);
    }

    /// The value of a figure taken before.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }

    /// The names of figures taken before that begin and end so.
    pub(crate) fn names(&self, start: &str, end: &str) -> Vec<String> {
        let names = self.figures.keys();
        names
            .filter(|name| name.starts_with(start) && name.ends_with(end))
            .cloned()
            .collect()
    }

    /// Prints a figure beside the limit that the project sets itself. The verdict is printed, not
    /// enforced: a busy machine must not fail a build.
    pub(crate) fn goal(&self, goals: &mut Table, name: &str, relation: Relation, limit: f64) {
        let Some(value) = self.value(name) else {
            return;
        };
        let met = match relation {
            Relation::AtMost => value <= limit,
            Relation::AtLeast => value >= limit,
        };
        goals.row([
            name.to_owned(),
            number(value),
            format!("{} {}", relation.sign(), number(limit)),
            if met { "reached" } else { "MISSED" }.to_owned(),
        ]);
    }
}

/// Which side of a limit is the good one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Relation {
    /// The figure must not exceed the limit.
    AtMost,
    /// The figure must not fall below the limit.
    AtLeast,
}

impl Relation {
    const fn sign(self) -> &'static str {
        match self {
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
        }
    }
}

/// `figure NAME VALUE UNIT`. White space in a name or a unit becomes `_`, so that a line always
/// has four words.
fn figure_line(name: &str, value: f64, unit: &str) -> String {
    let word = |s: &str| s.replace(char::is_whitespace, "_");
    format!("figure {} {} {}", word(name), number(value), word(unit))
}

/// A number as people and scripts read it: no exponent, four significant digits or all integer
/// ones.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "nan".to_owned();
    }
    match value.abs() {
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 100.0 => format!("{value:.1}"),
        v if v >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A table with columns as wide as their longest cell; the first column is left-aligned, the
/// others right-aligned.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table under a title, with its column heads.
    pub(crate) fn new<const N: usize>(title: &str, heads: [&str; N]) -> Self {
        Self {
            title: title.to_owned(),
            rows: vec![heads.iter().map(|&h| h.to_owned()).collect()],
        }
    }

    /// Adds one row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Prints the table, unless it has no row.
    pub(crate) fn print(&self) {
        if self.rows.len() > 1 {
            println!("\n{}", self.render());
        }
    }

    fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|c| {
                self.rows
                    .iter()
                    .filter_map(|r| r.get(c))
                    .map(|s| s.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut out = format!("{}\n", self.title);
        for row in &self.rows {
            for (c, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Writing to a String cannot fail.
                let _ = if c == 0 {
                    write!(out, "  {cell:<width$}")
                } else {
                    write!(out, "  {cell:>width$}")
                };
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
        out
    }
}

/// The middle value; the mean of the two middle ones when their count is even; not a number when
/// there is none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_line_always_has_four_words() {
        assert_eq!(
            figure_line("relay.cpu", 1834.6, "ns"),
            "figure relay.cpu 1835 ns"
        );
        assert_eq!(
            figure_line("two words", 0.5, "per second"),
            "figure two_words 0.500 per_second"
        );
        assert_eq!(
            figure_line("missing", f64::NAN, "ns"),
            "figure missing nan ns"
        );
    }

    #[test]
    fn numbers_keep_four_significant_digits_and_no_exponent() {
        let shown: Vec<String> = [4.2e7, 1000.4, 999.94, 12.345, 1.0, 0.0004]
            .into_iter()
            .map(number)
            .collect();
        assert_eq!(
            shown,
            ["42000000", "1000", "999.9", "12.35", "1.000", "0.000"]
        );
    }

    #[test]
    fn tables_align_their_columns() {
        let mut table = Table::new("title", ["name", "ns"]);
        table.row(["a".to_owned(), "10".to_owned()]);
        table.row(["longer".to_owned(), "9".to_owned()]);
        assert_eq!(
            table.render(),
            "title\n  name    ns\n  a       10\n  longer   9\n"
        );
    }

    #[test]
    fn the_median_ignores_what_could_not_be_taken() {
        assert_eq!(
            median(&[3.0, 1.0, f64::NAN, 2.0]).to_bits(),
            2.0f64.to_bits()
        );
        assert_eq!(median(&[1.0, 2.0]).to_bits(), 1.5f64.to_bits());
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn goals_are_judged_on_the_right_side() {
        let mut report = Report::default();
        report.figures.insert("r".to_owned(), 1.2);
        let mut goals = Table::new("goals", ["figure", "value", "goal", ""]);
        report.goal(&mut goals, "r", Relation::AtMost, 1.15);
        report.goal(&mut goals, "r", Relation::AtLeast, 1.15);
        report.goal(&mut goals, "absent", Relation::AtMost, 1.0);
        assert_eq!(report.names("r", ""), ["r"]);
        assert!(report.names("r", "x").is_empty());
        let verdicts: Vec<&str> = goals.rows[1..].iter().map(|r| r[3].as_str()).collect();
        assert_eq!(verdicts, ["MISSED", "reached"]);
    }
}
