//! fio: what the disk gives without a target in between.

use crate::setup::toolchain::find_program;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What came of a job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Job {
    /// Requests done in a second.
    pub(super) per_second: f64,
    /// Bytes moved in a second.
    pub(super) bytes_per_second: f64,
}

/// Runs a job past the page cache, by io_uring, on one thread. It may use any core.
pub(super) fn run(image: &Path, options: &str) -> Result<Job> {
    let program = find_program("fio").context("there is no fio")?;
    let mut command = Command::new(program);
    command
        .args(["--name=reference", "--ioengine=io_uring", "--direct=1", "--output-format=json"])
        .args(options.split_whitespace())
        .arg("--filename")
        .arg(image);
    let output = command.output().context("cannot run fio")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {error}", output.status);
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(text: &str) -> Result<Job> {
    // It may warn before the JSON begins.
    let json = text.find('{').map_or("", |at| &text[at..]);
    let report: Value = serde_json::from_str(json).context("fio printed no JSON")?;
    let job = &report["jobs"][0];
    let done = |direction: &&Value| direction["total_ios"].as_u64().is_some_and(|ios| ios > 0);
    let direction = [&job["read"], &job["write"]].into_iter().find(done);
    let direction = direction.with_context(|| format!("fio has done nothing: {text}"))?;
    let number = |name: &str| {
        direction[name].as_f64().with_context(|| format!("fio's JSON has no {name}: {text}"))
    };
    Ok(Job { per_second: number("iops")?, bytes_per_second: number("bw_bytes")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direction_that_did_something_counts() {
        let text = r#"fio: a warning
            {"jobs": [{"read": {"total_ios": 0, "iops": 0.0, "bw_bytes": 0},
                       "write": {"total_ios": 9, "iops": 4.5, "bw_bytes": 4608}}]}"#;
        assert_eq!(parse(text).unwrap(), Job { per_second: 4.5, bytes_per_second: 4608.0 });
    }

    #[test]
    fn a_job_that_did_nothing_is_no_reference() {
        let nothing = r#"{"jobs": [{"read": {"total_ios": 0}, "write": {"total_ios": 0}}]}"#;
        assert!(parse(nothing).unwrap_err().to_string().contains("nothing"));
        assert!(parse("fio: no such file").is_err());
    }
}
