//! The kernel's pool of huge pages, raised for as long as it takes to map some.
//!
//! Once they are mapped the pool is put back to what it was. The kernel then counts the pages in
//! use as *surplus*: they stay with whoever has them, and when they are unmapped they do not return
//! to the pool, but to all memory. So nothing is left of a reservation, whatever ends the process.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::HUGE_PAGE;

/// Where the kernel tells of its pool of pages of [`HUGE_PAGE`] bytes, and is told its size.
const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";
const _: () = assert!(HUGE_PAGE == 2048 << 10, "the pool is of other pages");
/// How long to wait for another process that raises the pool, and how often to look.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

/// A pool that holds some free pages more. It is put back when this is dropped.
pub(super) struct Raised {
    size: File,
    /// Pages of it before, without surplus ones: what the kernel calls its size when it is set.
    before: u64,
    /// Pages that were missing, and how many of them the kernel has made.
    missing: u64,
    made: u64,
}

impl Raised {
    /// Has the kernel's pool hold so many free pages, or as many as the kernel makes of them.
    pub(super) fn by(pages: u64) -> Result<Self, String> {
        Self::in_directory(Path::new(POOL), pages)
            .map_err(|error| format!("the pool of huge pages can't be raised ({error})"))
    }

    fn in_directory(pool: &Path, pages: u64) -> io::Result<Self> {
        let size = pool.join("nr_hugepages");
        // The lock keeps those apart who raise it and put it back, in this process and in others.
        let size = lock(OpenOptions::new().read(true).write(true).open(size)?)?;
        let Counts { total, surplus, free } = Counts::read(pool)?;
        let missing = pages.saturating_sub(free);
        let mut raised = Self { size, before: total.saturating_sub(surplus), missing, made: 0 };
        if missing > 0 {
            // As many as there are now, whatever they count as, and those.
            raised.set(total + missing)?;
            raised.made = Counts::read(pool)?.total.saturating_sub(total);
        }
        Ok(raised)
    }

    /// Why there may be too few pages all the same; nothing where the kernel has made them all.
    pub(super) fn shortage(&self) -> Option<String> {
        let Self { missing, made, .. } = self;
        (made < missing).then(|| {
            format!("of {missing} huge pages that were missing the kernel had memory for {made}")
        })
    }

    fn set(&self, pages: u64) -> io::Result<()> {
        self.size.write_all_at(format!("{pages}\n").as_bytes(), 0)
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        if self.missing > 0 {
            // The same has just been allowed, and there is nobody to tell.
            let _ = self.set(self.before);
        }
    }
}

/// What is in a pool, in pages.
struct Counts {
    /// All, with surplus ones: those in use by which it is larger than it is set to.
    total: u64,
    surplus: u64,
    /// Those that are neither in use nor promised to somebody.
    free: u64,
}

impl Counts {
    fn read(pool: &Path) -> io::Result<Self> {
        let number = |name: &str| -> io::Result<u64> {
            fs::read_to_string(pool.join(name))?.trim().parse().map_err(io::Error::other)
        };
        let [total, surplus] = [number("nr_hugepages")?, number("surplus_hugepages")?];
        let free = number("free_hugepages")?.saturating_sub(number("resv_hugepages")?);
        Ok(Self { total, surplus, free })
    }
}

/// Locks a file. Whoever may read it could hold the lock for ever: the patience has an end.
fn lock(file: File) -> io::Result<File> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(LOOK),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with such counts in it. Nothing follows from what is written there.
    fn pool(total: u64, surplus: u64, free: u64, promised: u64) -> tempfile::TempDir {
        let pool = tempfile::tempdir().unwrap();
        for (name, count) in [
            ("nr_hugepages", total),
            ("surplus_hugepages", surplus),
            ("free_hugepages", free),
            ("resv_hugepages", promised),
        ] {
            fs::write(pool.path().join(name), format!("{count}\n")).unwrap();
        }
        pool
    }

    fn size(pool: &tempfile::TempDir) -> String {
        fs::read_to_string(pool.path().join("nr_hugepages")).unwrap()
    }

    #[test]
    fn what_is_missing_is_added_to_all_that_are_there_and_taken_off_again() {
        // 30 of them are in use, 10 of those surplus; 6 are free, 4 of those promised.
        let pool = pool(36, 10, 6, 4);
        let raised = Raised::in_directory(pool.path(), 5).unwrap();
        assert_eq!((raised.before, raised.missing), (26, 3));
        assert_eq!((size(&pool).as_str(), raised.shortage()), ("39\n", None));
        drop(raised);
        assert_eq!(size(&pool), "26\n");
    }

    #[test]
    fn what_is_free_is_not_made_once_more() {
        let pool = pool(8, 0, 8, 0);
        let raised = Raised::in_directory(pool.path(), 8).unwrap();
        assert_eq!(raised.shortage(), None);
        drop(raised);
        assert_eq!(size(&pool), "8\n");
    }

    #[test]
    fn fewer_than_were_missing_are_told() {
        let raised = Raised { size: tempfile::tempfile().unwrap(), before: 0, missing: 8, made: 3 };
        let text = raised.shortage().unwrap();
        assert!(text.contains("of 8 huge pages") && text.contains("memory for 3"), "{text}");
    }

    #[test]
    fn one_at_a_time_raises_it() {
        let pool = pool(0, 0, 0, 0);
        let first = Raised::in_directory(pool.path(), 1).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| Raised::in_directory(pool.path(), 1).map(drop));
            std::thread::sleep(LOOK * 4);
            assert!(!second.is_finished(), "it has not waited");
            drop(first);
            second.join().unwrap().unwrap();
        });
    }
}
