//! What can go wrong, in one line each.

use std::io;
use std::time::Duration;

use aoe_common::address::Address;

use crate::reply::Failure;
use crate::request::{Forbidden, Operation};

/// Why something did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no interface of this name.
    #[error("there is no interface {interface}: `ip link` lists those there are")]
    NoInterface {
        /// The name.
        interface: String,
    },
    /// Opening the socket is not allowed.
    #[error("sending frames on {interface} needs root, or the capability CAP_NET_RAW")]
    Privilege {
        /// The interface's name.
        interface: String,
    },
    /// The interface is down.
    #[error("{interface} is down: `ip link set {interface} up` brings it up")]
    InterfaceDown {
        /// The interface's name.
        interface: String,
    },
    /// The interface failed in some other way.
    #[error("{interface}: {source}")]
    Interface {
        /// The interface's name.
        interface: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// No frame fits a sector.
    #[error("the MTU of {interface}, {mtu}, leaves no room for a sector: it takes at least 548")]
    MtuTooSmall {
        /// The interface's name.
        interface: String,
        /// Its MTU in bytes.
        mtu: usize,
    },
    /// The target did not answer.
    #[error(
        "{address} on {interface} did not answer {operation} within {:.1} s (sent {transmissions} \
         times)",
        elapsed.as_secs_f64()
    )]
    Timeout {
        /// The target.
        address: Address,
        /// The interface's name.
        interface: String,
        /// What was asked.
        operation: Operation,
        /// Since it was asked first.
        elapsed: Duration,
        /// How often it was asked.
        transmissions: u32,
    },
    /// The target answered that it won't or can't.
    #[error("{address} failed {operation}: {failure}")]
    Failed {
        /// The target.
        address: Address,
        /// What was asked.
        operation: Operation,
        /// What it answered.
        failure: Failure,
    },
    /// The disk does not have what is asked for. Nothing was sent.
    #[error("{address} does not offer {feature}: its IDENTIFY DEVICE data says so")]
    Unsupported {
        /// The target.
        address: Address,
        /// What it lacks, as ATA calls it.
        feature: &'static str,
    },
    /// The transfer would go past the end of the disk. Nothing was sent.
    #[error("{sectors} sectors at {lba} go past the end of {address}, which has {size} sectors")]
    PastEnd {
        /// The target.
        address: Address,
        /// First sector of the transfer.
        lba: u64,
        /// Length of the transfer in sectors.
        sectors: u64,
        /// Length of the disk in sectors.
        size: u64,
    },
    /// The data is not a whole number of sectors. Nothing was sent.
    #[error("{bytes} bytes are not a whole number of sectors of 512 bytes")]
    PartialSector {
        /// Length of the data.
        bytes: usize,
    },
    /// The protocol forbids the request. It was not sent.
    #[error("{address}: {forbidden}")]
    Forbidden {
        /// The target.
        address: Address,
        /// Why.
        forbidden: Forbidden,
    },
}
