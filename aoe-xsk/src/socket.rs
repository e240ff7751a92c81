//! One AF_XDP socket, from registration to bind, and its four rings.
//!
//! The order is the kernel's: register the memory, size the rings, map them, put chunks into the
//! fill ring (some drivers look at it once, at bind), bind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use memmap2::MmapOptions;

use crate::chunk::CHUNK_SIZE;
use crate::config::{BindMode, QueueConfig};
use crate::error::{Error, Refusal};
use crate::mapped::Mapped;
use crate::packet::HEADROOM;
use crate::ring::{Consumer, Producer};
use crate::sys::{self, Plain};

/// What a packet in flight is charged to the socket's send buffer, in bytes and rounded up: a frame
/// of one chunk and the kernel's own description of it.
const SEND_BUFFER_PER_SLOT: u32 = 8192;

/// The four rings of a socket. Their memory keeps the socket alive in the kernel, so they must go
/// for it to be released.
pub(crate) struct Rings {
    pub(crate) fill: Producer<Mapped<u64>>,
    pub(crate) completion: Consumer<Mapped<u64>>,
    pub(crate) receive: Consumer<Mapped<libc::xdp_desc>>,
    pub(crate) transmit: Producer<Mapped<libc::xdp_desc>>,
}

/// A socket that has memory and rings, and after [`Socket::bind`] a queue.
pub(crate) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Opens a socket over the memory at `base` and maps its rings.
    pub(crate) fn open(
        (base, bytes): (*mut u8, usize),
        config: &QueueConfig,
    ) -> Result<(Self, Rings), Error> {
        let fd = sys::socket().map_err(|error| match error.raw_os_error() {
            Some(libc::EAFNOSUPPORT) => Error::Unsupported,
            Some(libc::EPERM) => Error::Permission,
            _ => Error::System { call: "socket(AF_XDP)", cause: error },
        })?;
        let socket = Self { fd };
        socket.register(base, bytes)?;
        let rings = socket.map_rings(config)?;
        socket.tune(config);
        Ok((socket, rings))
    }

    fn register(&self, base: *mut u8, bytes: usize) -> Result<(), Error> {
        let registration = libc::xdp_umem_reg {
            addr: base as u64,
            len: bytes as u64,
            chunk_size: CHUNK_SIZE as u32,
            headroom: HEADROOM,
            flags: 0,
            tx_metadata_len: 0,
        };
        self.set(libc::XDP_UMEM_REG, &registration).map_err(|error| match error.raw_os_error() {
            Some(libc::ENOBUFS) => Error::LockedMemory { bytes },
            _ => Error::System { call: "setsockopt(XDP_UMEM_REG)", cause: error },
        })
    }

    fn map_rings(&self, config: &QueueConfig) -> Result<Rings, Error> {
        let sizes = [
            (libc::XDP_UMEM_FILL_RING, config.fill_ring, "setsockopt(XDP_UMEM_FILL_RING)"),
            (
                libc::XDP_UMEM_COMPLETION_RING,
                config.completion_ring,
                "setsockopt(XDP_UMEM_COMPLETION_RING)",
            ),
            (libc::XDP_RX_RING, config.rx_ring, "setsockopt(XDP_RX_RING)"),
            (libc::XDP_TX_RING, config.tx_ring, "setsockopt(XDP_TX_RING)"),
        ];
        for (option, size, call) in sizes {
            self.set(option, &size).map_err(|cause| Error::System { call, cause })?;
        }
        let offsets: libc::xdp_mmap_offsets = self
            .get(libc::XDP_MMAP_OFFSETS)
            .map_err(|cause| Error::System { call: "getsockopt(XDP_MMAP_OFFSETS)", cause })?;
        let (fill_page, completion_page) =
            (libc::XDP_UMEM_PGOFF_FILL_RING, libc::XDP_UMEM_PGOFF_COMPLETION_RING);
        let (receive_page, transmit_page) =
            (libc::XDP_PGOFF_RX_RING as u64, libc::XDP_PGOFF_TX_RING as u64);
        Ok(Rings {
            fill: Producer::new(self.map(offsets.fr, config.fill_ring, fill_page)?),
            completion: Consumer::new(self.map(
                offsets.cr,
                config.completion_ring,
                completion_page,
            )?),
            receive: Consumer::new(self.map(offsets.rx, config.rx_ring, receive_page)?),
            transmit: Producer::new(self.map(offsets.tx, config.tx_ring, transmit_page)?),
        })
    }

    /// Maps one ring. `page` is the file offset by which the kernel tells the rings apart.
    fn map<T: Plain>(
        &self,
        offsets: libc::xdp_ring_offset,
        size: u32,
        page: u64,
    ) -> Result<Mapped<T>, Error> {
        let bytes = Mapped::<T>::bytes(&offsets, size);
        let memory = MmapOptions::new().offset(page).len(bytes).populate().map_raw(&self.fd);
        let memory = memory.map_err(|cause| Error::System { call: "mmap of a ring", cause })?;
        Mapped::new(memory, offsets, size)
    }

    /// What makes sending smoother where the kernel allows it. None of it is needed.
    fn tune(&self, config: &QueueConfig) {
        // Beyond net.core.wmem_max takes CAP_NET_ADMIN; up to it, anybody may.
        let bytes = (config.tx_ring.saturating_mul(SEND_BUFFER_PER_SLOT)).min(i32::MAX as u32 / 2);
        let bytes = bytes as libc::c_int;
        let (fd, level) = (self.fd.as_fd(), libc::SOL_SOCKET);
        if sys::set_option(fd, level, libc::SO_SNDBUFFORCE, &bytes).is_err() {
            let _ = sys::set_option(fd, level, libc::SO_SNDBUF, &bytes);
        }
        let _ = self.set(sys::XDP_MAX_TX_SKB_BUDGET, &config.tx_ring);
    }

    /// Binds to the first of the permitted modes that the kernel and the driver take. The mode that
    /// was got is read back: what was asked for is not what counts.
    pub(crate) fn bind(&self, config: &QueueConfig) -> Result<(BindMode, Vec<Refusal>), Error> {
        let (ifindex, queue_id) = (config.ifindex, config.queue_id);
        let mut refusals = Vec::new();
        for &mode in &config.modes {
            let address = sys::Address { ifindex, queue_id, flags: mode.flags() };
            let Err(error) = sys::bind(self.fd.as_fd(), address) else {
                return Ok((self.bound_mode(mode)?, refusals));
            };
            let errno = error.raw_os_error().unwrap_or_default();
            match errno {
                errno if steps_down(mode, errno) => refusals.push(Refusal { mode, errno }),
                libc::EBUSY => return Err(Error::Busy { ifindex, queue_id }),
                libc::ENODEV => return Err(Error::NoDevice { ifindex }),
                libc::ENETDOWN => return Err(Error::LinkDown { ifindex }),
                libc::EINVAL => {
                    refusals.push(Refusal { mode, errno });
                    break;
                }
                _ => return Err(Error::System { call: "bind(AF_XDP)", cause: error }),
            }
        }
        Err(Error::Refused { ifindex, queue_id, refusals })
    }

    fn bound_mode(&self, asked: BindMode) -> Result<BindMode, Error> {
        let options: libc::xdp_options = self
            .get(libc::XDP_OPTIONS)
            .map_err(|cause| Error::System { call: "getsockopt(XDP_OPTIONS)", cause })?;
        let zero_copy = options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0;
        Ok(match (zero_copy, asked.is_scatter()) {
            (true, true) => BindMode::ZeroCopyScatter,
            (true, false) => BindMode::ZeroCopy,
            (false, true) => BindMode::CopyScatter,
            (false, false) => BindMode::Copy,
        })
    }

    pub(crate) fn statistics(&self) -> Result<libc::xdp_statistics, Error> {
        self.get(libc::XDP_STATISTICS)
            .map_err(|cause| Error::System { call: "getsockopt(XDP_STATISTICS)", cause })
    }

    fn get<T: Plain>(&self, option: libc::c_int) -> io::Result<T> {
        sys::get_option(self.fd.as_fd(), libc::SOL_XDP, option)
    }

    fn set<T: Plain>(&self, option: libc::c_int, value: &T) -> io::Result<()> {
        sys::set_option(self.fd.as_fd(), libc::SOL_XDP, option, value)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether an answer to `mode` means "not this, but perhaps the next".
///
/// EOPNOTSUPP does by its name. EINVAL does for scatter-gather, a flag that kernels before 6.6 do
/// not know. And drivers refuse zero-copy in ways of their own: virtio_net says EINVAL without an
/// IOMMU platform, and ENOENT without queue reset.
fn steps_down(mode: BindMode, errno: i32) -> bool {
    match errno {
        libc::EOPNOTSUPP => true,
        libc::EINVAL => mode.is_scatter() || mode.is_zero_copy(),
        libc::ENOENT => mode.is_zero_copy(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_about_the_mode_step_down() {
        for mode in BindMode::LADDER {
            assert!(steps_down(mode, libc::EOPNOTSUPP));
            for errno in [libc::EBUSY, libc::EPERM, libc::ENODEV, libc::ENETDOWN, libc::ENOMEM] {
                assert!(!steps_down(mode, errno), "{mode}: {errno}");
            }
        }
        assert!(steps_down(BindMode::CopyScatter, libc::EINVAL), "a kernel without XDP_USE_SG");
        assert!(!steps_down(BindMode::Copy, libc::EINVAL), "the last rung has nothing below");
    }
}
