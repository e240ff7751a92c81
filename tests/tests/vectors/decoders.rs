//! Other people's decoders agree with our types on every frame of the vectors.
//!
//! tshark knows the headers and the ATA registers, scapy the arguments of all four commands. What
//! one of them says of a frame has to be what ours says; what it does not know is not compared. The
//! lists of MAC addresses are known to neither: see `with_scapy.py`.

mod ours;
mod scapy;
mod tshark;

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use aoe_tests::paths;
use aoe_tests::vectors::{self, Expected, Vblade, pcap};
use serde_json::Value;

/// What a decoder says of a frame: names of fields, and their values.
type Fields = BTreeMap<String, Value>;

/// Every frame of the vectors, with the row that it is from.
fn frames() -> Result<(Vec<String>, Vec<Vec<u8>>)> {
    let (mut names, mut frames) = (Vec::new(), Vec::new());
    for letter in vectors::letters() {
        for session in vectors::sessions(letter)? {
            for case in session.cases() {
                names.push(case.id.clone());
                frames.push(case.request.clone());
                let of_vblade = match &case.vblade {
                    Vblade::Differs(replies) => &replies[..],
                    Vblade::Same | Vblade::Skipped(_) => &[],
                };
                for reply in case.replies.iter().chain(of_vblade) {
                    names.push(format!("{}, reply", case.id));
                    frames.push(Expected::example(reply));
                }
            }
        }
    }
    Ok((names, frames))
}

/// Compares what `theirs` makes of every frame with what ours does. Gives the number of values that
/// were compared, by field.
fn compare(
    theirs: impl Fn(&std::path::Path) -> Result<Vec<Fields>>,
) -> Result<BTreeMap<String, usize>> {
    let (names, frames) = frames()?;
    let scratch = paths::scratch()?;
    let file = scratch.path().join("vectors.pcap");
    pcap::write(&file, &frames)?;
    let decoded = theirs(&file)?;
    ensure!(decoded.len() == frames.len(), "{} of {} frames", decoded.len(), frames.len());
    let mut compared = BTreeMap::new();
    let mut mistakes = Vec::new();
    for ((name, frame), theirs) in names.iter().zip(&frames).zip(decoded) {
        // What ends within its headers may be called whatever it is called.
        let Some(ours) = ours::decode(frame) else { continue };
        for (field, value) in theirs {
            match ours.get(&field) {
                Some(ours) if *ours == value => *compared.entry(field).or_default() += 1,
                ours => mistakes.push(format!(
                    "{name}: {field} is {value} to them, {ours:?} to us: {}",
                    vectors::hex(frame)
                )),
            }
        }
    }
    ensure!(mistakes.is_empty(), "{} differences:\n{}", mistakes.len(), mistakes.join("\n"));
    Ok(compared)
}

/// Fails unless each of these fields was compared so often at least: a decoder that finds nothing
/// agrees with everybody.
fn expect_compared(compared: &BTreeMap<String, usize>, fields: &[(&str, usize)]) -> Result<()> {
    for (field, least) in fields {
        let count = compared.get(*field).copied().unwrap_or_default();
        ensure!(count >= *least, "{field} was compared {count} times only: {compared:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs tshark: cargo xtask test runs it"]
fn tshark_agrees_on_every_frame() -> Result<()> {
    let compared = compare(tshark::decode)?;
    println!("{compared:?}");
    expect_compared(
        &compared,
        &[
            ("version", 5000),
            ("response", 5000),
            ("error", 900),
            ("shelf", 5000),
            ("slot", 5000),
            ("aoe_command", 5000),
            ("tag", 5000),
            ("feature", 2000),
            ("count", 2000),
            ("command", 2000),
            ("lba48", 2000),
            ("extended", 2000),
        ],
    )
}

#[test]
#[ignore = "needs Python and PyPI: cargo xtask test runs it"]
fn scapy_agrees_on_every_frame() -> Result<()> {
    let compared = compare(scapy::decode)?;
    println!("{compared:?}");
    expect_compared(
        &compared,
        &[
            ("source", 5000),
            ("version", 5000),
            ("flags", 5000),
            ("shelf", 5000),
            ("tag", 5000),
            ("aflags", 2000),
            ("lba", 2000),
            ("sub_command", 200),
            ("string", 200),
            ("mask_error", 500),
            ("dir_count", 500),
            ("mac_count", 200),
        ],
    )
}
