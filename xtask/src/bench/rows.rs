//! What is shown: each value, what it is compared with, and what it has to reach.

use std::fmt::{self, Display, Formatter};

/// Requests under way, of our client and of fio alike.
pub(super) const DEPTH: u32 = 32;

/// Something that is measured once in each round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    /// A read of 1 KiB that the cache holds, without a network; and copying as much.
    Hit,
    Copy,
    /// Random reads of 4 KiB that the cache does not hold, and that it does.
    Misses,
    Hits4K,
    /// The first reading of 1 GiB from end to end, and reads as large that the cache holds.
    Scan,
    Hits8K,
    /// Random and sequential durable writes of 1 KiB.
    RandomWrites,
    SequentialWrites,
    VbladeWrites,
    FioMisses,
    FioScan,
    FioScanDepthOne,
    FioWrites,
    /// Memory of a daemon whose cache is full, what of it is locked, and what it may have.
    Resident,
    Locked,
    Budget,
    /// From the daemon's start to its first answer.
    Start,
    /// Time for a read of a small and of a large disk.
    SmallHits,
    LargeHits,
    SmallMisses,
    LargeMisses,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    PerSecond,
    MegabytesPerSecond,
    Mebibytes,
    Seconds,
    Nanoseconds,
}

impl Measure {
    /// What it is called beside a value.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hit => "a hit",
            Self::Copy => "copying 1 KiB from a random place of 1 GiB",
            Self::Misses => "misses",
            Self::Hits4K => "our 4 KiB hits",
            Self::Scan => "cold scan",
            Self::Hits8K => "our 8 KiB hits",
            Self::RandomWrites => "our random writes",
            Self::SequentialWrites => "our sequential writes",
            Self::VbladeWrites => "vblade -s",
            Self::FioMisses => "fio randread 4 KiB, depth 32",
            Self::FioScan => "fio read 128 KiB, depth 32",
            Self::FioScanDepthOne => "fio read 128 KiB, depth 1",
            Self::FioWrites => "fio randwrite 1 KiB O_DSYNC, depth 32",
            Self::Resident => "resident memory, huge pages included",
            Self::Locked => "locked memory",
            Self::Budget => "cache + UMEM + 64 MiB",
            Self::Start => "start",
            Self::SmallHits => "hits, 1 GiB",
            Self::LargeHits => "hits, 4 TiB",
            Self::SmallMisses => "holes, 1 GiB",
            Self::LargeMisses => "holes, 4 TiB",
        }
    }

    /// What its value counts.
    pub(super) const fn unit(self) -> Unit {
        match self {
            Self::Misses | Self::FioMisses | Self::Hits4K => Unit::PerSecond,
            Self::RandomWrites | Self::SequentialWrites => Unit::PerSecond,
            Self::VbladeWrites | Self::FioWrites => Unit::PerSecond,
            Self::Scan | Self::FioScan | Self::FioScanDepthOne | Self::Hits8K => {
                Unit::MegabytesPerSecond
            }
            Self::Resident | Self::Locked | Self::Budget => Unit::Mebibytes,
            Self::Start => Unit::Seconds,
            Self::SmallHits | Self::LargeHits | Self::SmallMisses | Self::LargeMisses => {
                Unit::Nanoseconds
            }
            Self::Hit | Self::Copy => Unit::Nanoseconds,
        }
    }

    /// A program that it takes, and the Debian package that has it.
    pub(super) const fn needs(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::FioMisses | Self::FioScan | Self::FioScanDepthOne | Self::FioWrites => {
                Some(("fio", "fio"))
            }
            Self::VbladeWrites => Some(("vblade", "vblade")),
            _ => None,
        }
    }
}

impl Unit {
    /// What programs call it.
    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::PerSecond => "1/s",
            Self::MegabytesPerSecond => "MB/s",
            Self::Mebibytes => "MiB",
            Self::Seconds => "s",
            Self::Nanoseconds => "ns",
        }
    }

    /// A value as people read it.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{}/s", thousands(value)),
            Self::MegabytesPerSecond => format!("{} MB/s", thousands(value)),
            Self::Mebibytes => format!("{} MiB", thousands(value)),
            Self::Seconds => format!("{value:.2} s"),
            Self::Nanoseconds => format!("{} ns", thousands(value)),
        }
    }
}

/// A whole number with commas.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What a row has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Goal {
    /// So many times the reference.
    AtLeast(f64),
    /// No more than so many times the reference.
    AtMost(f64),
    /// No more than this, whatever else there is.
    Below(f64),
}

impl Goal {
    /// Whether it is reached, by this value and what it is of the reference.
    pub(super) fn is_met(self, value: f64, ratio: Option<f64>) -> bool {
        match self {
            Self::AtLeast(goal) => ratio.is_some_and(|ratio| ratio >= goal),
            Self::AtMost(goal) => ratio.is_some_and(|ratio| ratio <= goal),
            Self::Below(goal) => value <= goal,
        }
    }
}

