//! Command line in, exit code out.

use anyhow::{Context, Result};
use aoe_daemon::config::{
    self, ClearArgs, Cli, Command, Config, FileError, StatusArgs, usage_error,
};
use aoe_daemon::control;
use clap::Parser;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Exit code for a command line that makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return refuse(&usage_error(&error), USAGE),
        // Help and version.
        Err(asked) => asked.exit(),
    };
    let done = match cli.command {
        Some(Command::Status(arguments)) => status(&arguments),
        Some(Command::Clear(arguments)) => clear(&arguments),
        Some(Command::Check(arguments)) => return check(&arguments.file),
        None => {
            let verbose = cli.serve.verbose;
            match Config::new(cli.serve) {
                Ok(config) => log_to_stderr(verbose).and_then(|()| control::serve(&config)),
                Err(error) if error.is::<FileError>() => return refuse(&error.to_string(), 1),
                Err(error) => return refuse(&format!("{error:#}"), USAGE),
            }
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&format!("{error:#}"), 1),
    }
}

fn refuse(reason: &str, code: u8) -> ExitCode {
    // A configuration file may be wrong in several lines.
    reason.lines().for_each(|line| eprintln!("aoe-daemon: {line}"));
    ExitCode::from(code)
}

fn check(path: &Path) -> ExitCode {
    match config::check(path) {
        Ok(report) => {
            println!("{report}");
            ExitCode::from(u8::from(!report.problems.is_empty()))
        }
        Err(error) => refuse(&error.to_string(), 1),
    }
}

fn clear(arguments: &ClearArgs) -> Result<()> {
    let &ClearArgs { address, config_string, mask, reservation, failed, ref control } = arguments;
    let clear = control::Clear { address, config_string, mask, reservation, failed };
    control::clear(control, &clear)
}

fn status(arguments: &StatusArgs) -> Result<()> {
    let report = control::ask_status(&arguments.control)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
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
