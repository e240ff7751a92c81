//! One network interface, and the frames that go out and come in by it.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use aoe_common::address::{Address, Destination};
use aoe_common::wire::identify::Identify;
use aoe_common::wire::{Mac, sectors_per_frame};
use aoe_xsk::{BATCH_FRAMES, PacketSocket, ReceiveBatch};

use crate::error::Error;
use crate::outstanding::{Done, Expired, Outstanding};
use crate::reply::{self, Answer};
use crate::request::{self, ConfigQuery, Operation, Path};
use crate::tag::Tags;
use crate::target::Target;

/// What finds targets.
const QUERY: Operation = Operation::Config(ConfigQuery::Read);
/// How often a discovery asks: a broadcast may get lost like any other frame.
const DISCOVERY_QUERIES: u32 = 3;
/// How long to wait when the interface can take no more frames for now.
const CONGESTION_PAUSE: Duration = Duration::from_millis(1);
/// Bytes of Ethernet header in front of what the MTU counts.
const ETHERNET_HEADER: usize = 14;

/// An initiator on one network interface.
#[derive(Debug)]
pub struct Initiator {
    interface: String,
    socket: PacketSocket,
    batch: ReceiveBatch,
    mtu: usize,
    sector_limit: u8,
    spin: Duration,
}

impl Initiator {
    /// Opens the interface of this name.
    ///
    /// # Errors
    ///
    /// [`Error::NoInterface`], [`Error::Privilege`], [`Error::MtuTooSmall`], or whatever else the
    /// kernel has against it.
    pub fn open(interface: &str) -> Result<Self, Error> {
        let socket = PacketSocket::open(interface).map_err(|error| explain(interface, error))?;
        let mtu = socket.mtu().map_err(|error| explain(interface, error))?;
        // No frame has room for more than the sector count's eight bits can tell.
        let sector_limit = u8::try_from(sectors_per_frame(mtu)).unwrap_or(u8::MAX);
        if sector_limit == 0 {
            return Err(Error::MtuTooSmall { interface: interface.to_owned(), mtu });
        }
        let batch = ReceiveBatch::new(ETHERNET_HEADER + mtu);
        let (interface, spin) = (interface.to_owned(), Duration::ZERO);
        Ok(Self { interface, socket, batch, mtu, sector_limit, spin })
    }

