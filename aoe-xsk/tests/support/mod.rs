//! What the tests on a real kernel share: a network of their own, a program that redirects, and
//! the two ends of a conversation.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

pub mod network;
pub mod pattern;
pub mod redirect;
pub mod worker;
