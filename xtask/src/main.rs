//! The project's own commands. `cargo xtask help` lists them.

mod bench;
mod build;
mod demo;
mod fuzz;
mod mutants;
mod privilege;
mod run;
mod sandbox;
mod setup;
mod step;
mod test;
mod tool;
mod unstable;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Build, run and test the ATA-over-Ethernet target.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Bench(bench::Bench),
    Fuzz(fuzz::Fuzz),
    Mutants(mutants::Mutants),
    Run(run::Run),
    Setup(setup::Setup),
    Test(test::Test),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Mutants(arguments) => mutants::run(&arguments),
        Command::Run(arguments) => run::run(arguments),
        Command::Setup(arguments) => setup::run(arguments),
        Command::Test(arguments) => test::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