    /// Looks for frames without pause for so long before it sleeps until one comes: to be woken
    /// takes longer than most answers. Not at all unless this is called.
    pub fn spin(&mut self, spin: Duration) {
        self.spin = spin;
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The interface's MAC address.
    #[must_use]
    pub fn mac(&self) -> Mac {
        Mac(self.socket.mac())
    }

    /// The interface's MTU in bytes, as it was when it was opened.
    #[must_use]
    pub fn mtu(&self) -> usize {
        self.mtu
    }

    /// Most sectors that fit one frame on this interface.
    #[must_use]
    pub fn sector_limit(&self) -> u8 {
        self.sector_limit
    }

    /// Asks everybody who is named by `to` for a sign of life, and collects the answers for as
    /// long as `timeout`: nobody knows how many will come. Sorted by address, then by MAC address;
    /// a target that answers on several ports is there once for each.
    ///
    /// # Errors
    ///
    /// The interface may be down, or gone. That nobody answers is no error.
    pub fn discover(&mut self, to: Destination, timeout: Duration) -> Result<Vec<Target>, Error> {
        let tag = Tags::new().take();
        let mut query = Vec::new();
        request::build(&mut query, &self.everybody(to), tag, QUERY, &[])
            .expect("an opened interface has no group address, and a query nothing else to refuse");
        let mut found: Vec<Target> = Vec::new();
        let start = Instant::now();
        let mut queries = 0;
        loop {
            let elapsed = start.elapsed();
            if elapsed >= timeout {
                break;
            }
            let next_query = timeout * queries / DISCOVERY_QUERIES;
            if queries < DISCOVERY_QUERIES && elapsed >= next_query {
                self.socket.send(&query).map_err(|error| explain(&self.interface, error))?;
                queries += 1;
            }
            let until = timeout * queries / DISCOVERY_QUERIES;
            self.receive(until.saturating_sub(elapsed))?;
            let replies = self.batch.frames().filter_map(|frame| self.config_reply(frame, tag));
            for target in replies {
                if !found.iter().any(|old| (old.address, old.mac) == (target.address, target.mac)) {
                    found.push(target);
                }
            }
        }
        found.sort_by_key(|target| (target.address, target.mac.0));
        Ok(found)
    }

    /// The target that a frame describes if it is a config reply to our tag.
    fn config_reply(&self, frame: &[u8], tag: u32) -> Option<Target> {
        let reply = reply::parse(frame, self.mac()).ok().filter(|reply| reply.tag == tag)?;
        match reply.answer(QUERY)? {
            Ok(Answer::Config(config)) => {
                Some(Target::new(reply.address, reply.source, &self.interface, config))
            }
            _ => None,
        }
    }

    /// Asks one target where it is and takes the first answer, asking again until there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] if there is none within `patience`, [`Error::Failed`] if the target
    /// answers with an error; or the interface fails.
    pub fn find(&mut self, address: Address, patience: Duration) -> Result<Target, Error> {
        let mut outstanding = Outstanding::new(self.everybody(address.into()), 1, patience);
        let interface = self.interface.clone();
        let mut question = Some((QUERY, &[][..]));
        let mut target = None;
        self.exchange(
            &mut outstanding,
            address,
            || question.take(),
            |reply| {
                if let Answer::Config(config) = reply.answer {
                    target = Some(Target::new(address, reply.source, &interface, config));
                }
            },
        )?;
        Ok(target.expect("an exchange ends when its only question is answered"))
    }

    /// What the disk behind a target says of itself, as [`Disk::connect`](crate::Disk::connect)
    /// asks it, without an interface for each.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] if there is no answer within `patience`, [`Error::Failed`] if it is an
    /// error; or the interface fails.
    pub fn identify(&mut self, target: &Target, patience: Duration) -> Result<Identify, Error> {
        let mut outstanding = Outstanding::new(self.path_to(target), 1, patience);
        let mut question = Some((Operation::Identify, &[][..]));
        let mut identify = None;
        self.exchange(
            &mut outstanding,
            target.address,
            || question.take(),
            |reply| {
                if let Answer::Data(data) = reply.answer {
                    identify = data.try_into().ok().map(Identify);
                }
            },
        )?;
        Ok(identify.expect("an exchange ends when its only question is answered"))
    }

    /// The way to a target.
    pub(crate) fn path_to(&self, target: &Target) -> Path {
        Path {
            destination: target.mac,
            sector_limit: target.sector_count.min(self.sector_limit),
            ..self.everybody(target.address.into())
        }
    }

    /// The way to whoever feels addressed.
    fn everybody(&self, to: Destination) -> Path {
        Path {
            source: self.mac(),
            destination: Mac::BROADCAST,
            to,
            mtu: self.mtu,
            sector_limit: self.sector_limit,
            extended: false,
        }
    }

    /// Asks the target at `address` what `next` comes up with, as much at once as `outstanding`
    /// has room for, and hands every answer to `done`, in whatever order they come. Ends when
    /// there is nothing left to ask and everything has been answered.
    pub(crate) fn exchange<'d>(
        &mut self,
        outstanding: &mut Outstanding,
        address: Address,
        mut next: impl FnMut() -> Option<(Operation, &'d [u8])>,
        mut done: impl FnMut(Answered<'_>),
    ) -> Result<(), Error> {
        outstanding.abandon();
        loop {
            let now = Instant::now();
            outstanding.expire(now).map_err(|expired| self.timeout(address, expired))?;
            while outstanding.has_room() {
                let Some((operation, data)) = next() else { break };
                outstanding
                    .start(operation, data, now)
                    .map_err(|forbidden| Error::Forbidden { address, forbidden })?;
            }
            if outstanding.is_idle() {
                return Ok(());
            }
            let wait = match self.send(outstanding, now)? {
                Sent::Everything => outstanding.wait(now),
                Sent::AsMuchAsFits => outstanding.wait(now).min(CONGESTION_PAUSE),
            };
            self.receive(wait)?;
            let now = Instant::now();
            for frame in self.batch.frames() {
                let Some(Done { operation, source, answer, latency }) =
                    outstanding.accept(frame, now)
                else {
                    continue;
                };
                let answer =
                    answer.map_err(|failure| Error::Failed { address, operation, failure })?;
                done(Answered { operation, source, answer, latency });
            }
        }
    }

    /// Sends what waits to be sent.
    fn send(&self, outstanding: &mut Outstanding, now: Instant) -> Result<Sent, Error> {
        loop {
            let mut frames = [IoSlice::new(&[]); BATCH_FRAMES];
            let mut count = 0;
            for (slice, frame) in frames.iter_mut().zip(outstanding.unsent()) {
                *slice = IoSlice::new(frame);
                count += 1;
            }
            if count == 0 {
                return Ok(Sent::Everything);
            }
            match self.socket.send_batch(&frames[..count]) {
                Ok(sent) => outstanding.sent(sent, now),
                Err(error) if is_congestion(&error) => return Ok(Sent::AsMuchAsFits),
                Err(error) => return Err(explain(&self.interface, error)),
            }
        }
    }

    fn receive(&mut self, wait: Duration) -> Result<(), Error> {
        let (start, spin) = (Instant::now(), self.spin.min(wait));
        loop {
            let left = if start.elapsed() < spin { Duration::ZERO } else { wait - spin };
            match self.socket.receive(&mut self.batch, left) {
                Ok(0) if left.is_zero() && start.elapsed() < wait => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(explain(&self.interface, error)),
            }
        }
    }

    fn timeout(&self, address: Address, expired: Expired) -> Error {
        let Expired { operation, elapsed, transmissions } = expired;
        let interface = self.interface.clone();
        Error::Timeout { address, interface, operation, elapsed, transmissions }
    }
}

/// A request that was done as asked.
pub(crate) struct Answered<'a> {
    /// What was asked.
    pub(crate) operation: Operation,
    /// The port that answered.
    pub(crate) source: Mac,
    /// What it says.
    pub(crate) answer: Answer<'a>,
    /// From the first sending to the answer.
    pub(crate) latency: Duration,
}

/// How much of what waited has left.
enum Sent {
    Everything,
    AsMuchAsFits,
}

/// Whether the interface or the socket has no room for a frame at this moment.
fn is_congestion(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

/// The error of an interface in the words of somebody who can do something about it.
fn explain(interface: &str, source: io::Error) -> Error {
    let interface = interface.to_owned();
    match source.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => Error::NoInterface { interface },
        Some(libc::EPERM | libc::EACCES) => Error::Privilege { interface },
        Some(libc::ENETDOWN) => Error::InterfaceDown { interface },
        _ => Error::Interface { interface, source },
    }
}
