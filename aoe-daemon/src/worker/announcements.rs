//! Announcements on their way out, at the pace of the transmit ring.

use super::Worker;
use crate::stats::Stat;
use crate::target::HEAD_CAPACITY;
use aoe_common::wire::Mac;

/// Announcements sent in one pass.
const BURST: usize = 32;
/// Announcements that may wait. Beyond that, the link is so slow that later ones make up for those
/// that are left out.
const MAX_WAITING: usize = 1 << 16;

/// An export, by its index, and the station that is told of it.
pub type Announcement = (usize, Mac);

/// What is still to be announced.
#[derive(Default)]
pub(super) struct Announcements(Vec<Announcement>);

impl Announcements {
    /// Takes on more; the last of them goes first.
    pub(super) fn add(&mut self, mut more: Vec<Announcement>) {
        if self.0.len() + more.len() <= MAX_WAITING {
            // What waits already keeps its turn.
            more.append(&mut self.0);
            self.0 = more;
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Worker {
    /// Sends some announcements, as long as there is room for replies, too; whether it sent any.
    pub(super) fn announce(&mut self) -> bool {
        let mut sent = 0;
        while sent < BURST && self.takes_frames() && !self.announcements.is_empty() {
            let Some(mut packet) = self.queue.allocate(HEAD_CAPACITY) else { break };
            let Some((export, station)) = self.announcements.0.pop() else { break };
            let port = **self.port.load();
            let target = self.targets.look(export);
            match target.announce(&port, station, packet.head_mut()) {
                Some(length) => {
                    self.stats.add(Stat::Announcements, 1);
                    self.reply(packet, length);
                }
                None => self.discard(packet, Stat::DroppedNarrowLink),
            }
            sent += 1;
        }
        sent > 0
    }
}
