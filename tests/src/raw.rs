//! Frames by hand: any that a test can think of, sent and received on one interface.

use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aoe_xsk::{BATCH_FRAMES, PacketSocket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RawProtocol, RecvFlags, SocketFlags, SocketType, recv, socket_with,
    sockopt,
};

use crate::namespace::Namespace;

/// EtherType of ATA over Ethernet.
const ETHER_TYPE: u16 = 0x88a2;
/// Longest frame, in bytes.
const LONGEST: usize = 9100;
/// What may wait to be received, in bytes of kernel memory.
const RECEIVE_QUEUE: usize = 8 << 20;

/// Sockets on one interface.
///
/// What comes in is read from a socket that is bound to nothing: unlike [`PacketSocket`] it sees
/// the replies to every source address, on all interfaces of the namespace. The kernel has taken
/// off the tags by then.
#[derive(Debug)]
pub struct Raw {
    sender: PacketSocket,
    receiver: OwnedFd,
}

impl Raw {
    /// Opens sockets in a namespace that send from this interface.
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self> {
        namespace.within(|| {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let protocol = RawProtocol::new(u32::from(ETHER_TYPE.to_be())).map(Protocol::from_raw);
            let receiver = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, protocol)?;
            sockopt::set_socket_recv_buffer_size_force(&receiver, RECEIVE_QUEUE)?;
            Ok(Self { sender: PacketSocket::open(interface)?, receiver })
        })
    }

    /// The interface's own address.
    pub fn mac(&self) -> [u8; 6] {
        self.sender.mac()
    }

    /// Sends a frame.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        self.sender.send(frame).with_context(|| format!("send a frame of {} bytes", frame.len()))
    }

    /// Sends many frames, as fast as it goes.
    pub fn send_all(&self, frames: &[Vec<u8>]) -> Result<()> {
        for some in frames.chunks(BATCH_FRAMES) {
            let slices: Vec<IoSlice<'_>> = some.iter().map(|frame| IoSlice::new(frame)).collect();
            let sent = self.sender.send_batch(&slices)?;
            ensure!(sent == some.len(), "{sent} of {} frames have left", some.len());
        }
        Ok(())
    }

    /// The next frame, if one comes until then.
    pub fn receive(&self, deadline: Instant) -> Result<Option<Vec<u8>>> {
        let mut frame = vec![0; LONGEST];
        loop {
            match recv(&self.receiver, &mut frame, RecvFlags::empty()) {
                Ok((length, _)) => {
                    frame.truncate(length);
                    return Ok(Some(frame));
                }
                Err(Errno::AGAIN) => {}
                Err(error) => return Err(error).context("receive"),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            wait(&self.receiver, left)?;
        }
    }

    /// Everything that comes until then.
    pub fn receive_all(&self, deadline: Instant) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        while let Some(frame) = self.receive(deadline)? {
            frames.push(frame);
        }
        Ok(frames)
    }
}

fn wait(receiver: &OwnedFd, time: Duration) -> Result<()> {
    let timeout =
        Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
    poll(&mut [PollFd::new(receiver, PollFlags::IN)], Some(&timeout))?;
    Ok(())
}
