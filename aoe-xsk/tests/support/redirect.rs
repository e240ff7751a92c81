//! An XDP program that redirects every frame to the socket of its queue, written in instructions,
//! so that this crate's tests need no eBPF compiler.
#![allow(unsafe_code, reason = "calls bpf(2), for which there is no safe wrapper here")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Where the program is attached.
#[derive(Debug, Clone, Copy)]
pub enum Attach {
    Native,
    Generic,
}

/// A loaded and attached program with its XSKMAP. Dropped, it is detached.
pub struct Redirect {
    map: OwnedFd,
    _program: OwnedFd,
    _link: OwnedFd,
}

const MAP_CREATE: libc::c_long = 0;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const PROG_LOAD: libc::c_long = 5;
const LINK_CREATE: libc::c_long = 28;

const MAP_TYPE_XSKMAP: u32 = 17;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_TYPE_XDP: u32 = 37;
const PROG_FLAG_XDP_HAS_FRAGS: u32 = 1 << 5;

#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

#[repr(C)]
struct MapUpdate {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// One instruction: opcode, registers (source in the high half), offset, immediate.
const fn instruction(code: u8, registers: u8, offset: i16, immediate: i32) -> u64 {
    (code as u64)
        | ((registers as u64) << 8)
        | ((offset as u16 as u64) << 16)
        | ((immediate as u32 as u64) << 32)
}

/// `return bpf_redirect_map(&map, ctx->rx_queue_index, XDP_PASS)`.
fn program(map: &OwnedFd) -> [u64; 6] {
    [
        instruction(0x61, 0x12, 16, 0),
        instruction(0x18, 0x11, 0, map.as_raw_fd()),
        instruction(0, 0, 0, 0),
        instruction(0xb7, 0x03, 0, 2),
        instruction(0x85, 0, 0, 51),
        instruction(0x95, 0, 0, 0),
    ]
}

impl Redirect {
    /// Loads the program and attaches it to an interface.
    pub fn attach(ifindex: u32, attach: Attach) -> io::Result<Self> {
        let create =
            MapCreate { map_type: MAP_TYPE_XSKMAP, key_size: 4, value_size: 4, max_entries: 1 };
        let map = descriptor(bpf(MAP_CREATE, &create)?);
        let instructions = program(&map);
        let load = ProgLoad {
            prog_type: PROG_TYPE_XDP,
            insn_cnt: instructions.len() as u32,
            insns: instructions.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log_buf: 0,
            kern_version: 0,
            prog_flags: PROG_FLAG_XDP_HAS_FRAGS,
            prog_name: [0; 16],
            prog_ifindex: 0,
            expected_attach_type: ATTACH_TYPE_XDP,
        };
        let program = descriptor(bpf(PROG_LOAD, &load)?);
        let flags = match attach {
            Attach::Generic => 1 << 1,
            Attach::Native => 1 << 2,
        };
        let link = LinkCreate {
            prog_fd: program.as_raw_fd() as u32,
            target_ifindex: ifindex,
            attach_type: ATTACH_TYPE_XDP,
            flags,
        };
        let link = descriptor(bpf(LINK_CREATE, &link)?);
        Ok(Self { map, _program: program, _link: link })
    }

    /// Directs queue 0 to this socket.
    pub fn direct_to(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let (key, value) = (0_u32, socket.as_raw_fd());
        let update = MapUpdate {
            map_fd: self.map.as_raw_fd() as u32,
            padding: 0,
            key: (&raw const key) as u64,
            value: (&raw const value) as u64,
            flags: 0,
        };
        bpf(MAP_UPDATE_ELEM, &update).map(|_| ())
    }
}

fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<i32> {
    let attributes: *const T = attributes;
    // SAFETY: the attributes are a leading part of `union bpf_attr` of the given size, and what
    // they point to lives in the caller until the call is over.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn descriptor(fd: i32) -> OwnedFd {
    // SAFETY: bpf(2) has just returned this descriptor, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
