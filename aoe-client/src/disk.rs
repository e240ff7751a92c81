//! A connection to one target: its size, and its sectors.

use std::time::Duration;

use aoe_common::address::Address;
use aoe_common::wire::SECTOR_SIZE;
use aoe_common::wire::identify::{Identify, LBA48_SUPPORTED, word};

use crate::error::Error;
use crate::features::Features;
use crate::initiator::Answered;
use crate::port::{Port, WINDOW_LIMIT};
use crate::reply::{Answer, Health};
use crate::request::{Forbidden, Operation, Path};
use crate::target::Target;
use crate::trim::{self, Extent};

/// How to talk to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long to wait for a reply, however often the request is sent meanwhile.
    pub patience: Duration,
    /// The most requests under way at once, 1 to 1024. The target's buffer count is the other
    /// limit: what it has no buffer for it drops.
    pub window: usize,
}

/// Ten seconds, and a window of 64 requests, which is where Linux has it.
impl Default for Options {
    fn default() -> Self {
        Self { patience: Duration::from_secs(10), window: 64 }
    }
}

/// A target's disk.
///
/// Transfers of any length are cut into requests of as many sectors as fit a frame, and as many
/// of those are under way as the target holds buffers for. They are not ordered among each other:
/// only when a call has returned is everything done.
pub struct Disk {
    port: Port,
    identify: Identify,
}

impl Disk {
    /// Finds a target on an interface and connects to it.
    ///
    /// # Errors
    ///
    /// As [`Port::open`] and [`attach`](Self::attach).
    pub fn open(interface: &str, address: Address, options: Options) -> Result<Self, Error> {
        Self::attach(Port::open(interface, address, options)?)
    }

    /// Connects to a target that was found earlier.
    ///
    /// # Errors
    ///
    /// As [`Port::connect`] and [`attach`](Self::attach).
    pub fn connect(target: &Target, options: Options) -> Result<Self, Error> {
        Self::attach(Port::connect(target, options)?)
    }

    /// Has the disk behind a port identify itself.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] or [`Error::Failed`] if it does not.
    pub fn attach(mut port: Port) -> Result<Self, Error> {
        let identify = port.ask(Operation::Identify, &[], |answer| match answer {
            Answer::Data(data) => data.try_into().ok().map(Identify),
            _ => None,
        })?;
        let extended = identify.word(word::COMMAND_SETS_2) & LBA48_SUPPORTED != 0;
        let path = *port.outstanding().path();
        port.outstanding_mut().set_path(Path { extended, ..path });
        Ok(Self { port, identify })
    }

    /// The port that the disk is reached by.
    #[must_use]
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// The port that the disk is reached by, to ask it what does not concern the disk.
    #[must_use]
    pub fn port_mut(&mut self) -> &mut Port {
        &mut self.port
    }

    /// The target, as it described itself.
    #[must_use]
    pub fn target(&self) -> &Target {
        self.port.target()
    }

    /// What the disk said about itself.
    #[must_use]
    pub fn identify(&self) -> &Identify {
        &self.identify
    }

    /// What that means.
    #[must_use]
    pub fn features(&self) -> Features {
        Features::from(&self.identify)
    }

