//! What the workers of a port have to know about it, as the control plane changes it.

use crate::target::Port;
use aoe_common::wire::Mac;
use std::sync::atomic::{AtomicU64, Ordering};

/// The MAC address and the sector count of a port, in one word, so that no worker ever sees one
/// of them without the other.
pub struct Facts(AtomicU64);

impl Facts {
    /// The facts at the start.
    pub fn new(port: Port) -> Self {
        Self(AtomicU64::new(pack(port)))
    }

    /// Changes them for all requests from now on.
    pub fn set(&self, port: Port) {
        self.0.store(pack(port), Ordering::Relaxed);
    }

    /// As they are.
    pub fn get(&self) -> Port {
        let [max_sectors, _, mac @ ..] = self.0.load(Ordering::Relaxed).to_be_bytes();
        Port { mac: Mac(mac), max_sectors }
    }
}

fn pack(port: Port) -> u64 {
    let [a, b, c, d, e, f] = port.mac.0;
    u64::from_be_bytes([port.max_sectors, 0, a, b, c, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let port = Port { mac: Mac([1, 2, 3, 4, 5, 6]), max_sectors: 17 };
        let facts = Facts::new(port);
        assert_eq!(facts.get(), port);
        let changed = Port { mac: Mac::BROADCAST, max_sectors: 0 };
        facts.set(changed);
        assert_eq!(facts.get(), changed);
    }
}
