//! The packet memory of one queue: a region cut into chunks, and the book of who owns them.
//!
//! This is the only place where a chunk becomes a token ([`Chunk`]) and a token becomes a chunk
//! again, each time together with the entry in the book. That is why two tokens can't alias, and
//! why a token can't be given to another queue: its address says whose it is, and a region with a
//! token away is never unmapped, so that no other region can have that address.
#![allow(unsafe_code, reason = "makes the tokens for chunks that the book says are not in use")]

use std::fmt;
use std::ptr::NonNull;

use crate::book::{Book, Census, Owner};
use crate::chunk::{CHUNK_SIZE, Chunk};
use crate::error::Error;
use crate::packet::{FRAME_OFFSET, MAX_CHUNKS, Packet, Segment};
use crate::region::{HugePages, Pages, Region};

/// A part of a packet that the kernel has delivered: which chunk, and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) chunk: u32,
    pub(crate) start: u16,
    pub(crate) len: u16,
}

/// Memory for packets. It belongs to a [`Queue`](crate::Queue), and can be taken out of one and put
/// into the next when a socket has to be made anew, so that the packets in use stay valid.
///
/// The memory is unmapped when the `Umem` is dropped, unless packets of it are still about: then it
/// stays mapped until the process ends, and they stay valid.
pub struct Umem {
    region: Region,
    book: Book,
    /// Whose closed socket the retired chunks were lent to.
    retired_by: Option<Place>,
}

/// An RX queue of an interface: ifindex and queue number.
pub(crate) type Place = (u32, u32);

/// What is known of the kernel's hold on chunks when a socket has been closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// None: it was never bound, or its device is gone.
    Nothing,
    /// A frame that was taken from the TX ring may still be on its way.
    Taken(Place),
    /// The device may still read and write any chunk that it had.
    Everything(Place),
}

impl Umem {
    /// Maps and populates memory for so many chunks of [`CHUNK_SIZE`] bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if there is not that much, [`Error::Config`] if it is none at all.
    pub fn new(chunks: u32, huge_pages: HugePages) -> Result<Self, Error> {
        if chunks == 0 {
            return Err(Error::Config("a queue needs chunks"));
        }
        let region = Region::map(chunks as usize * CHUNK_SIZE, huge_pages)?;
        Ok(Self { region, book: Book::new(chunks), retired_by: None })
    }

    /// The pages behind it, and why not better ones.
    #[must_use]
    pub fn pages(&self) -> &Pages {
        self.region.pages()
    }

    /// Who owns how many chunks.
    #[must_use]
    pub fn census(&self) -> Census {
        self.book.census()
    }

    /// Audits the book of chunks. For shutdown and tests: it looks at every chunk.
    ///
    /// # Panics
    ///
    /// If a chunk has been lost or doubled.
    pub fn assert_conserved(&self) {
        self.book.audit();
        assert!(self.census().is_conserved(), "{}", self.census());
    }

    /// A packet of `len` bytes in as few chunks as hold it, or nothing if there are not enough, or
    /// `len` is zero or more than [`MAX_CHUNKS`] chunks hold. The bytes are left over from other
    /// packets.
    pub fn allocate(&mut self, len: usize) -> Option<Packet> {
        let mut packet = Packet::empty();
        self.resize(&mut packet, len).then_some(packet)
    }

    /// Makes a packet longer, with free chunks where its own do not suffice, or shorter, giving the
    /// chunks that it no longer needs back. Bytes that stay keep their content; bytes that are new
    /// are **not** zero, but left over from other packets or written through
    /// [`Packet::head_mut`]. False, and nothing changed, if there are not enough chunks, or `len`
    /// is zero or more than [`MAX_CHUNKS`] chunks hold.
    ///
    /// # Panics
    ///
    /// If the packet is of another memory.
    pub fn resize(&mut self, packet: &mut Packet, len: usize) -> bool {
        self.assert_ours(packet);
        if len == 0 || !self.has_room_to_grow(packet, len) {
            return false;
        }
        while packet.len() < len {
            let missing = len - packet.len();
            let spare = packet.last().map_or(0, |last| last.capacity() - usize::from(last.len));
            if spare > 0 {
                let used = packet.last().map_or(0, |last| usize::from(last.len));
                packet.set_last_len(narrow(used + missing.min(spare)));
            } else if let Some(segment) = self.fresh_segment(packet.is_empty(), missing) {
                packet.push(segment);
            } else {
                return false;
            }
        }
        while packet.len() > len {
            let last = packet.last().map_or(0, |last| usize::from(last.len));
            let excess = packet.len() - len;
            if excess < last {
                packet.set_last_len(narrow(last - excess));
            } else if let Some(segment) = packet.pop() {
                self.put(segment.chunk);
            }
        }
        true
    }

