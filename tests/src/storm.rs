//! Clients that write and read one small area of a disk as fast as they can, with many requests
//! under way that overlap on purpose, over a network that may lose frames, bring them twice, or in
//! another order.
//!
//! What the network does is done here, to frames before they are sent and after they have come.
//! So it is known of every write how many frames of it have really left, and when the last of them
//! was answered: only then a write is over.

mod flight;

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aoe_xsk::{PacketSocket, ReceiveBatch};
use rustix::io::Errno;

use crate::dice::Dice;
use crate::frame::Frame;
use crate::frame::outcome::SUCCESS;
use crate::history::{Clock, History, Moment, Read, Write};
use crate::namespace::Namespace;
use crate::stamp::{self, Value};

use flight::Flight;

/// Longest frame.
const LONGEST: usize = 9100;
/// How long to wait for a frame before looking at the time.
const TICK: Duration = Duration::from_millis(2);
/// After so long an answered request is given up of which not all copies were: the target may drop
/// what it has no room for.
const LINGER: Duration = Duration::from_secs(2);
/// Bits of a tag that tell the requests of a client apart.
const TAG_BITS: u32 = 24;

/// What a client does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Slot of the target, in shelf 0.
    pub slot: u8,
    /// Only these first sectors of the disk are used.
    pub area: u64,
    /// Most sectors of a request.
    pub most: u64,
    /// Requests under way.
    pub depth: usize,
    /// How many of a hundred requests write.
    pub writes: u32,
    /// After so long without an answer a request is sent again.
    pub patience: Duration,
    /// Whether a read that meets a write may return a mixture of old and new bytes of a sector.
    pub torn: bool,
    /// What happens to frames.
    pub weather: Weather,
}

/// What a network does to frames, in percent of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Requests that never leave, and answers that are never seen.
    pub lost: u32,
    /// Requests that leave more than once.
    pub repeated: u32,
    /// Requests that wait while others pass them.
    pub late: u32,
}

/// One request and what came of it.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Whether it wrote.
    pub is_write: bool,
    /// First sector.
    pub lba: u64,
    /// How many.
    pub sectors: u64,
    /// What was written to all sectors, or read from each.
    pub values: Vec<Value>,
    /// Before it was sent.
    pub begun: Moment,
    /// After it was answered.
    pub answered: Option<Moment>,
    /// After every frame of it was answered.
    pub ended: Option<Moment>,
    /// Whether it has left more than once.
    pub repeated: bool,
    /// What the caller has noted when it was answered.
    pub note: u64,
}

/// A client. Its writes are told apart from those of all others by its number.
#[derive(Debug)]
pub struct Client<'c> {
    socket: PacketSocket,
    batch: ReceiveBatch,
    clock: &'c Clock,
    plan: Plan,
    dice: Dice,
    /// 1 to 127.
    number: u32,
    sequence: u64,
    tag: u32,
    /// What is under way, by the sequence number.
    flights: BTreeMap<u64, Flight>,
    /// Which request a tag belongs to.
    tags: HashMap<u32, u64>,
    /// Frames that are about to leave.
    waiting: Vec<Copy>,
    over: Vec<Operation>,
}

/// One of the frames of a request.
#[derive(Debug)]
struct Copy {
    sequence: u64,
    frame: Vec<u8>,
}

impl<'c> Client<'c> {
    /// A client on this interface. The seed decides what it does.
    pub fn new(
        namespace: &Namespace,
        interface: &str,
        number: u32,
        plan: Plan,
        clock: &'c Clock,
    ) -> Result<Self> {
        ensure!((1..128).contains(&number), "{number} is no client's number");
        let socket = namespace.within(|| Ok(PacketSocket::open(interface)?))?;
        Ok(Self {
            socket,
            batch: ReceiveBatch::new(LONGEST),
            clock,
            plan,
            dice: Dice::new(number.into()),
            number,
            sequence: 0,
            tag: 0,
            flights: BTreeMap::new(),
            tags: HashMap::new(),
            waiting: Vec::new(),
            over: Vec::new(),
        })
    }

    /// Works until told to stop, then waits this long for what is still under way, and gives
    /// everything that it has done. `note` is asked whenever a request is answered.
    ///
    /// # Errors
    ///
    /// Where the target refuses a request, or returns what nobody can have written there.
    pub fn run(
        &mut self,
        stop: &AtomicBool,
        grace: Duration,
        note: impl Fn() -> Result<u64>,
    ) -> Result<Vec<Operation>> {
        let mut end = None;
        loop {
            let now = Instant::now();
            if end.is_none() && stop.load(Ordering::SeqCst) {
                end = Some(now + grace);
            }
            if end.is_some_and(|end| self.flights.is_empty() || now >= end) {
                break;
            }
            if end.is_none() {
                self.begin(now);
            }
            self.send()?;
            self.receive(&note)?;
            self.look_at_the_time(Instant::now());
        }
        self.waiting.clear();
        self.tags.clear();
        let left = std::mem::take(&mut self.flights);
        self.over.extend(left.into_values().map(Flight::unfinished));
        Ok(std::mem::take(&mut self.over))
    }

    /// Begins requests while there is room.
    fn begin(&mut self, now: Instant) {
        let busy = self.flights.values().filter(|flight| !flight.is_answered()).count();
        for _ in busy..self.plan.depth {
            self.sequence += 1;
            let sectors = 1 + self.dice.below(self.plan.most);
            let lba = self.dice.below(self.plan.area - sectors + 1);
            let is_write = self.dice.percent(self.plan.writes);
            let values =
                if is_write { vec![stamp::value(self.number, self.sequence)] } else { Vec::new() };
            let operation = Operation {
                is_write,
                lba,
                sectors,
                values,
                begun: self.clock.tick(),
                answered: None,
                ended: None,
                repeated: false,
                note: 0,
            };
            let flight = Flight::new(operation, self.plan.slot, self.socket.mac(), now);
            self.flights.insert(self.sequence, flight);
            self.queue(self.sequence);
        }
    }

