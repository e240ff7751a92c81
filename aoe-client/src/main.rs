//! `aoe`: finds ATA-over-Ethernet disks and reads and writes them, without the kernel's driver.
#![forbid(unsafe_code)]

mod commands;
mod progress;
mod size;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{bench, discover, read, stat, write};

const LONG_ABOUT: &str = "\
Finds ATA-over-Ethernet disks, and reads and writes them, without the kernel's aoe driver and \
without disturbing it.

ATA over Ethernet has no connections and no logins: whoever is on the same network segment can use \
a disk, so every command needs to know by which network interface, and sending frames there needs \
root or the capability CAP_NET_RAW. A disk is named by its shelf and slot: e0.1 is slot 1 of \
shelf 0.";

const EXAMPLES: &str = "\
Examples:
  aoe discover --iface eth0                        who is there?
  aoe stat --iface eth0 --iface eth1               one line per disk, as from aoe-stat
  aoe read e0.1 --iface eth0 -o disk.img           copy the whole disk into a file
  aoe read e0.1 --iface eth0 --sectors 1 | xxd     look at the first sector
  aoe write e0.1 --iface eth0 disk.img             copy a file onto the disk
  aoe bench e0.1 --iface eth0 --depth 16           how fast are random reads?

Exit status:
  0  it worked
  1  it did not; one line on standard error says why
  2  the command line makes no sense";

/// Find, read and write ATA-over-Ethernet disks
#[derive(Parser)]
#[command(name = "aoe", version, long_about = LONG_ABOUT, after_long_help = EXAMPLES)]
#[command(after_help = "`aoe --help` says more and has examples.")]
#[command(max_term_width = 100, propagate_version = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Discover(discover::Arguments),
    Stat(stat::Arguments),
    Read(read::Arguments),
    Write(write::Arguments),
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Discover(arguments) => discover::run(&arguments),
        Command::Stat(arguments) => stat::run(&arguments),
        Command::Read(arguments) => read::run(&arguments),
        Command::Write(arguments) => write::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aoe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
