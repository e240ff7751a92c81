//! What `aoe bench` says.

use anyhow::{Context, Result};
use serde_json::Value;

/// What came of a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answers {
    /// Requests answered in a second.
    pub(super) per_second: f64,
    /// Bytes moved in a second.
    pub(super) bytes_per_second: f64,
    /// Requests that were sent again.
    pub(super) retransmits: u64,
}

/// Reads the output of `aoe bench --json`.
pub(super) fn parse(text: &str) -> Result<Answers> {
    let report: Value = serde_json::from_str(text).context("aoe bench printed no JSON")?;
    let number = |name: &str| {
        report[name].as_f64().with_context(|| format!("aoe bench has no {name}: {text}"))
    };
    let retransmits = report["retransmits"].as_u64();
    Ok(Answers {
        per_second: number("requests_per_second")?,
        bytes_per_second: number("bytes")? / number("elapsed")?,
        retransmits: retransmits
            .with_context(|| format!("aoe bench has no retransmits: {text}"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_taken_from_the_report() {
        let text = r#"{"requests": 3000, "bytes": 3072000, "elapsed": 1.5,
            "requests_per_second": 2000.0, "retransmits": 4, "latency_p50": 0.1}"#;
        let expected =
            Answers { per_second: 2000.0, bytes_per_second: 2_048_000.0, retransmits: 4 };
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = parse(r#"{"requests_per_second": 1, "bytes": 1, "retransmits": 0}"#);
        assert!(error.unwrap_err().to_string().contains("elapsed"));
        assert!(parse("e0.1 does not answer").is_err());
    }
}
