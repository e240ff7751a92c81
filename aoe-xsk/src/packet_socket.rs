//! An `AF_PACKET` socket that carries ATA over Ethernet and nothing else.
//!
//! It is bound to one interface and to EtherType 0x88A2, so that the kernel hands it no other
//! traffic, and it sends and receives whole Ethernet frames. It works on every interface, needs
//! `CAP_NET_RAW` only, and shares the interface with everything else that runs there.
#![allow(unsafe_code, reason = "socket calls that the standard library does not offer")]

use std::ffi::{CString, c_int, c_void};
use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

/// The EtherType of ATA over Ethernet.
const ETHERTYPE_AOE: u16 = 0x88a2;

/// The most frames that one system call sends or receives.
pub const BATCH_FRAMES: usize = 64;

/// What the socket's receive queue may hold, in bytes of kernel memory: a full window of jumbo
/// frames from a target that answers all of it at once.
const RECEIVE_QUEUE_BYTES: c_int = 8 << 20;

/// An `AF_PACKET` socket bound to one interface and to EtherType 0x88A2.
///
/// Frames that belong to somebody else never arrive: neither those for another station's MAC
/// address, which a promiscuous interface also receives, nor those that carried the tag of a
/// VLAN that has no interface here. The kernel hands over both marked `PACKET_OTHERHOST`, the
/// latter with the tag already removed, and a socket filter drops that mark.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    mac: [u8; 6],
}

