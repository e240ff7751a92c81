//! Disks, and the way of jobs through them and home: packets without a socket, images
//! without a network.

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod edits;
mod failing;
mod mailbox;
mod model;
mod plain;
mod writeback;
