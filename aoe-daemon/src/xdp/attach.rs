//! Attaching the XDP program to an interface, and why that may fail.

use std::fmt;

use aya::programs::links::FdLink;
use aya::programs::{ProgramError, Xdp, XdpMode, loaded_programs};
use thiserror::Error;

use super::Steering;
use super::load::{PROGRAM, os_error};
use crate::link::Link;

/// Where in the kernel's receive path the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel makes anything of the frame.
    Native,
    /// In the kernel's network stack: slower, and every driver can do it.
    Generic,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

/// Why the XDP program can't be attached.
#[derive(Debug, Error)]
pub enum AttachError {
    /// The driver or the kernel can't do this mode, or not as the interface is set up. Another
    /// mode may work.
    #[error("{mode} XDP is not possible here: {reason}")]
    Refused {
        /// The mode that was asked for.
        mode: Mode,
        /// What is in the way.
        reason: Refusal,
    },
    /// The interface has an XDP program already.
    #[error("the interface has an XDP program already ({0})")]
    Occupied(Occupant),
    /// There is no such interface, or not any more.
    #[error("the interface is gone")]
    NoInterface,
    /// The process lacks capabilities.
    #[error("attaching an XDP program needs root, or the capabilities CAP_BPF and CAP_NET_ADMIN")]
    Permission,
    /// The kernel has no BPF links for XDP, with which the program goes when the process ends.
    #[error("this kernel has no BPF links for XDP: Linux 6.1 is the oldest that this works on")]
    OldKernel,
    /// The kernel says something else.
    #[error("attaching the XDP program failed: {0}")]
    Other(#[source] ProgramError),
}

/// What keeps a mode from working, by the kernel's error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// ERANGE: the MTU is more than the driver's XDP can take.
    MtuTooLarge,
    /// EOPNOTSUPP: the driver has no XDP, or not with the settings it has now.
    NotSupported,
    /// EINVAL: a setting of the interface is in the way; often MTU, LRO or the number of queues.
    Invalid,
    /// ENOSPC: not enough queues; of a veth pair, the peer has more TX queues than this end has RX
    /// queues.
    NotEnoughQueues,
}

impl Refusal {
    fn from_os_error(errno: i32) -> Option<Self> {
        Some(match errno {
            libc::ERANGE => Self::MtuTooLarge,
            libc::EOPNOTSUPP => Self::NotSupported,
            libc::EINVAL => Self::Invalid,
            libc::ENOSPC => Self::NotEnoughQueues,
            _ => return None,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MtuTooLarge => "the driver can't do it at this MTU",
            Self::NotSupported => "the driver does not support it",
            Self::Invalid => "the driver refuses the interface's settings (MTU, LRO or queues)",
            Self::NotEnoughQueues => "the driver wants more queues for it",
        })
    }
}

/// The XDP program that an interface has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// Its number in the kernel's list of programs.
    pub id: Option<u32>,
    /// Its name in that list, cut at 15 bytes.
    pub name: Option<String>,
}

impl Occupant {
    /// The program on the interface with this index.
    ///
    /// It may be gone by now: then neither number nor name is known.
    fn of(index: u32) -> Self {
        let id = Link::by_index(index).ok().and_then(|link| link.xdp_program);
        let program = loaded_programs().flatten().find(|program| Some(program.id()) == id);
        let name = program.and_then(|program| Some(program.name_as_str()?.to_owned()));
        Self { id, name }
    }

    /// Whether another daemon of this kind put it there.
    pub fn is_ours(&self) -> bool {
        self.name.as_deref() == Some(PROGRAM)
    }
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.id) {
            (Some(name), Some(id)) => write!(f, "{name}, program {id}"),
            (None, Some(id)) => write!(f, "program {id}"),
            _ => f.write_str("which has just gone"),
        }
    }
}

impl Steering {
    /// Puts the program on the interface with this index. If it is on one already, it goes there
    /// from here.
    ///
    /// # Errors
    ///
    /// See [`AttachError`]. The program is then on no interface, and may be attached again.
    pub fn attach(&mut self, index: u32, mode: Mode) -> Result<(), AttachError> {
        self.detach();
        let program = self.program_mut().map_err(AttachError::Other)?;
        let link =
            attach_link(program, index, mode).map_err(|error| explain(error, index, mode))?;
        self.attached = Some(link.ok_or(AttachError::OldKernel)?);
        Ok(())
    }

    /// Takes the program off the interface.
    pub fn detach(&mut self) {
        self.attached = None;
    }

    fn program_mut(&mut self) -> Result<&mut Xdp, ProgramError> {
        self.ebpf.program_mut(PROGRAM).ok_or(ProgramError::NotLoaded)?.try_into()
    }
}

/// Attaches by a BPF link, which the kernel ends with its last file descriptor.
///
/// Where the kernel has no such links, aya attaches for good. That is undone, and the answer is
/// `None`: a killed daemon would leave its program behind.
fn attach_link(program: &mut Xdp, index: u32, mode: Mode) -> Result<Option<FdLink>, ProgramError> {
    let mode = match mode {
        Mode::Native => XdpMode::Driver,
        Mode::Generic => XdpMode::Skb,
    };
    let id = program.attach_to_if_index(index, mode)?;
    let link = program.take_link(id)?;
    Ok(FdLink::try_from(link).ok())
}

fn explain(error: ProgramError, index: u32, mode: Mode) -> AttachError {
    let Some(errno) = os_error(&error) else { return AttachError::Other(error) };
    match errno {
        // EEXIST: the other program is in another mode.
        libc::EBUSY | libc::EEXIST => AttachError::Occupied(Occupant::of(index)),
        libc::ENODEV => AttachError::NoInterface,
        libc::EPERM => AttachError::Permission,
        _ => match Refusal::from_os_error(errno) {
            Some(reason) => AttachError::Refused { mode, reason },
            None => AttachError::Other(error),
        },
    }
}
