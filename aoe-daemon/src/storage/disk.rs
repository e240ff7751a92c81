//! The plain disk: page cache for reads, one thread for everything that may wait.

use super::image::Image;
use super::{Finished, Job, Parked};
use crate::mailbox::Message;
use crate::pace::Pace;
use crate::target::{Fault, Operation, Outcome, Range};
use aoe_xsk::{MAX_CHUNKS, Packet};
use crossbeam_queue::ArrayQueue;
use rustix::fs::{Advice, fadvise, fstatfs};
use rustix::io::{Errno, ReadWriteFlags, preadv, preadv2, pwritev};
use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;
use tracing::error;

/// Jobs that may wait for one disk; the mailbox of every worker has room for as many packets as
/// it owns, so that their return never fails.
const MAX_PARKED: usize = 1024;
/// Jobs that share one flush at the most.
const BATCH: usize = 128;

/// One disk. Dropping it ends its thread after the parked jobs.
pub struct Disk {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    image: Image,
    parked: ArrayQueue<Parked>,
    /// Set while the thread waits for jobs, cleared by whoever wakes it.
    idle: Mutex<bool>,
    wake: Condvar,
    stop: AtomicBool,
    /// Set for good once a write or flush has failed: what the page cache holds is no longer
    /// what the medium will.
    failed: AtomicBool,
    /// Whether reading never waits. Filesystems in memory can't tell a cached read from one that
    /// would wait; others that can't, across a network say, do wait.
    in_memory: bool,
    read_errors: Pace,
    no_space: Pace,
}

