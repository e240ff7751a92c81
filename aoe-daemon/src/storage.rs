//! The disks behind the targets.
//!
//! A [`Job`] is a packet with the request that was accepted from it. [`Disk::now`] does it at
//! once where that takes no waiting; otherwise [`Disk::park`] keeps it until it is done, and
//! returns it through the [`Mailbox`] of the worker that parked it.
//!
//! Reads come from the page cache at once where they can. Everything else goes through one
//! thread for each disk, in the order of arrival: that orders overlapping writes without a lock,
//! and lets the writes that queue up while the medium is busy share its next flush.

pub mod create;
mod disk;
pub mod image;

pub use disk::Disk;

use crate::mailbox::Mailbox;
use crate::target::{Outcome, Request};
use aoe_xsk::Packet;
use std::sync::Arc;

/// A request with the frame that it came in and is answered in.
pub struct Job {
    /// The frame; for reads already as long as the reply.
    pub packet: Packet,
    /// What to do with it.
    pub request: Request,
}

/// A job that waits for a disk.
pub struct Parked {
    /// The job.
    pub job: Job,
    /// Index of the export that it is for.
    pub export: usize,
    /// The mailbox of the worker that owns the packet and sends the reply.
    pub home: Arc<Mailbox>,
}

/// A job that a disk is done with. It leaves `home` behind: in there, it would keep it alive.
pub struct Finished {
    /// The job.
    pub job: Job,
    /// Index of the export that it is for.
    pub export: usize,
    /// How it went.
    pub outcome: Outcome,
}
