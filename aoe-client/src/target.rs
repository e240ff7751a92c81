//! What a target tells about itself to everybody who asks.

use aoe_common::address::Address;
use aoe_common::wire::Mac;

use crate::reply::Config;

/// One port of a target, as its reply to a config query describes it. A target with several ports
/// answers several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Shelf and slot.
    pub address: Address,
    /// The port's MAC address.
    pub mac: Mac,
    /// The interface that it was found on.
    pub interface: String,
    /// Most sectors per request on this port, at least 1.
    pub sector_count: u8,
    /// How many requests the target can hold at once.
    pub buffer_count: u16,
    /// Firmware version, a free value.
    pub firmware_version: u16,
    /// The config string, at most 1024 bytes.
    pub config_string: Vec<u8>,
}

impl Target {
    pub(crate) fn new(address: Address, mac: Mac, interface: &str, config: Config<'_>) -> Self {
        Self {
            address,
            mac,
            interface: interface.to_owned(),
            sector_count: config.sector_count,
            buffer_count: config.buffer_count,
            firmware_version: config.firmware_version,
            config_string: config.string.to_vec(),
        }
    }
}
