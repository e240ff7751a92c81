//! What `aoe-daemon status --json` says.

use std::fmt;

use anyhow::{Context, Result};
use serde_json::Value;

/// One answer of the daemon.
#[derive(Clone, Debug)]
pub struct Status(Value);

impl Status {
    /// Reads the answer.
    pub fn parse(text: &str) -> Result<Self> {
        let value = serde_json::from_str(text)
            .with_context(|| format!("the status is not JSON: {text}"))?;
        Ok(Self(value))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#}", self.0)
    }
}
