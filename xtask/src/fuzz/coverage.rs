//! Which lines the inputs of a fuzz target reach.

use super::{DIRECTORY, Target, cargo_fuzz};
use crate::build::{target_dir, workspace};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Part of our target directory that is built to count lines.
const BUILT: &str = "fuzz-coverage";

/// Runs all inputs once more, and prints what share of the target's subject they have reached.
pub(super) fn report(target: Target) -> Result<()> {
    let rust = Rust::of_host()?;
    let Some(llvm) = rust.llvm_tools() else {
        println!(
            "no line coverage: the profiles of this rustc need the tools of LLVM {0}: \
             rustup component add llvm-tools, or Debian's llvm-{0}",
            rust.llvm
        );
        return Ok(());
    };
    let mut coverage = cargo_fuzz("coverage", target, BUILT);
    coverage.args([target.seeds(), target.found()]).arg("--llvm-path").arg(&llvm);
    // What it says of each run is of no interest.
    let output = coverage.output().context("cannot run cargo fuzz")?;
    if !output.status.success() {
        bail!("no coverage: {}", String::from_utf8_lossy(&output.stderr));
    }
    let profile = format!("coverage/{target}/coverage.profdata");
    let program = target_dir().join(BUILT).join(&rust.triple).join("release").join(target.name());
    let mut cov = Command::new(llvm.join("llvm-cov"));
    cov.current_dir(workspace())
        .args(["report", "--show-branch-summary=false", "--instr-profile"])
        .arg(Path::new(DIRECTORY).join(profile))
        .arg(program)
        .args(target.subject().iter().map(|path| workspace().join(path)));
    let status = cov.status().with_context(|| format!("cannot run {cov:?}"))?;
    ensure!(status.success(), "llvm-cov failed: {status}");
    Ok(())
}

/// What the host's rustc says of itself.
struct Rust {
    triple: String,
    /// Major version of its LLVM, which the tools have to share with it.
    llvm: String,
    /// Where it is installed.
    prefix: PathBuf,
}

impl Rust {
    fn of_host() -> Result<Self> {
        let rustc = Path::new(env!("CARGO")).with_file_name("rustc");
        let output = Command::new(&rustc).arg("-vV").output();
        let output = output.with_context(|| format!("cannot run {}", rustc.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let value = |name| text.lines().find_map(|line| line.strip_prefix(name));
        let llvm = value("LLVM version: ").and_then(|version| version.split('.').next());
        Ok(Self {
            triple: value("host: ").context("rustc does not name its host")?.to_owned(),
            llvm: llvm.context("rustc does not name its LLVM version")?.to_owned(),
            prefix: rustc.ancestors().nth(2).unwrap_or(Path::new("/usr")).to_owned(),
        })
    }

    /// The directory of the LLVM tools that go with it: rustup's component, or the distribution's.
    fn llvm_tools(&self) -> Option<PathBuf> {
        let component = self.prefix.join("lib/rustlib").join(&self.triple).join("bin");
        let distribution = Path::new("/usr/lib").join(format!("llvm-{}/bin", self.llvm));
        [component, distribution].into_iter().find(|directory| {
            ["llvm-cov", "llvm-profdata"].iter().all(|tool| directory.join(tool).is_file())
        })
    }
}