impl Disk {
    /// Starts serving an image.
    ///
    /// # Errors
    ///
    /// Where no thread can be started.
    pub fn new(image: Image) -> std::io::Result<Self> {
        let in_memory = is_in_memory(&image.file);
        let shared = Arc::new(Shared {
            image,
            parked: ArrayQueue::new(MAX_PARKED),
            idle: Mutex::new(false),
            wake: Condvar::new(),
            stop: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            in_memory,
            read_errors: Pace::default(),
            no_space: Pace::default(),
        });
        let thread = std::thread::Builder::new().name("disk".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.serve()
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The image that is served.
    pub fn image(&self) -> &Image {
        &self.shared.image
    }

    /// Whether a write or flush has failed, since when all writes are refused.
    pub fn is_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Does a job at once if that takes no waiting.
    pub fn now(&self, job: &mut Job) -> Option<Outcome> {
        match job.request.operation {
            Operation::Read(range) => self.shared.read_cached(job, range),
            Operation::Write(_) | Operation::Flush => None,
        }
    }

    /// Takes on a job that has to wait.
    ///
    /// # Errors
    ///
    /// The job, where the disk holds as many as it may. The client will send it again.
    #[expect(clippy::result_large_err, reason = "boxing what comes back would allocate")]
    pub fn park(&self, job: Parked) -> Result<(), Parked> {
        self.shared.parked.push(job)?;
        self.shared.ring();
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.ring();
        if let Some(thread) = self.thread.take() {
            // A panic in it has been reported on standard error already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ring(&self) {
        // The guard makes sure that the thread is either before its check of the queue, or waits.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *idle) {
            self.wake.notify_one();
        }
    }

    /// The thread: takes what has come together, works on it in order, flushes once for all
    /// the writes of it, and gives every job back.
    fn serve(&self) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut outcomes = Vec::with_capacity(BATCH);
        while self.wait() {
            batch.extend(std::iter::from_fn(|| self.parked.pop()).take(BATCH));
            outcomes.extend(batch.iter_mut().map(|parked| self.perform(&mut parked.job)));
            if batch.iter().any(changes_disk) {
                self.flush(&batch, &mut outcomes);
            }
            for (parked, outcome) in batch.drain(..).zip(outcomes.drain(..)) {
                let Parked { job, export, home } = parked;
                if home.post(Message::Finished(Finished { job, export, outcome })).is_err() {
                    unreachable!("a mailbox has room for every packet of its worker");
                }
            }
        }
    }

    /// Waits for jobs; `false` once there are none and the disk stops.
    fn wait(&self) -> bool {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while self.parked.is_empty() {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            *idle = true;
            idle = self.wake.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
        *idle = false;
        true
    }

    fn perform(&self, job: &mut Job) -> Outcome {
        let offset = job.request.data_offset();
        match job.request.operation {
            Operation::Read(range) => self.read(&mut job.packet, offset, range),
            Operation::Write(range) => self.write(&job.packet, offset, range),
            Operation::Flush if self.failed.load(Ordering::Relaxed) => Err(Fault::WriteFailed),
            Operation::Flush => Ok(()),
        }
    }

    /// Reads from the page cache; `None` where that would have to wait, or may have to.
    fn read_cached(&self, job: &mut Job, range: Range) -> Option<Outcome> {
        let offset = job.request.data_offset();
        if self.in_memory {
            return Some(self.read(&mut job.packet, offset, range));
        }
        let mut slices = data_mut(&mut job.packet, offset, range.bytes());
        let flags = ReadWriteFlags::NOWAIT;
        match preadv2(&self.image.file, &mut slices, range.byte_offset(), flags) {
            Ok(bytes) if bytes == range.bytes() => Some(Ok(())),
            // Not cached, or only in part, or the filesystem can't tell, or an error that the
            // thread will meet again.
            _ => None,
        }
    }

    fn read(&self, packet: &mut Packet, offset: usize, range: Range) -> Outcome {
        let mut slices = data_mut(packet, offset, range.bytes());
        let mut left = &mut slices[..];
        let mut position = range.byte_offset();
        while !left.is_empty() {
            match preadv(&self.image.file, left, position) {
                // Somebody has truncated the file.
                Ok(0) => return Err(Fault::OutOfRange),
                // What follows may be unreadable: the kernel says so when it is asked again.
                Ok(bytes) => {
                    IoSliceMut::advance_slices(&mut left, bytes);
                    position += bytes as u64;
                }
                Err(Errno::INTR) => {}
                Err(reason) => {
                    if let Some(others) = self.read_errors.pass(Instant::now()) {
                        let path = self.image.path.display();
                        error!(%path, lba = range.lba, %reason, others, "read failed");
                    }
                    return Err(Fault::ReadFailed);
                }
            }
        }
        Ok(())
    }

    fn write(&self, packet: &Packet, offset: usize, range: Range) -> Outcome {
        if self.failed.load(Ordering::Relaxed) {
            return Err(Fault::WriteFailed);
        }
        let mut slices = data(packet, offset, range.bytes());
        let mut left = &mut slices[..];
        let mut position = range.byte_offset();
        while !left.is_empty() {
            match pwritev(&self.image.file, left, position) {
                Ok(0) => return Err(self.fail("a write made no progress")),
                Ok(bytes) => {
                    IoSlice::advance_slices(&mut left, bytes);
                    position += bytes as u64;
                }
                Err(Errno::INTR) => {}
                Err(Errno::NOSPC | Errno::DQUOT) => {
                    if let Some(others) = self.no_space.pass(Instant::now()) {
                        error!(path = %self.image.path.display(), others, "no space left to write to");
                    }
                    return Err(Fault::WriteFailed);
                }
                Err(reason) => return Err(self.fail(&reason.to_string())),
            }
        }
        Ok(())
    }

    /// Makes durable what the batch has written. If that fails, none of it is.
    fn flush(&self, batch: &[Parked], outcomes: &mut [Outcome]) {
        let Err(reason) = self.image.file.sync_data() else { return };
        let fault = self.fail(&reason.to_string());
        for (parked, outcome) in batch.iter().zip(outcomes) {
            if changes_disk(parked) {
                *outcome = Err(fault);
            }
        }
    }

    fn fail(&self, reason: &str) -> Fault {
        self.failed.store(true, Ordering::Relaxed);
        // The kernel counts the pages that it could not write as written. Without them, reads show
        // what the medium has. Where that can't be done, they show what clients were refused.
        let _ = fadvise(&self.image.file, 0, None, Advice::DontNeed);
        error!(
            path = %self.image.path.display(),
            reason,
            "writing failed: every further write is refused until the daemon is restarted"
        );
        Fault::WriteFailed
    }
}

/// Whether the file's only home is memory.
fn is_in_memory(file: &File) -> bool {
    // From linux/magic.h.
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58F6;
    fstatfs(file).is_ok_and(|filesystem| matches!(filesystem.f_type as u64, TMPFS | RAMFS))
}

/// Whether the job has to be durable before it is answered.
fn changes_disk(parked: &Parked) -> bool {
    !matches!(parked.job.request.operation, Operation::Read(_))
}

/// The sector data of a packet, as vectored writes take it.
fn data(packet: &Packet, offset: usize, length: usize) -> [IoSlice<'_>; MAX_CHUNKS] {
    let mut pieces = packet.pieces(offset..offset + length);
    std::array::from_fn(|_| IoSlice::new(pieces.next().unwrap_or_default()))
}

/// The sector data of a packet, as vectored reads take it.
fn data_mut(packet: &mut Packet, offset: usize, length: usize) -> [IoSliceMut<'_>; MAX_CHUNKS] {
    let mut pieces = packet.pieces_mut(offset..offset + length);
    std::array::from_fn(|_| IoSliceMut::new(pieces.next().unwrap_or_default()))
}
