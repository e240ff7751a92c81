//! The configuration file: TOML with a table for each export.
//!
//! Reading goes on after a mistake, so that all of them are told at once. `table` reads keys and
//! complains about unknown ones, `values` knows the types of values, `export` the keys of an
//! export, and `cross` looks at exports together.

mod cross;
mod export;
mod table;
mod values;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod properties;

use super::cli::MAX_ANNOUNCE_EVERY;
use super::overlap::ByteRange;
use super::problem::{Flaw, Lines, Problem};
use super::storage::{MAX_IO_TIMEOUT, check_cache};
use super::{CacheSize, Durability, ExportConfig, HugePages, InterfacePattern, Mode};
use std::path::PathBuf;
use std::time::Duration;
use table::Table;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) use cross::{disagreements, overlaps};

/// What a configuration file says. What it leaves out is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// The interfaces, at least one, each once.
    pub interfaces: Vec<Spanned<InterfacePattern>>,
    /// The exports, at least one; no two have the same address.
    pub exports: Vec<FileExport>,
    /// How to receive.
    pub mode: Option<Mode>,
    /// Whether to stop rather than serve without zero-copy.
    pub require_zerocopy: bool,
    /// Path of the control socket.
    pub control: Option<PathBuf>,
    /// Directory of config strings, MAC mask lists and reservations.
    pub state_dir: Option<PathBuf>,
    /// Time between repeated announcements.
    pub announce_every: Option<Duration>,
    /// What all buffers are on.
    pub huge_pages: Option<HugePages>,
    /// Memory for what was read.
    pub cache: Option<CacheSize>,
    /// Whether disks are read into it before anybody asks for them.
    pub preload: bool,
    /// After how long a request that its disk does not answer is given up.
    pub io_timeout: Option<Duration>,
}

/// An export, with the bytes of the file that say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileExport {
    /// What is said.
    pub config: ExportConfig,
    pub(super) bytes: ByteRange,
    pub(super) places: Places,
}

/// Where a file says something, for problems that are found later: bytes of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// The shelf, and so the address.
    pub(super) address: usize,
    pub(super) file: usize,
    /// The length, or else the offset, or else the file.
    pub(super) end: usize,
    /// The durability, or else the file.
    pub(super) durability: usize,
    pub(super) serial: usize,
    pub(super) wwn: usize,
    /// Of each interface.
    pub(super) interfaces: Vec<usize>,
}

/// Keys of the whole file.
const KEYS: [&str; 12] = [
    "interfaces",
    "mode",
    "require-zerocopy",
    "control",
    "state-dir",
    "announce-every",
    "hugepages",
    "cache",
    "preload",
    "io-timeout",
    "durability",
    "export",
];

/// Most names and patterns of interfaces in one list. Patterns make more needless.
const MAX_INTERFACES: usize = 64;

const NO_INTERFACES: &str =
    "interfaces says where to serve: give names or patterns, as in interfaces = [\"ens33\"]";
const TOO_MANY_INTERFACES: &str = "interfaces are more than 64: give patterns as in [\"ens*\"]";

/// Reads a file. Nothing outside of the text is looked at.
///
/// # Errors
///
/// Everything that is wrong, in the order of its place. If it is no TOML, then only where that shows
/// first.
pub fn parse(text: &str) -> Result<File, Vec<Problem>> {
    let (file, mut flaws) = read(text);
    let lines = Lines::new(text);
    flaws.extend(overlaps(&file, &lines, |export| &export.file));
    flaws.extend(disagreements(&file, &lines, |export| &export.file));
    if flaws.is_empty() { Ok(file) } else { Err(lines.locate(flaws)) }
}

