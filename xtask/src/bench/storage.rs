//! `cargo xtask bench storage`: the storage engine, beside the disk and beside vblade.

use super::report::{self, Results};
use super::rig::Rig;
use super::rows::{Measure, ROWS, Row};
use super::{machine, take};
use crate::build::{self, target_dir, workspace};
use crate::privilege;
use crate::setup::{self, toolchain::find_program};
use anyhow::{Context, Result, ensure};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Measure the storage engine beside fio, vblade and memory: a table in docs/bench
///
/// The target runs on the first core, its client on the second, in network namespaces of their own
/// with a virtual cable between them. Each round takes every measure once, on a daemon that has
/// just been started; the next one does so from the last to the first. Medians count.
#[derive(Args)]
pub(crate) struct Storage {
    /// Where the disk that is measured gets its image of 10 GiB, which stays there for the next
    /// time [default: bench in cargo's target directory]
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// How long a load lasts
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Measure this row only, and write no files; repeat it for more
    #[arg(long, value_name = "ROW", value_parser = PossibleValuesParser::new(ROWS.map(|row| row.key)))]
    only: Vec<String>,
}

/// Set by Ctrl-C and by SIGTERM; what is running then fails, and everything is cleared away.
static STOP: AtomicBool = AtomicBool::new(false);

/// Does it.
pub(super) fn run(arguments: &Storage) -> Result<()> {
    let chosen =
        |row: &&Row| arguments.only.is_empty() || arguments.only.iter().any(|only| only == row.key);
    let rows: Vec<&Row> = ROWS.iter().filter(chosen).collect();
    let measures = measures(&rows);
    check(&measures)?;
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).context("signal handler")?;
    setup::ensure_build()?;
    build::build()?;
    let directory = arguments.dir.clone().unwrap_or_else(|| target_dir().join("bench"));
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    let directory = directory.canonicalize().with_context(|| directory.display().to_string())?;

    let results = rounds(&Rig::new(&directory, arguments.seconds)?, &measures, arguments.rounds)?;
    let machine = machine::describe(&directory);
    let how = format!(
        "Made by `cargo xtask bench storage --rounds {} --seconds {}`: medians, in brackets the \
         least and the greatest; the reference in bold is the one that counts. Target and client \
         have a core each, and a veth pair of MTU 9000 between them.",
        arguments.rounds, arguments.seconds
    );
    let table = report::markdown(&rows, &results, &machine, &how);
    println!("{table}");
    if arguments.only.is_empty() {
        let place = workspace().join("docs/bench");
        fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
        fs::write(place.join("storage.md"), table)?;
        let json = report::json(&rows, &results, &machine, &how);
        fs::write(place.join("storage.json"), format!("{json:#}\n"))?;
        eprintln!("bench: written to {}", place.join("storage.md").display());
    }
    Ok(())
}

/// Everything that these rows show, once.
fn measures(rows: &[&Row]) -> Vec<Measure> {
    let mut measures = Vec::new();
    for measure in rows.iter().flat_map(|row| row.measures()) {
        if !measures.contains(&measure) {
            measures.push(measure);
        }
    }
    measures
}

/// Whether these can be measured here.
fn check(measures: &[Measure]) -> Result<()> {
    let needed = measures.iter().filter_map(|measure| measure.needs());
    for (program, package) in
        [("ip", "iproute2"), ("taskset", "util-linux")].into_iter().chain(needed)
    {
        ensure!(
            find_program(program).is_some(),
            "there is no {program}: install Debian's package {package}, or run `cargo xtask setup \
             --tests`"
        );
    }
    ensure!(
        privilege::is_root(),
        "it needs root: sudo -E env PATH=$PATH cargo xtask bench storage"
    );
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ensure!(cores >= 2, "target and client need a core each, and there is one");
    Ok(())
}

fn rounds(rig: &Rig, measures: &[Measure], rounds: u64) -> Result<Results> {
    let mut results = Results::new();
    for round in 0..rounds {
        let mut order = measures.to_vec();
        // What comes first finds the machine as the last round has left it: not always the same.
        if round % 2 == 1 {
            order.reverse();
        }
        for measure in order {
            ensure!(!STOP.load(Ordering::Relaxed), "stopped");
            let value = take::take(rig, measure, round)
                .with_context(|| format!("round {}, {}", round + 1, measure.name()))?;
            let shown = measure.unit().show(value);
            eprintln!("bench: round {} of {rounds}: {}: {shown}", round + 1, measure.name());
            results.entry(measure).or_default().add(value);
        }
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_rows_share_is_measured_once() {
        let rows: Vec<_> = ROWS.iter().collect();
        let all = measures(&rows);
        let shared = all.iter().filter(|measure| **measure == Measure::RandomWrites).count();
        assert_eq!(shared, 1);
        assert!(all.contains(&Measure::FioScanDepthOne), "what is only shown is measured, too");
    }
}
