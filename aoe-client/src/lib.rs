//! An ATA-over-Ethernet initiator in user space.
//!
//! It works without the kernel's driver, and beside it: its tags have bit 31 set, which makes the
//! driver ignore the replies. Any target that speaks AoEr11 will do.
//!
//! - [`Initiator`] sits on one network interface and discovers [`Target`]s.
//! - [`Port`] is a connection to one of them: its config string, MAC mask list and reservation.
//! - [`Disk`] is the disk behind it: it knows the size, and reads, writes, flushes and discards
//!   sectors with as many requests under way as the target holds buffers for.
//! - [`mod@bench`] loads a disk with random reads and tells how it took them.
//!
//! Below them, without any input or output of their own: [`request`] builds frames and refuses
//! what the protocol forbids, [`reply`] checks and takes apart what comes back, and `outstanding`
//! matches the two and decides what to send again.
//!
//! ```no_run
//! use aoe_client::{Disk, Options};
//!
//! let mut disk = Disk::open("eth0", "e0.1".parse()?, Options::default())?;
//! let mut sector = [0; 512];
//! disk.read(0, &mut sector)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod bench;
mod disk;
mod error;
mod features;
mod histogram;
mod initiator;
mod outstanding;
mod port;
pub mod reply;
pub mod request;
mod round_trip;
mod tag;
mod target;
mod trim;

pub use disk::{Disk, Options};
pub use error::Error;
pub use features::{Features, Rotation, Switch, Trim};
pub use initiator::Initiator;
pub use port::Port;
pub use target::Target;
pub use trim::Extent;

pub use aoe_common::address::{Address, AddressError, Destination};
pub use aoe_common::wire::{AoeError, Mac, MacError, SECTOR_SIZE};
