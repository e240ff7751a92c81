//! What scapy says, in a virtual environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use aoe_tests::command::finish;
use aoe_tests::paths;

use super::Fields;

/// For some thousands of frames, and for the installation.
const LIMIT: Duration = Duration::from_secs(180);

/// The release that this was written against.
const PACKAGE: &str = "scapy==2.6.1";

/// The Python of an environment that has scapy; made when it is missing.
fn python() -> Result<PathBuf> {
    let directory = paths::target_dir().join("scapy-2.6.1");
    let python = directory.join("bin/python");
    let has_scapy = |python: &Path| -> Result<bool> {
        let mut command = Command::new(python);
        Ok(finish(command.args(["-c", "import scapy"]), LIMIT)?.status.success())
    };
    if python.is_file() && has_scapy(&python)? {
        return Ok(python);
    }
    let mut venv = Command::new("python3");
    finish(venv.args(["-m", "venv", "--clear"]).arg(&directory), LIMIT)?
        .success()
        .context("make a virtual environment: Debian has it in python3-venv")?;
    let mut pip = Command::new(&python);
    finish(pip.args(["-m", "pip", "install", "--quiet", PACKAGE]), LIMIT)?
        .success()
        .context("install scapy, from PyPI or wherever pip.conf says")?;
    Ok(python)
}

/// The fields of every frame of a capture file.
pub(super) fn decode(file: &Path) -> Result<Vec<Fields>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("decoders/with_scapy.py");
    let mut command = Command::new(python()?);
    let text = finish(command.arg(script).arg(file), LIMIT)?.success()?.text();
    let line = |line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}"));
    text.lines().map(line).collect()
}
