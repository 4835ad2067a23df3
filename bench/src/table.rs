//! Renders the rows as a Markdown table: medians, ranges, ratios to the best peer.

use std::fmt::Write as _;

use crate::engine::Engines;
use crate::sample::{Plan, Row};

/// Engines that are measured but not competed with.
const NOT_PEERS: &[&str] = &["hako", "floor"];

/// Units of which more is better.
const RATES: &[&str] = &["MB/s", "Gbit/s", "requests/s"];

pub(crate) fn render(plan: &Plan, engines: &Engines, rows: &[Row]) -> String {
    let names = columns(rows);
    let mut text = format!(
        "{}\n\nRounds: {} (long measures {}). Cells: median (min–max); the last columns are hako's median to the best peer's and to the floor's.\n\n",
        engines.versions(),
        plan.rounds,
        plan.few()
    );
    let _ = writeln!(text, "| measure | {} | hako / best peer | hako / floor |", names.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(names.len() + 2));
    text + &lines(rows, &names)
}

/// The table's lines for these rows, with a cell for each of `names`.
fn lines(rows: &[Row], names: &[String]) -> String {
    let line = |row: &Row| {
        let cells: Vec<String> = names.iter().map(|name| cell(row, name)).collect();
        let floor = quotient(row.median("hako"), row.median("floor"));
        format!("| {} [{}] | {} | {} | {floor} |\n", row.measure, row.unit, cells.join(" | "), ratio(row))
    };
    rows.iter().map(line).collect()
}

/// The lines of rows just taken, for those who watch.
pub(crate) fn progress(rows: &[Row]) -> String {
    lines(rows, &columns(rows))
}

fn columns(rows: &[Row]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.samples) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn cell(row: &Row, name: &str) -> String {
    let Some((_, values)) = row.samples.iter().find(|(engine, _)| engine == name) else { return "-".to_owned() };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("**{}** ({}–{}, n={})", short(row.median(name).unwrap_or(0.0)), short(least), short(most), values.len())
}

fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn ratio(row: &Row) -> String {
    let peers = row.samples.iter().filter(|(name, _)| !NOT_PEERS.contains(&name.as_str()));
    let medians = peers.filter_map(|(name, _)| row.median(name));
    let best =
        if RATES.contains(&row.unit) { medians.fold(0.0, f64::max) } else { medians.fold(f64::INFINITY, f64::min) };
    quotient(row.median("hako"), Some(best).filter(|best| best.is_finite()))
}

fn quotient(own: Option<f64>, other: Option<f64>) -> String {
    match (own, other) {
        (Some(own), Some(other)) if other > 0.0 => format!("×{:.3}", own / other),
        _ => "-".to_owned(),
    }
}
