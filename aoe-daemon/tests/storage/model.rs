//! A disk under everything at once, held against a plain array: overlapping reads, writes and TRIMs
//! in flight together, with every way that they can be carried out.

use super::bench::{Bench, Setup};
use super::support::frame::{Registers, pattern};
use aoe_daemon::state::Store as Memory;
use aoe_daemon::storage::engine::Started;
use aoe_daemon::storage::image::Image;
use aoe_daemon::storage::{Finished, Job};
use aoe_daemon::target::Operation;
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use tempfile::NamedTempFile;

/// Sectors of the disk: more blocks than the smallest cache has, few enough to collide.
const SECTORS: usize = 250;
/// Sectors of the file before it.
const OFFSET: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    Read(usize, usize),
    Write(usize, usize),
    Trim(usize, usize),
    Flush,
    /// Lets so many requests finish before the next is started.
    Wait(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let range =
        (0..SECTORS, 1_usize..=17).prop_map(|(lba, sectors)| (lba.min(SECTORS - sectors), sectors));
    prop_oneof![
        6 => range.clone().prop_map(|(lba, sectors)| Step::Read(lba, sectors)),
        6 => range.clone().prop_map(|(lba, sectors)| Step::Write(lba, sectors)),
        1 => range.prop_map(|(lba, sectors)| Step::Trim(lba, sectors)),
        1 => Just(Step::Flush),
        4 => (1_usize..8).prop_map(Step::Wait),
    ]
}

/// What a read has to return: arrival decides, for requests that overlap.
struct Expected(Vec<Option<Vec<u8>>>);

fn check(
    expected: &Expected,
    bench: &mut Bench,
    number: usize,
    job: Job,
) -> Result<(), TestCaseError> {
    let operation = job.request.operation;
    let data = bench.take_apart(job);
    if let (Operation::Read(range), Some(expected)) = (operation, &expected.0[number]) {
        prop_assert!(data == *expected, "request {number}: {range:?} read other data");
    }
    Ok(())
}

fn finish_one(expected: &Expected, bench: &mut Bench) -> Result<(), TestCaseError> {
    let Finished { job, export, outcome } = bench.await_finished();
    prop_assert_eq!(outcome, Ok(()), "request {}", export);
    check(expected, bench, export, job)
}

fn run(setup: Setup, directory: &Path, steps: &[Step]) -> Result<(), TestCaseError> {
    let file = NamedTempFile::new_in(directory).unwrap();
    let content = pattern(1, OFFSET + SECTORS);
    fs::write(file.path(), &content).unwrap();
    let backing = Image::open(file.path(), false).unwrap().backing;
    let image = Image::part(&backing, OFFSET as u64 * 512, None).unwrap();
    let mut bench = Bench::with(setup, image, Memory::nowhere());
    let mut disk = content[OFFSET * 512..].to_vec();
    let mut expected = Expected(vec![None; steps.len()]);
    let mut waiting = 0;
    for (number, step) in steps.iter().enumerate() {
        let job = match *step {
            Step::Wait(count) => {
                for _ in 0..count.min(waiting) {
                    finish_one(&expected, &mut bench)?;
                    waiting -= 1;
                }
                continue;
            }
            Step::Read(lba, sectors) => {
                expected.0[number] = Some(disk[lba * 512..][..sectors * 512].to_vec());
                bench.job(Registers::read48(lba as u64, sectors as u8), &[])
            }
            Step::Write(lba, sectors) => {
                let data = pattern(100 + number as u32, sectors);
                disk[lba * 512..][..data.len()].copy_from_slice(&data);
                bench.job(Registers::write48(lba as u64, sectors as u8), &data)
            }
            Step::Trim(lba, sectors) => {
                disk[lba * 512..][..sectors * 512].fill(0);
                let (registers, list) = super::plain::trim(&[(lba as u64, sectors as u16)]);
                bench.job(registers, &list)
            }
            Step::Flush => bench.job(Registers::command(0xEA), &[]),
        };
        match bench.engine.start(number, job) {
            Started::Parked => waiting += 1,
            // What the cache or memory answers at once may be older than what has arrived, as long
            // as that is not answered.
            Started::Done(job, outcome) => {
                prop_assert_eq!(outcome, Ok(()));
                if waiting > 0 {
                    expected.0[number] = None;
                }
                check(&expected, &mut bench, number, job)?;
            }
            Started::Refused(_) => panic!("no room"),
        }
    }
    for _ in 0..waiting {
        finish_one(&expected, &mut bench)?;
    }
    prop_assert_eq!(bench.engine.parked(), 0);
    prop_assert_eq!(bench.umem.census().application, 0);
    for lba in (0..SECTORS as u64).step_by(10) {
        let read = bench.read(lba, 10).unwrap();
        prop_assert!(read == disk[lba as usize * 512..][..5120], "{lba} reads as other data");
    }
    bench.save();
    let file = fs::read(file.path()).unwrap();
    prop_assert!(file[OFFSET * 512..] == disk[..], "the file has other data");
    prop_assert!(file[..OFFSET * 512] == content[..OFFSET * 512], "what is not served has changed");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 10))]

    #[test]
    fn a_disk_is_an_array(steps in prop::collection::vec(step(), 1..400)) {
        for setup in Setup::ALL {
            run(setup, &std::env::temp_dir(), &steps)?;
        }
        if Path::new("/dev/shm").is_dir() {
            run(Setup::USUAL, Path::new("/dev/shm"), &steps)?;
        }
    }
}
