//! What the XDP program, the daemon and the client share of ATA over Ethernet.
//!
//! - [`wire`]: the headers, byte for byte.
//! - [`address`]: shelves, slots and wildcards.
//! - [`steer`]: the one rule that says which frames are ours. The kernel runs it on every frame,
//!   the daemon on every frame that reaches it, and the tests on both.
//! - [`counters`]: what the XDP program counts.
//! - [`size`]: sizes on command lines.
//!
//! Nothing here allocates, and nothing here is unsafe, so all of it compiles for the BPF target.

#![no_std]
#![forbid(unsafe_code)]

pub mod address;
pub mod counters;
pub mod size;
pub mod steer;
pub mod wire;
