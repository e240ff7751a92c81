//! `cargo xtask bench`: how fast it is, beside what else this machine can do.

mod fio;
mod image;
mod load;
mod machine;
mod memory;
mod report;
mod rig;
mod rows;
mod samples;
mod stage;
mod storage;
mod take;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Measure, each value beside its reference
#[derive(Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Storage(storage::Storage),
}

/// Does it.
pub(crate) fn run(arguments: &Bench) -> Result<()> {
    match &arguments.what {
        What::Storage(arguments) => storage::run(arguments),
    }
}
