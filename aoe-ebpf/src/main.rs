//! The XDP program: steers the AoE frames of one port into the daemon's AF_XDP sockets.
//!
//! The rule is [`aoe_common::steer`], which the host runs and tests too. Here is the kernel's side
//! of it: reading the frame, looking up the maps, counting. One copy of the program and its maps is
//! loaded for every port.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![allow(unsafe_code, reason = "packets and maps are raw memory; three short blocks read them")]

use aoe_common::counters::Counter;
use aoe_common::steer::{
    Admission, FrameBytes, Served, ServedKey, SourceKey, Verdict, admission, verdict,
};
use aoe_common::wire::Mac;
use aya_ebpf::bindings::{BPF_F_NO_PREALLOC, xdp_action};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, XskMap};
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::warn;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// The socket of every RX queue.
#[map]
static SOCKETS: XskMap = XskMap::with_max_entries(1024, 0);

/// Every name ([`ServedKey`]) of every target served on the port, with the [`Filter`] of each.
///
/// [`Filter`]: aoe_common::steer::Filter
#[map]
static SERVED: HashMap<u64, u8> = HashMap::with_max_entries(16384, BPF_F_NO_PREALLOC);

/// Sources that a name admits or refuses, by [`SourceKey`].
#[map]
static SOURCES: HashMap<[u64; 2], u8> = HashMap::with_max_entries(65536, BPF_F_NO_PREALLOC);

/// The port's MAC address, in the only entry.
#[map]
static PORT: Array<Mac> = Array::with_max_entries(1, 0);

/// Frames counted on each CPU, by [`Counter`].
#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Counter::ALL.len() as u32, 0);

/// Decides about one frame: to its queue's socket, on into the kernel, or away.
#[xdp(frags)]
fn aoe_steer(ctx: XdpContext) -> u32 {
    count(Counter::Seen);
    let Some(port) = PORT.get(0) else { return xdp_action::XDP_PASS };
    match verdict(&Packet(&ctx), *port, &ServedHere) {
        Verdict::Steer => redirect(&ctx),
        Verdict::Pass(reason) => {
            count(reason);
            xdp_action::XDP_PASS
        }
        Verdict::Drop(reason) => {
            count(reason);
            xdp_action::XDP_DROP
        }
    }
}

/// Gives the frame to the socket of its RX queue, or to the kernel where there is none.
fn redirect(ctx: &XdpContext) -> u32 {
    let queue = ctx.rx_queue_index();
    match SOCKETS.redirect(queue, u64::from(xdp_action::XDP_PASS)) {
        Ok(action) => {
            count(Counter::Steered);
            action
        }
        Err(action) => {
            // Once on each CPU: under load every frame of the queue comes here.
            if count(Counter::PassedNoSocket) == 1 {
                warn!(ctx, "AoE frames arrive on RX queue {}, which has no socket", queue);
            }
            action
        }
    }
}

/// Adds one to a counter of this CPU and returns its value.
fn count(counter: Counter) -> u64 {
    let Some(value) = COUNTERS.get_ptr_mut(counter as u32) else { return 0 };
    // SAFETY: the map returned a pointer to an aligned u64 that lives as long as the program. It
    // is this CPU's own: no other CPU writes to it, and the daemon only reads it.
    unsafe {
        *value += 1;
        *value
    }
}

/// The part of a frame that is directly readable. A frame in several buffers shows the first, which
/// has all headers.
struct Packet<'a>(&'a XdpContext);

impl FrameBytes for Packet<'_> {
    #[inline(always)]
    fn header<T: FromBytes + KnownLayout + Immutable + Unaligned>(
        &self,
        offset: usize,
    ) -> Option<&T> {
        let start = self.0.data() + offset;
        if start + size_of::<T>() > self.0.data_end() {
            return None;
        }
        // SAFETY: the kernel says that the bytes up to `data_end` are the frame's for the duration
        // of the program, and the comparison above says that `T` ends before that, which the
        // verifier checks. `T` is valid for any bytes and has no alignment.
        Some(unsafe { &*(start as *const T) })
    }
}

/// [`SERVED`] and [`SOURCES`] as the rule asks for them.
struct ServedHere;

impl Served for ServedHere {
    #[inline(always)]
    fn admits(&self, key: ServedKey, source: Mac) -> Admission {
        match value(SERVED.get_ptr(key.bits())) {
            None => Admission::Unknown,
            Some(filter) => {
                admission(filter, || value(SOURCES.get_ptr(SourceKey::new(key, source).bits())))
            }
        }
    }
}

/// The byte that a map has returned a pointer to.
fn value(entry: Option<*const u8>) -> Option<u8> {
    // SAFETY: the map returned a pointer to a byte that stays readable as long as the program
    // runs. The daemon may write to it meanwhile; a byte is read whole, before or after.
    entry.map(|byte| unsafe { byte.read_volatile() })
}

/// Needs no GPL-only helper of the kernel.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 18] = *b"MIT OR Apache-2.0\0";

/// Never reached: a panic that could be would be a loop, which the verifier refuses.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// Lets the host's tools read and check this file as part of the workspace.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