    /// The disk's size in sectors of 512 bytes.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.identify.sectors()
    }

    /// Most sectors in one request: what both ends of the path can take.
    #[must_use]
    pub fn sector_limit(&self) -> u8 {
        self.port.sector_limit()
    }

    /// The most requests under way at once.
    #[must_use]
    pub fn window(&self) -> usize {
        self.port.outstanding().window()
    }

    /// How many requests were sent again for want of a reply since the disk was opened.
    #[must_use]
    pub fn retransmissions(&self) -> u64 {
        self.port.outstanding().retransmissions()
    }

    /// Fills `data`, a whole number of sectors, with what the disk holds from sector `lba` on.
    ///
    /// # Errors
    ///
    /// [`Error::PartialSector`] and [`Error::PastEnd`] before anything is sent;
    /// [`Error::Timeout`] and [`Error::Failed`] from the first request that meets it. `data` is
    /// then partly filled.
    pub fn read(&mut self, lba: u64, data: &mut [u8]) -> Result<(), Error> {
        let mut pieces = self.pieces(lba, data.len())?;
        let next =
            || pieces.next().map(|(lba, sectors)| (Operation::Read { lba, sectors }, &[][..]));
        self.exchange(next, |reply| {
            if let (Operation::Read { lba: at, .. }, Answer::Data(sectors)) =
                (reply.operation, reply.answer)
            {
                let start = (at - lba) as usize * SECTOR_SIZE;
                data[start..start + sectors.len()].copy_from_slice(sectors);
            }
        })
    }

    /// Writes `data`, a whole number of sectors, from sector `lba` on.
    ///
    /// # Errors
    ///
    /// [`Error::PartialSector`] and [`Error::PastEnd`] before anything is sent;
    /// [`Error::Timeout`] and [`Error::Failed`] from the first request that meets it. Any part of
    /// `data` may then be written or not.
    pub fn write(&mut self, lba: u64, data: &[u8]) -> Result<(), Error> {
        let mut pieces = self.pieces(lba, data.len())?;
        let next = || {
            pieces.next().map(|(at, sectors)| {
                let start = (at - lba) as usize * SECTOR_SIZE;
                let piece = &data[start..start + usize::from(sectors) * SECTOR_SIZE];
                (Operation::Write { lba: at, sectors }, piece)
            })
        };
        self.exchange(next, |_reply| ())
    }

    /// Has everything that was written made durable.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] or [`Error::Failed`]. Nobody knows then which writes have survived.
    pub fn flush(&mut self) -> Result<(), Error> {
        let extended = self.features().flush_ext;
        let operation = if extended { Operation::FlushExt } else { Operation::Flush };
        self.port.ask(operation, &[], |_done| Some(()))
    }

    /// Discards what these sectors hold: they need no storage any more. What is read there
    /// afterwards is what the disk's [`features`](Self::features) say.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`], [`Error::PastEnd`], and [`Error::Forbidden`] for no sectors before
    /// anything is sent; [`Error::Timeout`] and [`Error::Failed`] from the first request that
    /// meets it. Any part of the extents may then be discarded or not.
    pub fn trim(&mut self, extents: &[Extent]) -> Result<(), Error> {
        let address = self.target().address;
        let trim = self.features().trim;
        let trim = trim.ok_or(Error::Unsupported { address, feature: "TRIM" })?;
        if extents.is_empty() || extents.iter().any(|extent| extent.sectors == 0) {
            return Err(Error::Forbidden { address, forbidden: Forbidden::NoSectors });
        }
        for &Extent { lba, sectors } in extents {
            self.check_range(lba, sectors)?;
        }
        let blocks = trim::blocks(extents);
        let limit = usize::from(trim.blocks).min(usize::from(self.sector_limit()));
        let mut payloads = blocks.chunks(limit * SECTOR_SIZE);
        let next = || {
            let payload = payloads.next()?;
            Some((Operation::Trim { blocks: (payload.len() / SECTOR_SIZE) as u8 }, payload))
        };
        self.exchange(next, |_reply| ())
    }

    /// Whether the disk expects to go on working, by SMART, which is turned on for it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] before anything is sent; [`Error::Timeout`] or [`Error::Failed`].
    pub fn smart_healthy(&mut self) -> Result<bool, Error> {
        if !self.features().smart.supported {
            let address = self.target().address;
            return Err(Error::Unsupported { address, feature: "SMART" });
        }
        self.port.ask(Operation::EnableSmart, &[], |_done| Some(()))?;
        self.port.ask(Operation::SmartStatus, &[], |answer| match answer {
            Answer::Health(health) => Some(health == Health::Good),
            _ => None,
        })
    }

    /// Checks that a transfer of this many sectors from `lba` on stays on the disk.
    ///
    /// # Errors
    ///
    /// [`Error::PastEnd`].
    pub fn check_range(&self, lba: u64, sectors: u64) -> Result<(), Error> {
        let size = self.sectors();
        if lba.checked_add(sectors).is_none_or(|end| end > size) {
            let address = self.target().address;
            return Err(Error::PastEnd { address, lba, sectors, size });
        }
        Ok(())
    }

    /// Cuts a transfer into requests: first sector and number of sectors of each.
    fn pieces(
        &self,
        lba: u64,
        bytes: usize,
    ) -> Result<impl Iterator<Item = (u64, u8)> + use<>, Error> {
        if !bytes.is_multiple_of(SECTOR_SIZE) {
            return Err(Error::PartialSector { bytes });
        }
        let sectors = (bytes / SECTOR_SIZE) as u64;
        self.check_range(lba, sectors)?;
        let limit = self.sector_limit();
        let end = lba + sectors;
        let starts = (lba..end).step_by(usize::from(limit));
        Ok(starts.map(move |at| (at, (end - at).min(u64::from(limit)) as u8)))
    }

    /// Sets the most requests under way at once, 1 to 1024, whatever the target can hold.
    pub(crate) fn set_window(&mut self, window: usize) {
        self.port.outstanding_mut().set_window(window.clamp(1, WINDOW_LIMIT));
    }

    /// As [`Initiator::exchange`](crate::Initiator::exchange).
    pub(crate) fn exchange<'d>(
        &mut self,
        next: impl FnMut() -> Option<(Operation, &'d [u8])>,
        done: impl FnMut(Answered<'_>),
    ) -> Result<(), Error> {
        self.port.exchange(next, done)
    }
}
