//! The steps of a longer command: named, timed, and none of them skipped without a word.

use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::Instant;

/// What a run of steps came to.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, f64)>,
    skipped: Vec<String>,
}

impl Steps {
    /// Runs a command; its failure ends everything.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) -> Result<()> {
        println!("\n=== {name}");
        let start = Instant::now();
        let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
        ensure!(status.success(), "{name}: {status}");
        self.done.push((name.to_owned(), start.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Notes what can't be done here, and why.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        println!("\n=== {name}: SKIPPED, {reason}");
        self.skipped.push(format!("{name}: {reason}"));
    }

    /// Tells what was done and what was not.
    pub(crate) fn summary(&self) {
        println!("\n=== all of it");
        for (name, seconds) in &self.done {
            println!("{seconds:7.1} s  {name}");
        }
        for skipped in &self.skipped {
            println!("  SKIPPED  {skipped}");
        }
    }
}
