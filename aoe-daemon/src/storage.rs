//! The disks behind the targets.
//!
//! A [`Job`] is a packet with the request that was accepted from it. [`Disk::now`] does it at
//! once where that takes no waiting; otherwise [`Disk::park`] keeps it until it is done, and
//! returns it through the [`Mailbox`] of the worker that parked it.
//!
//! Reads come from the page cache at once where they can. Everything else goes through one
//! thread for each disk, in the order of arrival: that orders overlapping writes without a lock,
//! and lets the writes that queue up while the medium is busy share its next flush. Edits of what
//! the target remembers stand in the same line ([`Disk::park_edit`]).

pub mod backing;
pub mod create;
mod discard;
mod disk;
pub mod image;
pub mod medium;
mod transfer;

pub use disk::Disk;

use crate::mailbox::Mailbox;
use crate::target::{Answer, Edit, Outcome, Port, Request, Target};
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

/// An edit of a target's lists that waits for its turn.
pub struct ParkedEdit {
    /// The frame.
    pub packet: Packet,
    /// What to do.
    pub edit: Edit,
    /// The port that it came in on.
    pub port: Port,
    /// The mailbox of the worker that owns the packet and sends the reply.
    pub home: Arc<Mailbox>,
}

/// An edit that is durable, or was refused.
pub struct Edited {
    /// The frame.
    pub packet: Packet,
    /// What was asked for.
    pub edit: Edit,
    /// What to answer, and the target as it has become; `None` where its source has come to be
    /// masked meanwhile, and gets no answer.
    pub answer: Option<(Answer, Arc<Target>)>,
}