    /// Takes the chunks of a packet back.
    ///
    /// # Panics
    ///
    /// If the packet is of another memory.
    pub fn recycle(&mut self, packet: Packet) {
        self.assert_ours(&packet);
        for segment in packet.into_parts() {
            self.put(segment.chunk);
        }
    }

    /// Whether `packet`, made `len` long, would fit in [`MAX_CHUNKS`] chunks and the free ones.
    fn has_room_to_grow(&self, packet: &Packet, len: usize) -> bool {
        let capacity =
            packet.len() + packet.last().map_or(0, |last| last.capacity() - usize::from(last.len));
        if len <= capacity {
            return true;
        }
        let first = if packet.is_empty() { CHUNK_SIZE - FRAME_OFFSET } else { 0 };
        let beyond_first = (len - capacity).saturating_sub(first);
        let more = usize::from(packet.is_empty()) + beyond_first.div_ceil(CHUNK_SIZE);
        packet.chunks() + more <= MAX_CHUNKS && more <= self.book.count(Owner::Free) as usize
    }

    /// A free chunk as the next segment of a packet. The first starts where received frames do,
    /// the others at their chunk's beginning: for sending, the driver needs no room before them.
    fn fresh_segment(&mut self, first: bool, len: usize) -> Option<Segment> {
        let start = if first { FRAME_OFFSET } else { 0 };
        let index = self.book.take(Owner::Application)?;
        let len = narrow(len.min(CHUNK_SIZE - start));
        Some(Segment { chunk: self.token(index), start: narrow(start), len })
    }

    fn put(&mut self, chunk: Chunk) {
        let index = self.index_of(&chunk);
        chunk.surrender();
        let ours = index.is_some_and(|i| self.book.transfer(i, Owner::Application, Owner::Free));
        assert!(ours, "a chunk came back that was not away");
    }

    /// The token for a chunk that was entered as the application's just now.
    fn token(&self, index: u32) -> Chunk {
        let base = self.region.base().wrapping_add(index as usize * CHUNK_SIZE);
        let base = NonNull::new(base).expect("no region is mapped at address zero");
        // SAFETY: `index` is a chunk of the book, so the bytes are inside the region, which was
        // mapped zeroed. They stay mapped while the book has the chunk as the application's: `drop`
        // leaks the region then. The book had the chunk elsewhere until just now, and makes no
        // second token before `put` or `transmit` has consumed this one. The kernel does not touch
        // chunks that were neither lent (`lend`) nor given (`transmit`) to it, and has handed over
        // those that it received into (`arrived`).
        unsafe { Chunk::new(base) }
    }

    fn index_of(&self, chunk: &Chunk) -> Option<u32> {
        let offset = chunk.address().checked_sub(self.region.base() as usize)?;
        u32::try_from(offset / CHUNK_SIZE).ok().filter(|_| offset < self.region.bytes())
    }

    pub(crate) fn assert_ours(&self, packet: &Packet) {
        let ours = packet.parts().all(|segment| self.index_of(&segment.chunk).is_some());
        assert!(ours, "this packet belongs to another queue");
    }
}

/// What the rings do with chunks. An address is the offset of a byte from the region's first.
impl Umem {
    /// The region's first byte and its length, for the registration.
    pub(crate) fn extent(&self) -> (*mut u8, usize) {
        (self.region.base(), self.region.bytes())
    }

    pub(crate) fn count(&self, owner: Owner) -> u32 {
        self.book.count(owner)
    }

    /// Lends a free chunk to the kernel, to be received into.
    pub(crate) fn lend(&mut self) -> Option<u64> {
        self.book.take(Owner::Fill).map(address_of)
    }

