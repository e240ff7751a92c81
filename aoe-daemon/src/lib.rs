//! An ATA-over-Ethernet target over XDP and AF_XDP.
//!
//! A library, so that tests, fuzzers and benches can use its parts; the program is a thin
//! `main`. A frame's way through it is in ARCHITECTURE.md:
//!
//! - [`xdp`] steers frames into sockets, one for every queue of a [`port`];
//! - a [`worker`] takes them from there, and [`target`] says what they mean;
//! - a [`record`] has the target as it is, and [`state`] keeps what it remembers;
//! - [`storage`] reads and writes;
//! - [`control`] starts, stops, watches and tells.

pub mod config;
pub mod control;
pub mod exports;
pub mod link;
pub mod mailbox;
pub mod pace;
pub mod patience;
pub mod port;
pub mod record;
pub mod state;
pub mod stats;
pub mod storage;
pub mod target;
pub mod worker;
pub mod xdp;
