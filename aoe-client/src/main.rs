//! `aoe`: finds ATA-over-Ethernet disks, uses and administers them, without the kernel's driver.
#![forbid(unsafe_code)]

mod commands;
mod progress;
mod size;
mod text;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use commands::{
    bench, completions, config, discover, flush, identify, mask, read, reserve, smart, stat, trim,
    write,
};

const LONG_ABOUT: &str = "\
Finds ATA-over-Ethernet disks, reads and writes them, and keeps their config strings, MAC mask \
lists and reservations, without the kernel's aoe driver and without disturbing it.

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
  aoe config set e0.1 --iface eth0 'web server'    give the disk a name
  aoe reserve set e0.1 --iface eth0                keep it for this machine alone

Exit status:
  0  done, or the answer is yes
  1  it failed, a config string does not match, or a disk is failing; one line on standard error
     says which
  2  the command line makes no sense";

/// Find, use and administer ATA-over-Ethernet disks
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
    Identify(identify::Arguments),
    Read(read::Arguments),
    Write(write::Arguments),
    Flush(flush::Arguments),
    Trim(trim::Arguments),
    Smart(smart::Arguments),
    Config(config::Arguments),
    Mask(mask::Arguments),
    Reserve(reserve::Arguments),
    Bench(bench::Arguments),
    Completions(completions::Arguments),
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Discover(arguments) => discover::run(&arguments),
        Command::Stat(arguments) => stat::run(&arguments),
        Command::Read(arguments) => read::run(&arguments),
        Command::Write(arguments) => write::run(&arguments),
        Command::Identify(arguments) => identify::run(&arguments),
        Command::Flush(arguments) => flush::run(&arguments),
        Command::Trim(arguments) => trim::run(&arguments),
        Command::Smart(arguments) => smart::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Mask(arguments) => mask::run(&arguments),
        Command::Reserve(arguments) => reserve::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, CommandLine::command()),
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

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
