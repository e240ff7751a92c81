//! Frames to wildcard addresses: one for several exports, each of which answers by itself.

use super::Worker;
use crate::exports::Offer;
use crate::stats::Stat;
use aoe_xsk::Packet;

impl Worker {
    /// Answers wildcards, one export after the other, as fast as replies leave.
    pub(super) fn continue_fanout(&mut self, offer: &Offer) -> bool {
        let mut any = false;
        while self.outbox.is_empty() {
            let Some((packet, next)) = self.fanout.pop_front() else { break };
            let Some((framing, key)) = self.examine(offer, packet.head()) else {
                // The port's address has changed since.
                self.discard(packet, Stat::DroppedNotOurs);
                any = true;
                continue;
            };
            match &offer.named(key)[next..] {
                [] => self.queue.recycle(packet),
                [last] => self.accept(*last, framing, packet),
                [export, ..] => {
                    let Some(copy) = self.copy_of(&packet) else {
                        self.fanout.push_front((packet, next));
                        break;
                    };
                    self.fanout.push_front((packet, next + 1));
                    self.accept(*export, framing, copy);
                }
            }
            any = true;
        }
        any
    }

    fn copy_of(&mut self, packet: &Packet) -> Option<Packet> {
        let mut copy = self.queue.allocate(packet.len())?;
        let mut offset = 0;
        for piece in packet.segments() {
            copy.copy_in(offset, piece);
            offset += piece.len();
        }
        Some(copy)
    }
}
