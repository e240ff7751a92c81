//! A disk whose medium fails: `/proc/self/mem`, where reading and writing at an address that
//! nothing is mapped at is an input/output error, and flushing is impossible.

use super::bench::Bench;
use super::support::frame::{Registers, pattern};
use aoe_daemon::storage::Finished;
use aoe_daemon::storage::backing::Backing;
use aoe_daemon::storage::image::Image;
use aoe_daemon::target::Fault;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// An address that nothing is ever mapped at, as a sector.
const HOLE: u64 = 1;

/// This process as a medium.
fn bench() -> Bench {
    let path = "/proc/self/mem";
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let backing = Backing::new(file, Path::new(path), false);
    Bench::new(Image::with_size(Arc::new(backing), 0, 1 << 48))
}

/// Some sectors that can be read and written but not flushed.
struct Memory(Box<[AtomicU8]>);

impl Memory {
    fn new(content: &[u8]) -> Self {
        let memory = Self((0..content.len() + 512).map(|_| AtomicU8::new(0)).collect());
        for (byte, value) in memory.sectors().zip(content) {
            byte.store(*value, Ordering::Relaxed);
        }
        memory
    }

    /// The first whole sector of it.
    fn lba(&self) -> u64 {
        (self.0.as_ptr() as u64).div_ceil(512)
    }

    fn sectors(&self) -> impl Iterator<Item = &AtomicU8> {
        let skip = self.lba() * 512 - self.0.as_ptr() as u64;
        self.0.iter().skip(skip as usize)
    }

    fn content(&self, bytes: usize) -> Vec<u8> {
        self.sectors().take(bytes).map(|byte| byte.load(Ordering::Relaxed)).collect()
    }
}

/// The last sector before a hole: one that can be read, with one behind it that can't.
fn last_sector_before_a_hole() -> u64 {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let ranges: Vec<(u64, u64, bool)> = maps
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let (from, to) = words.next().unwrap().split_once('-').unwrap();
            let address = |digits| u64::from_str_radix(digits, 16).unwrap();
            // The main thread's stack is the one mapping that stays put: it ends where it ends.
            let stays = words.next().unwrap().starts_with("rw") && line.ends_with("[stack]");
            (address(from), address(to), stays)
        })
        .collect();
    let (_, end, _) = ranges.iter().find(|(_, _, stays)| *stays).expect("a stack");
    assert!(ranges.iter().all(|(from, _, _)| from != end), "something follows the stack");
    end / 512 - 1
}

#[test]
fn a_medium_that_can_not_be_read() {
    let mut bench = bench();
    assert_eq!(bench.read(HOLE, 1), Err(Fault::ReadFailed));
    assert!(!bench.disk.is_failed(), "a read fails nothing but itself");
}

/// The kernel returns what it has got so far, and the error only when it is asked for the rest.
#[test]
fn a_medium_that_can_be_read_in_part() {
    let mut bench = bench();
    let last = last_sector_before_a_hole();
    assert!(bench.read(last, 1).is_ok(), "the last sector");
    assert_eq!(bench.read(last, 2), Err(Fault::ReadFailed));
    assert_eq!(bench.read(last - 3, 17), Err(Fault::ReadFailed));
}

#[test]
fn a_write_that_fails_ends_all_writing() {
    let memory = Memory::new(&pattern(1, 2));
    let mut bench = bench();
    assert_eq!(bench.write(HOLE, &pattern(2, 1)), Err(Fault::WriteFailed));
    assert!(bench.disk.is_failed());
    assert_eq!(bench.write(memory.lba(), &pattern(3, 1)), Err(Fault::WriteFailed));
    assert!(memory.content(1024) == pattern(1, 2), "nothing was written any more");
    assert_eq!(bench.flush(), Err(Fault::WriteFailed));
    assert!(bench.read(memory.lba(), 2) == Ok(pattern(1, 2)), "reads go on");
}

#[test]
fn a_flush_that_fails_ends_all_writing() {
    let mut bench = bench();
    assert_eq!(bench.flush(), Err(Fault::WriteFailed));
    assert!(bench.disk.is_failed());
    assert_eq!(bench.flush(), Err(Fault::WriteFailed), "it is not tried again");
}

#[test]
fn as_long_as_it_can_not_be_flushed_it_stays_failed() {
    let mut bench = bench();
    let backing = Arc::clone(&bench.disk.image().backing);
    backing.clear_failed().expect("it has not failed yet");
    assert_eq!(bench.flush(), Err(Fault::WriteFailed));
    assert!(backing.clear_failed().is_err() && bench.disk.is_failed());
}

/// A flush that comes after a failure says nothing of what was begun before it.
#[test]
fn what_was_begun_before_a_failure_is_not_forgiven_with_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), pattern(1, 8)).unwrap();
    let mut bench = Bench::new(Image::open(file.path(), false).unwrap());
    let backing = Arc::clone(&bench.disk.image().backing);
    assert_eq!(bench.write(0, &pattern(2, 1)), Ok(()));
    let write = bench.job(Registers::write48(0, 1), &pattern(3, 1));
    bench.park(write, 7);
    backing.fail();
    backing.clear_failed().unwrap();
    let Finished { job, export, outcome } = bench.await_finished();
    bench.take_apart(job);
    assert_eq!((export, outcome), (7, Err(Fault::WriteFailed)));
    assert!(!bench.disk.is_failed());
    assert_eq!(bench.write(1, &pattern(4, 1)), Ok(()));
    assert!(fs::read(file.path()).unwrap()[512..1024] == pattern(4, 1));
    assert!(bench.read(0, 8).unwrap() == fs::read(file.path()).unwrap(), "what is there is read");
}

#[test]
fn what_could_not_be_flushed_was_not_written() {
    let memory = Memory::new(&pattern(1, 4));
    let lba = memory.lba();
    let mut bench = bench();
    // Parked together, so that most share the flush that fails; the reads don't need one.
    for number in 0..40 {
        let job = match number % 2 {
            0 => bench.job(Registers::write48(lba, 1), &pattern(2, 1)),
            _ => bench.job(Registers::read48(lba + 1, 2), &[]),
        };
        bench.park(job, number);
    }
    let mut outcomes = [None; 40];
    for _ in 0..40 {
        let Finished { job, export: number, outcome } = bench.await_finished();
        assert_eq!(outcomes[number].replace(outcome), None);
        let data = bench.take_apart(job);
        match number % 2 {
            0 => assert_eq!(outcome, Err(Fault::WriteFailed), "write {number}"),
            _ => assert!(outcome == Ok(()) && data == pattern(1, 4)[512..1536], "read {number}"),
        }
    }
    assert!(bench.disk.is_failed());
}
