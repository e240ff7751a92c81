//! What a virtual machine has written to its disk, in order: the log of QEMU's `blklogwrites`,
//! which has the format of the kernel's dm-log-writes.
//!
//! Sector 0 describes the log. Every entry is a sector with its head, and the data behind it if
//! there are any. All numbers are little-endian.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::dice::Dice;
use crate::stamp::SECTOR;

/// First bytes of the log.
const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;

/// Flags of an entry.
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;

/// A disk whose writes are logged.
#[derive(Debug)]
pub struct LoggedDisk {
    disk: PathBuf,
    log: PathBuf,
}

impl LoggedDisk {
    /// Makes a disk of zeroes and an empty log in a directory.
    pub fn create(directory: &Path, bytes: u64) -> Result<Self> {
        let made = Self { disk: directory.join("logged.img"), log: directory.join("write.log") };
        fs::File::create(&made.disk)?.set_len(bytes)?;
        fs::File::create(&made.log)?;
        Ok(made)
    }

    /// Options that have QEMU make it the guest's first virtio disk, with a volatile cache.
    pub fn options(&self) -> Vec<String> {
        // The host's own disk need not be flushed: the log is read after QEMU's end, not the host's.
        let file = |name: &str, path: &Path| {
            format!("driver=file,node-name={name},filename={},cache.no-flush=on", path.display())
        };
        let logged = "driver=blklogwrites,node-name=logged,file=disk,log=log,log-sector-size=512";
        let device = "virtio-blk-pci,drive=logged,write-cache=on";
        let words = [
            "-blockdev",
            &file("disk", &self.disk),
            "-blockdev",
            &file("log", &self.log),
            "-blockdev",
            logged,
            "-device",
            device,
        ];
        words.map(str::to_owned).to_vec()
    }

    /// How long the log is now, in bytes. Everything that the guest knows to be written by now is
    /// in the log up to there.
    pub fn logged(&self) -> Result<u64> {
        Ok(fs::metadata(&self.log)?.len())
    }

    /// Reads the log, when QEMU has ended.
    pub fn read(&self) -> Result<WriteLog> {
        WriteLog::parse(&fs::read(&self.log)?)
    }
}

/// A log.
#[derive(Clone, Debug)]
pub struct WriteLog {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// First byte of the log behind it.
    end: u64,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Write {
        /// First sector.
        sector: u64,
        data: Vec<u8>,
        /// Durable by itself, whatever was before it.
        is_durable: bool,
    },
    Flush,
    /// Discards and marks, which change nothing here.
    Other,
}

/// What becomes of the writes that no flush has made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unflushed {
    /// All are lost.
    Lost,
    /// All have made it.
    Kept,
    /// Each has made it or not.
    SomeWrites,
    /// Each of their sectors has made it or not.
    SomeSectors,
}

impl Unflushed {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Lost, Self::Kept, Self::SomeWrites, Self::SomeSectors];
}

