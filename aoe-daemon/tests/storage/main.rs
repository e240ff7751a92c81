//! The plain disk, and the way of jobs through it and home: packets without a socket, images
//! without a network.

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod edits;
mod failing;
mod mailbox;
mod plain;
