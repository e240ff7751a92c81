//! A connection to one target: its size, and its sectors.

use std::time::Duration;

use aoe_common::address::Address;
use aoe_common::wire::SECTOR_SIZE;
use aoe_common::wire::identify::{Identify, LBA48_SUPPORTED, word};

use crate::error::Error;
use crate::initiator::{Answered, Initiator};
use crate::outstanding::Outstanding;
use crate::reply::Answer;
use crate::request::{Operation, Path};
use crate::target::Target;

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

/// The most requests under way at once.
const WINDOW_LIMIT: usize = 1024;

/// A target's disk.
///
/// Transfers of any length are cut into requests of as many sectors as fit a frame, and as many
/// of those are under way as the target holds buffers for. They are not ordered among each other:
/// only when a call has returned is everything done.
pub struct Disk {
    initiator: Initiator,
    outstanding: Outstanding,
    target: Target,
    identify: Identify,
}

impl Disk {
    /// Finds a target on an interface and connects to it.
    ///
    /// # Errors
    ///
    /// As [`Initiator::open`], [`Initiator::find`] and [`connect`](Self::connect).
    pub fn open(interface: &str, address: Address, options: Options) -> Result<Self, Error> {
        let mut initiator = Initiator::open(interface)?;
        let target = initiator.find(address, options.patience)?;
        Self::attach(initiator, target, options)
    }

    /// Connects to a target that was found earlier.
    ///
    /// # Errors
    ///
    /// As [`Initiator::open`]; [`Error::Timeout`] or [`Error::Failed`] if the target does not
    /// identify its disk.
    pub fn connect(target: &Target, options: Options) -> Result<Self, Error> {
        Self::attach(Initiator::open(&target.interface)?, target.clone(), options)
    }

    fn attach(mut initiator: Initiator, target: Target, options: Options) -> Result<Self, Error> {
        let path = Path {
            source: initiator.mac(),
            destination: target.mac,
            to: target.address.into(),
            mtu: initiator.mtu(),
            sector_limit: target.sector_count.min(initiator.sector_limit()),
            extended: false,
        };
        let window = options.window.min(usize::from(target.buffer_count)).clamp(1, WINDOW_LIMIT);
        let mut outstanding = Outstanding::new(path, window, options.patience);
        let mut identify = Identify::zeroed();
        let mut question = Some((Operation::Identify, &[][..]));
        initiator.exchange(
            &mut outstanding,
            target.address,
            || question.take(),
            |reply| {
                if let Answer::Data(data) = reply.answer {
                    identify.0.copy_from_slice(data);
                }
            },
        )?;
        let extended = identify.word(word::COMMAND_SETS_2) & LBA48_SUPPORTED != 0;
        outstanding.set_path(Path { extended, ..path });
        Ok(Self { initiator, outstanding, target, identify })
    }

    /// The target, as it described itself.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What the disk said about itself.
    #[must_use]
    pub fn identify(&self) -> &Identify {
        &self.identify
    }

    /// The disk's size in sectors of 512 bytes.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.identify.sectors()
    }

    /// Most sectors in one request: what both ends of the path can take.
    #[must_use]
    pub fn sector_limit(&self) -> u8 {
        self.outstanding.path().sector_limit
    }

    /// The most requests under way at once.
    #[must_use]
    pub fn window(&self) -> usize {
        self.outstanding.window()
    }

    /// How many requests were sent again for want of a reply since the disk was opened.
    #[must_use]
    pub fn retransmissions(&self) -> u64 {
        self.outstanding.retransmissions()
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

    /// Checks that a transfer of this many sectors from `lba` on stays on the disk.
    ///
    /// # Errors
    ///
    /// [`Error::PastEnd`].
    pub fn check_range(&self, lba: u64, sectors: u64) -> Result<(), Error> {
        let size = self.sectors();
        if lba.checked_add(sectors).is_none_or(|end| end > size) {
            let address = self.target.address;
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
        self.outstanding.set_window(window.clamp(1, WINDOW_LIMIT));
    }

    /// As [`Initiator::exchange`].
    pub(crate) fn exchange<'d>(
        &mut self,
        next: impl FnMut() -> Option<(Operation, &'d [u8])>,
        done: impl FnMut(Answered<'_>),
    ) -> Result<(), Error> {
        let address = self.target.address;
        self.initiator.exchange(&mut self.outstanding, address, next, done)
    }
}