    /// Queues a request, as often as the weather has it.
    fn queue(&mut self, sequence: u64) {
        let weather = self.plan.weather;
        let mut tag = None;
        loop {
            // A copy of the frame, or the same once more as another request.
            let tag = *tag.insert(match tag {
                Some(tag) if self.dice.percent(50) => tag,
                _ => self.new_tag(sequence),
            });
            if !self.dice.percent(weather.lost) {
                let flight = &self.flights[&sequence];
                self.waiting.push(Copy { sequence, frame: flight.frame(tag) });
            }
            if !self.dice.percent(weather.repeated) {
                break;
            }
        }
    }

    fn new_tag(&mut self, sequence: u64) -> u32 {
        self.tag = (self.tag + 1) & ((1 << TAG_BITS) - 1);
        let tag = (0x80 | self.number) << TAG_BITS | self.tag;
        self.tags.insert(tag, sequence);
        tag
    }

    /// Sends what waits, but for what is late.
    fn send(&mut self) -> Result<()> {
        let late = self.plan.weather.late;
        if late > 0 {
            self.dice.shuffle(&mut self.waiting);
        }
        let mut kept = Vec::new();
        for copy in std::mem::take(&mut self.waiting) {
            // Of what is over, nothing may leave any more.
            let Some(flight) = self.flights.get_mut(&copy.sequence) else { continue };
            if self.dice.percent(late) {
                kept.push(copy);
                continue;
            }
            match self.socket.send(&copy.frame) {
                Ok(()) => flight.left(Instant::now()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => kept.push(copy),
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => {
                    kept.push(copy);
                }
                Err(error) => return Err(error).context("send"),
            }
        }
        self.waiting = kept;
        Ok(())
    }

    fn receive(&mut self, note: &impl Fn() -> Result<u64>) -> Result<()> {
        self.socket.receive(&mut self.batch, TICK)?;
        let frames: Vec<Frame> = self.batch.frames().filter_map(Frame::new).collect();
        for frame in frames.iter().filter(|frame| frame.is_response()) {
            let Some(&sequence) = self.tags.get(&frame.tag()) else { continue };
            let Some(flight) = self.flights.get_mut(&sequence) else { continue };
            ensure!(frame.error() == 0, "AoE error {}: {:?}", frame.error(), flight.operation);
            let outcome = frame.ata_outcome();
            ensure!(outcome == SUCCESS, "ATA outcome {outcome:x?}: {:?}", flight.operation);
            let seen = !self.dice.percent(self.plan.weather.lost);
            flight.came_back(frame, seen, self.plan.torn, self.clock, note)?;
            if flight.is_over(self.clock) {
                self.finish(sequence);
            }
        }
        Ok(())
    }

    /// Sends again what has waited for long, and gives up what will not be answered in full.
    fn look_at_the_time(&mut self, now: Instant) {
        let (patience, flights) = (self.plan.patience, &self.flights);
        let due = |flight: &Flight, limit| now.duration_since(flight.last_sent) >= limit;
        let queued = |sequence| self.waiting.iter().any(|copy| copy.sequence == sequence);
        let again: Vec<u64> = flights
            .iter()
            .filter(|(sequence, flight)| {
                !flight.is_answered() && due(flight, patience) && !queued(**sequence)
            })
            .map(|(&sequence, _)| sequence)
            .collect();
        let given_up: Vec<u64> = flights
            .iter()
            .filter(|(_, flight)| flight.is_answered() && due(flight, LINGER))
            .map(|(&sequence, _)| sequence)
            .collect();
        for sequence in again {
            self.queue(sequence);
        }
        for sequence in given_up {
            self.finish(sequence);
        }
    }

    fn finish(&mut self, sequence: u64) {
        if let Some(flight) = self.flights.remove(&sequence) {
            self.tags.retain(|_, of| *of != sequence);
            self.over.push(flight.operation);
        }
    }
}

/// The history of every sector, beginning with what it holds.
pub fn histories(held: &[Value], operations: &[Operation]) -> Vec<History> {
    let mut histories: Vec<History> = held.iter().map(|&value| History::new(value)).collect();
    for operation in operations {
        let &Operation { lba, sectors, begun, answered, ended, repeated, .. } = operation;
        for (at, history) in histories[lba as usize..][..sectors as usize].iter_mut().enumerate() {
            if operation.is_write {
                history.write(Write { value: operation.values[0], begun, ended, repeated });
            } else if let Some(ended) = answered {
                history.read(Read { value: operation.values[at], begun, ended });
            }
        }
    }
    histories
}

/// Checks the history of every sector.
pub fn check(histories: &[History]) -> Result<()> {
    for (lba, history) in histories.iter().enumerate() {
        history.check().with_context(|| format!("sector {lba}"))?;
    }
    Ok(())
}

/// Fails unless nearly all requests were answered in full: those that were not prove little.
pub fn expect_answers(operations: &[Operation]) -> Result<()> {
    let whole = operations.iter().filter(|operation| operation.ended.is_some()).count();
    if whole * 10 < operations.len() * 9 || operations.is_empty() {
        bail!("{whole} of {} requests were answered in full", operations.len());
    }
    Ok(())
}
