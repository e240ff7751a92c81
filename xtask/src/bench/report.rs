//! The table, as people read it and as programs do.

use super::rows::{Measure, Row};
use super::samples::Samples;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What all rounds have shown.
pub(super) type Results = BTreeMap<Measure, Samples>;

/// How a row came out.
struct Verdict {
    value: f64,
    /// The lowest of the references.
    reference: Option<f64>,
    ratio: Option<f64>,
    is_met: bool,
}

fn verdict(row: &Row, results: &Results) -> Option<Verdict> {
    let median = |measure: &Measure| results.get(measure)?.median();
    let value = median(&row.ours)?;
    let reference = row.references.iter().filter_map(median).reduce(f64::min);
    let ratio = reference.map(|reference| value / reference);
    Some(Verdict { value, reference, ratio, is_met: row.goal.is_met(value, ratio) })
}

/// The table in Markdown, after what was measured on.
pub(super) fn markdown(
    rows: &[&Row],
    results: &Results,
    machine: &[(&'static str, String)],
    how: &str,
) -> String {
    let mut text = format!("# The storage engine, measured\n\n{how}\n\n| | |\n| --- | --- |\n");
    for (name, value) in machine {
        text.push_str(&format!("| {name} | {value} |\n"));
    }
    text.push_str("\n| what | ours | reference | ratio | goal | met |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for row in rows {
        let Some(verdict) = verdict(row, results) else { continue };
        let ratio = verdict.ratio.map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}"));
        let met = if verdict.is_met { "yes" } else { "**no**" };
        text.push_str(&format!(
            "| {} | {} | {} | {ratio} | {} | {met} |\n",
            row.what,
            show(row.ours, results),
            references(row, results, &verdict),
            row.goal
        ));
    }
    text
}

/// The references of a row with the one that counts in bold, and what is shown beside them.
fn references(row: &Row, results: &Results, verdict: &Verdict) -> String {
    let text = |measure: &Measure| {
        let value = results.get(measure).and_then(Samples::median);
        let shown = format!("{}: {}", measure.name(), show(*measure, results));
        match value.is_some() && value == verdict.reference && row.references.contains(measure) {
            true => format!("**{shown}**"),
            false => shown,
        }
    };
    let texts: Vec<_> = row.references.iter().chain(row.also).map(text).collect();
    if texts.is_empty() { "–".into() } else { texts.join("; ") }
}

/// The median, and least and greatest where there were several rounds.
fn show(measure: Measure, results: &Results) -> String {
    let samples = results.get(&measure).cloned().unwrap_or_default();
    let (Some(median), Some((least, most))) = (samples.median(), samples.spread()) else {
        return "not measured".into();
    };
    let unit = measure.unit();
    match samples.all().len() {
        1 => unit.show(median),
        _ => format!("{} ({} to {})", unit.show(median), unit.show(least), unit.show(most)),
    }
}

/// The same for programs, with the value of every round.
pub(super) fn json(
    rows: &[&Row],
    results: &Results,
    machine: &[(&'static str, String)],
    how: &str,
) -> Value {
    let machine: serde_json::Map<_, _> =
        machine.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let measures: Vec<_> = results
        .iter()
        .map(|(measure, samples)| {
            json!({
                "name": measure.name(),
                "unit": measure.unit().symbol(),
                "median": samples.median(),
                "rounds": samples.all(),
            })
        })
        .collect();
    let rows: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let verdict = verdict(row, results)?;
            Some(json!({
                "row": row.key,
                "what": row.what,
                "ours": verdict.value,
                "reference": verdict.reference,
                "ratio": verdict.ratio,
                "goal": row.goal.to_string(),
                "met": verdict.is_met,
            }))
        })
        .collect();
    json!({ "how": how, "machine": machine, "rows": rows, "measures": measures })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rows::ROWS;

    fn results(values: &[(Measure, &[f64])]) -> Results {
        values.iter().map(|(name, values)| (*name, values.iter().copied().collect())).collect()
    }

    fn misses() -> (&'static [Row], Results) {
        let results = results(&[
            (Measure::Misses, &[700.0, 850.0, 900.0]),
            (Measure::FioMisses, &[1000.0, 1000.0, 1200.0]),
            (Measure::Hits4K, &[5000.0, 4000.0, 6000.0]),
        ]);
        (&ROWS, results)
    }

    #[test]
    fn the_lowest_reference_counts() {
        let (rows, results) = misses();
        let row = rows.iter().find(|row| row.key == "misses").unwrap();
        let text = markdown(&[row], &results, &[("kernel", "6.1".into())], "How.");
        assert!(text.contains("| kernel | 6.1 |"), "{text}");
        let expected = "| 850/s (700/s to 900/s) | **fio randread 4 KiB, depth 32: 1,000/s (1,000/s \
                        to 1,200/s)**; our 4 KiB hits: 5,000/s (4,000/s to 6,000/s) | 0.85 | at \
                        least 0.8 | yes |";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn programs_get_every_round() {
        let (rows, results) = misses();
        let row = rows.iter().find(|row| row.key == "misses").unwrap();
        let value = json(&[row], &results, &[], "How.");
        assert_eq!(value["rows"][0]["ratio"], 0.85);
        assert_eq!(value["rows"][0]["met"], true);
        let ours = &value["measures"][0];
        assert_eq!((&ours["unit"], &ours["rounds"][1]), (&json!("1/s"), &json!(850.0)));
    }

    #[test]
    fn what_was_not_measured_is_not_in_the_table() {
        let (rows, results) = misses();
        let all: Vec<_> = rows.iter().collect();
        let value = json(&all, &results, &[], "How.");
        assert_eq!(value["rows"].as_array().map(Vec::len), Some(1));
    }
}
