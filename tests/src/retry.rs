//! Waiting for a condition, always with a limit.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Pause between two looks. Short, because most conditions come true within milliseconds.
const PAUSE: Duration = Duration::from_millis(10);

/// Calls `attempt` until it gives a value; after `limit` fails with `what` and the last reason.
pub fn retry_until<T>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(reason) if Instant::now() >= deadline => {
                bail!("{what}: not within {limit:?}: {reason:#}")
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}
