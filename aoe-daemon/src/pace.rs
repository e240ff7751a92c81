//! Keeping the log readable when one thing goes wrong for every request.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a message keeps its like out of the log.
const INTERVAL: Duration = Duration::from_secs(1);

/// Lets one message through each second.
#[derive(Default)]
pub struct Pace(Mutex<State>);

#[derive(Default)]
struct State {
    last: Option<Instant>,
    kept_back: u64,
}

impl Pace {
    /// Whether a message may be logged at this time: then how many were kept back since the last.
    pub fn pass(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.duration_since(last) < INTERVAL) {
            state.kept_back += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_a_second_and_the_number_of_the_others() {
        let pace = Pace::default();
        let start = Instant::now();
        assert_eq!(pace.pass(start), Some(0));
        assert_eq!(pace.pass(start), None);
        assert_eq!(pace.pass(start + INTERVAL / 2), None);
        assert_eq!(pace.pass(start + INTERVAL), Some(2));
        assert_eq!(pace.pass(start + 3 * INTERVAL), Some(0));
    }
}
