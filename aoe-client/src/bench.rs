//! Loads a disk and tells how it took it.

use std::time::{Duration, Instant};

use crate::SECTOR_SIZE;
use crate::disk::Disk;
use crate::error::Error;
use crate::histogram::Histogram;
use crate::request::Operation;

/// What a disk is asked for, with always the same number of requests under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// In which order places are asked for.
    pub pattern: Pattern,
    /// Reads of 100 requests; the others are writes. 0 to 100.
    pub reads: u8,
    /// Sectors of a request, not 0.
    pub sectors: u8,
    /// Requests under way, 1 to 1024. It is kept to even where the target holds fewer buffers: what
    /// it then drops is in [`Report::retransmits`].
    pub depth: usize,
    /// For how long.
    pub duration: Duration,
    /// How many bytes to ask for at most, if the time suffices.
    pub bytes: Option<u64>,
    /// Bytes from the first sector on that it keeps to, unless the disk is smaller.
    pub within: Option<u64>,
    /// Which places and which data: the same number, the same run.
    pub seed: u64,
}

/// An order of places, all of which are multiples of a request's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Any.
    Random,
    /// From the first one on, and after the last one once more.
    Sequential,
}

/// What a run has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Requests that were answered.
    pub requests: u64,
    /// Bytes that they moved.
    pub bytes: u64,
    /// How long the run took, from the first request to the last reply.
    pub elapsed: Duration,
    /// Requests that were sent again because no reply came in time.
    pub retransmits: u64,
    /// Half of the requests took no longer than this. Up to 1/32 too much, as the next one.
    pub latency_p50: Duration,
    /// 99 of 100 requests took no longer than this.
    pub latency_p99: Duration,
}

impl Report {
    /// Requests a second.
    #[must_use]
    pub fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }
}

/// Puts a load on a disk.
///
/// # Errors
///
/// [`Error::PastEnd`] if the disk is smaller than one request, [`Error::Forbidden`] if a frame
/// can't hold that many sectors, and as [`Disk::read`] and [`Disk::write`].
pub fn run(disk: &mut Disk, load: &Load) -> Result<Report, Error> {
    disk.check_range(0, u64::from(load.sectors))?;
    let window = disk.window();
    disk.set_window(load.depth);
    let sent_again = disk.retransmissions();
    let size = usize::from(load.sectors) * SECTOR_SIZE;
    let mut requests = Requests::new(load, disk.sectors());
    let mut latencies = Histogram::new();
    let mut answered = 0;
    let data = noise(load.seed, size + DATA_SHIFTS * SECTOR_SIZE);
    let start = Instant::now();
    let end = start + load.duration;
    let result = disk.exchange(
        || {
            let request = (Instant::now() < end).then(|| requests.next())??;
            let from = requests.asked as usize % DATA_SHIFTS * SECTOR_SIZE;
            let is_write = matches!(request, Operation::Write { .. });
            let data = if is_write { &data[from..from + size] } else { &[][..] };
            Some((request, data))
        },
        |reply| {
            answered += 1;
            latencies.add(reply.latency);
        },
    );
    let elapsed = start.elapsed();
    disk.set_window(window);
    result?;
    Ok(Report {
        requests: answered,
        bytes: answered * size as u64,
        elapsed,
        retransmits: disk.retransmissions() - sent_again,
        latency_p50: latencies.percentile(50),
        latency_p99: latencies.percentile(99),
    })
}

/// Places in the data to be written at which a write may start, so that hardly two are the same.
const DATA_SHIFTS: usize = 64;

/// What a load asks for, one after the other.
struct Requests {
    load: Load,
    /// Places on the disk.
    places: u64,
    /// How many have been asked for.
    asked: u64,
    /// How many will be.
    most: u64,
    random: SplitMix,
}

