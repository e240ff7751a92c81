//! What a disk is asked to do, whoever carries it out.

use super::staging::Buffer;
use super::store::Store;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// A read, write or flush of a file or device.
pub(super) struct Operation {
    pub(super) store: Arc<Store>,
    pub(super) kind: Kind,
    /// What its engine has to do when it is done.
    pub(super) purpose: Purpose,
    /// Where the data is, or goes; `None` for flushes. It belongs to whoever carries it out.
    pub(super) buffer: Option<Buffer>,
    /// The part of the buffer.
    pub(super) bytes: Range<usize>,
    /// Where in the file or device, in bytes.
    pub(super) position: u64,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    /// Make durable what was written.
    Sync,
}

/// What it is for: an index of its engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Fill(usize),
    Group(usize),
    Sync,
}

/// An operation that is over.
pub struct Done {
    pub(super) operation: Operation,
    /// Bytes that were moved, or what went wrong.
    pub(super) result: io::Result<usize>,
}

impl Operation {
    /// Gives it up, though the kernel may still have its buffer.
    pub(super) fn leak(self) {
        if let Some(buffer) = self.buffer {
            buffer.leak();
        }
    }
}
