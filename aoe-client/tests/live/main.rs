//! The client on a live network: a veth pair between namespaces of the test's own.

mod packet_socket;
mod support;
mod vblade;
