//! A disk whose writes are answered once they are in the cache.

use super::bench::{Bench, Setup};
use super::support::frame::{Registers, pattern};
use aoe_daemon::state::Store as Memory;
use aoe_daemon::storage::image::Image;
use aoe_daemon::target::Fault;
use std::fs;
use tempfile::NamedTempFile;

/// Sectors of an image: more blocks than half of the small cache.
const SECTORS: usize = 1024;
/// A cache with room for few writes.
const SMALL: Setup = Setup { cache: 16, ..Setup::WRITEBACK };

fn image_file() -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), pattern(1, SECTORS)).unwrap();
    file
}

fn bench(setup: Setup, file: &NamedTempFile) -> Bench {
    Bench::with(setup, Image::open(file.path(), false).unwrap(), Memory::nowhere())
}

fn is_written(file: &NamedTempFile, lba: usize, data: &[u8]) -> bool {
    fs::read(file.path()).unwrap()[lba * 512..][..data.len()] == *data
}

#[test]
fn a_flush_makes_durable_what_was_acknowledged() {
    let file = image_file();
    let mut bench = bench(Setup::WRITEBACK, &file);
    let data = pattern(2, 17);
    assert_eq!(bench.write(100, &data), Ok(()));
    assert!(bench.read(100, 17).unwrap() == data);
    assert_eq!(bench.flush(), Ok(()));
    assert!(is_written(&file, 100, &data));
    assert!(is_written(&file, 0, &pattern(1, 100)) && bench.read(100, 17).unwrap() == data);
}

#[test]
fn a_write_that_insists_is_durable_at_once() {
    let file = image_file();
    let mut bench = bench(Setup::WRITEBACK, &file);
    let data = pattern(3, 4);
    let registers = Registers { command: 0x3D, ..Registers::write48(7, 4) };
    assert_eq!(bench.work(registers, &data).0, Ok(()));
    assert!(is_written(&file, 7, &data));
}

#[test]
fn what_is_old_is_written_unasked() {
    let file = image_file();
    let mut bench = bench(Setup::WRITEBACK, &file);
    let data = pattern(4, 2);
    assert_eq!(bench.write(9, &data), Ok(()));
    // However long it takes: it must come to an end by itself.
    while !is_written(&file, 9, &data) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn the_end_of_the_daemon_loses_nothing() {
    let file = image_file();
    let mut bench = bench(Setup::WRITEBACK, &file);
    let data = pattern(5, 17);
    for lba in [0, 30, 1007] {
        assert_eq!(bench.write(lba, &data), Ok(()));
    }
    bench.save();
    for lba in [0, 30, 1007] {
        assert!(is_written(&file, lba, &data), "{lba}");
    }
}

/// Writes wait for room, and go on: eight times as much as may be dirty at once.
#[test]
fn more_than_the_cache_takes_is_written_meanwhile() {
    let file = image_file();
    let mut bench = bench(SMALL, &file);
    for (number, lba) in (0..SECTORS).step_by(16).enumerate() {
        let job = bench.job(Registers::write48(lba as u64, 16), &pattern(lba as u32, 16));
        bench.park(job, number);
    }
    for _ in (0..SECTORS).step_by(16) {
        let finished = bench.await_finished();
        assert_eq!(finished.outcome, Ok(()));
        bench.take_apart(finished.job);
    }
    assert_eq!(bench.flush(), Ok(()));
    for lba in (0..SECTORS).step_by(16) {
        assert!(is_written(&file, lba, &pattern(lba as u32, 16)), "{lba}");
    }
}

/// Parts of a block that are newer than the disk, and others that only the disk has.
#[test]
fn a_read_is_put_together_of_both() {
    let file = image_file();
    let mut bench = bench(Setup::WRITEBACK, &file);
    let mut expected = pattern(1, SECTORS);
    for lba in [65, 67, 70, 72, 79] {
        let data = pattern(lba as u32, 1);
        assert_eq!(bench.write(lba as u64, &data), Ok(()));
        expected[lba * 512..][..512].copy_from_slice(&data);
    }
    assert!(bench.read(64, 17).unwrap() == expected[64 * 512..81 * 512]);
    assert!(bench.read(70, 1).unwrap() == expected[70 * 512..71 * 512]);
}

#[test]
fn what_can_not_be_written_is_kept_until_it_can() {
    let file = image_file();
    let mut bench = bench(Setup::WRITEBACK, &file);
    let data = pattern(6, 8);
    assert_eq!(bench.write(1000, &data), Ok(()));
    file.as_file().set_len(900 * 512).unwrap();
    assert_eq!(bench.flush(), Err(Fault::WriteFailed), "it is behind the end");
    assert!(bench.disk.is_failed());
    assert!(bench.read(1000, 8).unwrap() == data, "what was acknowledged is served");
    assert_eq!(bench.write(0, &data), Err(Fault::WriteFailed), "no write after a failure");
    assert_eq!(bench.flush(), Err(Fault::WriteFailed), "it is still not durable");
    assert_eq!(fs::metadata(file.path()).unwrap().len(), 900 * 512, "it never grows");

    file.as_file().set_len(SECTORS as u64 * 512).unwrap();
    bench.disk.image().backing.clear_failed().unwrap();
    assert_eq!(bench.flush(), Ok(()));
    assert!(is_written(&file, 1000, &data));
}

#[test]
fn what_is_discarded_does_not_come_back() {
    let file = image_file();
    let mut bench = bench(Setup::WRITEBACK, &file);
    assert_eq!(bench.write(16, &pattern(7, 8)), Ok(()));
    let (registers, list) = super::plain::trim(&[(16, 8)]);
    assert_eq!(bench.work(registers, &list).0, Ok(()));
    assert!(bench.read(16, 8).unwrap() == [0; 8 * 512]);
    bench.save();
    assert!(is_written(&file, 16, &[0; 8 * 512]));
}
