//! `cargo xtask run`: build and serve.

use crate::{build, demo, privilege, setup};
use anyhow::{Context, Result};
use clap::Args;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::time::Instant;

/// Build everything in release mode and serve; without arguments for the daemon, show it working
///
/// What stands behind `--` is the daemon's command line: `cargo xtask run -- --help` tells it.
/// Without any, a disk is served inside a network namespace made for it, and used from the other
/// end of a virtual cable; no existing interface is touched.
#[derive(Args)]
pub(crate) struct Run {
    /// Without arguments for the daemon: end after the demonstration instead of staying up
    #[arg(long, conflicts_with = "daemon")]
    once: bool,
    /// The daemon's arguments, such as --iface ens33 --shelf 0 --slot 1 --file storage1.img
    #[arg(last = true)]
    daemon: Vec<OsString>,
}

/// Does it.
pub(crate) fn run(arguments: Run) -> Result<()> {
    let started = Instant::now();
    setup::ensure_build()?;
    let programs = build::build()?;
    if arguments.daemon.is_empty() {
        let built = started.elapsed();
        return demo::run(&programs, arguments.once, built);
    }
    privilege::prepare(&programs.daemon)?;
    // In our place: signals and the exit code are the daemon's own affair.
    let error = privilege::as_root(&programs.daemon).args(arguments.daemon).exec();
    Err(error).with_context(|| format!("cannot start {}", programs.daemon.display()))
}
