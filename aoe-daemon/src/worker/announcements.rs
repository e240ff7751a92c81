//! Announcements on their way out, at the pace of the transmit ring.

use super::Worker;
use crate::stats::Stat;
use crate::target::HEAD_CAPACITY;
use std::collections::VecDeque;

/// Announcements sent in one pass.
const BURST: usize = 32;

/// What is still to be announced. No export is in here twice, so that no number of orders makes it
/// long.
pub(super) struct Announcements {
    /// Exports, by index.
    waiting: VecDeque<usize>,
    /// For each export how many of its audience have been told; `None` where it does not wait.
    told: Vec<Option<usize>>,
}

impl Announcements {
    /// Of so many exports; there are none yet.
    pub(super) fn of(exports: usize) -> Self {
        Self { waiting: VecDeque::with_capacity(exports), told: vec![None; exports] }
    }

    /// Takes on more. Whoever has been told already of an export that is here is told again: it has
    /// changed since.
    pub(super) fn add(&mut self, exports: &[usize]) {
        for export in exports {
            if self.told[*export].replace(0).is_none() {
                self.waiting.push_back(*export);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The export whose turn it is, and who of its audience is told next.
    fn next(&self) -> Option<(usize, usize)> {
        let export = *self.waiting.front()?;
        Some((export, self.told[export]?))
    }

    /// One more of the audience of the first export has been told.
    fn advance(&mut self, export: usize) {
        self.told[export] = self.told[export].map(|told| told + 1);
    }

    /// All of the audience of the first export have been told.
    fn done(&mut self) {
        if let Some(export) = self.waiting.pop_front() {
            self.told[export] = None;
        }
    }
}

impl Worker {
    /// Sends some announcements, as long as there is room for replies, too; whether it sent any.
    pub(super) fn announce(&mut self) -> bool {
        let mut sent = 0;
        while sent < BURST && self.takes_frames() {
            let Some((export, told)) = self.announcements.next() else { break };
            let target = self.targets.look(export);
            let Some(station) = target.audience().nth(told) else {
                self.announcements.done();
                continue;
            };
            let Some(mut packet) = self.queue.allocate(HEAD_CAPACITY) else { break };
            let port = **self.port.load();
            self.announcements.advance(export);
            match self.targets.look(export).announce(&port, station, packet.head_mut()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_again_is_told_from_the_start() {
        let mut announcements = Announcements::of(3);
        assert_eq!(announcements.next(), None);
        announcements.add(&[2, 0]);
        announcements.advance(2);
        assert_eq!(announcements.next(), Some((2, 1)));
        announcements.add(&[2, 1]);
        assert_eq!(announcements.next(), Some((2, 0)));
        for expected in [2, 0, 1] {
            assert_eq!(announcements.next(), Some((expected, 0)));
            announcements.done();
        }
        assert!(announcements.is_empty());
    }
}
