//! How long many things took, in little memory and with small error.

use std::time::Duration;

/// Buckets per doubling: a bucket is no wider than 1/32 of what it counts.
const BUCKETS_PER_DOUBLING: u64 = 32;
const BUCKET_BITS: u32 = BUCKETS_PER_DOUBLING.trailing_zeros();
/// Enough for any 64-bit number of nanoseconds.
const BUCKETS: usize = (64 - BUCKET_BITS as usize + 1) * BUCKETS_PER_DOUBLING as usize;

/// Counts durations in nanoseconds, in buckets whose width grows with what they count.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![0; BUCKETS].into_boxed_slice(), count: 0 }
    }

    pub(crate) fn add(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanoseconds)] += 1;
        self.count += 1;
    }

    /// The duration that this share of all, in percent, did not exceed; zero if there are none.
    pub(crate) fn percentile(&self, percent: u64) -> Duration {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper_end(index));
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a number: as many leading bits as tell the buckets of a doubling apart, behind
/// the number of doublings.
fn bucket(value: u64) -> usize {
    let doublings = (u64::BITS - value.leading_zeros()).saturating_sub(BUCKET_BITS + 1);
    (u64::from(doublings) * BUCKETS_PER_DOUBLING + (value >> doublings)) as usize
}

/// The largest number in a bucket.
fn upper_end(index: usize) -> u64 {
    let index = index as u64;
    let doublings = (index / BUCKETS_PER_DOUBLING).saturating_sub(1);
    let leading = index - doublings * BUCKETS_PER_DOUBLING;
    (leading << doublings) + ((1 << doublings) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tells_percentiles() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.percentile(50), Duration::ZERO);
        for microseconds in 1..=1000 {
            histogram.add(Duration::from_micros(microseconds));
        }
        for (percent, microseconds) in [(1, 10), (50, 500), (99, 990), (100, 1000)] {
            let found = histogram.percentile(percent).as_nanos() as u64;
            let exact = microseconds * 1000;
            assert!((exact..=exact + exact / 32).contains(&found), "p{percent} is {found} ns");
        }
    }

    proptest! {
        #[test]
        fn every_number_is_in_its_bucket(value: u64, shift in 0..64_u32) {
            let value = value >> shift;
            let index = bucket(value);
            prop_assert!(index < BUCKETS);
            let end = upper_end(index);
            prop_assert!(value <= end && end - value <= value / BUCKETS_PER_DOUBLING);
            prop_assert!(index == 0 || upper_end(index - 1) < value);
        }
    }
}
