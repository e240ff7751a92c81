//! What a worker counts.

use std::cell::Cell;

/// One count of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// Frames that came out of the receive ring.
    Received,
    /// Replies given to the transmit ring.
    Replied,
    /// Accepted reads.
    Reads,
    /// Those of them that were answered at once: from the cache, or from a disk that is memory.
    ReadHits,
    /// Accepted writes.
    Writes,
    /// Accepted flushes.
    Flushes,
    /// Accepted commands to discard.
    Trims,
    /// Accepted reads without data, and settings of the disk.
    OtherCommands,
    /// Accepted edits of config strings, MAC masks and reservations.
    Edits,
    /// Announcements sent.
    Announcements,
    /// Requests answered without storage: config queries, IDENTIFY, refusals.
    Immediate,
    /// Bytes of sectors read.
    BytesRead,
    /// Bytes of sectors written.
    BytesWritten,
    /// Requests that storage failed.
    Failed,
    /// Dropped: not for a target here after all.
    DroppedNotOurs,
    /// Dropped: the target has the source masked.
    DroppedMasked,
    /// Dropped: ends within the header or the string of its command.
    DroppedShort,
    /// Dropped: a foreign version to a wildcard address.
    DroppedVersion,
    /// Dropped: the link is too narrow for a sector, or for the reply.
    DroppedNarrowLink,
    /// Not answered, as asked: the config string is another.
    OtherString,
    /// Dropped: the disk has as many requests as it may hold.
    DroppedDiskBusy,
    /// Dropped: no buffer free for the reply.
    DroppedNoBuffer,
    /// Dropped: a reply that could not leave before the port went away.
    DroppedPortGone,
}

impl Stat {
    /// All of them, in the order of their indices.
    pub const ALL: [Self; 23] = [
        Self::Received,
        Self::Replied,
        Self::Reads,
        Self::ReadHits,
        Self::Writes,
        Self::Flushes,
        Self::Trims,
        Self::OtherCommands,
        Self::Edits,
        Self::Announcements,
        Self::Immediate,
        Self::BytesRead,
        Self::BytesWritten,
        Self::Failed,
        Self::DroppedNotOurs,
        Self::DroppedMasked,
        Self::DroppedShort,
        Self::DroppedVersion,
        Self::DroppedNarrowLink,
        Self::OtherString,
        Self::DroppedDiskBusy,
        Self::DroppedNoBuffer,
        Self::DroppedPortGone,
    ];

    /// How status and summary call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Replied => "replied",
            Self::Reads => "reads",
            Self::ReadHits => "read_hits",
            Self::Writes => "writes",
            Self::Flushes => "flushes",
            Self::Trims => "trims",
            Self::OtherCommands => "other_commands",
            Self::Edits => "edits",
            Self::Announcements => "announcements",
            Self::Immediate => "immediate",
            Self::BytesRead => "bytes_read",
            Self::BytesWritten => "bytes_written",
            Self::Failed => "failed",
            Self::DroppedNotOurs => "dropped_not_ours",
            Self::DroppedMasked => "dropped_masked",
            Self::DroppedShort => "dropped_short",
            Self::DroppedVersion => "dropped_version",
            Self::DroppedNarrowLink => "dropped_narrow_link",
            Self::OtherString => "other_string",
            Self::DroppedDiskBusy => "dropped_disk_busy",
            Self::DroppedNoBuffer => "dropped_no_buffer",
            Self::DroppedPortGone => "dropped_port_gone",
        }
    }
}

/// The counts of one worker.
#[derive(Default)]
pub struct Stats([Cell<u64>; Stat::ALL.len()]);

impl Stats {
    /// Adds to a count.
    pub fn add(&self, stat: Stat, amount: u64) {
        let count = &self.0[stat as usize];
        count.set(count.get() + amount);
    }

    /// The present value of a count.
    pub fn get(&self, stat: Stat) -> u64 {
        self.0[stat as usize].get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_index_order() {
        for (index, stat) in Stat::ALL.into_iter().enumerate() {
            assert_eq!(stat as usize, index);
        }
    }
}
