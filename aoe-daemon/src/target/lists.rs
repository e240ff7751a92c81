//! What a target remembers for its clients, also when the daemon is restarted.

use super::MAX_LIST;
use aoe_common::wire::Mac;
use aoe_common::wire::config::MAX_CONFIG_STRING;
use thiserror::Error;

/// Config string, MAC mask list and reservation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// The config string, at most 1024 bytes.
    pub config_string: Vec<u8>,
    /// The only stations that may talk to the target; empty: everybody may. At most [`MAX_LIST`],
    /// each once.
    pub mask: Vec<Mac>,
    /// The only stations that may issue ATA commands; empty: all may. At most [`MAX_LIST`].
    pub reserved: Vec<Mac>,
}

/// Something is too long to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{what} is too long: {length} of at most {limit}")]
pub struct TooLong {
    what: &'static str,
    length: usize,
    limit: usize,
}

impl Lists {
    /// Checks the lengths of what comes from elsewhere than the wire.
    ///
    /// # Errors
    ///
    /// What is longer than the protocol can tell.
    pub fn check(&self) -> Result<(), TooLong> {
        let lengths = [
            ("the config string", self.config_string.len(), MAX_CONFIG_STRING),
            ("the MAC mask list", self.mask.len(), MAX_LIST),
            ("the reservation", self.reserved.len(), MAX_LIST),
        ];
        match lengths.into_iter().find(|(_, length, limit)| length > limit) {
            Some((what, length, limit)) => Err(TooLong { what, length, limit }),
            None => Ok(()),
        }
    }
}
