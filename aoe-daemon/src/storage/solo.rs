//! A thread that does nothing but wait for disks.

use super::driver::Driver;
use super::operation::{Done, Operation};
use super::staging::{Buffer, Staging};
use super::store::Store;
use crate::mailbox::{Mailbox, Message};
use aoe_xsk::HugePages;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::sync::Arc;

/// How long it waits for a bell at most: nothing depends on it.
const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// Answers that may come through the mailbox: one for each buffer, and a flush's.
const MESSAGES: usize = 256;

/// Its ring and its buffers.
pub(super) struct Solo {
    home: Arc<Mailbox>,
    driver: Driver,
    staging: Staging,
}

impl Solo {
    /// # Errors
    ///
    /// Where there is no memory for its buffers.
    pub(super) fn new(huge_pages: HugePages) -> anyhow::Result<Self> {
        let home = Arc::new(Mailbox::new(MESSAGES)?);
        let driver = Driver::new(Arc::clone(&home));
        Ok(Self { home, driver, staging: Staging::new(huge_pages)? })
    }

    /// Opens its ring for these stores, whose numbers follow one another. From then on it belongs to this thread.
    pub(super) fn open_ring(&mut self, stores: &[Arc<Store>]) {
        self.driver.open_ring(self.staging.region(), stores);
    }

    /// A buffer, as [`Staging::take`] has it.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Buffer> {
        self.staging.take(bytes)
    }

    /// Takes a buffer back.
    pub(super) fn give(&mut self, buffer: Buffer) {
        self.staging.give(buffer);
    }

    /// Has an operation carried out.
    pub(super) fn submit(&mut self, operation: Operation) {
        self.driver.submit(operation);
    }

    /// Waits for the next of those that are in flight.
    pub(super) fn next_done(&mut self) -> Done {
        loop {
            self.driver.enter();
            if let Some(done) = self.driver.pop() {
                return done;
            }
            match self.home.take() {
                Some(Message::Done(done)) => return done,
                Some(_) => unreachable!("nobody else knows of this mailbox"),
                None => self.sleep(),
            }
        }
    }

    fn sleep(&mut self) {
        if self.home.prepare_sleep() && self.driver.prepare_sleep() {
            let mut bell = [PollFd::from_borrowed_fd(self.home.bell(), PollFlags::IN)];
            // An interrupted poll is as good as one that found nothing.
            let _ = poll(&mut bell, Some(&LOOK));
        }
        self.driver.woke();
        self.home.woke();
    }
}
