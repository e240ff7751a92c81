//! How far a long transfer has come.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Transfers shorter than this go by without comment.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar on standard error, if that is a terminal and the transfer takes long. It disappears with
/// the transfer.
pub(crate) struct Progress {
    start: Instant,
    bar: ProgressBar,
}

impl Progress {
    /// For a transfer of `total` bytes, if it is known how many.
    pub(crate) fn new(total: Option<u64>) -> Self {
        Self { start: Instant::now(), bar: bar(total) }
    }

    /// Notes that so many more bytes are done.
    pub(crate) fn add(&mut self, bytes: u64) {
        if self.bar.is_hidden() && self.start.elapsed() >= PATIENCE {
            // This draws nothing where standard error is no terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A bar that keeps count but is not shown yet.
fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        ),
        None => (ProgressBar::no_length(), "{spinner} {bytes}, {bytes_per_sec}"),
    };
    bar.set_draw_target(ProgressDrawTarget::hidden());
    bar.with_style(ProgressStyle::with_template(template).expect("the template is well formed"))
}
