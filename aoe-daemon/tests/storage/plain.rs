//! A disk that works, and one that is cut or full.

use super::bench::{Bench, Setup};
use super::support::frame::{Registers, pattern};
use aoe_daemon::state::Store as Memory;
use aoe_daemon::storage::Finished;
use aoe_daemon::storage::backing::Backing;
use aoe_daemon::storage::engine::{MOST_PARKED, Started};
use aoe_daemon::storage::image::Image;
use aoe_daemon::target::Fault;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::NamedTempFile;

/// Sectors of an image.
const SECTORS: usize = 256;

fn image_file() -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), pattern(1, SECTORS)).unwrap();
    file
}

fn bench(file: &NamedTempFile, read_only: bool) -> Bench {
    Bench::new(Image::open(file.path(), read_only).unwrap())
}

#[test]
fn what_was_written_is_read() {
    let file = image_file();
    let mut bench = bench(&file, false);
    let mut expected = pattern(1, SECTORS);
    for (seed, lba, sectors) in [(2, 0, 1), (3, 7, 2), (4, 100, 17), (5, 239, 17), (6, 101, 3)] {
        let data = pattern(seed, sectors);
        assert_eq!(bench.write(lba, &data), Ok(()));
        expected[lba as usize * 512..][..data.len()].copy_from_slice(&data);
        assert!(fs::read(file.path()).unwrap() == expected, "the file after {lba}+{sectors}");
        assert!(bench.read(lba, sectors as u8) == Ok(data), "read back {lba}+{sectors}");
    }
    assert!(bench.read(98, 17).unwrap() == expected[98 * 512..115 * 512], "across several writes");
    assert_eq!(bench.flush(), Ok(()));
    assert!(!bench.disk.is_failed());
}

/// A read that is done at once, and one that waits, differ in nothing else.
#[test]
fn a_read_at_once_reads_the_same() {
    let file = image_file();
    let mut bench = bench(&file, false);
    for is_cached in [false, true] {
        let job = bench.job(Registers::read48(3, 17), &[]);
        let job = match bench.engine.start(0, job) {
            Started::Done(job, Ok(())) if is_cached => job,
            Started::Parked if !is_cached => bench.await_finished().job,
            _ => panic!("cached: {is_cached}"),
        };
        assert!(bench.take_apart(job) == pattern(1, SECTORS)[3 * 512..20 * 512]);
    }
}

#[test]
fn memory_needs_no_waiting() {
    let file = NamedTempFile::new_in("/dev/shm").unwrap();
    fs::write(file.path(), pattern(1, SECTORS)).unwrap();
    let mut bench = bench(&file, false);
    for (lba, sectors) in [(0, 17), (250, 6)] {
        let job = bench.job(Registers::read48(lba, sectors), &[]);
        let Started::Done(job, Ok(())) = bench.engine.start(0, job) else { panic!("it waits") };
        let bytes = lba as usize * 512..(lba as usize + usize::from(sectors)) * 512;
        assert!(bench.take_apart(job) == pattern(1, SECTORS)[bytes]);
    }
    assert_eq!(bench.write(9, &pattern(2, 17)), Ok(()));
    assert!(bench.read(9, 17) == Ok(pattern(2, 17)));
    assert!(fs::read(file.path()).unwrap()[9 * 512..26 * 512] == pattern(2, 17));
}

#[test]
fn a_file_that_was_cut_is_out_of_range() {
    let file = image_file();
    let mut bench = bench(&file, false);
    file.as_file().set_len(100 * 512 + 7).unwrap();
    assert!(bench.read(98, 2).is_ok(), "before the cut");
    for (lba, sectors) in [(99, 2), (100, 1), (101, 1), (90, 17), (255, 1)] {
        assert_eq!(bench.read(lba, sectors), Err(Fault::OutOfRange), "{lba}+{sectors}");
    }
    assert!(!bench.disk.is_failed(), "a read fails nothing but itself");
}

#[test]
fn a_read_only_image_flushes() {
    let file = image_file();
    let mut bench = bench(&file, true);
    assert_eq!(bench.flush(), Ok(()));
    assert!(bench.read(0, 17).is_ok());
}

