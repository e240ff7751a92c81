//! What can go wrong when a queue is opened, told so that a user can act on it.

use std::io;

use crate::config::BindMode;

/// Why memory, socket or queue could not be had. Nothing on the hot path returns this.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel has no AF_XDP (EAFNOSUPPORT).
    #[error(
        "this kernel has no AF_XDP sockets: use one built with CONFIG_XDP_SOCKETS=y, \
         Linux 6.1 or later"
    )]
    Unsupported,

    /// No right to open an AF_XDP socket (EPERM).
    #[error("no permission to open an AF_XDP socket: run as root, or with CAP_NET_RAW")]
    Permission,

    /// Registering the memory would lock more than the process may (ENOBUFS).
    #[error(
        "not enough lockable memory for {bytes} bytes of packet buffers: raise it with \
         `ulimit -l unlimited` or LimitMEMLOCK=infinity, or grant CAP_IPC_LOCK"
    )]
    LockedMemory {
        /// What was to be locked, in bytes.
        bytes: usize,
    },

    /// Another socket holds this queue (EBUSY). The kernel releases the socket of a killed process
    /// late, so that this is worth retrying for some seconds.
    #[error(
        "queue {queue_id} of interface {ifindex} is in use by another AF_XDP socket: \
         stop the other program"
    )]
    Busy {
        /// The interface.
        ifindex: u32,
        /// The RX queue.
        queue_id: u32,
    },

    /// The interface does not exist, or no longer (ENODEV).
    #[error("there is no interface with index {ifindex}")]
    NoDevice {
        /// The interface.
        ifindex: u32,
    },

    /// The driver binds only while the link is up (ENETDOWN).
    #[error("interface {ifindex} is down: bring it up with `ip link set … up`")]
    LinkDown {
        /// The interface.
        ifindex: u32,
    },

    /// No permitted mode was taken. EINVAL for each of them: there is no such RX queue.
    #[error(
        "queue {queue_id} of interface {ifindex} takes none of the permitted modes: {}",
        list(refusals)
    )]
    Refused {
        /// The interface.
        ifindex: u32,
        /// The RX queue.
        queue_id: u32,
        /// Each mode that was tried, and the kernel's answer.
        refusals: Vec<Refusal>,
    },

    /// A size that the kernel would refuse, or that would lose packets.
    #[error("{0}")]
    Config(&'static str),

    /// Memory for buffers could not be mapped.
    #[error("cannot map {bytes} bytes of memory: {reason}")]
    Memory {
        /// What was asked for, in bytes.
        bytes: usize,
        /// The answer for each kind of page that was tried.
        reason: String,
    },

    /// Any other refusal of a system call.
    #[error("{call}: {cause}")]
    System {
        /// The call, with its option where it has one.
        call: &'static str,
        /// The kernel's answer.
        cause: io::Error,
    },
}

/// One rung of the bind ladder that the kernel or the driver did not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The mode that was asked for.
    pub mode: BindMode,
    /// The kernel's answer, an errno value.
    pub errno: i32,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.mode, io::Error::from_raw_os_error(self.errno))
    }
}

fn list(refusals: &[Refusal]) -> String {
    refusals.iter().map(Refusal::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_mode_and_the_answer() {
        let error = Error::Refused {
            ifindex: 3,
            queue_id: 1,
            refusals: vec![
                Refusal { mode: BindMode::ZeroCopy, errno: libc::EOPNOTSUPP },
                Refusal { mode: BindMode::Copy, errno: libc::EINVAL },
            ],
        };
        let text = error.to_string();
        assert!(text.contains("zero-copy: Operation not supported"), "{text}");
        assert!(text.contains("copy: Invalid argument"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }
}
