//! What the XDP program counts, for each CPU.

/// One counter of the XDP program: its index in the per-CPU map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Every frame that came in on the port.
    Seen,
    /// Given to an AF_XDP socket.
    Steered,
    /// Passed to the kernel: not ATA over Ethernet.
    PassedNotAoe,
    /// Passed: sent to another station.
    PassedOtherStation,
    /// Passed: a response, for an initiator on this host.
    PassedResponse,
    /// Passed: for a target that is not served here, or not in this VLAN.
    PassedOtherTarget,
    /// Passed: for us, but no socket is bound to the queue that it came in on.
    PassedNoSocket,
    /// Dropped: an AoE frame for us that ends within its header.
    DroppedShort,
    /// Dropped: the source is a group address or our own.
    DroppedBadSource,
    /// Dropped: every target that the frame names has the source masked.
    DroppedMasked,
}

impl Counter {
    /// All counters, in the order of their indices.
    pub const ALL: [Self; 10] = [
        Self::Seen,
        Self::Steered,
        Self::PassedNotAoe,
        Self::PassedOtherStation,
        Self::PassedResponse,
        Self::PassedOtherTarget,
        Self::PassedNoSocket,
        Self::DroppedShort,
        Self::DroppedBadSource,
        Self::DroppedMasked,
    ];

    /// How status and summaries call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Steered => "steered",
            Self::PassedNotAoe => "passed_not_aoe",
            Self::PassedOtherStation => "passed_other_station",
            Self::PassedResponse => "passed_response",
            Self::PassedOtherTarget => "passed_other_target",
            Self::PassedNoSocket => "passed_no_socket",
            Self::DroppedShort => "dropped_short",
            Self::DroppedBadSource => "dropped_bad_source",
            Self::DroppedMasked => "dropped_masked_in_kernel",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_index_order() {
        for (index, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter as usize, index);
        }
    }
}
