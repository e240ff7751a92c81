//! A file or device as all workers share it: how it is reached, and who has to wait for whom.

use super::backing::{Backing, Kind};
use super::discard::discard;
use super::helper::{Helper, Task};
use super::medium::is_in_memory;
use super::order::Order;
use super::sighting::Sighting;
use super::writeback::Writeback;
use crate::config::Durability;
use crate::pace::Pace;
use crate::target::{Fault, Outcome};
use rustix::fs::{AtFlags, OFlags, StatxFlags, ioctl_blksszget, statx};
use rustix::io::Errno;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;
use tracing::error;

/// The largest unit that direct I/O may want; buffers and blocks of the cache are aligned to it.
const LARGEST_UNIT: u64 = 4096;

/// A file or device that is served.
pub struct Store {
    number: u16,
    backing: Arc<Backing>,
    durability: Durability,
    access: Access,
    /// What is only in the cache, where it writes back.
    writeback: OnceLock<Arc<Writeback>>,
    order: Mutex<Order>,
    helper: Helper,
    sighting: Mutex<Sighting>,
    read_errors: Pace,
    no_space: Pace,
    cut: Pace,
    silences: Pace,
}

/// How its data is reached.
enum Access {
    /// It is memory: reading and writing never wait, and nothing is gained by a cache before it.
    Memory,
    /// Past the page cache.
    Direct {
        file: File,
        /// What positions and lengths have to be multiples of, in bytes: 512 to [`LARGEST_UNIT`].
        unit: u64,
    },
    /// Through the page cache, for this reason.
    Buffered(String),
}

impl Store {
    /// Finds out how a file or device can be reached. `number` tells it from all others.
    pub fn new(number: u16, backing: Arc<Backing>, durability: Durability) -> Self {
        let access = if is_in_memory(&backing.file) {
            Access::Memory
        } else {
            open_direct(&backing).unwrap_or_else(Access::Buffered)
        };
        Self {
            number,
            backing,
            durability,
            access,
            writeback: OnceLock::new(),
            order: Mutex::default(),
            helper: Helper::default(),
            sighting: Mutex::default(),
            read_errors: Pace::default(),
            no_space: Pace::default(),
            cut: Pace::default(),
            silences: Pace::default(),
        }
    }

    pub(super) const fn number(&self) -> u16 {
        self.number
    }

    /// What it is the storage of.
    pub const fn backing(&self) -> &Arc<Backing> {
        &self.backing
    }

    /// When writes to it are answered.
    pub const fn durability(&self) -> Durability {
        self.durability
    }

    /// Has it write back from now on; `None` where it won't: it is only read, or gains nothing.
    pub(super) fn write_back(&self) -> Option<Arc<Writeback>> {
        let is_wanted = self.durability == Durability::Writeback;
        let is_done = is_wanted && !self.backing.read_only && !self.is_memory();
        is_done.then(|| Arc::clone(self.writeback.get_or_init(Arc::default)))
    }

    /// What it has to write, where it writes back.
    pub(super) fn writeback(&self) -> Option<&Writeback> {
        self.writeback.get().map(Arc::as_ref)
    }

    /// What has become of its file, as it was last seen.
    pub fn sighting(&self) -> Sighting {
        *self.sighting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what has become of its file, and tells whether that is news.
    pub(super) fn note_sighting(&self, sighting: Sighting) -> bool {
        let mut known = self.sighting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *known, sighting) != sighting
    }

    /// What is read and written.
    pub(super) fn file(&self) -> &File {
        match &self.access {
            Access::Direct { file, .. } => file,
            Access::Memory | Access::Buffered(_) => &self.backing.file,
        }
    }

    /// Whether reading and writing never wait.
    pub const fn is_memory(&self) -> bool {
        matches!(self.access, Access::Memory)
    }

    /// Whether any thread may flush it. Of two that flush a page cache at once, the kernel tells
    /// only one of a failure: [`Backing::sync`] has them take turns, and so may wait.
    pub(super) const fn is_direct(&self) -> bool {
        matches!(self.access, Access::Direct { .. })
    }

    /// What positions and lengths of writes have to be multiples of, in bytes.
    pub(super) const fn unit(&self) -> u64 {
        match self.access {
            Access::Direct { unit, .. } => unit,
            Access::Memory | Access::Buffered(_) => 512,
        }
    }

    /// The requests in flight.
    pub(super) fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the store's thread do something that may wait.
    #[expect(clippy::result_large_err, reason = "boxing what comes back would allocate")]
    pub(super) fn delegate(&self, task: Task) -> Result<(), Task> {
        self.helper.give(task)
    }

    /// Discards bytes.
    pub(super) fn trim(&self, position: u64, length: u64) -> Outcome {
        self.check_changeable(position + length)?;
        while let Err(reason) = discard(&self.backing.file, self.backing.kind, position, length) {
            match reason {
                Errno::INTR => {}
                Errno::OPNOTSUPP => return Err(Fault::Aborted),
                reason => return Err(self.not_changed(&reason.into())),
            }
        }
        Ok(())
    }

