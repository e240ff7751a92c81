//! A virtual cable whose client's end sends and receives any frame.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use aoe_tests::raw::Raw;
use aoe_tests::vectors::{CLIENT, OTHERS, Setup, TARGET, hex};
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// EtherType of ATA over Ethernet.
const ETHER_TYPE: u16 = 0x88a2;
/// How long a reply may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// Without an answer to anything, how long silence has to last.
const SILENCE: Duration = Duration::from_millis(200);
/// Marks the queries whose answers say that all earlier frames have been dealt with.
pub(crate) const BARRIER_TAG: [u8; 4] = [0xf0, 0xf1, 0xf2, 0xf3];

/// The cable, and sockets on the client's end.
pub(crate) struct Cable {
    pub(crate) wire: Wire,
    raw: Raw,
    barriers: Vec<Vec<u8>>,
    /// Whether replies to the last request look like announcements: it had tag 0.
    tag_is_zero: bool,
}

impl Cable {
    /// Lays a cable as a session wants it, with the addresses that the vectors are about.
    pub(crate) fn new(setup: &Setup) -> Result<Self> {
        let wire = Wire::new(Shape { mtu: setup.mtu as u32, queues: 1 })?;
        for (namespace, port, mac) in
            [(&wire.target, TARGET_PORT, TARGET), (&wire.client, CLIENT_PORT, CLIENT)]
        {
            namespace.ip(&format!("link set dev {port} address {}", text(mac)))?;
        }
        let raw = Raw::open(&wire.client, CLIENT_PORT)?;
        // On a link that is too narrow for a sector, nothing is answered.
        let sources = if setup.mtu < 548 { &[][..] } else { &[CLIENT, OTHERS[0], OTHERS[1]] };
        let barriers = sources.iter().map(|source| barrier(setup, *source)).collect();
        Ok(Self { wire, raw, barriers, tag_is_zero: false })
    }

    /// Sends a frame and gives what comes back, in the order of the addresses that it comes from:
    /// `expected` frames at least, if so many come, and then whatever comes until another frame
    /// has been answered.
    pub(crate) fn ask(&mut self, frame: &[u8], expected: usize) -> Result<Vec<Vec<u8>>> {
        let late = self.receive_until(Instant::now(), |_| false)?;
        ensure!(late.is_empty(), "before it was asked: {}", hex(&late[0]));
        self.tag_is_zero = frame.get(20..24) == Some(&[0; 4]);
        self.raw.send(frame)?;
        let mut replies = Vec::new();
        if expected > 0 {
            let deadline = Instant::now() + PATIENCE;
            replies = self.receive_until(deadline, |replies| replies.len() == expected)?;
        }
        replies.extend(self.settle()?);
        replies.sort_by(|a, b| a[16..19].cmp(&b[16..19]));
        Ok(replies)
    }

    /// Waits until a frame that is surely answered has been, if there is one, and gives what has
    /// come besides.
    fn settle(&mut self) -> Result<Vec<Vec<u8>>> {
        if self.barriers.is_empty() {
            return self.receive_until(Instant::now() + SILENCE, |_| false);
        }
        for barrier in &self.barriers {
            self.raw.send(barrier)?;
        }
        let mut frames = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(frame) = self.raw.receive(deadline)? else {
                bail!("the target does not answer queries any more");
            };
            if is_barrier(&frame) {
                break;
            }
            frames.push(frame);
        }
        frames.extend(self.receive_until(Instant::now() + Duration::from_millis(2), |_| false)?);
        frames.retain(|frame| !self.is_aside(frame));
        Ok(frames)
    }

    /// Whether a frame is no reply to a row's request. One with tag 0 has replies that look like
    /// announcements, but for those that go to everybody.
    fn is_aside(&self, frame: &[u8]) -> bool {
        let to_everybody = frame[..6] == [0xff; 6];
        is_barrier(frame) || is_announcement(frame) && (to_everybody || !self.tag_is_zero)
    }

    /// Frames but for barriers and announcements, until they are enough or the time is up.
    fn receive_until(
        &mut self,
        deadline: Instant,
        enough: impl Fn(&[Vec<u8>]) -> bool,
    ) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        while !enough(&frames) {
            match self.raw.receive(deadline)? {
                None => break,
                Some(frame) if self.is_aside(&frame) => {}
                Some(frame) => frames.push(frame),
            }
        }
        Ok(frames)
    }
}

/// A query that a target answers whatever happens to it, from this source: one of the three
/// stations is on every mask list.
fn barrier(setup: &Setup, source: [u8; 6]) -> Vec<u8> {
    let (shelf, slot) = setup.exports[0];
    let mut frame = [TARGET, source].concat();
    if setup.vlan > 0 {
        frame.extend([0x81, 0x00]);
        frame.extend(setup.vlan.to_be_bytes());
    }
    frame.extend(ETHER_TYPE.to_be_bytes());
    frame.extend([0x10, 0]);
    frame.extend(shelf.to_be_bytes());
    frame.extend([slot, 1]);
    frame.extend(BARRIER_TAG);
    frame.extend([0; 36]);
    frame
}

fn is_barrier(frame: &[u8]) -> bool {
    frame.get(20..24) == Some(&BARRIER_TAG)
}

/// A config reply that nobody has asked for: to everybody, or to each station on a mask list.
fn is_announcement(frame: &[u8]) -> bool {
    frame.get(19..24) == Some(&[1, 0, 0, 0, 0])
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
