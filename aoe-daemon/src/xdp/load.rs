//! Loading the XDP program into the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::io;

use aya::maps::MapError;
use aya::programs::Xdp;
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfError, EbpfLoader};
use thiserror::Error;

use super::{Maps, Steering};

/// Name of the program in `aoe-ebpf` and in the kernel's list of programs.
pub(super) const PROGRAM: &str = "aoe_steer";

/// `aoe-ebpf`, compiled by this crate's build script.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/aoe-ebpf"));

/// Why the XDP program can't be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The process lacks capabilities.
    #[error("loading an XDP program needs root, or the capabilities CAP_BPF and CAP_NET_ADMIN")]
    Permission,
    /// The kernel is older than the oldest that this is made for.
    #[error("this kernel can't run the XDP program: Linux 6.1 is the oldest that can")]
    OldKernel(#[source] Box<EbpfError>),
    /// The kernel is built without AF_XDP.
    #[error("this kernel is built without AF_XDP (CONFIG_XDP_SOCKETS): use one that has it")]
    NoAfXdp(#[source] Box<EbpfError>),
    /// The kernel refuses the program for another reason.
    #[error("the kernel refuses the XDP program: {0}")]
    Refused(#[source] Box<EbpfError>),
}

impl From<EbpfError> for LoadError {
    fn from(error: EbpfError) -> Self {
        let os_error = os_error(&error);
        if os_error == Some(libc::EPERM) {
            return Self::Permission;
        }
        if KernelVersion::current().is_ok_and(|running| running < KernelVersion::new(6, 1, 0)) {
            return Self::OldKernel(Box::new(error));
        }
        match &error {
            EbpfError::MapError(MapError::CreateError { name, .. })
                if name == "SOCKETS" && os_error == Some(libc::EINVAL) =>
            {
                Self::NoAfXdp(Box::new(error))
            }
            _ => Self::Refused(Box::new(error)),
        }
    }
}

impl Steering {
    /// Loads the program and its maps, which serve nothing yet.
    ///
    /// # Errors
    ///
    /// See [`LoadError`].
    pub fn load() -> Result<Self, LoadError> {
        let mut ebpf = EbpfLoader::new().load(OBJECT)?;
        let program: &mut Xdp = ebpf
            .program_mut(PROGRAM)
            .expect("aoe-ebpf has this program")
            .try_into()
            .map_err(EbpfError::from)?;
        program.load().map_err(EbpfError::from)?;
        let maps = Maps::take(&mut ebpf)?;
        let (targets, sources) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { ebpf, attached: None, targets, filters: BTreeMap::new(), sources, maps })
    }
}

impl Maps {
    fn take(ebpf: &mut Ebpf) -> Result<Self, EbpfError> {
        let mut take = |name| ebpf.take_map(name).expect("aoe-ebpf has this map");
        Ok(Self {
            sockets: take("SOCKETS").try_into()?,
            served: take("SERVED").try_into()?,
            sources: take("SOURCES").try_into()?,
            port: take("PORT").try_into()?,
            counters: take("COUNTERS").try_into()?,
        })
    }
}

/// The error number at the root of an error.
pub(super) fn os_error(error: &(dyn StdError + 'static)) -> Option<i32> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.raw_os_error();
        }
        next = error.source();
    }
    None
}
