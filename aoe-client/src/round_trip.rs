//! How long to wait for a reply before sending the request again.

use std::time::Duration;

/// Before anything is known about the target: the driver's own first guess of a round trip.
const INITIAL: Duration = Duration::from_millis(250);
/// Never less: a disk that pauses for a moment must not get everything twice.
const SHORTEST: Duration = Duration::from_millis(50);
/// Never more, however often a request was sent.
const LONGEST: Duration = Duration::from_secs(2);

/// A running estimate of the round trip: its average with a gain of 1/8 and its mean deviation
/// with a gain of 1/4, as TCP has it (RFC 6298).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundTrip {
    estimate: Option<Estimate>,
}

#[derive(Clone, Copy, Debug)]
struct Estimate {
    average: Duration,
    deviation: Duration,
}

impl RoundTrip {
    /// Takes the time that a reply took. It must not be the reply to a request that was sent more
    /// than once: nobody knows which copy it answers.
    pub(crate) fn learn(&mut self, sample: Duration) {
        self.estimate = Some(match self.estimate {
            None => Estimate { average: sample, deviation: sample / 2 },
            Some(Estimate { average, deviation }) => Estimate {
                average: average * 7 / 8 + sample / 8,
                deviation: deviation * 3 / 4 + sample.abs_diff(average) / 4,
            },
        });
    }

    /// How long to wait for the reply to a request that was sent this many times: the average and
    /// four deviations, doubled with every time.
    pub(crate) fn timeout(&self, transmissions: u32) -> Duration {
        let first = self
            .estimate
            .map_or(INITIAL, |estimate| estimate.average + estimate.deviation * 4)
            .max(SHORTEST);
        let doublings = transmissions.saturating_sub(1).min(16);
        first.saturating_mul(1 << doublings).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn waits_long_while_nothing_is_known_and_longer_each_time() {
        let round_trip = RoundTrip::default();
        let waits: Vec<_> = (1..=5).map(|n| round_trip.timeout(n).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 2000]);
        assert_eq!(round_trip.timeout(u32::MAX), LONGEST);
    }

    #[test]
    fn follows_the_target() {
        let mut round_trip = RoundTrip::default();
        for _ in 0..100 {
            round_trip.learn(MILLISECOND * 100);
        }
        let steady = round_trip.timeout(1);
        assert!((100..110).contains(&steady.as_millis()), "{steady:?}");
        round_trip.learn(MILLISECOND * 300);
        assert!(round_trip.timeout(1) > steady * 2, "one slow reply is a warning");
        for _ in 0..100 {
            round_trip.learn(MILLISECOND);
        }
        assert_eq!(round_trip.timeout(1), SHORTEST);
    }
}
