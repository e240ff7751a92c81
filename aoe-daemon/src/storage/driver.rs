//! How one thread has disks work: through its ring, or where that can't be by threads of theirs.

use super::helper::{Chore, Task, carry_out};
use super::operation::{Done, Kind, Operation};
use super::store::Store;
use super::uring::Ring;
use crate::mailbox::Mailbox;
use aoe_xsk::Region;
use std::sync::Arc;
use tracing::{debug, warn};

/// One thread's way to the disks.
pub(super) struct Driver {
    ring: Option<Ring>,
    /// Where the answers of the other threads come to, and what rings for those of the ring.
    home: Arc<Mailbox>,
}

impl Driver {
    /// One without a ring.
    pub(super) const fn new(home: Arc<Mailbox>) -> Self {
        Self { ring: None, home }
    }

    /// Opens its ring for buffers of this region and these stores, whose numbers follow one another.
    /// From then on it belongs to this thread.
    pub(super) fn open_ring(&mut self, region: &Region, stores: &[Arc<Store>]) {
        match Ring::new(region, stores, self.home.bell()) {
            Ok(ring) => {
                let (buffers, files) = ring.registered();
                debug!(buffers, files, "io_uring");
                self.ring = Some(ring);
            }
            Err(reason) => warn!(%reason, "no io_uring: disks are read and written by threads"),
        }
    }

    pub(super) const fn home(&self) -> &Arc<Mailbox> {
        &self.home
    }

    /// Has an operation carried out.
    pub(super) fn submit(&mut self, operation: Operation) {
        // The thread's way of flushing is the one that the broken build breaks.
        let is_broken = cfg!(feature = "broken-durability");
        let waits = operation.kind == Kind::Sync && (is_broken || !operation.store.is_direct());
        match &mut self.ring {
            Some(ring) if !waits => ring.push(operation),
            _ => {
                let store = Arc::clone(&operation.store);
                self.delegate(&store, Chore::Operation(operation));
            }
        }
    }

    /// Has a store's thread do something. Where none can be had it is done here: late is better
    /// than never.
    pub(super) fn delegate(&self, store: &Store, chore: Chore) {
        if let Err(task) = store.delegate(Task { chore, home: Arc::clone(&self.home) }) {
            carry_out(task);
        }
    }

    /// Has the kernel take what was submitted.
    pub(super) fn enter(&mut self) {
        if let Some(ring) = &mut self.ring {
            ring.enter();
        }
    }

    /// The next operation that the ring is done with.
    pub(super) fn pop(&mut self) -> Option<Done> {
        self.ring.as_mut().and_then(Ring::pop)
    }

    /// Announces that its thread is about to wait for the bell of its mailbox; `false` where it
    /// must not, because the ring has an answer.
    pub(super) fn prepare_sleep(&mut self) -> bool {
        self.ring.as_mut().is_none_or(Ring::prepare_sleep)
    }

    /// Ends the sleep that [`prepare_sleep`](Self::prepare_sleep) announced.
    pub(super) fn woke(&mut self) {
        if let Some(ring) = &mut self.ring {
            ring.woke();
        }
    }
}