impl Display for Goal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(goal) => write!(f, "at least {goal}"),
            Self::AtMost(goal) | Self::Below(goal) => write!(f, "at most {goal}"),
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub(super) struct Row {
    /// What `--only` calls it.
    pub(super) key: &'static str,
    /// What is measured.
    pub(super) what: &'static str,
    pub(super) ours: Measure,
    /// The lowest of them is the reference.
    pub(super) references: &'static [Measure],
    /// Shown beside them.
    pub(super) also: &'static [Measure],
    pub(super) goal: Goal,
}

impl Row {
    /// All that has to be measured for it.
    pub(super) fn measures(&self) -> impl Iterator<Item = Measure> {
        [self.ours].into_iter().chain(self.references.iter().chain(self.also).copied())
    }
}

/// The whole table.
pub(super) const ROWS: [Row; 10] = [
    Row {
        key: "hit",
        what: "a read of 1 KiB that a cache of 1 GiB holds, from the frame to the reply, no network",
        ours: Measure::Hit,
        references: &[Measure::Copy],
        also: &[],
        goal: Goal::AtMost(2.5),
    },
    Row {
        key: "misses",
        what: "random reads of 4 KiB, all misses, depth 32",
        ours: Measure::Misses,
        references: &[Measure::FioMisses, Measure::Hits4K],
        also: &[],
        goal: Goal::AtLeast(0.8),
    },
    Row {
        key: "scan",
        what: "first reading of 1 GiB from end to end, by 8 KiB, depth 32",
        ours: Measure::Scan,
        references: &[Measure::FioScan, Measure::Hits8K],
        also: &[Measure::FioScanDepthOne],
        goal: Goal::AtLeast(0.8),
    },
    Row {
        key: "writes",
        what: "durable random writes of 1 KiB, depth 32",
        ours: Measure::RandomWrites,
        references: &[Measure::FioWrites],
        also: &[],
        goal: Goal::AtLeast(0.85),
    },
    Row {
        key: "vblade",
        what: "the same, beside vblade",
        ours: Measure::RandomWrites,
        references: &[Measure::VbladeWrites],
        also: &[],
        goal: Goal::AtLeast(5.0),
    },
    Row {
        key: "merging",
        what: "durable sequential writes of 1 KiB, depth 32",
        ours: Measure::SequentialWrites,
        references: &[Measure::RandomWrites],
        also: &[],
        goal: Goal::AtLeast(1.5),
    },
    Row {
        key: "memory",
        what: "memory with a full cache of 1 GiB",
        ours: Measure::Resident,
        references: &[Measure::Budget],
        also: &[Measure::Locked],
        goal: Goal::AtMost(1.0),
    },
    Row {
        key: "start",
        what: "from the start to the first answer, with a written image of 10 GiB",
        ours: Measure::Start,
        references: &[],
        also: &[],
        goal: Goal::Below(1.0),
    },
    Row {
        key: "size-hits",
        what: "time for a read of 1 KiB that the cache holds, of a sparse disk of 4 TiB, depth 32",
        ours: Measure::LargeHits,
        references: &[Measure::SmallHits],
        also: &[],
        goal: Goal::AtMost(1.2),
    },
    Row {
        key: "size-misses",
        what: "time for a read of 4 KiB that is a hole, of a sparse disk of 4 TiB, depth 32",
        ours: Measure::LargeMisses,
        references: &[Measure::SmallMisses],
        also: &[],
        goal: Goal::AtMost(1.2),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(Unit::PerSecond.show(1_234_567.4), "1,234,567/s");
        assert_eq!(Unit::PerSecond.show(123.0), "123/s");
        assert_eq!(Unit::Mebibytes.show(1024.0), "1,024 MiB");
        assert_eq!(Unit::Seconds.show(0.256), "0.26 s");
    }

    #[test]
    fn goals_are_limits_from_either_side() {
        assert!(Goal::AtLeast(0.8).is_met(1.0, Some(0.8)));
        assert!(!Goal::AtLeast(0.8).is_met(1.0, Some(0.79)));
        assert!(Goal::AtMost(1.2).is_met(9.0, Some(1.2)));
        assert!(!Goal::AtMost(1.2).is_met(0.1, Some(1.21)));
        assert!(!Goal::AtMost(1.2).is_met(0.1, None), "without a reference nothing is reached");
        assert!(Goal::Below(1.0).is_met(1.0, None) && !Goal::Below(1.0).is_met(1.01, None));
    }

    #[test]
    fn rows_compare_like_with_like() {
        for row in &ROWS {
            assert!(row.measures().all(|one| one.unit() == row.ours.unit()), "{}", row.key);
            let same = ROWS.iter().filter(|other| other.key == row.key).count();
            assert_eq!(same, 1, "{}", row.key);
        }
    }
}
