//! What the process must be allowed to do.

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};
use tracing::debug;

/// Everything needs these: without them every later message would be a riddle.
pub(super) fn check_capabilities() -> Result<()> {
    let held = capabilities(None).context("capabilities of the process")?.effective;
    let network = held.contains(CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW);
    let bpf = held.intersects(CapabilitySet::BPF | CapabilitySet::SYS_ADMIN);
    ensure!(
        network && bpf,
        "serving needs root, or the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW: start \
         it with sudo"
    );
    Ok(())
}

/// Allows as many open files as the process may have: a thousand exports are more than the usual
/// limit. If it is still too low, opening says so.
pub(super) fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        debug!(%error, "the limit of open files stays");
    }
}