#[test]
fn jobs_for_the_same_sector_are_done_in_their_order() {
    const JOBS: usize = 301;
    let file = image_file();
    let mut bench = bench(&file, false);
    let content = pattern(9, JOBS);
    for (number, sector) in content.chunks(512).enumerate() {
        // Every third one reads what the one before has written.
        let job = match number % 3 {
            2 => bench.job(Registers::read48(5, 1), &[]),
            _ => bench.job(Registers::write48(5, 1), sector),
        };
        bench.park(job, number);
    }
    for number in 0..JOBS {
        let Finished { job, export, outcome } = bench.await_finished();
        assert_eq!((export, outcome), (number, Ok(())));
        let data = bench.take_apart(job);
        if number % 3 == 2 {
            assert!(data == content[(number - 1) * 512..number * 512], "read {number}");
        }
    }
    let last = &content[(JOBS - 1) * 512..];
    assert!(fs::read(file.path()).unwrap()[5 * 512..6 * 512] == *last, "the last write stays");
}

/// A client will send it again. What must not happen is that it waits for ever, or is lost.
#[test]
fn a_disk_takes_no_more_jobs_than_it_may() {
    let file = image_file();
    let mut bench = bench(&file, false);
    let mut parked = 0;
    let mut refused = 0;
    for _ in 0..2 * MOST_PARKED {
        let job = bench.job(Registers::write48(0, 1), &pattern(7, 1));
        match bench.engine.start(0, job) {
            Started::Parked => parked += 1,
            Started::Done(..) => panic!("a write is done at once"),
            Started::Refused(packet) => {
                refused += 1;
                bench.recycle(packet);
            }
        }
    }
    assert_eq!((parked, refused), (MOST_PARKED, MOST_PARKED));
    for _ in 0..parked {
        let finished = bench.await_finished();
        assert_eq!(finished.outcome, Ok(()));
        bench.recycle(finished.job.packet);
    }
    assert_eq!(bench.umem.census().application, 0);
}

/// A filesystem of its own, of 256 KiB, unmounted when dropped.
struct SmallFilesystem(tempfile::TempDir);

impl SmallFilesystem {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=256k", "tmpfs"];
        let status = Command::new("mount").args(mount).arg(directory.path()).status().unwrap();
        assert!(status.success(), "mount: {status}");
        Self(directory)
    }
}

impl Drop for SmallFilesystem {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// A block device whose backing file is on such a filesystem, detached when dropped.
struct LoopDevice {
    path: PathBuf,
    _filesystem: SmallFilesystem,
}

impl LoopDevice {
    fn new(bytes: u64) -> Self {
        let filesystem = SmallFilesystem::new();
        let file = filesystem.0.path().join("sparse");
        File::create(&file).unwrap().set_len(bytes).unwrap();
        let attach = Command::new("losetup").args(["--find", "--show"]).arg(file).output();
        let attach = attach.unwrap();
        assert!(attach.status.success(), "losetup: {}", String::from_utf8_lossy(&attach.stderr));
        let path = String::from_utf8(attach.stdout).unwrap().trim().into();
        Self { path, _filesystem: filesystem }
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.path).status();
    }
}

/// Past the page cache the device itself says that it has no room, and nothing was taken on that it
/// could lose.
#[test]
#[ignore = "needs root: cargo xtask test runs it"]
fn a_full_device_fails_the_request_and_nothing_else() {
    let device = LoopDevice::new(4 << 20);
    let mut bench = Bench::new(Image::open(&device.path, false).unwrap());
    // 4 KiB at a time, 256 KiB of which there is room for.
    let full = (0..512).find(|at| bench.write(at * 8, &pattern(2, 8)).is_err());
    let full = full.expect("256 KiB are full at some time") * 8;
    assert_eq!(bench.write(full, &pattern(2, 8)), Err(Fault::WriteFailed));
    assert!(!bench.disk.is_failed(), "there may be room again");
    assert!(bench.read(full, 8) == Ok(vec![0; 4096]), "reads show the device");
    assert_eq!(bench.write(0, &pattern(3, 8)), Ok(()), "what is there can be written");
    assert!(bench.read(0, 8) == Ok(pattern(3, 8)));
}

