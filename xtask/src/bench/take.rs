//! How each measure is taken.

use super::image;
use super::memory;
use super::rig::Rig;
use super::rows::{DEPTH, Measure};
use super::{fio, load::Answers, stage};
use anyhow::{Result, ensure};
use aoe_tests::command::finish;
use aoe_tests::image::sparse_image;
use std::time::{Duration, Instant};

/// Parts of the image that scans take in turn, of 1 GiB.
const PARTS: u64 = image::SIZE >> 30;
/// What reads that the cache holds keep to.
const HOT: &str = "64M";
/// Seconds after which a load that ends by amount is given up.
const LONG: u64 = 600;
/// Sparse disks, in bytes.
const SMALL: u64 = 1 << 30;
const LARGE: u64 = 4 << 40;
/// The cache of most loads: larger than what is read of the image in one, and soon there.
const CACHE: &str = "--cache=2G";
/// The cache for reads of holes: so small that hardly any is met twice.
const HOLES_CACHE: &str = "--cache=16M";
/// For the first answer.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long one question waits for it, in milliseconds.
const QUERY_TIMEOUT: &str = "20";

/// Takes a measure. Rounds differ in the places that they ask for.
pub(super) fn take(rig: &Rig, measure: Measure, round: u64) -> Result<f64> {
    let timed = format!("--depth {DEPTH} --seconds {} --seed {}", rig.seconds, round + 1);
    let part = (round % PARTS) << 30;
    Ok(match measure {
        Measure::Hit => stage::nanoseconds("hit")?,
        Measure::Copy => stage::nanoseconds("copy")?,
        Measure::Misses => {
            on_image(rig, &format!("--load randread --sectors 8 {timed}"))?.per_second
        }
        Measure::Hits4K => hits(rig, &format!("--sectors 8 {timed}"))?.per_second,
        Measure::Hits8K => megabytes(hits(rig, &format!("--sectors 16 {timed}"))?.bytes_per_second),
        Measure::Scan => megabytes(scan(rig, part)?.bytes_per_second),
        Measure::RandomWrites => {
            on_image(rig, &format!("{} {timed}", writes("randwrite")))?.per_second
        }
        Measure::SequentialWrites => {
            on_image(rig, &format!("{} {timed}", writes("write")))?.per_second
        }
        Measure::VbladeWrites => {
            rig.load_on_vblade(&format!("{} {timed}", writes("randwrite")))?.per_second
        }
        Measure::FioMisses => for_a_while(rig, "--rw=randread --bs=4k", round)?.per_second,
        Measure::FioWrites => {
            for_a_while(rig, "--rw=randwrite --bs=1k --sync=dsync", round)?.per_second
        }
        Measure::FioScan => megabytes(fio_scan(rig, part, DEPTH)?.bytes_per_second),
        Measure::FioScanDepthOne => megabytes(fio_scan(rig, part, 1)?.bytes_per_second),
        Measure::Resident => memory::of_full_cache(rig)?.resident,
        Measure::Locked => memory::of_full_cache(rig)?.locked,
        Measure::Budget => memory::budget(rig)?,
        Measure::Start => start(rig)?,
        Measure::SmallHits => sparse_hits(rig, SMALL, &timed)?,
        Measure::LargeHits => sparse_hits(rig, LARGE, &timed)?,
        Measure::SmallMisses => holes(rig, SMALL, &timed)?,
        Measure::LargeMisses => holes(rig, LARGE, &timed)?,
    })
}

fn megabytes(bytes: f64) -> f64 {
    bytes / 1e6
}

fn nanoseconds(answers: Answers) -> f64 {
    1e9 / answers.per_second
}

fn writes(load: &str) -> String {
    format!("--load {load} --overwrite --sectors 2")
}

fn on_image(rig: &Rig, options: &str) -> Result<Answers> {
    rig.load_on(&rig.image, CACHE, options)
}

/// Random reads of what has been read before.
fn hits(rig: &Rig, options: &str) -> Result<Answers> {
    let daemon = rig.serve(&rig.image, CACHE)?;
    let answers = warm_hits(rig, options)?;
    daemon.stop()?;
    Ok(answers)
}

fn warm_hits(rig: &Rig, options: &str) -> Result<Answers> {
    rig.load(&format!("--load read --sectors 16 --bytes {HOT} --seconds {LONG}"))?;
    rig.load(&format!("--load randread --within {HOT} {options}"))
}

/// One reading of a part of the image.
fn scan(rig: &Rig, part: u64) -> Result<Answers> {
    let flags = format!("--offset {part} --length 1G");
    let options = format!("--load read --sectors 16 --bytes 1G --depth {DEPTH} --seconds {LONG}");
    rig.load_on(&rig.image, &flags, &options)
}

fn fio_scan(rig: &Rig, part: u64, depth: u32) -> Result<fio::Job> {
    let options = format!("--rw=read --bs=128k --iodepth={depth} --offset={part} --size=1g");
    fio::run(&rig.image, &options)
}

fn for_a_while(rig: &Rig, options: &str, round: u64) -> Result<fio::Job> {
    let (seconds, seed) = (rig.seconds, round + 1);
    let timed = format!("--time_based --runtime={seconds} --randseed={seed} --iodepth={DEPTH}");
    fio::run(&rig.image, &format!("{options} {timed}"))
}

/// Seconds from the start of a daemon to its first answer.
fn start(rig: &Rig) -> Result<f64> {
    let began = Instant::now();
    let mut daemon = rig.setup(&rig.image, "").spawn()?;
    daemon.process.hush();
    loop {
        let mut question = rig.client("identify")?;
        question.args(["--timeout", QUERY_TIMEOUT]);
        if finish(&mut question, START_LIMIT)?.status.success() {
            break;
        }
        daemon.process.expect_running()?;
        ensure!(began.elapsed() < START_LIMIT, "no answer: {}", daemon.process.log());
    }
    let seconds = began.elapsed().as_secs_f64();
    daemon.stop()?;
    Ok(seconds)
}

/// Nanoseconds for a read that the cache holds.
fn sparse_hits(rig: &Rig, size: u64, timed: &str) -> Result<f64> {
    let image = rig.scratch.join("sparse.img");
    sparse_image(&image, size)?;
    let daemon = rig.serve(&image, "--cache=256M")?;
    let answers = warm_hits(rig, &format!("--sectors 2 {timed}"))?;
    daemon.stop()?;
    Ok(nanoseconds(answers))
}

/// Nanoseconds for a read of what was never written.
fn holes(rig: &Rig, size: u64, timed: &str) -> Result<f64> {
    let image = rig.scratch.join("sparse.img");
    sparse_image(&image, size)?;
    let options = format!("--load randread --sectors 8 {timed}");
    Ok(nanoseconds(rig.load_on(&image, HOLES_CACHE, &options)?))
}
