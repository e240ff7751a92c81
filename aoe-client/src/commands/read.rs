//! `aoe read`

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use aoe_client::{Disk, SECTOR_SIZE};
use aoe_common::size::parse_sectors;
use clap::Args;

use super::{CHUNK_BYTES, Connection};
use crate::progress::Progress;

const EXAMPLES: &str = "\
Examples:
  aoe read e0.1 --iface eth0 -o disk.img
  aoe read e0.1 --iface eth0 --lba 2048 --bytes 64M -o partition.img
  aoe read e0.1 --iface eth0 --sectors 1 | xxd
  aoe read e0.1 --iface eth0 | sha256sum";

/// Copy sectors from a disk to a file or to standard output
///
/// Without --sectors and --bytes everything from --lba to the end of the disk is copied. What goes
/// past the end is refused before anything is read. On a terminal, long copies show their progress.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// The sector to start at
    #[arg(long, value_name = "N", default_value_t = 0)]
    lba: u64,

    /// How many sectors of 512 bytes to copy
    #[arg(long, value_name = "N")]
    sectors: Option<u64>,

    /// How many bytes to copy, a multiple of 512; K, M, G and T multiply by powers of 1024
    #[arg(long, value_name = "SIZE", conflicts_with = "sectors", value_parser = parse_sectors)]
    bytes: Option<u64>,

    /// The file to write to; it is created, or overwritten
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.output.is_none() && io::stdout().is_terminal() {
        bail!("a terminal is no place for the bytes of a disk: use -o FILE, or a pipe");
    }
    arguments.connection.with_disk(|disk| copy_from(disk, arguments))
}

fn copy_from(disk: &mut Disk, arguments: &Arguments) -> anyhow::Result<()> {
    let rest = disk.sectors().saturating_sub(arguments.lba);
    let sectors = arguments.sectors.or(arguments.bytes).unwrap_or(rest);
    disk.check_range(arguments.lba, sectors)?;
    match arguments.output.as_deref() {
        None => match copy(disk, arguments.lba, sectors, &mut io::stdout().lock()) {
            // Whoever reads the pipe has seen enough.
            Err(error) if is_broken_pipe(&error) => Ok(()),
            result => result.context("standard output"),
        },
        Some(path) => {
            let mut file = create(path)?;
            copy(disk, arguments.lba, sectors, &mut file)
                .with_context(|| path.display().to_string())
        }
    }
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("{} can't be written", path.display()))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn copy(disk: &mut Disk, lba: u64, sectors: u64, output: &mut impl Write) -> anyhow::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut progress = Progress::new(Some(sectors * SECTOR_SIZE as u64));
    let end = lba + sectors;
    for start in (lba..end).step_by(CHUNK_BYTES / SECTOR_SIZE) {
        let length = (end - start).min((CHUNK_BYTES / SECTOR_SIZE) as u64) as usize * SECTOR_SIZE;
        let data = &mut chunk[..length];
        disk.read(start, data)?;
        output.write_all(data)?;
        progress.add(length as u64);
    }
    Ok(output.flush()?)
}
