//! The disks behind the targets.
//!
//! A [`Job`] is a packet with the request that was accepted from it. Every worker has an
//! [`engine::Engine`], which does a job at once where that takes no waiting, or keeps it until it
//! is done. What all workers share is a [`store::Store`] for each file or device, and the
//! [`cache`](cache::Cache), of which [`room`] says how large it may be.
//!
//! From below: [`backing`] is a file or device, opened and locked once; [`image`] a part of it that
//! is served; `store` how its data is reached, and with `order` who has to wait for whom; [`sighting`]
//! whether its path still leads to it; `disk` an export's view of it. `staging` has the buffers that disks read into and write from, `operation`
//! is what they are asked for, `uring` and `helper` carry it out.

pub mod backing;
pub mod cache;
pub mod create;
mod discard;
mod disk;
mod driver;
pub mod engine;
mod fill;
mod helper;
pub mod image;
pub mod layout;
pub mod medium;
mod operation;
mod order;
pub mod preload;
pub mod room;
pub mod sighting;
mod solo;
mod staging;
pub mod store;
mod transfer;
mod uring;
pub mod writeback;

pub use disk::Disk;
pub use operation::Done;

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

/// A job that is done.
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
