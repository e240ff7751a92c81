//! A packet: one to four chunks that the application owns.
//!
//! ```text
//!  first chunk                               second chunk                 third chunk
//! |<- 476 ->|<- segment 0 -------------->|  |...|<- segment 1 ------->|  |...|<- segment 2 ->|   |
//!           ^ head()                     ^ end of the chunk                                   ^ len()
//! ```
//!
//! The bytes before a segment belong to the driver. The bytes behind the last segment are room to
//! grow: [`Packet::head_mut`] reaches to the end of the first chunk, so that a reply which is longer
//! than its request is written in place, and [`Queue::resize`](crate::Queue::resize) then says how
//! long it became.

use std::fmt;
use std::ops::Range;

use crate::chunk::{CHUNK_SIZE, Chunk};

/// The most chunks that one packet may have: enough for a frame of 14 kB.
pub const MAX_CHUNKS: usize = 4;

/// Where the first byte of a frame lands in its chunk: 256 bytes of the kernel's (XDP's own
/// headroom) and 220 that we ask for, so that what begins 36 bytes into the frame, behind the
/// Ethernet, AoE and ATA headers, begins at a multiple of 512.
pub const FRAME_OFFSET: usize = 256 + HEADROOM as usize;

/// The headroom that is asked for at the registration of the memory, in bytes.
pub(crate) const HEADROOM: u32 = 220;

/// A chunk and the part of it that holds bytes of the packet. `len` is never zero.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) chunk: Chunk,
    pub(crate) start: u16,
    pub(crate) len: u16,
}

impl Segment {
    /// How long the segment could be.
    pub(crate) fn capacity(&self) -> usize {
        CHUNK_SIZE - usize::from(self.start)
    }

    fn range(&self) -> Range<usize> {
        let start = usize::from(self.start);
        start..start + usize::from(self.len)
    }
}

/// A frame in one to four chunks, owned by whoever holds it.
///
/// It ends in [`Queue::send`](crate::Queue::send), [`Queue::recycle`](crate::Queue::recycle) or, if
/// its queue is gone, [`Packet::abandon`]. Merely dropped, its chunks are lost to the queue; debug
/// builds panic there. It may be sent to another thread and may outlive its queue.
pub struct Packet {
    /// A prefix of `count` segments.
    segments: [Option<Segment>; MAX_CHUNKS],
    count: usize,
    len: usize,
}

impl Packet {
    pub(crate) const fn empty() -> Self {
        Self { segments: [const { None }; MAX_CHUNKS], count: 0, len: 0 }
    }

    /// The length of the frame in bytes, from the Ethernet header to the last byte of payload.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the packet has no bytes. A packet from a queue always has some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many chunks the packet has, 1 to [`MAX_CHUNKS`].
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.count
    }

    /// The bytes of the first segment.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.segments().next().unwrap_or_default()
    }

    /// From the first byte of the packet to the end of its first chunk, whatever the length is.
    /// What lies behind the length is left over from other packets.
    pub fn head_mut(&mut self) -> &mut [u8] {
        match &mut self.segments[0] {
            Some(segment) => &mut segment.chunk.bytes_mut()[usize::from(segment.start)..],
            None => &mut [],
        }
    }

    /// The packet's bytes in order, one slice a chunk.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces(0..self.len)
    }

    /// The packet's bytes in order, one mutable slice a chunk.
    pub fn segments_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.pieces_mut(0..self.len)
    }

    /// The bytes of `range` in order, one slice for each chunk that has some of them: what a
    /// vectored read or write is made of.
    ///
    /// # Panics
    ///
    /// If the range is not within the packet's length, as slices do.
    pub fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        self.check(&range);
        let mut position = 0;
        self.segments.iter().flatten().filter_map(move |segment| {
            let bytes = &segment.chunk.bytes()[segment.range()];
            let piece = overlap(&range, &mut position, bytes.len())?;
            Some(&bytes[piece])
        })
    }

    /// As [`Self::pieces`], to be written to.
    ///
    /// # Panics
    ///
    /// If the range is not within the packet's length, as slices do.
    pub fn pieces_mut(&mut self, range: Range<usize>) -> impl Iterator<Item = &mut [u8]> {
        self.check(&range);
        let mut position = 0;
        self.segments.iter_mut().flatten().filter_map(move |segment| {
            let within = segment.range();
            let bytes = &mut segment.chunk.bytes_mut()[within];
            let piece = overlap(&range, &mut position, bytes.len())?;
            Some(&mut bytes[piece])
        })
    }

    /// Copies bytes of the packet, from `offset` on, until `target` is full.
    ///
    /// # Panics
    ///
    /// If the packet ends before.
    pub fn copy_out(&self, offset: usize, target: &mut [u8]) {
        let mut rest = target;
        for piece in self.pieces(offset..offset + rest.len()) {
            let (now, later) = rest.split_at_mut(piece.len());
            now.copy_from_slice(piece);
            rest = later;
        }
    }

    /// Copies `source` over the packet's bytes from `offset` on. The length stays.
    ///
    /// # Panics
    ///
    /// If the packet ends before.
    pub fn copy_in(&mut self, offset: usize, source: &[u8]) {
        let mut rest = source;
        for piece in self.pieces_mut(offset..offset + source.len()) {
            let (now, later) = rest.split_at(piece.len());
            piece.copy_from_slice(now);
            rest = later;
        }
    }

    /// Gives up a packet whose queue is gone. Its memory stays mapped until the process ends, so
    /// this is for the few packets that are with a disk when an interface disappears.
    pub fn abandon(mut self) {
        while let Some(segment) = self.pop() {
            segment.chunk.surrender();
        }
    }

    fn check(&self, range: &Range<usize>) {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "bytes {range:?} of a packet of {} bytes",
            self.len
        );
    }

    /// Adds a segment behind the others.
    pub(crate) fn push(&mut self, segment: Segment) {
        debug_assert!(segment.len > 0 && usize::from(segment.len) <= segment.capacity());
        self.len += usize::from(segment.len);
        self.segments[self.count] = Some(segment);
        self.count += 1;
    }

    /// Takes the last segment off.
    pub(crate) fn pop(&mut self) -> Option<Segment> {
        self.count = self.count.checked_sub(1)?;
        let segment = self.segments[self.count].take()?;
        self.len -= usize::from(segment.len);
        Some(segment)
    }

    /// Sets the length of the last segment, which must have the capacity.
    pub(crate) fn set_last_len(&mut self, len: u16) {
        if let Some(last) = self.last_mut() {
            let before = std::mem::replace(&mut last.len, len);
            self.len = self.len - usize::from(before) + usize::from(len);
        }
    }

    fn last_mut(&mut self) -> Option<&mut Segment> {
        self.segments.get_mut(self.count.checked_sub(1)?)?.as_mut()
    }

    pub(crate) fn last(&self) -> Option<&Segment> {
        self.segments.get(self.count.checked_sub(1)?)?.as_ref()
    }

    /// The segments, first to last.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().flatten()
    }

    /// Takes the packet apart, first segment first.
    pub(crate) fn into_parts(self) -> impl Iterator<Item = Segment> {
        self.segments.into_iter().flatten()
    }
}

/// The part of the next `len` bytes at `position` that lies in `range`; moves `position` past them.
fn overlap(range: &Range<usize>, position: &mut usize, len: usize) -> Option<Range<usize>> {
    let begin = *position;
    *position += len;
    let piece = range.start.max(begin)..range.end.min(begin + len);
    (!piece.is_empty()).then(|| piece.start - begin..piece.end - begin)
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet").field("len", &self.len).field("chunks", &self.count).finish()
    }
}
