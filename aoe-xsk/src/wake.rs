//! Waking the kernel, and what its answers mean.
//!
//! None of them is an error to the worker: a frame that the kernel does not take now stays in the
//! TX ring and goes out later.

use std::io;
use std::os::fd::BorrowedFd;

use crate::ring::{Memory, Producer};
use crate::sys;

/// What the kernel takes from the TX ring in one call in copy mode, if the socket's budget could not
/// be raised. (`TX_BATCH_SIZE` in net/xdp/xsk.c.)
const DESCRIPTORS_PER_CALL: u32 = 32;

/// The state of the interface that a queue is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It can be sent.
    Up,
    /// The interface is down. What is in the TX ring waits.
    Down,
    /// The interface has been deleted, for good: the queue is of no use any more.
    Gone,
}

/// What became of the packets in the TX ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what is pending needs another flush"]
pub enum Flushed {
    /// The kernel has all of them.
    Done,
    /// The kernel wants to be asked again soon.
    Pending,
    /// They wait for the link. Flush again now and then.
    LinkDown,
    /// They will never go out: the interface is gone. Close the queue.
    Gone,
}

/// The outcome of waking the kernel for sending.
pub(crate) struct Outcome {
    pub(crate) flushed: Flushed,
    /// How many system calls it took.
    pub(crate) calls: u32,
    pub(crate) link: Link,
}

/// What one answer of `sendto` or `recvfrom` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// It has done what it could.
    Accepted,
    /// There is more to do, or not now.
    Again,
    LinkDown,
    Gone,
}

impl Answer {
    /// `is_gone` tells whether the socket has lost its device.
    fn of(result: &io::Result<()>, is_gone: impl FnOnce() -> bool) -> Self {
        match result.as_ref().map_err(io::Error::raw_os_error) {
            Ok(()) => Self::Accepted,
            Err(Some(libc::ENETDOWN)) => Self::LinkDown,
            // Either the socket is bound no more, or a driver is being reset under it.
            Err(Some(libc::ENXIO)) if is_gone() => Self::Gone,
            Err(Some(libc::ENXIO)) => Self::LinkDown,
            // EAGAIN: the batch is over, or the driver is busy. EBUSY: a frame was dropped by the
            // device. ENOBUFS, ENOMEM: no memory for a frame now. EINTR: a signal. What else a
            // driver may say is no reason to stop either.
            Err(_) => Self::Again,
        }
    }

    fn link(self) -> Link {
        match self {
            Self::Accepted | Self::Again => Link::Up,
            Self::LinkDown => Link::Down,
            Self::Gone => Link::Gone,
        }
    }
}

/// Makes the kernel look at the fill ring. It answers with the state of the interface too.
pub(crate) fn receive(fd: BorrowedFd<'_>) -> Link {
    Answer::of(&sys::wake_receive(fd), || has_lost_device(fd)).link()
}

/// Makes the kernel send what is in the TX ring, if it has to be asked.
pub(crate) fn transmit<M: Memory>(
    fd: BorrowedFd<'_>,
    ring: &mut Producer<M>,
    zero_copy: bool,
    link: Link,
) -> Outcome {
    if ring.pending() == 0 || !ring.needs_wakeup() {
        return Outcome { flushed: Flushed::Done, calls: 0, link };
    }
    push_out(ring, zero_copy, || Answer::of(&sys::wake_transmit(fd), || has_lost_device(fd)))
}

/// The kernel leaves an error on the socket when it takes the device from it, and in no other case.
/// It can be read once only: the caller remembers.
fn has_lost_device(fd: BorrowedFd<'_>) -> bool {
    let error: io::Result<libc::c_int> = sys::get_option(fd, libc::SOL_SOCKET, libc::SO_ERROR);
    error.is_ok_and(|errno| errno != 0)
}

/// Calls `wake` for as long as it makes the ring shorter. A call that made no progress is not
/// repeated at once: then it is the driver that has to make some.
fn push_out<M: Memory>(
    ring: &mut Producer<M>,
    zero_copy: bool,
    mut wake: impl FnMut() -> Answer,
) -> Outcome {
    let mut before = ring.pending();
    let bound = before / DESCRIPTORS_PER_CALL + 2;
    let mut calls = 0;
    while calls < bound {
        let answer = wake();
        calls += 1;
        let left = ring.pending();
        let link = answer.link();
        // In zero-copy mode the driver, once woken, takes the frames in its own time.
        let flushed = match answer {
            Answer::LinkDown => Flushed::LinkDown,
            Answer::Gone => Flushed::Gone,
            Answer::Accepted if zero_copy => Flushed::Done,
            _ if left == 0 => Flushed::Done,
            _ if left < before => {
                before = left;
                continue;
            }
            _ => Flushed::Pending,
        };
        return Outcome { flushed, calls, link };
    }
    Outcome { flushed: Flushed::Pending, calls, link: Link::Up }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::ring::tests::{Heap, pair};

    /// A kernel that takes up to `batch` descriptors a call from a ring of `queued`, and answers
    /// with `answer` while some are left.
    fn push(queued: u32, batch: u32, answer: Answer) -> Outcome {
        let (mut producer, _) = pair(128, u32::MAX - 40);
        let memory: Heap = producer.memory().clone();
        for value in 0..queued {
            assert!(producer.push(value.into()));
        }
        producer.publish();
        push_out(&mut producer, false, || {
            let taken = memory.consumer().load(Ordering::Relaxed);
            let left = memory.producer().load(Ordering::Relaxed).wrapping_sub(taken);
            memory.consumer().store(taken.wrapping_add(left.min(batch)), Ordering::Relaxed);
            if left > batch { answer } else { Answer::Accepted }
        })
    }

    #[test]
    fn a_full_ring_goes_out_batch_by_batch() {
        let outcome = push(128, DESCRIPTORS_PER_CALL, Answer::Again);
        assert_eq!((outcome.flushed, outcome.calls, outcome.link), (Flushed::Done, 4, Link::Up));
    }

    #[test]
    fn a_kernel_that_takes_nothing_is_asked_once() {
        let outcome = push(10, 0, Answer::Again);
        assert_eq!((outcome.flushed, outcome.calls), (Flushed::Pending, 1));
    }

    #[test]
    fn a_kernel_that_takes_one_at_a_time_is_not_asked_for_ever() {
        let outcome = push(128, 1, Answer::Again);
        assert_eq!((outcome.flushed, outcome.calls), (Flushed::Pending, 6));
    }

    #[test]
    fn a_link_that_is_down_keeps_the_frames() {
        let outcome = push(10, 0, Answer::LinkDown);
        assert_eq!((outcome.flushed, outcome.link), (Flushed::LinkDown, Link::Down));
        let outcome = push(10, 0, Answer::Gone);
        assert_eq!((outcome.flushed, outcome.link), (Flushed::Gone, Link::Gone));
    }

    #[test]
    fn every_errno_has_a_meaning() {
        let answer = |errno| Answer::of(&Err(io::Error::from_raw_os_error(errno)), || false);
        for errno in [libc::EAGAIN, libc::EBUSY, libc::ENOBUFS, libc::ENOMEM, libc::EINTR] {
            assert_eq!(answer(errno), Answer::Again);
        }
        assert_eq!(answer(libc::ENETDOWN), Answer::LinkDown);
        assert_eq!(answer(libc::ENXIO), Answer::LinkDown, "a driver that is being reset");
        let unbound = Err(io::Error::from_raw_os_error(libc::ENXIO));
        assert_eq!(Answer::of(&unbound, || true), Answer::Gone);
    }
}
