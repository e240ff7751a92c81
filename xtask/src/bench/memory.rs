//! The memory of a daemon whose cache is full, and what it may have.

use super::machine::field;
use super::rig::Rig;
use anyhow::{Context, Result};
use aoe_tests::daemon::Daemon;
use aoe_tests::image::MIB;
use std::fs;

/// The cache, in MiB.
const CACHE_MIB: u64 = 1024;
/// What a daemon may take besides its cache and its packet buffers, in MiB.
const REST_MIB: u64 = 64;
/// Bytes of a packet buffer.
const PACKET_BUFFER: u64 = 4096;

/// Memory of a process, in MiB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Memory {
    /// All that is there. The kernel counts huge pages that were reserved by themselves.
    pub(super) resident: f64,
    /// What can't be taken away, be it locked or pinned.
    pub(super) locked: f64,
}

/// Memory of a daemon that has read twice as much as its cache holds.
pub(super) fn of_full_cache(rig: &Rig) -> Result<Memory> {
    let daemon = serve(rig)?;
    rig.load("--load read --sectors 16 --depth 32 --bytes 2G --seconds 600")?;
    let path = format!("/proc/{}/status", daemon.process.pid());
    let memory = parse(&fs::read_to_string(&path).with_context(|| path.clone())?);
    daemon.stop()?;
    memory.with_context(|| path)
}

/// Cache, packet buffers and a little more, in MiB.
pub(super) fn budget(rig: &Rig) -> Result<f64> {
    let daemon = serve(rig)?;
    let status = daemon.status()?;
    daemon.stop()?;
    let total = |queue: &aoe_tests::status::Queue| queue.buffers.get("total").copied();
    let buffers: Option<u64> = status.interface()?.queues.iter().map(total).sum();
    let umem = buffers.context("the status has no total of buffers")? * PACKET_BUFFER;
    Ok((CACHE_MIB + umem / MIB + REST_MIB) as f64)
}

fn serve(rig: &Rig) -> Result<Daemon> {
    rig.serve(&rig.image, &format!("--cache {CACHE_MIB}M --length 2G"))
}

fn parse(status: &str) -> Result<Memory> {
    let mebibytes = |name: &str| {
        let value = field(status, name).with_context(|| format!("no {name}"))?;
        let number = value.strip_suffix(" kB").and_then(|number| number.trim().parse::<f64>().ok());
        number.map(|kibibytes| kibibytes / 1024.0).with_context(|| format!("{name} is {value}"))
    };
    Ok(Memory {
        resident: mebibytes("VmRSS")? + mebibytes("HugetlbPages")?,
        locked: mebibytes("VmLck")?.max(mebibytes("VmPin")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_count_and_pinned_ones_are_locked() {
        let status = "Name:\taoe\nVmLck:\t       0 kB\nVmPin:\t    2048 kB\nVmRSS:\t   10240 kB\n\
                      HugetlbPages:\t    4096 kB\n";
        assert_eq!(parse(status).unwrap(), Memory { resident: 14.0, locked: 2.0 });
        assert!(parse("VmRSS:\t1 kB\n").is_err());
    }
}
