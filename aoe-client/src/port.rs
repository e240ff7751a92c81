//! A connection to one port of a target: what it can be asked without any regard to its disk.

use std::time::Duration;

use aoe_common::address::Address;
use aoe_common::wire::Mac;
use aoe_common::wire::mac_mask::Directive;
use zerocopy::IntoBytes;

use crate::disk::Options;
use crate::error::Error;
use crate::initiator::{Answered, Initiator};
use crate::outstanding::Outstanding;
use crate::reply::Answer;
use crate::request::{ConfigQuery, MaskEdit, Operation};
use crate::target::Target;

/// The most requests under way at once.
pub(crate) const WINDOW_LIMIT: usize = 1024;

/// How long to wait for the answer to a test that a target may mean to be silent about. A target
/// that has answered before is asked a few times by then.
const SILENCE: Duration = Duration::from_secs(1);

/// One port of a target: its config string, MAC mask list and reservation.
///
/// All of it works whatever the disk behind it does, and for a station that a reservation keeps
/// from the disk. A station that is not on a MAC mask list gets no answer to anything.
pub struct Port {
    initiator: Initiator,
    outstanding: Outstanding,
    target: Target,
}

impl Port {
    /// Finds a target on an interface and connects to it.
    ///
    /// # Errors
    ///
    /// As [`Initiator::open`] and [`Initiator::find`].
    pub fn open(interface: &str, address: Address, options: Options) -> Result<Self, Error> {
        let mut initiator = Initiator::open(interface)?;
        let target = initiator.find(address, options.patience)?;
        Ok(Self::attach(initiator, target, options))
    }

    /// Connects to a target that was found earlier. Nothing is sent.
    ///
    /// # Errors
    ///
    /// As [`Initiator::open`].
    pub fn connect(target: &Target, options: Options) -> Result<Self, Error> {
        Ok(Self::attach(Initiator::open(&target.interface)?, target.clone(), options))
    }

    fn attach(initiator: Initiator, target: Target, options: Options) -> Self {
        let window = options.window.min(usize::from(target.buffer_count)).clamp(1, WINDOW_LIMIT);
        let outstanding = Outstanding::new(initiator.path_to(&target), window, options.patience);
        Self { initiator, outstanding, target }
    }

    /// The target, as it described itself when it was found.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The MAC address that requests come from: the station that masks and reservations are about.
    #[must_use]
    pub fn own_mac(&self) -> Mac {
        self.initiator.mac()
    }

    /// As [`Initiator::spin`].
    pub fn spin(&mut self, spin: Duration) {
        self.initiator.spin(spin);
    }

    /// Most sectors in one request: what both ends of the path can take.
    #[must_use]
    pub fn sector_limit(&self) -> u8 {
        self.outstanding.path().sector_limit
    }

    /// The config string as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] or [`Error::Failed`].
    pub fn config_string(&mut self) -> Result<Vec<u8>, Error> {
        self.query(ConfigQuery::Read, &[])
    }

    /// Whether the config string is exactly this, in the target's own judgement.
    ///
    /// A target is silent if it is not. So silence for a second is taken for a no, if the target
    /// answers another question afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] if the string is too long; [`Error::Timeout`] or [`Error::Failed`].
    pub fn test_config_string(&mut self, string: &[u8]) -> Result<bool, Error> {
        let stored = self.probe(ConfigQuery::Test, string)?;
        Ok(stored.is_some_and(|stored| stored == string))
    }

