//! AF_XDP sockets with exact ownership of every chunk of packet memory.
//!
//! # The model
//!
//! A network interface has RX queues. For each of them a program opens a [`Queue`]: one socket, its
//! four rings, and memory of its own that is cut into chunks of 4 KiB. The XDP program on the
//! interface redirects frames to the socket; they arrive as [`Packet`]s, are answered in place,
//! and leave through the same queue. One thread works a queue; different queues share nothing.
//!
//! ```text
//!          fill ring         RX ring                                TX ring         completion ring
//!  free ──────────────▶ kernel ──────▶ Assembler ──▶ Packet ──send──▶ kernel ─────────────▶ free
//!    ▲                                                  │
//!    └──────────────────── recycle ─────────────────────┘
//! ```
//!
//! Every chunk is at exactly one place of this picture. The book says which, in release builds
//! too; the [`Census`] sums it up, and [`Queue::assert_conserved`] audits it.
//!
//! # The layers
//!
//! From the top, each using only what is below it:
//!
//! * `queue`: receive, send, flush, recycle. Safe.
//! * `wake`: when the kernel has to be woken, and what its answers mean. Safe.
//! * `assemble`: packets out of descriptors. Safe.
//! * `socket`: registration, rings and the bind ladder. Safe.
//! * `umem`: the region and its book; makes and takes back the tokens. One line of `unsafe`.
//! * `book`: who owns which chunk. Safe, no memory, no kernel.
//! * `packet`: one to four segments. Safe.
//! * `ring`: the indices of a ring, over any memory. Safe.
//! * `chunk`, `mapped`, `sys`: a token's bytes, a ring's memory, the system calls. The `unsafe`.
//! * `region`: the mapping and its pages, with the pool that they come from. Safe.
//!
//! # Why this is sound
//!
//! * A token (`Chunk`) can't be copied, and is made only together with an entry in the book that
//!   says that the chunk is the application's. A descriptor from the kernel is checked against the
//!   book before anything comes of it: it must name a chunk that was lent. So two packets never
//!   share memory, whatever the rings say.
//! * A packet points into memory that is not unmapped as long as the book says that a chunk is the
//!   application's. A packet may outlive its queue.
//! * The kernel writes only into chunks that it was lent, and those have no token.
//!
//! [`PacketSocket`] is the way to the wire for programs that don't need all this: an ordinary
//! `AF_PACKET` socket.

mod assemble;
mod book;
mod chunk;
mod config;
mod error;
mod mapped;
mod packet;
mod packet_socket;
mod queue;
mod region;
mod ring;
mod socket;
mod sys;
mod umem;
mod wake;

pub use book::Census;
pub use chunk::CHUNK_SIZE;
pub use config::{BindMode, QueueConfig};
pub use error::{Error, Refusal};
pub use packet::{FRAME_OFFSET, MAX_CHUNKS, Packet};
pub use packet_socket::{BATCH_FRAMES, PacketSocket, ReceiveBatch};
pub use queue::{Counters, Flushed, Link, OpenError, Queue, Statistics, Unsent};
pub use region::{HugePages, NoSuchHugePages, PageKind, Pages, Region};
pub use umem::Umem;
