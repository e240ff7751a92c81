//! A station that sends any frames from one interface, and sees what comes to it.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aoe_xsk::{BATCH_FRAMES, PacketSocket, ReceiveBatch};

use crate::frame::{BROADCAST, Frame, Request};
use crate::namespace::Namespace;

/// How long a reply may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest frame.
const LONGEST: usize = 9100;

/// A station. It sees frames to its own MAC address and to everybody, without VLAN tags.
#[derive(Debug)]
pub struct Station {
    socket: PacketSocket,
    batch: ReceiveBatch,
    /// Received, and not looked at yet.
    waiting: VecDeque<Frame>,
    /// Of the last request; replies tell requests apart by it.
    tag: u32,
}

impl Station {
    /// The station whose interface this is.
    pub fn new(namespace: &Namespace, interface: &str) -> Result<Self> {
        let socket = namespace.within(|| Ok(PacketSocket::open(interface)?))?;
        let batch = ReceiveBatch::new(LONGEST);
        Ok(Self { socket, batch, waiting: VecDeque::new(), tag: 0x8000_0000 })
    }

    /// Its MAC address.
    pub fn mac(&self) -> [u8; 6] {
        self.socket.mac()
    }

    /// The same, as text.
    pub fn mac_text(&self) -> String {
        self.mac().map(|byte| format!("{byte:02x}")).join(":")
    }

    /// Sends a request, and gives its tag.
    pub fn send(&mut self, request: &Request) -> Result<u32> {
        self.tag += 1;
        let request = Request { source: self.mac(), tag: self.tag, ..request.clone() };
        self.socket.send(&request.bytes()).context("send")?;
        Ok(self.tag)
    }

    /// Sends a request again and again, as fast as the interface takes it.
    pub fn flood(&mut self, request: &Request, times: usize) -> Result<()> {
        self.tag += 1;
        let request = Request { source: self.mac(), tag: self.tag, ..request.clone() };
        let bytes = request.bytes();
        let frames = [IoSlice::new(&bytes); BATCH_FRAMES];
        let mut left = times;
        while left > 0 {
            left -= self.socket.send_batch(&frames[..left.min(BATCH_FRAMES)]).context("flood")?;
        }
        Ok(())
    }

    /// The next frame, or none if none comes in this time.
    pub fn receive(&mut self, limit: Duration) -> Result<Option<Frame>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(frame) = self.waiting.pop_front() {
                return Ok(Some(frame));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.socket.receive(&mut self.batch, left) {
                Ok(_) => {
                    // A socket on the interface below another station's sees that one's frames.
                    let own = [self.mac(), BROADCAST];
                    let frames = self.batch.frames().filter_map(Frame::new);
                    self.waiting.extend(frames.filter(|frame| own.contains(&frame.destination())));
                }
                // Said once of an interface that goes down. It may come up again.
                Err(error) if error.kind() == ErrorKind::NetworkDown => continue,
                Err(error) => return Err(error).context("receive"),
            }
            if self.waiting.is_empty() && left.is_zero() {
                return Ok(None);
            }
        }
    }

    /// All frames like this that come in this time.
    pub fn collect(
        &mut self,
        limit: Duration,
        wanted: impl Fn(&Frame) -> bool,
    ) -> Result<Vec<Frame>> {
        let deadline = Instant::now() + limit;
        let mut frames = Vec::new();
        while let Some(frame) = self.receive(deadline.saturating_duration_since(Instant::now()))? {
            if wanted(&frame) {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    /// The first frame like this.
    pub fn expect(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Result<Frame> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let frame = self.receive(left)?.with_context(|| format!("{what} did not come"))?;
            if wanted(&frame) {
                return Ok(frame);
            }
        }
    }

    /// Sends a request and gives its reply. What has come before is forgotten: the replies to
    /// others with the same address may have filled the socket.
    pub fn ask(&mut self, request: &Request) -> Result<Frame> {
        self.collect(Duration::ZERO, |_| false)?;
        let tag = self.send(request)?;
        self.expect("a reply", |frame| frame.is_response() && frame.tag() == tag)
    }

    /// Sends a request and gives all replies that come in this time. What has come before is
    /// forgotten, as by [`ask`](Self::ask).
    pub fn ask_for(&mut self, request: &Request, limit: Duration) -> Result<Vec<Frame>> {
        self.collect(Duration::ZERO, |_| false)?;
        let tag = self.send(request)?;
        self.collect(limit, |frame| frame.is_response() && frame.tag() == tag)
    }
}