impl Requests {
    fn new(load: &Load, sectors: u64) -> Self {
        let size = u64::from(load.sectors).max(1);
        let most = load.bytes.map_or(u64::MAX, |bytes| bytes.div_ceil(size * SECTOR_SIZE as u64));
        let within = load.within.map_or(u64::MAX, |bytes| bytes / SECTOR_SIZE as u64);
        // There is always one: a range that has none is one request large.
        let places = (sectors.min(within) / size).max(1);
        let random = SplitMix(load.seed);
        Self { load: *load, places, asked: 0, most, random }
    }

    fn next(&mut self) -> Option<Operation> {
        if self.asked == self.most {
            return None;
        }
        let place = match self.load.pattern {
            Pattern::Random => self.random.below(self.places),
            Pattern::Sequential => self.asked % self.places,
        };
        self.asked += 1;
        let sectors = self.load.sectors;
        let lba = place * u64::from(sectors);
        // Loads of one kind don't draw for it: the places stay the same whatever the kind.
        let is_read = match self.load.reads {
            0 => false,
            100 => true,
            share => self.random.below(100) < u64::from(share),
        };
        Some(match is_read {
            true => Operation::Read { lba, sectors },
            false => Operation::Write { lba, sectors },
        })
    }
}

/// Bytes that don't compress.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = SplitMix(!seed);
    (0..bytes.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).take(bytes).collect()
}

/// The SplitMix64 generator: fast, and random enough to spread requests over a disk.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product: an even spread without a division.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const LOAD: Load = Load {
        pattern: Pattern::Sequential,
        reads: 100,
        sectors: 8,
        depth: 1,
        duration: Duration::ZERO,
        bytes: None,
        within: None,
        seed: 1,
    };

    fn take(load: Load, sectors: u64, count: usize) -> Vec<Operation> {
        let mut requests = Requests::new(&load, sectors);
        std::iter::from_fn(|| requests.next()).take(count).collect()
    }

    fn is_read(operation: &&Operation) -> bool {
        matches!(operation, Operation::Read { .. })
    }

    fn lba(operation: &Operation) -> u64 {
        match operation {
            Operation::Read { lba, .. } | Operation::Write { lba, .. } => *lba,
            other => panic!("{other:?} is neither a read nor a write"),
        }
    }

    #[test]
    fn a_sequence_starts_again_behind_the_last_whole_place() {
        let lbas: Vec<u64> = take(LOAD, 31, 5).iter().map(lba).collect();
        assert_eq!(lbas, [0, 8, 16, 0, 8]);
    }

    #[test]
    fn places_are_on_the_disk_and_do_not_depend_on_the_kind() {
        let random = Load { pattern: Pattern::Random, ..LOAD };
        let reads = take(random, 1000, 10_000);
        let writes = take(Load { reads: 0, ..random }, 1000, 10_000);
        assert!(reads.iter().all(|one| lba(one).is_multiple_of(8) && lba(one) + 8 <= 1000));
        assert!(reads.iter().map(lba).eq(writes.iter().map(lba)));
        assert_eq!(
            (reads.iter().filter(is_read).count(), writes.iter().filter(is_read).count()),
            (10_000, 0)
        );
        let mixed = take(Load { reads: 70, ..random }, 1000, 10_000);
        let share = mixed.iter().filter(is_read).count();
        assert!((6_500..7_500).contains(&share), "{share} reads");
    }

    #[test]
    fn a_load_keeps_to_its_range() {
        let within = |bytes| Load { pattern: Pattern::Random, within: Some(bytes), ..LOAD };
        let lbas = |load| take(load, 1000, 1000).iter().map(lba).collect::<BTreeSet<_>>();
        assert_eq!(lbas(within(3 * 4096 + 512)), BTreeSet::from([0, 8, 16]));
        assert_eq!(lbas(within(512)), BTreeSet::from([0]), "not nowhere");
        assert_eq!(lbas(within(1 << 40)).last(), Some(&992), "the disk ends first");
    }

    #[test]
    fn so_many_bytes_are_enough() {
        let load = Load { bytes: Some(10_000), ..LOAD };
        assert_eq!(take(load, 1000, 100).len(), 3, "three times 4 KiB");
    }
}
