//! Whether what several clients have seen of one sector can be told as one story: every write took
//! effect at one moment while it was under way, and every read returned what the write before it
//! had left. That is linearisability of a register.
//!
//! Every write has a value of its own, which makes the question easy (Gibbons and Korach, *Testing
//! shared memories*, 1997). A value with its write and its reads has either
//!
//! - a *reign*: from the first end to the last begin of these operations, if they do not all
//!   overlap. The sector held the value all that time, so that no two reigns may overlap; or
//! - a *moment*: from the last begin to the first end. The sector held the value at some point of
//!   it, so that it may not lie within a reign of another value.
//!
//! A write whose frames were sent more than once may take effect as often, until the last of them
//! was answered. Only then its reign begins, and each of its reads has a moment of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail, ensure};

use crate::stamp::{TORN, Value};

/// A reading of the [`Clock`].
pub type Moment = u64;

/// The end of what has not ended.
const NEVER: Moment = Moment::MAX;

/// Gives every event of all threads a number of its own, in their order.
#[derive(Debug, Default)]
pub struct Clock(AtomicU64);

impl Clock {
    /// Now; later than every moment before.
    pub fn tick(&self) -> Moment {
        // The history begins at 0 with what the disk has held before.
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// A write of one sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// What nobody else has written.
    pub value: Value,
    /// Before its first frame was sent.
    pub begun: Moment,
    /// After every frame of it was answered. Without: it takes effect at any later moment, or not
    /// at all.
    pub ended: Option<Moment>,
    /// Whether it was sent more than once.
    pub repeated: bool,
}

/// A read of one sector that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// What it returned.
    pub value: Value,
    /// Before its first frame was sent.
    pub begun: Moment,
    /// After it was answered.
    pub ended: Moment,
}

/// Everything that happened to one sector.
#[derive(Clone, Debug, Default)]
pub struct History {
    writes: BTreeMap<Value, Write>,
    reads: Vec<Read>,
}

/// A part of the time with the value that it is about.
#[derive(Clone, Copy, Debug)]
struct Zone {
    value: Value,
    from: Moment,
    to: Moment,
}

impl History {
    /// The history of a sector that holds a value.
    pub fn new(initial: Value) -> Self {
        let mut history = Self::default();
        history.write(Write { value: initial, begun: 0, ended: Some(0), repeated: false });
        history
    }

    /// Adds a write.
    pub fn write(&mut self, write: Write) {
        self.writes.insert(write.value, write);
    }

    /// Adds a read.
    pub fn read(&mut self, read: Read) {
        self.reads.push(read);
    }

    /// Fails if it can't be told as one story.
    pub fn check(&self) -> Result<()> {
        let mut reads: BTreeMap<Value, Vec<Read>> = BTreeMap::new();
        for &read in &self.reads {
            if read.value == TORN {
                self.check_torn(read)?;
                continue;
            }
            let Some(write) = self.writes.get(&read.value) else {
                bail!("{read:?} returned what nobody has written");
            };
            ensure!(read.ended > write.begun, "{read:?} returned what came later: {write:?}");
            reads.entry(read.value).or_default().push(read);
        }
        let (mut reigns, mut moments) = (Vec::new(), Vec::new());
        for (value, write) in &self.writes {
            let reads = reads.get(value).map_or(&[][..], Vec::as_slice);
            if write.repeated {
                zones_of_repeated(*write, reads, &mut reigns, &mut moments);
            } else {
                zones_of_single(*write, reads, &mut reigns, &mut moments);
            }
        }
        reigns.sort_by_key(|reign| reign.from);
        for pair in reigns.windows(2) {
            ensure!(
                pair[0].to < pair[1].from,
                "both were held at the same time:\n{}{}",
                self.tell(pair[0]),
                self.tell(pair[1])
            );
        }
        for moment in moments {
            // Reigns do not overlap: only the last that begins before it can hold it.
            let next = reigns.partition_point(|reign| reign.from < moment.from);
            let Some(reign) = next.checked_sub(1).map(|at| reigns[at]) else { continue };
            ensure!(
                reign.to < moment.to || reign.value == moment.value,
                "the first was not overwritten by the second:\n{}{}",
                self.tell(reign),
                self.tell(moment)
            );
        }
        Ok(())
    }

    /// Fails unless a write was under way that can have torn this read.
    fn check_torn(&self, read: Read) -> Result<()> {
        let met = self.writes.values().any(|write| {
            write.begun < read.ended && write.ended.is_none_or(|ended| ended > read.begun)
        });
        ensure!(met, "{read:?} found a sector torn, and nobody was writing");
        Ok(())
    }

    /// A zone with the operations that it comes from.
    fn tell(&self, zone: Zone) -> String {
        let mut text =
            format!("{:?} from {} to {}\n", self.writes[&zone.value], zone.from, zone.to);
        for read in self.reads.iter().filter(|read| read.value == zone.value) {
            text.push_str(&format!("    {read:?}\n"));
        }
        text
    }
}

/// Zones of a write that took effect once, if at all.
fn zones_of_single(write: Write, reads: &[Read], reigns: &mut Vec<Zone>, moments: &mut Vec<Zone>) {
    let value = write.value;
    let begins = reads.iter().map(|read| read.begun).chain([write.begun]);
    let ends = reads.iter().map(|read| read.ended).chain([write.ended.unwrap_or(NEVER)]);
    let (last_begin, first_end) = (begins.max().unwrap_or(0), ends.min().unwrap_or(NEVER));
    if first_end < last_begin {
        reigns.push(Zone { value, from: first_end, to: last_begin });
    } else {
        moments.push(Zone { value, from: last_begin, to: first_end });
    }
}

/// Zones of a write that may have taken effect several times.
fn zones_of_repeated(
    write: Write,
    reads: &[Read],
    reigns: &mut Vec<Zone>,
    moments: &mut Vec<Zone>,
) {
    let Write { value, begun, .. } = write;
    let ended = write.ended.unwrap_or(NEVER);
    let last_begin = reads.iter().map(|read| read.begun).max().unwrap_or(0);
    if ended < last_begin {
        reigns.push(Zone { value, from: ended, to: last_begin });
    }
    moments.push(Zone { value, from: begun, to: ended });
    let seen = reads.iter().filter(|read| read.begun < ended);
    moments.extend(seen.map(|read| Zone { value, from: read.begun.max(begun), to: read.ended }));
}

#[cfg(test)]
mod tests;
