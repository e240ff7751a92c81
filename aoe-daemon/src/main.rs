//! Command line in, exit code out.

use anyhow::{Context, Result};
use aoe_daemon::config::{Cli, Command, Config};
use aoe_daemon::control;
use clap::Parser;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aoe-daemon: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Some(Command::Status(args)) => {
            let report = control::ask_status(&args.control)?;
            if args.json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                print!("{report}");
            }
            Ok(())
        }
        None => {
            log_to_stderr(cli.serve.verbose)?;
            control::serve(&Config::new(cli.serve)?)
        }
    }
}

fn log_to_stderr(verbose: u8) -> Result<()> {
    // The libraries' own debugging output would bury ours.
    let default = match verbose {
        0 => "info",
        1 => "info,aoe_daemon=debug",
        _ => "debug,aoe_daemon=trace",
    };
    let directives = std::env::var("RUST_LOG").unwrap_or_else(|_| default.to_owned());
    let filter: Targets = directives.parse().context("RUST_LOG")?;
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines).with(filter).init();
    Ok(())
}
