//! The mode ladder: the best way to receive that driver and kernel can do.

use super::Settings;
use crate::config::{HugePages, Mode};
use crate::link::Link;
use crate::xdp::{self, AttachError, Steering};
use anyhow::{Error, anyhow};
use aoe_common::wire::{ETHERNET_HEADER, VlanTag};
use aoe_xsk::{BindMode, CHUNK_SIZE, FRAME_OFFSET, Queue, QueueConfig};
use std::fmt;
use tracing::{info, warn};

/// Packet buffers of a queue, in chunks of 4 KiB: as many as the process may lock.
const CHUNKS: [u32; 5] = [4096, 2048, 1024, 512, 256];

/// Why a port can't be brought up.
pub(super) enum Failure {
    /// Another process holds what it takes; it may be about to end.
    Busy(Error),
    /// It won't work as things are.
    Refused(Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Busy(reason) | Self::Refused(reason)) = self;
        write!(f, "{reason}")
    }
}

/// Only what the ladder recognises as somebody else's is worth another try.
impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// One rung of the mode ladder: where the program runs, and how sockets may be bound.
pub(super) struct Rung {
    attach: xdp::Mode,
    bind: Vec<BindMode>,
}

impl Rung {
    /// How logs and reports call what these queues, opened on this rung, came to.
    pub(super) fn mode(&self, queues: &[Queue]) -> &'static str {
        match self.attach {
            xdp::Mode::Generic => "generic",
            xdp::Mode::Native if queues[0].mode().is_zero_copy() => "native-zerocopy",
            xdp::Mode::Native => "native",
        }
    }
}

/// The rungs that a mode permits, best first.
fn ladder(mode: Mode, mtu: u32) -> Vec<Rung> {
    use BindMode::{Copy, CopyScatter, ZeroCopy, ZeroCopyScatter};
    use xdp::Mode::{Generic, Native};
    // Without scatter-gather a zero-copy socket would lose what one chunk can't hold.
    let jumbo = mtu as usize + ETHERNET_HEADER + size_of::<VlanTag>() > CHUNK_SIZE - FRAME_OFFSET;
    let zero_copy: &[_] = if jumbo { &[ZeroCopyScatter] } else { &[ZeroCopyScatter, ZeroCopy] };
    let copy: &[_] = &[CopyScatter, Copy];
    let rung = |attach, bind: &[&[_]]| Rung { attach, bind: bind.concat() };
    match mode {
        Mode::Auto => vec![rung(Native, &[zero_copy, copy]), rung(Generic, &[copy])],
        Mode::NativeZerocopy => vec![rung(Native, &[zero_copy])],
        Mode::Native => vec![rung(Native, &[copy])],
        Mode::Generic => vec![rung(Generic, &[copy])],
    }
}

/// Finds the best rung that driver and kernel hold.
pub(super) fn climb(
    link: &Link,
    settings: Settings,
    steering: &mut Steering,
) -> Result<(Rung, Vec<Queue>), Failure> {
    let Settings { mode, huge_pages } = settings;
    let mut reasons = Vec::new();
    for rung in ladder(mode, link.mtu) {
        match steering.attach(link.index, rung.attach) {
            Ok(()) => {}
            Err(AttachError::Occupied(occupant)) if occupant.is_ours() => {
                return Err(Failure::Busy(anyhow!(
                    "another aoe-daemon serves this interface, and one daemon serves all exports \
                     of an interface: stop it, and give --shelf, --slot and --file of every \
                     export to one daemon"
                )));
            }
            Err(AttachError::Occupied(occupant)) => {
                let error = anyhow!(
                    "the interface has an XDP program already ({occupant}): stop what it belongs \
                     to, take it off with `ip link set dev {} xdp off`, or use another interface",
                    link.name
                );
                // One that has just gone frees the place; a stranger's stays.
                let gone = occupant.id.is_none();
                return Err(if gone { Failure::Busy(error) } else { Failure::Refused(error) });
            }
            Err(error @ AttachError::Refused { .. }) => {
                reasons.push(error.to_string());
                continue;
            }
            Err(error) => return Err(Failure::Refused(error.into())),
        }
        match open_queues(link, &rung.bind, huge_pages) {
            Ok(queues) => {
                for reason in reasons {
                    info!(interface = link.name, reason, "stepped down");
                }
                return Ok((rung, queues));
            }
            Err(aoe_xsk::Error::Refused { .. }) if mode == Mode::NativeZerocopy => {
                reasons.push("the driver has no zero-copy for this interface".into());
            }
            Err(error @ aoe_xsk::Error::Refused { .. }) => reasons.push(error.to_string()),
            Err(error @ aoe_xsk::Error::Busy { .. }) => return Err(Failure::Busy(error.into())),
            Err(error) => return Err(Failure::Refused(error.into())),
        }
        steering.detach();
    }
    Err(Failure::Refused(anyhow!("{}: try --mode auto", reasons.join("; "))))
}

/// A socket for every queue, all bound alike.
fn open_queues(
    link: &Link,
    modes: &[BindMode],
    huge_pages: HugePages,
) -> Result<Vec<Queue>, aoe_xsk::Error> {
    let mut last = Ok(Vec::new());
    for chunks in CHUNKS {
        last = open_queues_of(chunks, link, modes, huge_pages);
        match &last {
            Err(error @ aoe_xsk::Error::LockedMemory { .. }) => {
                info!(interface = link.name, %error, "trying with less");
            }
            Ok(_) if chunks < CHUNKS[0] => {
                warn!(
                    interface = link.name,
                    "little lockable memory: {chunks} packet buffers a queue instead of {}, so \
                     that bursts are dropped earlier; raise it with `ulimit -l unlimited` or \
                     LimitMEMLOCK=infinity",
                    CHUNKS[0]
                );
                break;
            }
            _ => break,
        }
    }
    last
}

fn open_queues_of(
    chunks: u32,
    link: &Link,
    modes: &[BindMode],
    huge_pages: HugePages,
) -> Result<Vec<Queue>, aoe_xsk::Error> {
    let mut queues: Vec<Queue> = Vec::with_capacity(link.rx_queues as usize);
    for number in 0..link.rx_queues {
        queues.push(Queue::open(&QueueConfig {
            modes: queues.first().map_or(modes.to_vec(), |first| vec![first.mode()]),
            chunks,
            huge_pages,
            fill_target: chunks / 2,
            ..QueueConfig::new(link.index, number)
        })?);
    }
    Ok(queues)
}
