//! How far a long transfer has come.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Transfers shorter than this go by without comment.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar on standard error, if that is a terminal and the transfer takes long. It disappears with
/// the transfer.
pub(crate) struct Progress {
    start: Instant,
    done: u64,
    total: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// For a transfer of `total` bytes, if it is known how many.
    pub(crate) fn new(total: Option<u64>) -> Self {
        Self { start: Instant::now(), done: 0, total, bar: None }
    }

    /// Notes that so many more bytes are done.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.bar.is_none() && self.start.elapsed() >= PATIENCE {
            // Indicatif draws nothing where standard error is no terminal.
            self.bar = Some(bar(self.total).with_elapsed(self.start.elapsed()));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        ),
        None => (ProgressBar::no_length(), "{spinner} {bytes}, {bytes_per_sec}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is well formed"))
}
