//! How much of what is random a test does: little every day, much in a long run.

use std::env;

use anyhow::{Context, Result};

/// What `variable` says, which `cargo xtask test --long` sets; else the usual.
pub fn rounds(variable: &str, usual: u64) -> Result<u64> {
    match env::var(variable) {
        Ok(number) => number.parse().with_context(|| format!("{variable} is no number")),
        Err(_) => Ok(usual),
    }
}