    /// Whether data up to this byte may be changed: not after a failure, and not behind the end of
    /// a file that somebody has truncated, which would grow again, full of holes.
    pub(super) fn check_changeable(&self, end: u64) -> Outcome {
        self.check_within(end, self.backing.reach())
    }

    /// The same of one that reached so far a moment ago, after the request had come.
    pub(super) fn check_within(&self, end: u64, reach: u64) -> Outcome {
        if self.backing.is_failed() {
            return Err(Fault::WriteFailed);
        }
        if reach < end {
            if let Some(others) = self.cut.pass(Instant::now()) {
                let path = self.backing.path.display();
                error!(%path, others, "the file was truncated: writes behind its end are refused");
            }
            return Err(self.missing());
        }
        Ok(())
    }

    /// What becomes of a request behind the end of a file that somebody has cut: the client may try
    /// again where nothing is left of it.
    pub(super) fn missing(&self) -> Fault {
        if self.backing.is_gone() { Fault::Unavailable } else { Fault::OutOfRange }
    }

    /// What a failed read comes to.
    pub(super) fn not_read(&self, lba: u64, reason: &io::Error) -> Fault {
        if self.backing.is_gone() {
            return self.gone(reason);
        }
        if let Some(others) = self.read_errors.pass(Instant::now()) {
            error!(path = %self.backing.path.display(), lba, %reason, others, "read failed");
        }
        Fault::ReadFailed
    }

    /// What a failed change comes to.
    pub(super) fn not_changed(&self, reason: &io::Error) -> Fault {
        // Nothing was taken on that could be lost.
        if matches!(Errno::from_io_error(reason), Some(Errno::NXIO | Errno::NODEV)) {
            return self.gone(reason);
        }
        if !is_no_space(reason) {
            return self.fail(&reason.to_string());
        }
        if let Some(others) = self.no_space.pass(Instant::now()) {
            error!(path = %self.backing.path.display(), others, "no space left to write to");
        }
        Fault::WriteFailed
    }

    /// What becomes of a request to a device that is gone: the client may try again.
    fn gone(&self, reason: &io::Error) -> Fault {
        if let Some(others) = self.cut.pass(Instant::now()) {
            error!(path = %self.backing.path.display(), %reason, others, "the device is gone");
        }
        Fault::Unavailable
    }

    /// Notes that it has not answered a request in time.
    pub(super) fn note_silence(&self) {
        if let Some(others) = self.silences.pass(Instant::now()) {
            let path = self.backing.path.display();
            error!(%path, others, "the disk does not answer: requests are given up");
        }
    }

    /// Refuses every further write.
    pub(super) fn fail(&self, reason: &str) -> Fault {
        if !self.backing.is_failed() {
            error!(
                path = %self.backing.path.display(),
                reason,
                "writing failed: every further write is refused until an administrator says: \
                 aoe-daemon clear ADDRESS --failed"
            );
        }
        self.backing.fail();
        Fault::WriteFailed
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.access {
            Access::Memory => f.write_str("memory"),
            Access::Direct { unit, .. } => write!(f, "direct, in units of {unit} bytes"),
            Access::Buffered(reason) => write!(f, "through the page cache: {reason}"),
        }
    }
}

/// Whether a write failed for lack of space alone.
pub(super) fn is_no_space(reason: &io::Error) -> bool {
    matches!(Errno::from_io_error(reason), Some(Errno::NOSPC | Errno::DQUOT))
}

/// Opens it once more, past the page cache; or says why that can't be.
fn open_direct(backing: &Backing) -> Result<Access, String> {
    // By its descriptor, not by its path: that may lead elsewhere by now.
    let path = format!("/proc/self/fd/{}", backing.file.as_raw_fd());
    let mut options = OpenOptions::new();
    options.read(true).write(!backing.read_only).custom_flags(OFlags::DIRECT.bits() as i32);
    let file = options.open(path).map_err(|reason| format!("no O_DIRECT ({reason})"))?;
    let unit = direct_unit(backing, &file)?;
    let bytes = backing.bytes().map_err(|reason| reason.to_string())?;
    if bytes % unit != 0 {
        return Err(format!("its {bytes} bytes are no multiple of the {unit} that O_DIRECT wants"));
    }
    Ok(Access::Direct { file, unit })
}

/// What direct I/O has to be aligned to.
fn direct_unit(backing: &Backing, file: &File) -> Result<u64, String> {
    let told = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)
        .ok()
        .filter(|answer| answer.stx_mask & StatxFlags::DIOALIGN.bits() != 0);
    let unit = match (told, backing.kind) {
        (Some(answer), _) if answer.stx_dio_offset_align == 0 => {
            return Err("the filesystem has no direct I/O for it".into());
        }
        (Some(answer), _) => answer.stx_dio_offset_align.max(answer.stx_dio_mem_align).into(),
        (None, Kind::Device { .. }) => ioctl_blksszget(file).map_or(LARGEST_UNIT, u64::from),
        // Kernels and filesystems that don't tell: none wants more than that.
        (None, Kind::File) => LARGEST_UNIT,
    };
    if unit.is_power_of_two() && unit <= LARGEST_UNIT {
        Ok(unit.max(512))
    } else {
        Err(format!("O_DIRECT wants {unit} bytes at once"))
    }
}
