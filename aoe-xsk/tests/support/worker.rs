//! The two ends of a conversation: a worker that answers in place, and an initiator that checks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aoe_xsk::{Flushed, Packet, PacketSocket, Queue, ReceiveBatch, Unsent};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::pattern;

/// How many requests may be on their way at once.
const WINDOW: usize = 64;

/// How many packets a worker takes at once.
const BURST: usize = 64;

/// After how much silence everything that waits is asked again.
const RETRANSMIT: Duration = Duration::from_millis(300);

/// Answers requests until it is told to stop. Returns how many were corrupt.
pub fn answer(queue: &mut Queue, stop: &AtomicBool) -> u64 {
    let (mut corrupt, mut burst) = (0, Vec::with_capacity(BURST));
    while !stop.load(Ordering::Relaxed) {
        queue.receive(&mut burst, BURST);
        let idle = burst.is_empty();
        for mut packet in burst.drain(..) {
            if !pattern::is_ours(packet.head()) {
                queue.recycle(packet);
                continue;
            }
            corrupt += u64::from(!is_intact(&packet));
            write_reply(queue, &mut packet);
            if let Err(unsent) = queue.send(packet) {
                assert!(matches!(unsent, Unsent::NoRoom(_)));
                queue.recycle(unsent.into_packet());
            }
        }
        let flushed = queue.flush();
        if idle && flushed != Flushed::Pending {
            let wait = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
            poll(&mut [PollFd::new(queue, PollFlags::IN)], Some(&wait)).unwrap();
        }
    }
    corrupt
}

/// Whether a packet has the content that its number promises, in all its segments.
pub fn is_intact(packet: &Packet) -> bool {
    let (number, _) = pattern::fields(packet.head());
    let mut offset = 0;
    packet.pieces(pattern::HEADER..packet.len()).all(|piece| {
        let expected = pattern::content(number, offset, piece.len());
        offset += piece.len();
        piece == expected
    })
}

/// Turns a request into its reply, in its own chunks as far as they go.
fn write_reply(queue: &mut Queue, packet: &mut Packet) {
    let (number, len) = pattern::fields(packet.head());
    assert!(queue.resize(packet, len), "no chunks for a reply of {len} bytes");
    let head = packet.head_mut();
    let (to, from) = head[..12].split_at_mut(6);
    to.swap_with_slice(from);
    head[14..18].copy_from_slice(&pattern::reply_number(number).to_be_bytes());
    let content = pattern::content(pattern::reply_number(number), 0, len - pattern::HEADER);
    packet.copy_in(pattern::HEADER, content);
}

/// What an initiator has seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub answered: usize,
    pub corrupt: usize,
    pub unexpected: usize,
}

/// The length of request `number` and of its reply: short and long in turn, as reads, writes and
/// queries are, and every length in between.
fn lengths(number: u32, longest: usize) -> (usize, usize) {
    let any = 60 + number as usize * 37 % (longest - 59);
    match number % 4 {
        0 => (60, longest),
        1 => (longest, 60),
        2 => (60, any),
        _ => (any, any),
    }
}

/// Sends requests with numbers from 0 on and waits for the answer to each of them. One that is not
/// answered in time is asked again.
pub fn ask(socket: &PacketSocket, to: [u8; 6], count: usize, longest: usize) -> Tally {
    let mut tally = Tally::default();
    let mut batch = ReceiveBatch::new(pattern::LONGEST);
    let mut waiting = HashMap::new();
    let mut next = 0;
    let send = |number: u32| {
        let (len, reply) = lengths(number, longest);
        let frame = pattern::request(number, len, reply, to, socket.mac());
        // A link that is down, or a full queue: the request is repeated like a lost one.
        let _ = socket.send(&frame);
        (pattern::reply_number(number), reply)
    };
    while tally.answered < count {
        while waiting.len() < WINDOW && (next as usize) < count {
            let (key, reply) = send(next);
            waiting.insert(key, (next, reply));
            next += 1;
        }
        let received = socket.receive(&mut batch, RETRANSMIT).unwrap_or_default();
        if received == 0 {
            for (number, _) in waiting.values() {
                let _ = send(*number);
            }
        }
        for frame in batch.frames().take(received) {
            let (key, _) = pattern::fields(frame);
            let Some((_, len)) = waiting.remove(&key) else {
                tally.unexpected += 1;
                continue;
            };
            let intact = frame.len() == len
                && frame[pattern::HEADER..]
                    == *pattern::content(key, 0, frame.len() - pattern::HEADER);
            tally.corrupt += usize::from(!intact);
            tally.answered += 1;
        }
    }
    tally
}
