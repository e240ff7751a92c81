//! The protocol core as a function from frames to frames, with disks in memory behind it: no
//! sockets, no files, no privileges.
//!
//! Everything here that says what is right is written from the protocol's tables, byte by byte, and
//! uses none of the header types of the code under test.

#![allow(dead_code, unreachable_pub, reason = "each test crate uses its own part of this")]

pub mod frame;
pub mod invariants;
pub mod model;
pub mod rig;
