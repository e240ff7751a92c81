//! What the workers of a port have to know about it, as the control plane changes it.

use crate::target::Port;
use arc_swap::{ArcSwap, Cache};
use std::sync::Arc;

/// The port's contribution to every reply, so that no worker ever sees half of a change.
pub struct Facts(Arc<ArcSwap<Port>>);

/// The facts as one thread sees them.
pub type FactsView = Cache<Arc<ArcSwap<Port>>, Arc<Port>>;

impl Facts {
    /// The facts at the start.
    pub fn new(port: Port) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(port)))
    }

    /// Changes them for all requests from now on.
    pub fn set(&self, port: Port) {
        self.0.store(port.into());
    }

    /// A view of them for a thread of its own.
    pub fn view(&self) -> FactsView {
        Cache::new(Arc::clone(&self.0))
    }

    /// As they are.
    pub fn get(&self) -> Port {
        **self.0.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aoe_common::wire::Mac;

    #[test]
    fn what_goes_in_comes_out() {
        let mac = Mac([1, 2, 3, 4, 5, 6]);
        let port = Port { mac, mtu: 9000, max_sectors: 17, buffer_count: 64 };
        let facts = Facts::new(port);
        assert_eq!(facts.get(), port);
        let changed = Port { mac: Mac::BROADCAST, mtu: 100, max_sectors: 0, buffer_count: 2 };
        facts.set(changed);
        assert_eq!(facts.get(), changed);
    }
}
