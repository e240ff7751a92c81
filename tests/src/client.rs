//! The `aoe` command as the tests use it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Finished, finish};
use crate::namespace::Namespace;
use crate::paths;

/// The client gives up by itself after 10 s without an answer to a request.
const LIMIT: Duration = Duration::from_secs(60);

/// The `aoe` command in one namespace, on one interface.
#[derive(Debug)]
pub struct Client<'n> {
    namespace: &'n Namespace,
    interface: String,
    program: PathBuf,
    scratch: TempDir,
}

/// A line of `aoe discover`, as JSON.
#[derive(Clone, Debug, Deserialize)]
pub struct Discovered {
    /// Such as `e0.1`.
    pub address: String,
    /// Size in sectors, if it identifies itself.
    pub sectors: Option<u64>,
    /// Most sectors in a request.
    pub sector_count: u8,
    /// Most requests it holds at once.
    pub buffer_count: u16,
}

impl<'n> Client<'n> {
    /// A client that sends from `interface`.
    pub fn new(namespace: &'n Namespace, interface: &str) -> Result<Self> {
        Ok(Self {
            namespace,
            interface: interface.to_owned(),
            program: paths::client()?,
            scratch: paths::scratch()?,
        })
    }

    /// Every target that answers.
    pub fn discover(&self) -> Result<Vec<Discovered>> {
        let text = self.run(&["discover", "--json"])?.text();
        serde_json::from_str(&text).with_context(|| format!("not the expected JSON: {text}"))
    }

    /// The one target at `address`.
    pub fn find(&self, address: &str) -> Result<Discovered> {
        let mut found = self.discover()?;
        found.retain(|target| target.address == address);
        found.pop().with_context(|| format!("{address} was not discovered"))
    }

    /// What `aoe stat` prints.
    pub fn stat(&self) -> Result<String> {
        Ok(self.run(&["stat"])?.text())
    }

    /// Reads sectors.
    pub fn read(&self, address: &str, lba: u64, sectors: u64) -> Result<Vec<u8>> {
        let (lba, sectors) = (lba.to_string(), sectors.to_string());
        let finished = self.run(&["read", address, "--lba", &lba, "--sectors", &sectors])?;
        Ok(finished.stdout)
    }

    /// Writes whole sectors.
    pub fn write(&self, address: &str, lba: u64, data: &[u8]) -> Result<()> {
        let input = self.scratch.path().join("written");
        fs::write(&input, data)?;
        self.run(&["write", address, "--lba", &lba.to_string(), &input.display().to_string()])?;
        Ok(())
    }

    /// Runs any command, which must succeed.
    pub fn run(&self, arguments: &[&str]) -> Result<Finished> {
        self.attempt(arguments)?.success().with_context(|| format!("aoe {arguments:?}"))
    }

    /// Runs any command that can print JSON, and gives that.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.run(&[arguments, &["--json"]].concat())?.text();
        serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
    }

    /// Runs any command that must fail, with one line on standard error that has all these words.
    pub fn refused(&self, arguments: &[&str], words: &[&str]) -> Result<()> {
        let Finished { status, stderr, .. } = self.attempt(arguments)?;
        ensure!(status.code() == Some(1), "aoe {arguments:?}: {status}: {stderr}");
        ensure!(stderr.lines().count() == 1, "aoe {arguments:?}: not one line: {stderr}");
        for word in words {
            ensure!(stderr.contains(word), "aoe {arguments:?} does not say {word:?}: {stderr}");
        }
        Ok(())
    }

    /// Whether anybody answers a discovery.
    pub fn hears_anybody(&self) -> Result<bool> {
        Ok(self.attempt(&["discover"])?.status.success())
    }

    /// Runs any command, whatever comes of it.
    pub fn attempt(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = self.namespace.command(&self.program);
        command.args(arguments).args(["--iface", &self.interface]);
        finish(&mut command, LIMIT)
    }
}
