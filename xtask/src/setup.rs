//! `cargo xtask setup`: makes the machine able to build the project, and to test it.
//!
//! After every step the next one is decided anew from what the machine has. So a setup that was
//! interrupted goes on where it stopped, and one that is complete looks at some files and is done.

mod apt;
mod building;
mod qemu;
mod step;
mod testing;
#[path = "../../aoe-ebpf/toolchain.rs"]
pub(crate) mod toolchain;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::tool::{self, Tool};
use step::Step;

/// What the tests need from crates.io.
const TOOLS: [Tool; 2] = [tool::FUZZ, tool::FSX];

/// Install what building needs: a Rust toolchain for BPF, and bpf-linker
///
/// Every step is announced before it is taken. Where a step can't be taken, what to do instead is
/// said, and that is an error.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Setup {
    /// Only report what is there and what is missing; exit with 1 if something is missing
    #[arg(long)]
    check: bool,
    /// Include what `cargo xtask test` needs
    #[arg(long)]
    tests: bool,
}

/// Something that the machine should have.
struct Need {
    name: String,
    /// Where it is, if it is there.
    found: Option<PathBuf>,
}

/// Runs `cargo xtask setup`.
pub(crate) fn run(arguments: Setup) -> Result<()> {
    if arguments.check {
        return check(arguments.tests);
    }
    ensure_build()?;
    if arguments.tests {
        ensure_tests()?;
    }
    println!("setup: everything is there");
    Ok(())
}

/// Installs what building needs. Says nothing if nothing is missing.
pub(crate) fn ensure_build() -> Result<()> {
    install(building::next_step)
}

/// Installs what building and testing need. Says nothing if nothing is missing.
pub(crate) fn ensure_tests() -> Result<()> {
    ensure_build()?;
    install(testing::next_step)?;
    TOOLS.iter().try_for_each(Tool::ensure)
}

/// Takes steps until there is none.
fn install(next_step: fn() -> Result<Option<Step>>) -> Result<()> {
    let mut taken: Option<Step> = None;
    while let Some(step) = next_step()? {
        if taken.as_ref() == Some(&step) {
            bail!("{step}: that ended well, and yet what it should bring is missing");
        }
        eprintln!("setup: {step}");
        step.take()?;
        taken = Some(step);
    }
    Ok(())
}

/// Reports what is there and what is missing.
fn check(with_tests: bool) -> Result<()> {
    let mut needs = building::needs();
    if with_tests {
        needs.extend(testing::needs());
        needs.extend(TOOLS.map(|tool| Need { name: tool.name.into(), found: tool.find() }));
    }
    for Need { name, found } in &needs {
        match found {
            Some(path) => println!("{name:<24} {}", path.display()),
            None => println!("{name:<24} missing"),
        }
    }
    match needs.iter().filter(|need| need.found.is_none()).count() {
        0 => Ok(()),
        missing => {
            let option = if with_tests { " --tests" } else { "" };
            bail!("{missing} missing: `cargo xtask setup{option}` installs what is, or says how to")
        }
    }
}