/// Reads a file, and says what is wrong except for what exports of one file do to each
/// other. Exports that are wrong by themselves
/// are left out.
pub(super) fn read(text: &str) -> (File, Vec<Flaw>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    if let Some(first) = errors.iter().map(syntax).min_by_key(|flaw| flaw.at) {
        return (File::default(), vec![first]);
    }
    let mut flaws = Vec::new();
    let mut table = Table::new(table.get_ref(), 0, &mut flaws);
    table.expect_keys(&KEYS, &export::KEYS, "of an export: put it below the line [[export]]");
    let interfaces = table.list("interfaces", values::interface);
    match table.get("interfaces") {
        None => table.flaw("interfaces", NO_INTERFACES),
        Some(DeValue::Array(entries)) if entries.is_empty() => {
            table.flaw("interfaces", NO_INTERFACES);
        }
        Some(DeValue::Array(entries)) if entries.len() > MAX_INTERFACES => {
            table.flaw("interfaces", TOO_MANY_INTERFACES);
        }
        Some(_) => {}
    }
    let durability = table.optional("durability", values::choice).map(Spanned::into_inner);
    let cache = table.optional("cache", values::cache);
    let mut file = File {
        interfaces: interfaces.unwrap_or_default(),
        exports: Vec::new(),
        mode: table.optional("mode", values::choice).map(Spanned::into_inner),
        require_zerocopy: table.is_true("require-zerocopy"),
        control: table.optional("control", values::path).map(Spanned::into_inner),
        state_dir: table.optional("state-dir", values::path).map(Spanned::into_inner),
        announce_every: table
            .optional("announce-every", |value| values::seconds(value, 1..=MAX_ANNOUNCE_EVERY))
            .map(Spanned::into_inner),
        huge_pages: table.optional("hugepages", values::huge_pages).map(Spanned::into_inner),
        cache: cache.as_ref().map(|cache| *cache.get_ref()),
        preload: table.is_true("preload"),
        io_timeout: table
            .optional("io-timeout", |value| values::seconds(value, 1..=MAX_IO_TIMEOUT))
            .map(Spanned::into_inner),
    };
    if let Err(error) = super::mode(file.mode.unwrap_or(Mode::Auto), file.require_zerocopy) {
        table.flaw("require-zerocopy", &error.to_string());
    }
    let exports = exports(&mut table);
    for (export, at) in exports {
        file.exports.extend(export::read(export, at, durability.unwrap_or_default(), &mut flaws));
    }
    if let Some(cache) = cache {
        let mut durabilities = file.exports.iter().map(|export| export.config.durability);
        let is_writeback = durabilities.any(|one| one == Durability::Writeback);
        if let Err(error) = check_cache(*cache.get_ref(), file.preload, is_writeback) {
            flaws.push(Flaw { at: cache.span().start, text: error.to_string() });
        }
    }
    cross::check(&file, &Lines::new(text), &mut flaws);
    (file, flaws)
}

/// The tables of the exports, with their places.
fn exports<'t>(table: &mut Table<'t, '_>) -> Vec<(&'t DeTable<'t>, usize)> {
    let mut tables = Vec::new();
    match table.get("export") {
        Some(DeValue::Array(entries)) => {
            for entry in entries {
                match entry.get_ref() {
                    DeValue::Table(export) => tables.push((export, entry.span().start)),
                    other => {
                        let found = values::found(other);
                        table.flaw_at(
                            entry.span().start,
                            format!("an export must be a table below [[export]], not {found}"),
                        );
                    }
                }
            }
            if entries.is_empty() {
                table.flaw("export", "there is no export: give at least one [[export]]");
            }
        }
        Some(DeValue::Table(_)) => {
            table.flaw("export", "an export has two brackets on either side: [[export]]");
        }
        Some(other) => {
            let text = format!("exports are tables below [[export]], not {}", values::found(other));
            table.flaw("export", &text);
        }
        None => table.flaw("export", "there is no export: give at least one [[export]]"),
    }
    tables
}

/// A reason why a text is no TOML. Only the first in the text is told: others may follow from it.
fn syntax(error: &toml::de::Error) -> Flaw {
    let at = error.span().map_or(0, |span| span.start);
    Flaw { at, text: format!("this is no TOML: {}", error.message().replace('\n', " ")) }
}
