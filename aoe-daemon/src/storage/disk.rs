//! The plain disk: page cache for reads, one thread for everything that may wait.

use super::image::Image;
use super::medium::is_in_memory;
use super::transfer::Transfer;
use super::{Edited, Finished, Job, Parked, ParkedEdit};
use crate::mailbox::{Mailbox, Message};
use crate::record::{Changes, Record};
use crate::target::{Operation, Outcome, Target};
use crossbeam_queue::ArrayQueue;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Jobs that may wait for one disk; the mailbox of every worker has room for as many packets as
/// it owns, so that their return never fails.
const MAX_PARKED: usize = 1024;
/// Jobs that share one flush at the most.
const BATCH: usize = 128;
/// Stack of a disk's thread in bytes: there may be a thousand of them.
const STACK: usize = 256 << 10;

/// One disk. Dropping it ends its thread after the parked jobs.
pub struct Disk {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    transfer: Transfer,
    /// The target before the disk: what it permits when a job's turn has come.
    record: Arc<Record>,
    parked: ArrayQueue<Waiting>,
    /// Set while the thread waits for jobs, cleared by whoever wakes it.
    idle: Mutex<bool>,
    wake: Condvar,
    stop: AtomicBool,
    /// Whether reading never waits. Filesystems in memory can't tell a cached read from one that
    /// would wait; others that can't, across a network say, do wait.
    in_memory: bool,
}

/// What may wait for a disk. Edits wait with the rest: each is answered after what was accepted
/// before it, and what comes after it meets what it has made of the target.
enum Waiting {
    Io(Parked),
    Edit(ParkedEdit),
}

impl Disk {
    /// Starts serving an image as the disk of this target.
    ///
    /// # Errors
    ///
    /// Where no thread can be started.
    pub fn new(image: Image, record: Arc<Record>) -> std::io::Result<Self> {
        let in_memory = is_in_memory(&image.backing.file);
        let shared = Arc::new(Shared {
            transfer: Transfer::new(image),
            record,
            parked: ArrayQueue::new(MAX_PARKED),
            idle: Mutex::new(false),
            wake: Condvar::new(),
            stop: AtomicBool::new(false),
            in_memory,
        });
        let thread = std::thread::Builder::new().name("disk".into()).stack_size(STACK).spawn({
            let shared = Arc::clone(&shared);
            move || shared.serve()
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The image that is served.
    pub fn image(&self) -> &Image {
        self.shared.transfer.image()
    }

    /// Whether a write or flush has failed, since when all writes are refused.
    pub fn is_failed(&self) -> bool {
        self.image().backing.is_failed()
    }

    /// Does a job at once if that takes no waiting.
    pub fn now(&self, job: &mut Job) -> Option<Outcome> {
        match job.request.operation {
            Operation::Read(range) if self.shared.in_memory => {
                Some(self.shared.transfer.read(job, range))
            }
            Operation::Read(range) => self.shared.transfer.read_cached(job, range),
            _ => None,
        }
    }

    /// Takes on a job that has to wait.
    ///
    /// # Errors
    ///
    /// The job, where the disk holds as many as it may. The client will send it again.
    #[expect(clippy::result_large_err, reason = "boxing what comes back would allocate")]
    pub fn park(&self, job: Parked) -> Result<(), Parked> {
        self.shared.park(Waiting::Io(job)).map_err(|waiting| match waiting {
            Waiting::Io(job) => job,
            Waiting::Edit(_) => unreachable!("what comes back is what was given"),
        })
    }

    /// Takes on an edit of the target's lists.
    ///
    /// # Errors
    ///
    /// The edit, as [`park`](Self::park) does a job.
    #[expect(clippy::result_large_err, reason = "boxing what comes back would allocate")]
    pub fn park_edit(&self, edit: ParkedEdit) -> Result<(), ParkedEdit> {
        self.shared.park(Waiting::Edit(edit)).map_err(|waiting| match waiting {
            Waiting::Edit(edit) => edit,
            Waiting::Io(_) => unreachable!("what comes back is what was given"),
        })
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
        while self.wait() {
            for _ in 0..BATCH {
                match self.parked.pop() {
                    Some(Waiting::Io(mut parked)) => {
                        let outcome = self.perform(&mut parked.job);
                        batch.push((parked, outcome));
                    }
                    Some(Waiting::Edit(edit)) => {
                        self.complete(&mut batch);
                        self.edit(edit);
                    }
                    None => break,
                }
            }
            self.complete(&mut batch);
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
        // An edit may have come between this and its acceptance.
        self.record.current().still_permits(job.request.source)?;
        let transfer = &self.transfer;
        match job.request.operation {
            Operation::Read(range) => transfer.read(job, range),
            Operation::Write(range) => transfer.write(job, range),
            Operation::Verify(span) => transfer.verify(span),
            Operation::Trim => transfer.trim(job),
            Operation::Flush => Ok(()),
            Operation::LookAhead(on) => {
                transfer.image().backing.look_ahead(on);
                self.record.update(Changes::BACKING, |target| target.with_look_ahead(on));
                Ok(())
            }
        }
    }

    /// Makes durable what the batch has written, and gives its jobs back. If that fails, none of
    /// it was written.
    fn complete(&self, batch: &mut Vec<(Parked, Outcome)>) {
        let flushed = if batch.iter().any(|(parked, _)| is_flushed(parked)) {
            self.transfer.flush()
        } else {
            Ok(())
        };
        if self.transfer.image().backing.is_failed() && !self.record.current().is_failed() {
            self.record.update(Changes::BACKING, Target::failed);
        }
        for (parked, outcome) in batch.drain(..) {
            let outcome = if is_flushed(&parked) { outcome.and(flushed) } else { outcome };
            let Parked { job, export, home } = parked;
            give_back(&home, Message::Finished(Finished { job, export, outcome }));
        }
    }

    fn edit(&self, parked: ParkedEdit) {
        let ParkedEdit { mut packet, edit, port, home } = parked;
        let answer = self.record.edit(&port, &edit, packet.head_mut());
        give_back(&home, Message::Edited(Edited { packet, edit, answer }));
    }

    #[expect(clippy::result_large_err, reason = "boxing what comes back would allocate")]
    fn park(&self, waiting: Waiting) -> Result<(), Waiting> {
        self.parked.push(waiting)?;
        self.ring();
        Ok(())
    }
}

fn give_back(home: &Mailbox, message: Message) {
    if home.post(message).is_err() {
        unreachable!("a mailbox has room for every packet of its worker");
    }
}

/// Whether the job is answered only after a flush.
fn is_flushed(parked: &Parked) -> bool {
    let operation = parked.job.request.operation;
    operation.changes_data() || operation == Operation::Flush
}