impl PacketSocket {
    /// Opens a socket on the interface of this name.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is no such interface, `EPERM` without `CAP_NET_RAW`, `InvalidInput` if
    /// the interface has no Ethernet address or its address is a group address, and whatever else
    /// the kernel answers.
    pub fn open(interface: &str) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // With protocol 0 nothing is received before bind, not even from other interfaces.
        // SAFETY: socket() takes no pointers.
        let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
        // SAFETY: the descriptor was returned a moment ago and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let index = interface_index(interface)?;
        drop_other_stations(&fd)?;
        set_option(&fd, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1)?;
        // Beyond the system's limit only with CAP_NET_ADMIN; without it the limit has to do.
        if set_option(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_QUEUE_BYTES).is_err() {
            set_option(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_QUEUE_BYTES)?;
        }
        bind(&fd, index)?;
        let mac = hardware_address(&fd)?;
        Ok(Self { fd, mac })
    }

    /// The interface's own MAC address, as it was when the socket was opened.
    #[must_use]
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// The interface's MTU in bytes: what a frame may hold after its 14 bytes of Ethernet header.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the interface is gone.
    pub fn mtu(&self) -> io::Result<usize> {
        // SAFETY: ifreq is plain data, for which all zeroes is a valid value.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        request.ifr_ifru.ifru_ifindex = local_address(&self.fd)?.sll_ifindex;
        // SAFETY: both calls read and write one ifreq, which outlives them; SIOCGIFNAME fills in
        // the terminated name that SIOCGIFMTU looks up.
        unsafe {
            check(libc::ioctl(self.fd.as_raw_fd(), libc::SIOCGIFNAME, &mut request))?;
            check(libc::ioctl(self.fd.as_raw_fd(), libc::SIOCGIFMTU, &mut request))?;
        }
        // SAFETY: SIOCGIFMTU succeeded, so the kernel has written this member of the union.
        let mtu = unsafe { request.ifr_ifru.ifru_mtu };
        usize::try_from(mtu).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Sends one Ethernet frame.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` if the frame is longer than the MTU allows, `ENOBUFS` or `WouldBlock` if the
    /// interface has no room for it now, `ENETDOWN` if the interface is down.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.send_batch(&[IoSlice::new(frame)]).map(|_sent| ())
    }

    /// Sends up to [`BATCH_FRAMES`] Ethernet frames in one system call and returns how many of
    /// them, from the first, have left. One frame is one `IoSlice`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), about the first frame; nothing has been sent then.
    pub fn send_batch(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = frames.len().min(BATCH_FRAMES);
        let mut headers = [EMPTY_HEADER; BATCH_FRAMES];
        for (header, frame) in headers.iter_mut().zip(frames) {
            // IoSlice has the layout of iovec. The kernel only reads what a sent iovec names.
            header.msg_hdr.msg_iov = ptr::from_ref(frame).cast_mut().cast();
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: the first `count` headers point to iovecs in `frames`, which, like the bytes
        // they describe, are borrowed for longer than the call.
        let sent = check(unsafe {
            libc::sendmmsg(self.fd.as_raw_fd(), headers.as_mut_ptr(), count as u32, 0)
        })?;
        Ok(sent as usize)
    }

    /// Waits until a frame is there, `timeout` has passed or a signal has arrived, and fills
    /// `batch` with what is there then. Returns the number of frames, 0 if there are none.
    ///
    /// # Errors
    ///
    /// `ENETDOWN`, once, when the interface goes down, and whatever else the kernel answers.
    pub fn receive(&self, batch: &mut ReceiveBatch, timeout: Duration) -> io::Result<usize> {
        let count = self.receive_waiting(batch)?;
        if count > 0 || timeout.is_zero() {
            return Ok(count);
        }
        self.wait(timeout)?;
        self.receive_waiting(batch)
    }

    /// Fills `batch` with the frames that are already there.
    fn receive_waiting(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        let mut iovecs = [EMPTY_IOVEC; BATCH_FRAMES];
        let mut headers = [EMPTY_HEADER; BATCH_FRAMES];
        let buffers = batch.storage.chunks_exact_mut(batch.frame_bytes);
        for ((header, iovec), buffer) in headers.iter_mut().zip(&mut iovecs).zip(buffers) {
            iovec.iov_base = buffer.as_mut_ptr().cast();
            iovec.iov_len = buffer.len();
            header.msg_hdr.msg_iov = iovec;
            header.msg_hdr.msg_iovlen = 1;
        }
        batch.lengths.clear();
        // SAFETY: BATCH_FRAMES headers point to one iovec each and those to buffers of their own
        // inside `batch.storage`, which is borrowed exclusively and outlives the call.
        let received = check(unsafe {
            libc::recvmmsg(
                self.fd.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH_FRAMES as u32,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        });
        let received = match received {
            Ok(received) => received as usize,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        // A frame longer than its buffer has lost its end: it is listed with no bytes at all.
        batch.lengths.extend(headers.iter().take(received).map(|header| {
            let truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            if truncated { 0 } else { header.msg_len as usize }
        }));
        Ok(received)
    }

    /// Waits until a frame is there, the time is up or a signal arrives.
    fn wait(&self, timeout: Duration) -> io::Result<()> {
        let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: one pollfd and one timespec, both of which outlive the call; a null signal mask
        // leaves the mask as it is.
        match check(unsafe { libc::ppoll(&mut poll, 1, &timeout, ptr::null()) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result.map(|_ready| ()),
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Memory for the frames of one [`PacketSocket::receive`].
#[derive(Debug)]
pub struct ReceiveBatch {
    storage: Box<[u8]>,
    frame_bytes: usize,
    lengths: Vec<usize>,
}

impl ReceiveBatch {
    /// Room for [`BATCH_FRAMES`] frames of at most `frame_bytes` bytes each, Ethernet header
    /// included. `frame_bytes` must not be 0.
    #[must_use]
    pub fn new(frame_bytes: usize) -> Self {
        Self {
            storage: vec![0; BATCH_FRAMES * frame_bytes].into_boxed_slice(),
            frame_bytes,
            lengths: Vec::with_capacity(BATCH_FRAMES),
        }
    }

    /// The frames of the last receive, in the order of their arrival. One that was too long for
    /// its buffer is there as an empty slice.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let buffers = self.storage.chunks_exact(self.frame_bytes);
        buffers.zip(&self.lengths).map(|(buffer, &length)| &buffer[..length])
    }
}

const EMPTY_IOVEC: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };

// SAFETY: mmsghdr is plain data, for which all zeroes, null pointers included, is a valid value.
const EMPTY_HEADER: libc::mmsghdr = unsafe { mem::zeroed() };

/// Turns the -1 of a system call into its errno.
fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn interface_index(interface: &str) -> io::Result<c_int> {
    let name = CString::new(interface)?;
    // SAFETY: the name is a terminated string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index as c_int),
    }
}

/// Attaches a classic BPF filter that drops every frame marked `PACKET_OTHERHOST`.
fn drop_other_stations(fd: &OwnedFd) -> io::Result<()> {
    let load_packet_type = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    let jump_if_equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let return_constant = (libc::BPF_RET | libc::BPF_K) as u16;
    let packet_type = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    let mut steps = [
        step(load_packet_type, 0, packet_type),
        step(jump_if_equal, 1, u32::from(libc::PACKET_OTHERHOST)),
        step(return_constant, 0, u32::MAX),
        step(return_constant, 0, 0),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    let pointer = ptr::from_ref(&program).cast::<c_void>();
    let length = mem::size_of_val(&program) as libc::socklen_t;
    // SAFETY: `pointer` names a sock_fprog of the length given, which names as many steps as it
    // says; both outlive the call, in which the kernel copies them.
    let result = unsafe {
        let option = libc::SO_ATTACH_FILTER;
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, option, pointer, length)
    };
    check(result).map(|_| ())
}

fn set_option(fd: &OwnedFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let pointer = ptr::from_ref(&value).cast::<c_void>();
    let length = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: `pointer` names one integer of the length given, which outlives the call.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, pointer, length) }).map(|_| ())
}

fn bind(fd: &OwnedFd, index: c_int) -> io::Result<()> {
    let mut address = EMPTY_ADDRESS;
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = ETHERTYPE_AOE.to_be();
    address.sll_ifindex = index;
    let length = mem::size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is a sockaddr_ll of the length given and outlives the call.
    let result = unsafe { libc::bind(fd.as_raw_fd(), ptr::from_ref(&address).cast(), length) };
    check(result).map(|_| ())
}

/// The link-layer address that the socket is bound to.
fn local_address(fd: &OwnedFd) -> io::Result<libc::sockaddr_ll> {
    let mut address = EMPTY_ADDRESS;
    let mut length = mem::size_of_val(&address) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into the address, and then the length;
    // both outlive the call.
    let result = unsafe {
        libc::getsockname(fd.as_raw_fd(), ptr::from_mut(&mut address).cast(), &mut length)
    };
    check(result).map(|_| address)
}

/// The MAC address of the interface that the socket is bound to.
fn hardware_address(fd: &OwnedFd) -> io::Result<[u8; 6]> {
    let address = local_address(fd)?;
    let [mac @ .., _, _] = address.sll_addr;
    let ethernet = matches!(address.sll_hatype, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK);
    if !ethernet || usize::from(address.sll_halen) != mac.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an Ethernet interface"));
    }
    if mac[0] & 1 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the interface's MAC address is a group address",
        ));
    }
    Ok(mac)
}

const EMPTY_ADDRESS: libc::sockaddr_ll = libc::sockaddr_ll {
    sll_family: 0,
    sll_protocol: 0,
    sll_ifindex: 0,
    sll_hatype: 0,
    sll_pkttype: 0,
    sll_halen: 0,
    sll_addr: [0; 8],
};
