//! A ring in the memory that the kernel shares with us.
#![allow(unsafe_code, reason = "reads and writes memory that the kernel has laid out")]

use std::marker::PhantomData;
use std::sync::atomic::AtomicU32;

use memmap2::MmapRaw;

use crate::error::Error;
use crate::ring::Memory;
use crate::sys::Plain;

/// A ring that the kernel has mapped for us: three indices or flags, and an array of slots, at the
/// offsets that it names.
pub(crate) struct Mapped<T> {
    memory: MmapRaw,
    offsets: libc::xdp_ring_offset,
    size: u32,
    slots: PhantomData<T>,
}

impl<T: Plain> Mapped<T> {
    /// How many bytes a ring of `size` slots takes.
    pub(crate) fn bytes(offsets: &libc::xdp_ring_offset, size: u32) -> usize {
        offsets.desc as usize + size as usize * size_of::<T>()
    }

    /// Checks once what every access relies on.
    pub(crate) fn new(
        memory: MmapRaw,
        offsets: libc::xdp_ring_offset,
        size: u32,
    ) -> Result<Self, Error> {
        let words = [offsets.producer, offsets.consumer, offsets.flags];
        let fits = words.iter().all(|offset| *offset as usize + 4 <= memory.len())
            && Self::bytes(&offsets, size) <= memory.len();
        let aligned = words.iter().all(|offset| offset.is_multiple_of(4))
            && (offsets.desc as usize).is_multiple_of(align_of::<T>());
        if !(fits && aligned && size.is_power_of_two()) {
            return Err(Error::Config("the kernel's ring offsets make no sense"));
        }
        Ok(Self { memory, offsets, size, slots: PhantomData })
    }

    fn word(&self, offset: u64) -> &AtomicU32 {
        let word = self.memory.as_mut_ptr().wrapping_add(offset as usize).cast();
        // SAFETY: `new` has checked that the word is inside the mapping, which starts at a page,
        // and aligned. The mapping lives as long as `self`, and kernel and user space both use its
        // indices and flags as atomics only.
        unsafe { AtomicU32::from_ptr(word) }
    }

    fn slot(&self, slot: u32) -> *mut T {
        assert!(slot < self.size, "slot {slot} of a ring of {}", self.size);
        let slots: *mut T =
            self.memory.as_mut_ptr().wrapping_add(self.offsets.desc as usize).cast();
        slots.wrapping_add(slot as usize)
    }
}

impl<T: Plain> Memory for Mapped<T> {
    type Word = AtomicU32;
    type Slot = T;

    fn size(&self) -> u32 {
        self.size
    }

    fn producer(&self) -> &AtomicU32 {
        self.word(self.offsets.producer)
    }

    fn consumer(&self) -> &AtomicU32 {
        self.word(self.offsets.consumer)
    }

    fn flags(&self) -> &AtomicU32 {
        self.word(self.offsets.flags)
    }

    fn read(&self, slot: u32) -> T {
        // SAFETY: `slot` asserts that the slot is in the array, which `new` has checked to be
        // inside the mapping and aligned; any bit pattern is a `T` (Plain). The ring's indices keep
        // the other side from writing it meanwhile; a kernel that did so would still only give us
        // wrong integers, because the read is volatile, and they are checked.
        unsafe { self.slot(slot).read_volatile() }
    }

    fn write(&mut self, slot: u32, value: T) {
        // SAFETY: as in `read`; the ring's indices give this slot to us.
        unsafe { self.slot(slot).write_volatile(value) }
    }
}
