//! iPXE, and a disk that it can boot.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::debian::{Release, cached_tree};
use crate::image::{MIB, sparse_image};

/// In bytes.
const SECTOR: usize = 512;

/// iPXE counts whole cylinders, of 8 MiB, and does not boot a disk that has none.
const DISK_BYTES: u64 = 16 * MIB;

/// Where a boot sector is loaded.
const LOADED_AT: usize = 0x7c00;

/// Sectors of text behind the boot sector.
pub const TEXT_SECTORS: usize = 62;
/// Where the boot sector writes the text.
pub const COPY_LBA: usize = 100;
/// What the boot sector prints after that.
pub const DONE: &str = "the text is copied";

/// The boot sector: reads the text by INT 13h, prints it on the first serial port, writes it
/// elsewhere by INT 13h, says so, and halts. Strings end with a zero byte.
#[rustfmt::skip]
const CODE: [u8; 77] = [
    0x31, 0xc0,             // 00      xor ax, ax
    0x8e, 0xd8,             // 02      mov ds, ax
    0x8e, 0xd0,             // 04      mov ss, ax
    0xbc, 0x00, 0x7c,       // 06      mov sp, 0x7c00
    0xfc,                   // 09      cld
    0xb4, 0x42,             // 0a      mov ah, 0x42         read; dl is the drive already
    0xbe, 0x80, 0x7c,       // 0c      mov si, 0x7c80       READ_PACKET
    0xcd, 0x13,             // 0f      int 0x13
    0x72, 0x19,             // 11      jc fail
    0xbe, 0x00, 0x80,       // 13      mov si, 0x8000       TEXT
    0xe8, 0x1b, 0x00,       // 16      call print
    0xb8, 0x00, 0x43,       // 19      mov ax, 0x4300       write, without verifying
    0xbe, 0x90, 0x7c,       // 1c      mov si, 0x7c90       WRITE_PACKET
    0xcd, 0x13,             // 1f      int 0x13
    0x72, 0x09,             // 21      jc fail
    0xbe, 0xa0, 0x7c,       // 23      mov si, 0x7ca0       DONE
    0xe8, 0x0b, 0x00,       // 26      call print
    0xf4,                   // 29 end: hlt
    0xeb, 0xfd,             // 2a      jmp end
    0xbe, 0xc0, 0x7c,       // 2c fail: mov si, 0x7cc0      FAILED
    0xe8, 0x02, 0x00,       // 2f      call print
    0xeb, 0xf5,             // 32      jmp end
    0x52,                   // 34 print: push dx
    0xac,                   // 35 next: lodsb
    0x84, 0xc0,             // 36      test al, al
    0x74, 0x11,             // 38      jz done
    0x88, 0xc3,             // 3a      mov bl, al
    0xba, 0xfd, 0x03,       // 3c      mov dx, 0x3fd        line status
    0xec,                   // 3f wait: in al, dx
    0xa8, 0x20,             // 40      test al, 0x20        room for a byte
    0x74, 0xfb,             // 42      jz wait
    0xb2, 0xf8,             // 44      mov dl, 0xf8         data
    0x88, 0xd8,             // 46      mov al, bl
    0xee,                   // 48      out dx, al
    0xeb, 0xea,             // 49      jmp next
    0x5a,                   // 4b done: pop dx
    0xc3,                   // 4c      ret
];

/// What the code finds at fixed places behind itself.
const READ_PACKET: usize = 0x7c80;
const WRITE_PACKET: usize = 0x7c90;
const DONE_TEXT: usize = 0x7ca0;
const FAILED_TEXT: usize = 0x7cc0;
const TEXT: u16 = 0x8000;

/// The boot loader, as QEMU's `-kernel` takes it, from Debian 12's package.
pub fn loader() -> Result<PathBuf> {
    let tree = cached_tree("ipxe", |tree| Release::open("bookworm")?.unpack(&["ipxe"], tree))?;
    Ok(tree.join("boot/ipxe.lkrn"))
}

/// Writes a disk image that iPXE can boot, and gives the text that it will print.
pub fn boot_disk(path: &Path) -> Result<String> {
    let mut disk = [0; (1 + TEXT_SECTORS) * SECTOR];
    let mut put = |address: usize, bytes: &[u8]| {
        let at = address - LOADED_AT;
        disk[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(LOADED_AT, &CODE);
    put(READ_PACKET, &packet(1));
    put(WRITE_PACKET, &packet(COPY_LBA));
    put(DONE_TEXT, DONE.as_bytes());
    put(FAILED_TEXT, b"the disk has failed");
    put(LOADED_AT + SECTOR - 2, &[0x55, 0xaa]);
    let text = text()?;
    put(LOADED_AT + SECTOR, text.as_bytes());
    sparse_image(path, DISK_BYTES)?;
    File::options().write(true).open(path)?.write_all(&disk)?;
    Ok(text)
}

/// What INT 13h is told: how many sectors, at which address in memory, from which one on.
fn packet(lba: usize) -> [u8; 16] {
    let mut packet = [0; 16];
    packet[0] = 16;
    packet[2..4].copy_from_slice(&(TEXT_SECTORS as u16).to_le_bytes());
    packet[4..6].copy_from_slice(&TEXT.to_le_bytes());
    packet[8..16].copy_from_slice(&(lba as u64).to_le_bytes());
    packet
}

/// Lines that all differ, and fill their sectors but for the zero byte at the end.
fn text() -> Result<String> {
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= TEXT_SECTORS * SECTOR {
            break;
        }
        writeln!(text, "line {number} of what was read from the disk")?;
    }
    text.truncate(TEXT_SECTORS * SECTOR - 1);
    Ok(text)
}
