//! Hearing from the kernel that some network interface has changed.

use std::fmt;
use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, TokioSocket};

/// Multicast group of rtnetlink for everything about links.
const RTNLGRP_LINK: u32 = 1;

/// Tells when any interface of the namespace appeared, changed or went.
///
/// What has changed is for the listener to look up ([`Link::by_index`]): after a burst the facts
/// are what they are now, whatever the messages said on the way.
///
/// [`Link::by_index`]: super::Link::by_index
pub struct LinkMonitor {
    socket: TokioSocket,
}

impl LinkMonitor {
    /// Listens from now on. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The process can't open the socket.
    pub fn new() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind_auto()?;
        socket.socket_mut().add_membership(RTNLGRP_LINK)?;
        Ok(Self { socket })
    }

    /// Waits until an interface has changed since the last call. Nothing is lost if the future is
    /// dropped.
    ///
    /// # Errors
    ///
    /// The socket has failed.
    pub async fn changed(&mut self) -> io::Result<()> {
        // What the messages say does not matter: one byte is read, and the rest is cut off.
        let mut message = [0; 1];
        let mut received = self.socket.recv(&mut message.as_mut_slice()).await;
        while is_message(&received) {
            received = self.socket.socket_ref().recv(&mut message.as_mut_slice(), 0).map(drop);
        }
        match received {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether something was received, or was there to receive: ENOBUFS says that the kernel had more
/// to tell than the socket could hold.
fn is_message(received: &io::Result<()>) -> bool {
    match received {
        Ok(()) => true,
        Err(error) => error.raw_os_error() == Some(libc::ENOBUFS),
    }
}

impl fmt::Debug for LinkMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkMonitor").finish_non_exhaustive()
    }
}
