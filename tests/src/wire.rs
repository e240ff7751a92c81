//! The networks that the tests run on.

use anyhow::Result;

use crate::namespace::Namespace;

/// The interfaces that the target serves on, by the number of their cable.
pub const TARGET_PORTS: [&str; 2] = ["target0", "target1"];
/// The interfaces that initiators send from.
pub const CLIENT_PORTS: [&str; 2] = ["client0", "client1"];
/// The interfaces whose other ends are a virtual machine's network cards.
pub const TAPS: [&str; 2] = ["tap0", "tap1"];

/// The target's end of the first cable.
pub const TARGET_PORT: &str = TARGET_PORTS[0];
/// The client's end of the first cable.
pub const CLIENT_PORT: &str = CLIENT_PORTS[0];
/// The first tap.
pub const TAP: &str = TAPS[0];

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

/// A target's and a client's namespace, joined by a veth pair that is up. A second one may follow.
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
        self.lay_between(TARGET_PORT, CLIENT_PORT, shape)
    }

    /// Lays a second cable beside the first, up to a tap like [`Self::bridge_tap`].
    pub fn lay_second_with_tap(&self, shape: Shape) -> Result<()> {
        self.lay_between(TARGET_PORTS[1], CLIENT_PORTS[1], shape)?;
        self.bridge(1, shape.mtu)
    }

    /// Makes another veth pair, which is up, between ports of these names.
    pub fn lay_between(&self, target: &str, client: &str, shape: Shape) -> Result<()> {
        let Shape { mtu, queues } = shape;
        let end = format!("mtu {mtu} numtxqueues {queues} numrxqueues {queues}");
        self.target.ip(&format!(
            "link add name {target} {end} type veth peer name {client} {end} netns {}",
            self.client.name()
        ))?;
        self.target.ip(&format!("link set dev {target} up"))?;
        self.client.ip(&format!("link set dev {client} up"))?;
        Ok(())
    }

    /// Adds a station with a MAC address of its own behind the client's end: an interface of this
    /// name.
    pub fn add_station(&self, name: &str) -> Result<()> {
        self.client
            .ip(&format!("link add link {CLIENT_PORT} name {name} type macvlan mode bridge"))?;
        self.client.ip(&format!("link set dev {name} up"))?;
        Ok(())
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
        self.bridge(0, mtu)
    }

    fn bridge(&self, number: usize, mtu: u32) -> Result<()> {
        let (bridge, tap) = (format!("bridge{number}"), TAPS[number]);
        add_one_tap(&self.client, tap, mtu)?;
        self.client.ip(&format!("link add name {bridge} mtu {mtu} type bridge"))?;
        for port in [CLIENT_PORTS[number], tap] {
            self.client.ip(&format!("link set dev {port} master {bridge}"))?;
        }
        self.client.ip(&format!("link set dev {bridge} up"))?;
        Ok(())
    }
}

/// Creates [`TAP`] in a namespace and sets it up.
pub fn add_tap(namespace: &Namespace, mtu: u32) -> Result<()> {
    add_one_tap(namespace, TAP, mtu)
}

fn add_one_tap(namespace: &Namespace, tap: &str, mtu: u32) -> Result<()> {
    namespace.ip(&format!("tuntap add dev {tap} mode tap"))?;
    namespace.ip(&format!("link set dev {tap} mtu {mtu} up"))?;
    Ok(())
}
