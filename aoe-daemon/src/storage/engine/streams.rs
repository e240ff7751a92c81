//! Reading ahead of those who read a disk from one end to the other.

use super::super::cache::{BLOCK, BLOCK_SECTORS, BlockId};
use super::super::order::FILL_BLOCKS;
use super::Engine;
use crate::target::Range;

/// Sequential readers of one store that are told apart.
const STREAMS: usize = 8;
/// How far from where it should go on a read may be, in sectors: packets overtake each other.
const SLACK: u64 = 128;
/// How far ahead is read at first and at the most, in blocks.
const LEAST_AHEAD: u64 = FILL_BLOCKS;
const MOST_AHEAD: u64 = 16 * FILL_BLOCKS;

/// The sequential readers of one store.
#[derive(Default)]
pub(super) struct Streams {
    streams: [Stream; STREAMS],
    /// Counts reads, for finding the stream that has been idle the longest.
    clock: u64,
}

#[derive(Clone, Copy, Default)]
struct Stream {
    /// The sector that it should go on with.
    next: u64,
    /// Sectors that it has read without a gap.
    run: u64,
    /// Block up to which was read ahead.
    ahead: u64,
    /// How far ahead to read, in blocks.
    window: u64,
    used: u64,
}

impl Streams {
    /// Notes a read of these sectors of the store, and returns the blocks to read ahead, if any.
    fn note(&mut self, start: u64, end: u64) -> Option<(u64, u64)> {
        self.clock += 1;
        let follows =
            |stream: &&mut Stream| stream.used > 0 && start.abs_diff(stream.next) <= SLACK;
        let Some(stream) = self.streams.iter_mut().find(follows) else {
            let used = self.clock;
            let oldest = self.streams.iter_mut().min_by_key(|stream| stream.used)?;
            *oldest = Stream { next: end, run: end - start, ahead: 0, window: LEAST_AHEAD, used };
            return None;
        };
        stream.used = self.clock;
        stream.run += end.saturating_sub(stream.next);
        stream.next = stream.next.max(end);
        // Two neighbours may be one request that was split.
        if stream.run < 4 * BLOCK_SECTORS {
            return None;
        }
        let here = stream.next.div_ceil(BLOCK_SECTORS);
        let from = stream.ahead.max(here);
        if from > here + stream.window / 2 {
            return None;
        }
        let to = (here + stream.window).max(from + FILL_BLOCKS);
        stream.ahead = to;
        stream.window = (2 * stream.window).min(MOST_AHEAD);
        Some((from, to))
    }

    /// Says how far was read ahead in truth, where that is less than was asked for.
    fn stop_at(&mut self, asked: u64, block: u64) {
        for stream in &mut self.streams {
            if stream.ahead == asked {
                stream.ahead = block;
            }
        }
    }
}

impl Engine {
    /// Notes a read, and reads ahead of it if it belongs to a sequence.
    pub(super) fn look_ahead(&mut self, export: usize, range: Range) {
        let disk = &self.disks[export];
        let store = disk.store();
        if store.is_memory() || self.cache.capacity() == 0 || !store.backing().looks_ahead() {
            return;
        }
        let number = usize::from(store.number());
        let sectors = disk.range(range);
        let lane = &mut self.lanes[number];
        let Some((from, to)) = lane.streams.note(sectors.start, sectors.end) else { return };
        // Not behind the end of the disk as it is now.
        let reachable = disk.record().current().reachable();
        let end = disk.sectors(0, reachable).end / BLOCK_SECTORS;
        let mut block = from;
        while block < to.min(end) {
            let count = FILL_BLOCKS.min(to.min(end) - block);
            let is_there = |block| self.cache.contains(BlockId::new(number as u16, block));
            if self.is_filling(number, block) || (block..block + count).all(is_there) {
                block += count;
                continue;
            }
            let Some(buffer) = self.lend_spare(number) else {
                self.lanes[number].streams.stop_at(to, block);
                return;
            };
            let bytes = block * BLOCK as u64..(block + count) * BLOCK as u64;
            self.fill(number, bytes, buffer, true);
            block += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads of `sectors` each from `start` on, and what was read ahead, in blocks.
    fn read(streams: &mut Streams, start: u64, sectors: u64, count: u64) -> Vec<(u64, u64)> {
        let at = |number| start + number * sectors;
        (0..count).filter_map(|number| streams.note(at(number), at(number) + sectors)).collect()
    }

    #[test]
    fn a_sequence_is_read_ahead_without_gaps() {
        let mut streams = Streams::default();
        let ahead = read(&mut streams, 8000, 16, 1000);
        assert!(ahead.len() > 5);
        assert!(ahead.windows(2).all(|pair| pair[0].1 == pair[1].0), "{ahead:?}");
        let (from, to) = ahead[ahead.len() - 1];
        assert!(to - from <= MOST_AHEAD);
        let read = (8000 + 16 * 1000) / 8;
        assert!(to >= read + MOST_AHEAD / 4, "{to} is hardly ahead of {read}");
        assert!(to <= read + 2 * MOST_AHEAD);
    }

    #[test]
    fn reads_here_and_there_are_not() {
        let mut streams = Streams::default();
        let mut position = 1;
        for _ in 0..1000 {
            position = position * 1_103_515_245 % 1_000_000_007;
            assert_eq!(streams.note(position * 1000, position * 1000 + 8), None);
        }
    }

    #[test]
    fn several_sequences_are_told_apart() {
        let mut streams = Streams::default();
        let mut counts = [0; 4];
        for step in 0..200 {
            for (reader, count) in counts.iter_mut().enumerate() {
                let at = reader as u64 * 10_000_000 + step * 16;
                *count += usize::from(streams.note(at, at + 16).is_some());
            }
        }
        assert!(counts.iter().all(|count| *count > 2), "{counts:?}");
    }

    #[test]
    fn packets_that_overtake_each_other_are_one_sequence() {
        let mut streams = Streams::default();
        let order = [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10];
        let ahead: Vec<_> =
            order.iter().filter_map(|at| streams.note(at * 16, at * 16 + 16)).collect();
        assert!(!ahead.is_empty());
    }

    #[test]
    fn what_could_not_be_read_ahead_is_asked_for_again() {
        let mut streams = Streams::default();
        let ahead = read(&mut streams, 0, 16, 2)[0];
        streams.stop_at(ahead.1, ahead.0 + 9);
        let again = read(&mut streams, 32, 16, 1)[0];
        assert_eq!(again.0, ahead.0 + 9);
    }
}