impl WriteLog {
    /// Reads a log. Its end may be missing, or not be written yet.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            // Nothing was ever written.
            return Ok(Self { entries: Vec::new() });
        }
        let word = |at: usize| {
            let bytes = bytes.get(at..at + 8)?;
            Some(u64::from_le_bytes(std::array::from_fn(|byte| bytes[byte])))
        };
        ensure!(word(0) == Some(MAGIC) && word(8) == Some(VERSION), "no log of writes");
        let size = word(24).context("no sector size")? as u32;
        ensure!(size as usize == SECTOR, "sectors of {size} bytes");
        let mut entries = Vec::new();
        let mut at = SECTOR;
        while let (Some(sector), Some(sectors), Some(flags)) =
            (word(at), word(at + 8), word(at + 16))
        {
            let start = at + SECTOR;
            let has_data = flags & (DISCARD | MARK) == 0;
            let length = if has_data { sectors as usize * SECTOR } else { 0 };
            let Some(data) = bytes.get(start..start + length) else { break };
            if sectors == 0 && flags == 0 {
                break;
            }
            let end = (start + length) as u64;
            let is_durable = flags & FUA != 0;
            if flags & FLUSH != 0 {
                entries.push(Entry { end, kind: Kind::Flush });
            }
            if length > 0 {
                let kind = Kind::Write { sector, data: data.to_vec(), is_durable };
                entries.push(Entry { end, kind });
            } else if flags & FLUSH == 0 {
                entries.push(Entry { end, kind: Kind::Other });
            }
            at = end as usize;
        }
        Ok(Self { entries })
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many flushes it has.
    pub fn flushes(&self) -> usize {
        self.entries.iter().filter(|entry| entry.kind == Kind::Flush).count()
    }

    /// The least number of entries with everything that was logged up to this byte.
    pub fn entries_up_to(&self, byte: u64) -> usize {
        let before = self.entries.partition_point(|entry| entry.end < byte);
        (before + 1).min(self.entries.len())
    }

    /// The bytes of the log that so many entries take.
    pub fn bytes_of(&self, entries: usize) -> u64 {
        entries.checked_sub(1).map_or(0, |last| self.entries[last].end)
    }

    /// The log as of a disk that was never told to flush.
    pub fn without_flushes(&self) -> Self {
        let entries = self.entries.iter().filter(|entry| entry.kind != Kind::Flush);
        Self { entries: entries.cloned().collect() }
    }

    /// The disk, zeroes at first, as a power cut after so many entries leaves it.
    pub fn cut(&self, entries: usize, unflushed: Unflushed, dice: &mut Dice, disk: &mut [u8]) {
        disk.fill(0);
        let entries = &self.entries[..entries];
        let flush = entries.iter().rposition(|entry| entry.kind == Kind::Flush);
        for (at, entry) in entries.iter().enumerate() {
            let Kind::Write { sector, data, is_durable } = &entry.kind else { continue };
            let is_flushed = flush.is_some_and(|flush| at < flush);
            let whole = is_flushed
                || *is_durable
                || match unflushed {
                    Unflushed::Lost => continue,
                    Unflushed::Kept => true,
                    Unflushed::SomeWrites if dice.percent(50) => true,
                    Unflushed::SomeWrites => continue,
                    Unflushed::SomeSectors => false,
                };
            for (data, sector) in data.chunks(SECTOR).zip(*sector as usize..) {
                if whole || dice.percent(50) {
                    disk[sector * SECTOR..][..SECTOR].copy_from_slice(data);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of entries: sector, flags, and the byte of which each sector of its data consists.
    fn log(entries: &[(u64, u64, &[u8])]) -> Vec<u8> {
        let words = |words: [u64; 4]| {
            let mut sector = words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
            sector.resize(SECTOR, 0);
            sector
        };
        let mut bytes = words([MAGIC, VERSION, 0, SECTOR as u64]);
        for (sector, flags, data) in entries {
            bytes.extend(words([*sector, data.len() as u64, *flags, 0]));
            data.iter().for_each(|&byte| bytes.extend([byte; SECTOR]));
        }
        bytes
    }

    fn cut(log: &WriteLog, entries: usize, unflushed: Unflushed) -> Vec<u8> {
        let mut disk = vec![9; 4 * SECTOR];
        log.cut(entries, unflushed, &mut Dice::new(1), &mut disk);
        disk.chunks(SECTOR).map(|sector| sector[511]).collect()
    }

    #[test]
    fn what_was_flushed_is_there() {
        let bytes = log(&[(0, 0, &[1, 2]), (0, FLUSH, &[]), (1, 0, &[3, 4]), (3, FUA, &[5])]);
        let log = WriteLog::parse(&bytes).unwrap();
        assert_eq!((log.len(), log.flushes(), log.bytes_of(4)), (4, 1, bytes.len() as u64));
        let lost = |entries| cut(&log, entries, Unflushed::Lost);
        assert_eq!(lost(1), [0, 0, 0, 0]);
        assert_eq!(lost(2), [1, 2, 0, 0]);
        assert_eq!(lost(3), [1, 2, 0, 0]);
        assert_eq!(lost(4), [1, 2, 0, 5], "FUA makes itself durable, and nothing else");
        assert_eq!(cut(&log, 1, Unflushed::Kept), [1, 2, 0, 0]);
        assert_eq!(cut(&log, 4, Unflushed::Kept), [1, 3, 4, 5]);
        assert_eq!(cut(&log.without_flushes(), 3, Unflushed::Lost), [0, 0, 0, 5]);
    }

    #[test]
    fn a_flush_is_before_the_data_of_its_entry() {
        let log = WriteLog::parse(&log(&[(0, 0, &[1]), (1, FLUSH, &[2])])).unwrap();
        assert_eq!(cut(&log, log.len(), Unflushed::Lost), [1, 0, 0, 0]);
    }

    #[test]
    fn some_of_the_rest_is_there() {
        let log = WriteLog::parse(&log(&[(0, 0, &[1, 1, 1, 1])])).unwrap();
        let mut dice = Dice::new(1);
        let mut seen = std::collections::BTreeSet::new();
        for unflushed in [Unflushed::SomeWrites, Unflushed::SomeSectors] {
            for _ in 0..200 {
                let mut disk = vec![0; 4 * SECTOR];
                log.cut(1, unflushed, &mut dice, &mut disk);
                seen.insert((unflushed == Unflushed::SomeWrites, disk));
            }
        }
        assert_eq!(seen.iter().filter(|(writes, _)| *writes).count(), 2);
        assert_eq!(seen.len(), 2 + 16);
    }

    #[test]
    fn a_log_is_read_as_far_as_it_goes() {
        let whole = log(&[(0, 0, &[1]), (0, FLUSH, &[]), (2, 0, &[3])]);
        let log = WriteLog::parse(&whole[..whole.len() - 1]).unwrap();
        assert_eq!(log.len(), 2);
        assert_eq!(
            [1, 1024, 1536, 1537, 9999].map(|byte| log.entries_up_to(byte)),
            [1, 1, 1, 2, 2]
        );
        let mut unwritten = whole.clone();
        unwritten[1536..].fill(0);
        assert_eq!(WriteLog::parse(&unwritten).unwrap().len(), 1);
        assert!(WriteLog::parse(&[0; 4096]).is_err());
        assert!(WriteLog::parse(&[]).unwrap().is_empty());
    }
}
