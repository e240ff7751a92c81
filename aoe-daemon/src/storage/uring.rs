//! A worker's io_uring: what goes to the kernel, and comes back.
#![allow(unsafe_code, reason = "the kernel is given addresses: this is where that is made sound")]

use super::operation::{Done, Kind, Operation};
use super::store::Store;
use aoe_xsk::Region;
use io_uring::types::{Fd, FsyncFlags};
use io_uring::{IoUring, opcode, squeue};
use slab::Slab;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// Entries of the submission ring; the kernel makes the completion ring twice as large.
const ENTRIES: u32 = 256;
/// Threads that the kernel may start for what it can't do without waiting.
const KERNEL_THREADS: u32 = 1024;
/// The one registered buffer: the whole region.
const REGION: u16 = 0;

/// A ring, to be used by the thread that made it.
pub(super) struct Ring {
    ring: ManuallyDrop<IoUring>,
    /// What the kernel has, with the buffers that it reads and writes.
    in_flight: Slab<Operation>,
    is_registered: bool,
    /// Numbers of stores whose files the kernel has at hand: the first in slot 0, and so on.
    files: Option<Range<u16>>,
}

impl Ring {
    /// Makes a ring, for buffers of this region and these stores, whose numbers follow one another;
    /// others can be reached, too. During a [sleep](Self::prepare_sleep) it rings
    /// this bell, an eventfd.
    ///
    /// # Errors
    ///
    /// Where the kernel has none, or lets this process have none.
    pub(super) fn new(
        region: &Region,
        stores: &[Arc<Store>],
        bell: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        // The newest first: completions are put off until this thread asks for them (Linux 6.1).
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .build(ENTRIES)
            .or_else(|_| IoUring::new(ENTRIES))?;
        // A disk that does not answer keeps the kernel's threads waiting, and must leave some for
        // the others. Before Linux 5.15 there is no bound to raise.
        let _ = ring.submitter().register_iowq_max_workers(&mut [KERNEL_THREADS, 0]);
        // Polling the ring itself would not do: what is put off does not make it readable.
        ring.submitter().register_eventfd(bell.as_raw_fd())?;
        let memory = libc::iovec { iov_base: region.base().cast(), iov_len: region.bytes() };
        // SAFETY: the memory is mapped; the kernel pins its pages, so that they stay when it is not.
        let registered = unsafe { ring.submitter().register_buffers(&[memory]) };
        // Where no more memory may be locked, the kernel looks the pages up for every request.
        let is_registered = registered.is_ok();
        let files = register_files(&ring, stores);
        let mut ring =
            Self { ring: ManuallyDrop::new(ring), in_flight: Slab::new(), is_registered, files };
        ring.woke();
        Ok(ring)
    }

    /// Announces that this thread is about to wait for the bell; `false` where it must not, because
    /// something is done.
    pub(super) fn prepare_sleep(&mut self) -> bool {
        self.ring.completion().enable_eventfd();
        // Either the kernel sees that it has to ring, or we see what it has done.
        fence(Ordering::SeqCst);
        self.ring.completion().is_empty() && !self.ring.submission().taskrun()
    }

    /// Ends the sleep, or the attempt.
    pub(super) fn woke(&mut self) {
        self.ring.completion().disable_eventfd();
    }

    /// Whether the kernel has the buffers' pages at hand, and how many files.
    pub(super) fn registered(&self) -> (bool, usize) {
        (self.is_registered, self.files.as_ref().map_or(0, Range::len))
    }

    /// Takes an operation on. It reaches the kernel with the next [`Self::enter`], at the latest.
    pub(super) fn push(&mut self, operation: Operation) {
        let entry = self.in_flight.vacant_entry();
        let number = operation.store.number();
        let slot = self.files.as_ref().filter(|files| files.contains(&number));
        let file = slot.map_or_else(
            || (operation.store.file().as_raw_fd(), squeue::Flags::empty()),
            |files| ((number - files.start).into(), squeue::Flags::FIXED_FILE),
        );
        let request = request(&operation, Fd(file.0), self.is_registered);
        let request = request.flags(file.1).user_data(entry.key() as u64);
        entry.insert(operation);
        // SAFETY: the addresses in the request are within the buffer that the operation owns, which
        // stays in `in_flight` until the kernel is done with it; dropping the ring leaks what is
        // left. The file is kept open by the store that the operation holds.
        while unsafe { self.ring.submission().push(&request) }.is_err() {
            self.enter();
        }
    }

    /// Has the kernel take what was pushed, and do what it put off for this thread. One system
    /// call, or none where there is nothing.
    pub(super) fn enter(&mut self) {
        let has_requests = !self.ring.submission().is_empty();
        if has_requests || self.ring.submission().taskrun() {
            // It fails where memory is short or a signal comes: the next call goes on.
            let _ = self.ring.submit();
        }
    }

    /// The next operation that the kernel is done with.
    pub(super) fn pop(&mut self) -> Option<Done> {
        let completion = self.ring.completion().next()?;
        let operation = self.in_flight.remove(completion.user_data() as usize);
        let result = match completion.result() {
            error if error < 0 => Err(io::Error::from_raw_os_error(-error)),
            bytes => Ok(bytes as usize),
        };
        Some(Done { operation, result })
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.in_flight.is_empty() {
            // SAFETY: it is not used again.
            unsafe { ManuallyDrop::drop(&mut self.ring) };
        } else {
            // The kernel may use these buffers for ever: they stay mapped, and the ring open.
            self.in_flight.drain().for_each(Operation::leak);
        }
    }
}

/// Has the kernel keep the files of these stores at hand, so that it need not look them up for
/// every request. Returns their numbers; `None` where it won't.
fn register_files(ring: &IoUring, stores: &[Arc<Store>]) -> Option<Range<u16>> {
    let first = stores.first()?.number();
    debug_assert!(stores.iter().zip(first..).all(|(store, number)| store.number() == number));
    let files: Vec<_> = stores.iter().map(|store| store.file().as_raw_fd()).collect();
    ring.submitter().register_files(&files).ok()?;
    Some(first..first + stores.len() as u16)
}

fn request(operation: &Operation, file: Fd, is_registered: bool) -> squeue::Entry {
    let Some(buffer) = &operation.buffer else {
        return opcode::Fsync::new(file).flags(FsyncFlags::DATASYNC).build();
    };
    assert!(operation.bytes.end <= buffer.len(), "an operation beyond its buffer");
    let start = buffer.start().wrapping_add(operation.bytes.start);
    let (length, at) = (operation.bytes.len() as u32, operation.position);
    match operation.kind {
        Kind::Read if is_registered => {
            opcode::ReadFixed::new(file, start, length, REGION).offset(at).build()
        }
        Kind::Read => opcode::Read::new(file, start, length).offset(at).build(),
        Kind::Write if is_registered => {
            opcode::WriteFixed::new(file, start, length, REGION).offset(at).build()
        }
        Kind::Write => opcode::Write::new(file, start, length).offset(at).build(),
        Kind::Sync => unreachable!("a flush has no buffer"),
    }
}