#[test]
#[ignore = "needs root: cargo xtask test runs it"]
fn a_full_filesystem_fails_the_request_and_nothing_else() {
    let filesystem = SmallFilesystem::new();
    let path = filesystem.0.path().join("sparse");
    File::create(&path).unwrap().set_len(SECTORS as u64 * 512 * 8).unwrap();
    let other = filesystem.0.path().join("other");
    fs::write(&other, vec![1; 200 << 10]).unwrap();

    let mut bench = Bench::new(Image::open(&path, false).unwrap());
    let full = (0..SECTORS as u64).find(|at| bench.write(at * 8, &pattern(2, 8)).is_err());
    let full = full.expect("256 KiB are full at some time") * 8;
    assert_eq!(bench.write(full, &pattern(2, 8)), Err(Fault::WriteFailed));
    assert!(!bench.disk.is_failed(), "there may be room again");
    assert!(bench.read(0, 8) == Ok(pattern(2, 8)), "reads go on");
    assert_eq!(bench.write(0, &pattern(3, 8)), Ok(()), "blocks that are there can be written");

    fs::remove_file(&other).unwrap();
    assert_eq!(bench.write(full, &pattern(4, 8)), Ok(()));
    assert!(bench.read(full, 8) == Ok(pattern(4, 8)));
}

/// Registers and data of a TRIM.
pub(crate) fn trim(ranges: &[(u64, u16)]) -> (Registers, Vec<u8>) {
    let mut list = vec![0; 512];
    for (entry, (lba, sectors)) in list.chunks_mut(8).zip(ranges) {
        entry.copy_from_slice(&lba.to_le_bytes());
        entry[6..].copy_from_slice(&sectors.to_le_bytes());
    }
    (Registers { aflags: 0x41, feature: 1, count: 1, ..Registers::command(0x06) }, list)
}

#[test]
fn trim_makes_zeroes_and_frees_blocks() {
    use std::os::unix::fs::MetadataExt;
    let file = image_file();
    let mut bench = bench(&file, false);
    assert_eq!(bench.flush(), Ok(()));
    let blocks = file.as_file().metadata().unwrap().blocks();
    let mut expected = pattern(1, SECTORS);
    let ranges = [(3, 2), (8, 100), (255, 1)];
    let (registers, list) = trim(&ranges);
    assert_eq!(bench.work(registers, &list).0, Ok(()));
    for (lba, sectors) in ranges {
        let start = lba as usize * 512;
        expected[start..start + usize::from(sectors) * 512].fill(0);
    }
    assert!(fs::read(file.path()).unwrap() == expected, "zeroes, and the size stays");
    assert!(file.as_file().metadata().unwrap().blocks() < blocks, "no block was freed");
}

#[test]
fn a_part_of_a_file_is_all_that_is_touched() {
    let file = image_file();
    let backing = Arc::new(Backing::open(file.path(), false).unwrap());
    let mut bench = Bench::new(Image::part(&backing, 8 * 512, Some(16 * 512)).unwrap());
    let mut expected = pattern(1, SECTORS);
    assert!(bench.read(0, 16).unwrap() == expected[8 * 512..24 * 512]);
    assert_eq!(bench.write(15, &pattern(2, 1)), Ok(()));
    expected[23 * 512..24 * 512].copy_from_slice(&pattern(2, 1));
    let (registers, list) = trim(&[(2, 3)]);
    assert_eq!(bench.work(registers, &list).0, Ok(()));
    expected[10 * 512..13 * 512].fill(0);
    assert!(fs::read(file.path()).unwrap() == expected);
}

#[test]
fn a_verified_range_is_read() {
    let file = image_file();
    let mut bench = bench(&file, false);
    let verify = Registers { count: 0, ..Registers::command(0x40) };
    assert_eq!(bench.work(verify, &[]).0, Ok(()), "256 sectors");
    file.as_file().set_len(255 * 512).unwrap();
    assert_eq!(bench.work(verify, &[]).0, Err(Fault::OutOfRange));
}

