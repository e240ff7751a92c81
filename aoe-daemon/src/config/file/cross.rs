//! What exports must not have in common, what they must, and what they need of the whole file.

use super::super::ExportConfig;
use super::super::overlap::{Claim, conflicts};
use super::super::problem::{Flaw, Lines};
use super::{File, FileExport};
use std::collections::HashMap;
use std::hash::Hash;

/// Looks at everything but exports of one file.
pub(super) fn check(file: &File, lines: &Lines<'_>, flaws: &mut Vec<Flaw>) {
    let first = Firsts { exports: &file.exports, lines };
    first.of(
        flaws,
        |export| Some(export.config.address),
        |export, other, line| Flaw {
            at: export.places.address,
            text: format!(
                "{} is the address of the export in line {line}, too: give each one of its own",
                other.config.address
            ),
        },
    );
    first.of(
        flaws,
        |export| export.config.serial.as_deref(),
        |export, other, line| Flaw {
            at: export.places.serial,
            text: format!(
                "this is the serial number of {} in line {line}, too: {MISTAKEN}",
                other.config.address
            ),
        },
    );
    first.of(
        flaws,
        |export| export.config.wwn,
        |export, other, line| Flaw {
            at: export.places.wwn,
            text: format!(
                "this is the world wide name of {} in line {line}, too: {MISTAKEN}",
                other.config.address
            ),
        },
    );
    if !file.interfaces.is_empty() {
        file.exports.iter().for_each(|export| unreachable_interfaces(file, export, flaws));
    }
}

const MISTAKEN: &str = "clients would take both for one disk; give each its own";

/// Exports, for finding those that have what an earlier one has.
struct Firsts<'f> {
    exports: &'f [FileExport],
    lines: &'f Lines<'f>,
}

impl<'f> Firsts<'f> {
    /// Calls `flaw` with every export whose `key` an earlier one has, with that one, and with the
    /// line of that one's address.
    fn of<K: Eq + Hash>(
        &self,
        flaws: &mut Vec<Flaw>,
        key: impl Fn(&'f FileExport) -> Option<K>,
        flaw: impl Fn(&FileExport, &FileExport, usize) -> Flaw,
    ) {
        let mut first: HashMap<K, &FileExport> = HashMap::with_capacity(self.exports.len());
        for export in self.exports {
            let Some(key) = key(export) else { continue };
            let earlier = *first.entry(key).or_insert(export);
            if !std::ptr::eq(earlier, export) {
                flaws.push(flaw(export, earlier, self.lines.line(earlier.places.address)));
            }
        }
    }
}

fn unreachable_interfaces(file: &File, export: &FileExport, flaws: &mut Vec<Flaw>) {
    for (interface, at) in export.config.interfaces.iter().zip(&export.places.interfaces) {
        if !file.interfaces.iter().any(|served| served.get_ref().may_meet(interface)) {
            let text = format!(
                "{interface} is none of the interfaces at the top of the file: add it there"
            );
            flaws.push(Flaw { at: *at, text });
        }
    }
}

/// Exports of the same bytes of one file, unless all of them are read-only. `identity` tells files
/// apart.
pub(in crate::config) fn overlaps<'f, K: Eq + Hash>(
    file: &'f File,
    lines: &Lines<'_>,
    identity: impl Fn(&'f ExportConfig) -> K,
) -> Vec<Flaw> {
    let claim = |export: &'f FileExport| Claim {
        file: identity(&export.config),
        bytes: export.bytes,
        writes: !export.config.read_only,
    };
    let claims: Vec<_> = file.exports.iter().map(claim).collect();
    let flaw = |(first, second): (usize, usize)| {
        let (first, second) = (&file.exports[first], &file.exports[second]);
        let line = lines.line(first.places.file);
        let text = format!(
            "{} and {} in line {line} have the same bytes of a file: make both read-only, or give \
             each a file or a range of its own",
            second.config.address, first.config.address
        );
        Flaw { at: second.places.file, text }
    };
    conflicts(&claims).into_iter().map(flaw).collect()
}

/// Exports of one file that are to be durable at different times. `identity` tells files apart.
pub(in crate::config) fn disagreements<'f, K: Eq + Hash>(
    file: &'f File,
    lines: &Lines<'_>,
    identity: impl Fn(&'f ExportConfig) -> K,
) -> Vec<Flaw> {
    let mut first: HashMap<K, &FileExport> = HashMap::with_capacity(file.exports.len());
    let mut flaws = Vec::new();
    for export in &file.exports {
        let FileExport { config, places, .. } = export;
        let earlier = *first.entry(identity(config)).or_insert(export);
        let other = &earlier.config;
        if other.durability != config.durability {
            let text = format!(
                "{} has durability {} and {} in line {} has {}, and both are on one file: give \
                 both the same",
                config.address,
                config.durability,
                other.address,
                lines.line(earlier.places.durability),
                other.durability
            );
            flaws.push(Flaw { at: places.durability, text });
        }
    }
    flaws
}