    /// Whether the config string begins with this, as
    /// [`test_config_string`](Self::test_config_string).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn test_config_prefix(&mut self, prefix: &[u8]) -> Result<bool, Error> {
        let stored = self.probe(ConfigQuery::Prefix, prefix)?;
        Ok(stored.is_some_and(|stored| stored.starts_with(prefix)))
    }

    /// Stores a config string; an empty one, with `force`, is the same as none. Returns the string
    /// that is stored then.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] if it is too long; [`Error::Failed`] with
    /// [`ConfigStringPresent`](crate::AoeError::ConfigStringPresent) if another one is stored,
    /// unless `force` is set; [`Error::Timeout`].
    pub fn set_config_string(&mut self, string: &[u8], force: bool) -> Result<Vec<u8>, Error> {
        self.query(if force { ConfigQuery::ForceSet } else { ConfigQuery::Set }, string)
    }

    /// The stations that the target listens to; everybody, if there are none.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`], also for a station that is not among them; [`Error::Failed`].
    pub fn mask(&mut self) -> Result<Vec<Mac>, Error> {
        self.macs(Operation::ReadMask, &[])
    }

    /// Changes that list, in order, and returns it as it is then. To add what is there and to
    /// delete what is not is no error.
    ///
    /// Nothing keeps a station from shutting itself out: everything it asks later is
    /// [`Error::Timeout`], and so is this edit if its reply gets lost.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] if there are no edits or more than a frame holds, or one would add a
    /// group address; [`Error::Failed`] with [`Failure::Mask`](crate::reply::Failure::Mask) if the
    /// target stops in the middle; [`Error::Timeout`].
    pub fn edit_mask(&mut self, edits: &[MaskEdit]) -> Result<Vec<Mac>, Error> {
        let directives: Vec<Directive> = edits.iter().copied().map(Directive::from).collect();
        self.macs(Operation::EditMask, directives.as_bytes())
    }

    /// The stations that hold the target reserved; it is free if there are none.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] or [`Error::Failed`].
    pub fn reservation(&mut self) -> Result<Vec<Mac>, Error> {
        self.macs(Operation::ReadReservation, &[])
    }

    /// Reserves the target for `holders` only, or releases it if there are none. Returns the
    /// holders as they are then.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] if there are more than a frame holds, or a group address;
    /// [`Error::Failed`] with [`TargetReserved`](crate::AoeError::TargetReserved) if others hold
    /// it, unless `force` is set; [`Error::Timeout`].
    pub fn reserve(&mut self, holders: &[Mac], force: bool) -> Result<Vec<Mac>, Error> {
        self.macs(Operation::Reserve { force }, holders.as_bytes())
    }

    pub(crate) fn outstanding(&self) -> &Outstanding {
        &self.outstanding
    }

    pub(crate) fn outstanding_mut(&mut self) -> &mut Outstanding {
        &mut self.outstanding
    }

    /// As [`Initiator::exchange`].
    pub(crate) fn exchange<'d>(
        &mut self,
        next: impl FnMut() -> Option<(Operation, &'d [u8])>,
        done: impl FnMut(Answered<'_>),
    ) -> Result<(), Error> {
        self.initiator.exchange(&mut self.outstanding, self.target.address, next, done)
    }

    /// Asks a single question and returns what `take` makes of the answer, which is of the kind
    /// that belongs to the operation.
    pub(crate) fn ask<T>(
        &mut self,
        operation: Operation,
        data: &[u8],
        mut take: impl FnMut(Answer<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        let mut question = Some((operation, data));
        let mut taken = None;
        self.exchange(|| question.take(), |reply| taken = take(reply.answer))?;
        Ok(taken.expect("an exchange ends when its only question has its answer"))
    }

    fn query(&mut self, query: ConfigQuery, string: &[u8]) -> Result<Vec<u8>, Error> {
        self.ask(Operation::Config(query), string, |answer| match answer {
            Answer::Config(config) => Some(config.string.to_vec()),
            _ => None,
        })
    }

    /// The config string if the target answers this query, and `None` if it answers others only.
    fn probe(&mut self, query: ConfigQuery, string: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let patience = self.outstanding.patience();
        self.outstanding.set_patience(patience.min(SILENCE));
        let answer = self.query(query, string);
        self.outstanding.set_patience(patience);
        match answer {
            Err(Error::Timeout { .. }) => self.config_string().map(|_another| None),
            answer => answer.map(Some),
        }
    }

    fn macs(&mut self, operation: Operation, data: &[u8]) -> Result<Vec<Mac>, Error> {
        self.ask(operation, data, |answer| match answer {
            Answer::Macs(list) => Some(list.iter().collect()),
            _ => None,
        })
    }
}