    /// Checks what an RX descriptor says, and enters the chunk as part of a packet to be completed.
    /// Nothing if it is no chunk that was lent, or an impossible part of one: then it is free again.
    pub(crate) fn arrived(&mut self, address: u64, len: u32) -> Option<Fragment> {
        let chunk = chunk_of(address)?;
        if !self.book.transfer(chunk, Owner::Fill, Owner::Assembly) {
            return None;
        }
        let start = address % CHUNK_SIZE as u64;
        if len == 0 || start + u64::from(len) > CHUNK_SIZE as u64 {
            self.discard(chunk);
            return None;
        }
        Some(Fragment { chunk, start: narrow(start as usize), len: narrow(len as usize) })
    }

    /// Frees a part of a packet that will not be completed.
    pub(crate) fn discard(&mut self, chunk: u32) {
        let known = self.book.transfer(chunk, Owner::Assembly, Owner::Free);
        debug_assert!(known, "chunk {chunk} was not being assembled");
    }

    /// Makes the packet of parts that have all arrived.
    pub(crate) fn assemble(&mut self, fragments: &[Fragment]) -> Packet {
        let mut packet = Packet::empty();
        for Fragment { chunk, start, len } in fragments {
            let known = self.book.transfer(*chunk, Owner::Assembly, Owner::Application);
            assert!(known, "chunk {chunk} was not being assembled");
            packet.push(Segment { chunk: self.token(*chunk), start: *start, len: *len });
        }
        packet
    }

    /// Gives a chunk to the kernel to be sent, and returns the address of its first packet byte.
    /// The caller has asserted that the packet is ours.
    pub(crate) fn transmit(&mut self, segment: Segment) -> u64 {
        let index = self.index_of(&segment.chunk);
        segment.chunk.surrender();
        let index = index.expect("the packet was checked to be ours");
        let ours = self.book.transfer(index, Owner::Application, Owner::Transmit);
        assert!(ours, "chunk {index} was sent without being the application's");
        address_of(index) + u64::from(segment.start)
    }

    /// Frees a chunk that was sent. False if it was not being sent.
    #[must_use]
    pub(crate) fn sent(&mut self, address: u64) -> bool {
        chunk_of(address)
            .is_some_and(|chunk| self.book.transfer(chunk, Owner::Transmit, Owner::Free))
    }

    /// Takes back what a closed socket had. `untaken` are addresses that the kernel has left in the
    /// TX ring. What it may still use is retired.
    pub(crate) fn repossess(&mut self, untaken: impl Iterator<Item = u64>, hold: Hold) {
        let (lent, taken, place) = match hold {
            Hold::Nothing => (Owner::Free, Owner::Free, None),
            Hold::Taken(place) => (Owner::Free, Owner::Retired, Some(place)),
            Hold::Everything(place) => (Owner::Retired, Owner::Retired, Some(place)),
        };
        if lent == Owner::Free {
            for address in untaken {
                let _ = self.sent(address);
            }
        }
        // Chunks that another queue has not let go of stay retired: nothing will tell when it does.
        let others = self.book.count(Owner::Retired) > 0 && self.retired_by != place;
        self.retired_by = place.filter(|_| !others);
        self.book.transfer_all(Owner::Transmit, taken);
        self.book.transfer_all(Owner::Fill, lent);
        self.book.transfer_all(Owner::Assembly, Owner::Free);
    }

    /// Frees the retired chunks, now that `place` is bound again: the kernel refuses that (EBUSY)
    /// for as long as the queue's former socket has a frame or a chunk in use.
    pub(crate) fn bound(&mut self, place: Place) {
        if self.retired_by == Some(place) {
            self.book.transfer_all(Owner::Retired, Owner::Free);
            self.retired_by = None;
        }
    }
}

impl fmt::Debug for Umem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Umem").field("census", &self.census()).finish_non_exhaustive()
    }
}

impl Drop for Umem {
    fn drop(&mut self) {
        if self.book.count(Owner::Application) > 0 {
            self.region.leak();
        }
    }
}

fn address_of(chunk: u32) -> u64 {
    u64::from(chunk) * CHUNK_SIZE as u64
}

fn chunk_of(address: u64) -> Option<u32> {
    u32::try_from(address / CHUNK_SIZE as u64).ok()
}

/// A position or length within a chunk, which is at most [`CHUNK_SIZE`].
fn narrow(value: usize) -> u16 {
    debug_assert!(value <= CHUNK_SIZE);
    value as u16
}

#[cfg(test)]
mod tests;