#[test]
fn a_file_that_was_cut_never_grows_again() {
    let file = image_file();
    let mut bench = bench(&file, false);
    file.as_file().set_len(100 * 512).unwrap();
    assert_eq!(bench.write(99, &pattern(2, 1)), Ok(()));
    for (lba, sectors) in [(99, 2), (100, 1), (255, 1)] {
        assert_eq!(bench.write(lba, &pattern(2, sectors)), Err(Fault::OutOfRange));
    }
    let (registers, list) = trim(&[(90, 20)]);
    assert_eq!(bench.work(registers, &list).0, Err(Fault::OutOfRange));
    assert_eq!(file.as_file().metadata().unwrap().len(), 100 * 512);
    assert!(!bench.disk.is_failed());
}

#[test]
fn look_ahead_can_be_switched() {
    let file = image_file();
    let mut bench = bench(&file, false);
    for (feature, on) in [(0x55, false), (0xAA, true)] {
        let registers = Registers { feature, ..Registers::command(0xEF) };
        assert_eq!(bench.work(registers, &[]).0, Ok(()));
        assert_eq!(bench.record.current().description().look_ahead, on);
        assert!(bench.read(0, 17).is_ok());
    }
}

/// D37: what is gone may come back, and so clients are told to try again.
#[test]
fn a_file_that_was_emptied_is_unavailable_until_it_is_back() {
    let file = image_file();
    let mut bench = bench(&file, false);
    file.as_file().set_len(0).unwrap();
    assert_eq!(bench.read(0, 17), Err(Fault::Unavailable));
    assert_eq!(bench.write(0, &pattern(2, 1)), Err(Fault::Unavailable));
    assert_eq!(file.as_file().metadata().unwrap().len(), 0, "no write brings it back");
    fs::write(file.path(), pattern(3, SECTORS)).unwrap();
    assert!(bench.read(0, 17).unwrap() == pattern(3, SECTORS)[..17 * 512]);
    assert_eq!(bench.write(0, &pattern(2, 1)), Ok(()));
    assert!(!bench.disk.is_failed());
}

/// The time of a request runs from its arrival, however long nothing has come before it.
#[test]
fn idle_time_is_nobodys_waiting_time() {
    let file = image_file();
    let setup = Setup { io_timeout: Duration::from_secs(2), ..Setup::USUAL };
    let image = Image::open(file.path(), false).unwrap();
    let mut bench = Bench::with(setup, image, Memory::nowhere());
    assert_eq!(bench.write(0, &pattern(2, 1)), Ok(()));
    std::thread::sleep(setup.io_timeout + Duration::from_millis(200));
    assert_eq!(bench.write(1, &pattern(3, 1)), Ok(()));
    assert!(!bench.disk.is_failed());
}

/// However many requests are given up while one of another worker keeps them waiting: when that is
/// done, nobody is told who is not there any more.
#[test]
fn what_was_given_up_is_not_called() {
    let file = image_file();
    let mut other = bench(&file, false);
    let hasty = Setup { io_timeout: Duration::from_millis(1), ..Setup::USUAL };
    let mut bench = other.beside(hasty);
    let write = other.job(Registers::write48(0, 1), &pattern(2, 1));
    other.park(write, 0);
    // More than its mailbox takes.
    for _ in 0..2 * Bench::MESSAGES / MOST_PARKED as usize {
        for number in 0..MOST_PARKED as usize {
            let read = bench.job(Registers::read48(0, 1), &[]);
            bench.park(read, number);
        }
        for _ in 0..MOST_PARKED {
            let Finished { job, outcome, .. } = bench.await_expired();
            assert_eq!(outcome, Err(Fault::ReadFailed));
            bench.take_apart(job);
        }
        assert_eq!(bench.engine.parked(), 0);
    }
    let Finished { job, outcome, .. } = other.await_finished();
    assert_eq!(outcome, Ok(()));
    other.take_apart(job);
    assert!(other.read(0, 1).unwrap() == pattern(2, 1));
}
