//! Loads a disk and tells how it took it.

use std::time::{Duration, Instant};

use crate::disk::Disk;
use crate::error::Error;
use crate::histogram::Histogram;
use crate::request::Operation;

/// What a run has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Reads that were answered.
    pub reads: u64,
    /// Bytes that they brought.
    pub bytes: u64,
    /// How long the run took, from the first request to the last reply.
    pub elapsed: Duration,
    /// Requests that were sent again because no reply came in time.
    pub retransmits: u64,
    /// Half of the reads took no longer than this. Up to 1/32 too much, as the next one.
    pub latency_p50: Duration,
    /// 99 of 100 reads took no longer than this.
    pub latency_p99: Duration,
}

impl Report {
    /// Reads a second.
    #[must_use]
    pub fn reads_per_second(&self) -> f64 {
        self.reads as f64 / self.elapsed.as_secs_f64()
    }
}

/// Reads `sectors_per_read` sectors at random places that are multiples of it, with always
/// `depth` reads under way, for as long as `duration`.
///
/// `depth`, 1 to 1024, is kept to even where the target holds fewer buffers: what it then drops
/// is in [`Report::retransmits`]. The places are the same in every run.
///
/// # Errors
///
/// [`Error::PastEnd`] if the disk is smaller than one read, [`Error::Forbidden`] if a frame can't
/// hold that many sectors, and as [`Disk::read`].
pub fn random_reads(
    disk: &mut Disk,
    sectors_per_read: u8,
    depth: usize,
    duration: Duration,
) -> Result<Report, Error> {
    disk.check_range(0, u64::from(sectors_per_read))?;
    let places = disk.sectors() / u64::from(sectors_per_read).max(1);
    let window = disk.window();
    disk.set_window(depth);
    let sent_again = disk.retransmissions();
    let mut random = SplitMix(1);
    let mut latencies = Histogram::new();
    let mut reads = 0;
    let start = Instant::now();
    let end = start + duration;
    let result = disk.exchange(
        || {
            let lba = random.below(places) * u64::from(sectors_per_read);
            let operation = Operation::Read { lba, sectors: sectors_per_read };
            (Instant::now() < end).then_some((operation, &[][..]))
        },
        |reply| {
            reads += 1;
            latencies.add(reply.latency);
        },
    );
    let elapsed = start.elapsed();
    disk.set_window(window);
    result?;
    Ok(Report {
        reads,
        bytes: reads * u64::from(sectors_per_read) * crate::SECTOR_SIZE as u64,
        elapsed,
        retransmits: disk.retransmissions() - sent_again,
        latency_p50: latencies.percentile(50),
        latency_p99: latencies.percentile(99),
    })
}

/// The SplitMix64 generator: fast, and random enough to spread reads over a disk.
struct SplitMix(u64);

impl SplitMix {
    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        // The high half of the product: an even spread without a division.
        ((u128::from(mixed) * u128::from(bound)) >> 64) as u64
    }
}
