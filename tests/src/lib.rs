//! The harness of the end-to-end tests: what they need to lay out a network, start programs in
//! it, and say why something went wrong.
//!
//! Everything that outlives a function call is a guard: namespaces, processes, virtual machines
//! and scratch files go away when their value is dropped, and so also when a test panics.
//!
//! ```text
//! namespace   a network namespace of the test's own
//! wire        two namespaces joined by a veth pair, or a bridge with a tap for a VM
//! process     a program in the background: its log, its signals, its end
//! command     a program run to its end, with a time limit
//! daemon      aoe-daemon on top of process; status reads what it says of itself
//! vblade      Debian's vblade, the reference that the tools are tried against
//! vectors     the byte vectors: frames in, frames out
//! client      the `aoe` command
//! raw         frames by hand
//! station     any frames, from and to one MAC address; frame writes and reads them
//! dice        numbers that look random
//! rounds      how much of what is random a test does
//! stamp       sectors that say who has written them
//! history     whether what clients saw of a sector can be told as one story
//! storm       clients that write, read and are sent over each other, on a network that errs
//! capture     tshark: what was on the wire, as a third party decodes it
//! image       image files with known content
//! loop_device block devices made of files
//! mount       file systems of a test's own: full, or frozen
//! disk_check  an ext4 partition inside an image, read without mounting it
//! debian      packages of any Debian release, downloaded and unpacked, never installed
//! kernel      Debian's kernels
//! ipxe        iPXE, and a disk that it can boot
//! initramfs   the guest's files
//! vm          QEMU
//! write_log   what a guest has written to its disk, and what a power cut leaves of it
//! ```

pub mod capture;
pub mod client;
pub mod command;
pub mod daemon;
pub mod debian;
pub mod dice;
pub mod disk_check;
pub mod frame;
pub mod history;
pub mod image;
pub mod initramfs;
pub mod ipxe;
pub mod kernel;
pub mod loop_device;
pub mod mount;
pub mod namespace;
pub mod paths;
pub mod process;
pub mod raw;
pub mod retry;
pub mod rounds;
pub mod stamp;
pub mod station;
pub mod status;
pub mod storm;
pub mod vblade;
pub mod vectors;
pub mod vm;
pub mod wire;
pub mod write_log;
