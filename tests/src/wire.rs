//! The networks that the tests run on.

use anyhow::Result;

use crate::namespace::Namespace;

/// The interface that the target serves on.
pub const TARGET_PORT: &str = "target0";
/// The interface that initiators send from.
pub const CLIENT_PORT: &str = "client0";
/// The interface whose other end is a virtual machine's network card.
pub const TAP: &str = "tap0";

/// What a [`Wire`] is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// MTU of both ends, in bytes.
    pub mtu: u32,
    /// Receive and transmit queues of each end.
    pub queues: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self { mtu: 1500, queues: 1 }
    }
}

/// A target's and a client's namespace, joined by a veth pair that is up.
#[derive(Debug)]
pub struct Wire {
    /// Holds [`TARGET_PORT`].
    pub target: Namespace,
    /// Holds [`CLIENT_PORT`].
    pub client: Namespace,
}

impl Wire {
    /// Lays the wire.
    ///
    /// Both ends get the same number of queues: a veth end refuses an XDP program while its peer
    /// has more transmit queues than it has receive queues.
    pub fn new(shape: Shape) -> Result<Self> {
        let wire = Self { target: Namespace::new("target")?, client: Namespace::new("client")? };
        wire.lay(shape)?;
        Ok(wire)
    }

    /// Makes the veth pair, the first or after a [`Self::cut`].
    pub fn lay(&self, shape: Shape) -> Result<()> {
        let Shape { mtu, queues } = shape;
        let end = format!("mtu {mtu} numtxqueues {queues} numrxqueues {queues}");
        self.target.ip(&format!(
            "link add name {TARGET_PORT} {end} type veth \
             peer name {CLIENT_PORT} {end} netns {}",
            self.client.name()
        ))?;
        self.set_link("up")
    }

    /// Deletes both ends.
    pub fn cut(&self) -> Result<()> {
        self.target.ip(&format!("link delete dev {TARGET_PORT}"))?;
        Ok(())
    }

    /// Sets both ends up or down, or whatever else `ip link set dev … <change>` understands.
    pub fn set_link(&self, change: &str) -> Result<()> {
        self.target.ip(&format!("link set dev {TARGET_PORT} {change}"))?;
        self.client.ip(&format!("link set dev {CLIENT_PORT} {change}"))?;
        Ok(())
    }

    /// Turns the client's end into a port of a bridge whose other port is a new [`TAP`].
    pub fn bridge_tap(&self, mtu: u32) -> Result<()> {
        add_tap(&self.client, mtu)?;
        self.client.ip(&format!("link add name bridge0 mtu {mtu} type bridge"))?;
        for port in [CLIENT_PORT, TAP] {
            self.client.ip(&format!("link set dev {port} master bridge0"))?;
        }
        self.client.ip("link set dev bridge0 up")?;
        Ok(())
    }
}

/// Creates [`TAP`] in a namespace and sets it up.
pub fn add_tap(namespace: &Namespace, mtu: u32) -> Result<()> {
    namespace.ip(&format!("tuntap add dev {TAP} mode tap"))?;
    namespace.ip(&format!("link set dev {TAP} mtu {mtu} up"))?;
    Ok(())
}
