//! `aoe write`

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use anyhow::{Context, bail};
use aoe_client::{Disk, SECTOR_SIZE};
use clap::Args;

use super::{CHUNK_BYTES, Connection};
use crate::progress::Progress;

const EXAMPLES: &str = "\
Examples:
  aoe write e0.1 --iface eth0 disk.img
  aoe write e0.1 --iface eth0 --lba 2048 partition.img
  zcat disk.img.gz | aoe write e0.1 --iface eth0
  head -c 1M /dev/zero | aoe write e0.1 --iface eth0";

/// Copy a file or standard input to the sectors of a disk
///
/// What was on these sectors is gone, without a question asked: make sure that nobody has the disk
/// mounted. The length must be a multiple of 512, the size of a sector.
///
/// If the length is known beforehand (a file, also one that standard input comes from), what does
/// not fit the disk is refused before anything is written. Of a pipe, what comes before the end of
/// the disk is written before the rest is refused. On a terminal, long copies show their progress.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// The sector to start at
    #[arg(long, value_name = "N", default_value_t = 0)]
    lba: u64,

    /// The file to read from instead of standard input
    #[arg(value_name = "FILE")]
    input: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (name, mut input) = match &arguments.input {
        Some(path) => {
            let name = path.display().to_string();
            let file = File::open(path).with_context(|| format!("{name} can't be read"))?;
            (name, file)
        }
        None => {
            ("standard input".to_owned(), File::from(io::stdin().as_fd().try_clone_to_owned()?))
        }
    };
    let length = length(&mut input).with_context(|| name.clone())?;
    if let Some(bytes) = length.filter(|bytes| !bytes.is_multiple_of(SECTOR_SIZE as u64)) {
        bail!("{name}: {bytes} bytes are not a whole number of sectors of 512 bytes");
    }
    arguments.connection.with_disk(|disk| {
        if let Some(bytes) = length {
            disk.check_range(arguments.lba, bytes / SECTOR_SIZE as u64)?;
        }
        copy(disk, arguments.lba, &mut input, length).with_context(|| name)
    })
}

/// How many bytes are left to read, where that can be known.
fn length(input: &mut File) -> io::Result<Option<u64>> {
    let kind = input.metadata()?.file_type();
    if !kind.is_file() && !kind.is_block_device() {
        return Ok(None);
    }
    let position = input.stream_position()?;
    let end = input.seek(SeekFrom::End(0))?;
    input.seek(SeekFrom::Start(position))?;
    Ok(Some(end.saturating_sub(position)))
}

fn copy(
    disk: &mut Disk,
    mut lba: u64,
    input: &mut impl Read,
    length: Option<u64>,
) -> anyhow::Result<()> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    let mut progress = Progress::new(length);
    let start = lba;
    loop {
        chunk.clear();
        input.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            return Ok(());
        }
        disk.write(lba, &chunk)
            .with_context(|| format!("after {} sectors were written", lba - start))?;
        lba += (chunk.len() / SECTOR_SIZE) as u64;
        progress.add(chunk.len() as u64);
    }
}
