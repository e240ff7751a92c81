//! Stages of a request inside the daemon: what the crate's own bench measures of them.

use crate::build::{cargo, target_dir};
use anyhow::{Context, Result};
use aoe_tests::command::finish;
use std::fs;
use std::time::Duration;

/// The bench, and its group as criterion names its directory.
const BENCH: &str = "hit";
const GROUP: &str = "1 KiB of 1 GiB";
/// For it to be compiled and to run.
const LIMIT: Duration = Duration::from_secs(1800);

/// Nanoseconds that this part of the bench takes, the median of its samples.
pub(super) fn nanoseconds(part: &str) -> Result<f64> {
    let mut command = cargo("bench");
    command.args(["--quiet", "--package", "aoe-daemon", "--bench", BENCH, "--", part]);
    finish(&mut command, LIMIT)?.success()?;
    let path = target_dir().join("criterion").join(GROUP).join(part).join("new/estimates.json");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    median(&text).with_context(|| path.display().to_string())
}

/// The median of criterion's estimates.
fn median(text: &str) -> Result<f64> {
    let estimates: serde_json::Value = serde_json::from_str(text)?;
    estimates["median"]["point_estimate"].as_f64().context("it has no median")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_found() {
        let text = r#"{"mean": {"point_estimate": 9.0}, "median": {"point_estimate": 7.5}}"#;
        assert!((median(text).unwrap() - 7.5).abs() < f64::EPSILON);
        assert!(median("{}").is_err() && median("").is_err());
    }
}
