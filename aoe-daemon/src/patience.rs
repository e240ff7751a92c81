//! Starting while another process may be about to end.

use std::fmt::Display;
use std::time::{Duration, Instant};
use tracing::warn;

/// How long a start keeps trying what another process holds: after a `kill -9` the kernel frees
/// interfaces, queues and locks late.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Tries again for [`PATIENCE`] what fails because `what` is in use, and says so once.
///
/// # Errors
///
/// The first other error, or the last one.
pub fn while_busy<T, E: Display>(
    what: &str,
    is_busy: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let deadline = Instant::now() + PATIENCE;
    let mut said = false;
    loop {
        match attempt() {
            Err(reason) if is_busy(&reason) && Instant::now() < deadline => {
                if !said {
                    warn!(%reason, "{what}: trying for {PATIENCE:?}");
                    said = true;
                }
                std::thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}
