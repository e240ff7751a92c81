//! The client on a live network: a veth pair between namespaces of the test's own.

mod config;
mod disk;
mod lists;
mod packet_socket;
mod scripted;
mod support;
mod vblade;
