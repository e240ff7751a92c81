//! The system calls of AF_XDP, each behind a safe function that returns the kernel's errno.
#![allow(unsafe_code, reason = "the only place that calls into libc")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The socket option that says how many descriptors one `sendto` handles in copy mode (Linux 6.17).
pub(crate) const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;

/// What `bind` is to bind to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    pub(crate) ifindex: u32,
    pub(crate) queue_id: u32,
    pub(crate) flags: u16,
}

/// Plain words, to be shared with the kernel: ring slots and socket options.
///
/// # Safety
///
/// The type has no padding, and any bit pattern is a value of it.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: an integer.
unsafe impl Plain for libc::c_int {}
// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: an integer.
unsafe impl Plain for u64 {}
// SAFETY: repr(C), integers of 8, 4 and 4 bytes: no padding.
unsafe impl Plain for libc::xdp_desc {}
// SAFETY: repr(C), two integers of 8 and four of 4 bytes: no padding.
unsafe impl Plain for libc::xdp_umem_reg {}
// SAFETY: repr(C), sixteen integers of 8 bytes.
unsafe impl Plain for libc::xdp_mmap_offsets {}
// SAFETY: repr(C), six integers of 8 bytes.
unsafe impl Plain for libc::xdp_statistics {}
// SAFETY: repr(C), one integer.
unsafe impl Plain for libc::xdp_options {}

/// Opens an AF_XDP socket.
pub(crate) fn socket() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    check(fd)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn set_option<T: Plain>(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let value: *const T = value;
    // SAFETY: the kernel reads `length` bytes of a value that is borrowed and without padding.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.cast(), length) })
}

/// Reads an option. What an older kernel does not fill in is zero.
pub(crate) fn get_option<T: Plain>(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<T> {
    let mut length = size_of::<T>() as libc::socklen_t;
    let mut value = MaybeUninit::<T>::zeroed();
    let target = value.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `length` bytes, the size of `value`.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, target, &mut length) })?;
    // SAFETY: all bytes are initialised, zero or the kernel's, and any bit pattern is a `T`.
    Ok(unsafe { value.assume_init() })
}

pub(crate) fn bind(fd: BorrowedFd<'_>, address: Address) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: address.flags,
        sxdp_ifindex: address.ifindex,
        sxdp_queue_id: address.queue_id,
        sxdp_shared_umem_fd: 0,
    };
    let length = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes of an address that lives until the call is over.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) })
}

/// Makes the kernel look at the TX ring. It carries no data.
pub(crate) fn wake_transmit(fd: BorrowedFd<'_>) -> io::Result<()> {
    let (fd, flags) = (fd.as_raw_fd(), libc::MSG_DONTWAIT);
    // SAFETY: an empty buffer and no address: the kernel reads no memory of ours.
    let sent = unsafe { libc::sendto(fd, std::ptr::null(), 0, flags, std::ptr::null(), 0) };
    check_size(sent)
}

/// Makes the driver look at the fill ring, if it has asked for that. It fetches no data.
pub(crate) fn wake_receive(fd: BorrowedFd<'_>) -> io::Result<()> {
    let (fd, flags, none) = (fd.as_raw_fd(), libc::MSG_DONTWAIT, std::ptr::null_mut());
    // SAFETY: an empty buffer and no address: the kernel writes no memory of ours.
    let received =
        unsafe { libc::recvfrom(fd, std::ptr::null_mut(), 0, flags, none, std::ptr::null_mut()) };
    check_size(received)
}

fn check(result: libc::c_int) -> io::Result<()> {
    check_size(result as isize)
}

fn check_size(result: isize) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
