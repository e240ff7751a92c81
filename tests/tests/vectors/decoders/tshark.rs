//! What tshark says.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aoe_tests::command::finish;
use serde_json::{Value, json};

use super::Fields;

/// For some thousands of frames.
const LIMIT: Duration = Duration::from_secs(120);

/// Its names of fields, and ours.
const FIELDS: [(&str, &str); 19] = [
    ("eth.dst", "destination"),
    ("eth.src", "source"),
    ("vlan.id", "vlan_id"),
    ("aoe.version", "version"),
    ("aoe.response", "response"),
    ("aoe.flags_error", "failed"),
    ("aoe.error", "error"),
    ("aoe.major", "shelf"),
    ("aoe.minor", "slot"),
    ("aoe.cmd", "aoe_command"),
    ("aoe.tag", "tag"),
    ("aoe.err_feature", "feature"),
    ("aoe.sector_count", "count"),
    ("aoe.ata.cmd", "command"),
    ("aoe.ata.status", "command"),
    ("aoe.aflags.e", "extended"),
    ("aoe.aflags.a", "asynchronous"),
    ("aoe.aflags.w", "write"),
    ("aoe.lba", "lba48"),
];

/// The fields of every frame of a capture file. Those that it marks as malformed have one more,
/// which nobody agrees with.
pub(super) fn decode(file: &Path) -> Result<Vec<Fields>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-T", "fields", "-E", "separator=|", "-e", "_ws.malformed"]);
    for (field, _) in FIELDS {
        command.args(["-e", field]);
    }
    let text = finish(&mut command, LIMIT)?.success().context("run tshark")?.text();
    text.lines().map(row).collect()
}

fn row(line: &str) -> Result<Fields> {
    let values: Vec<&str> = line.split('|').collect();
    ensure!(values.len() == FIELDS.len() + 1, "tshark printed {line}");
    let mut fields = Fields::new();
    if !values[0].is_empty() {
        fields.insert("malformed".to_owned(), json!(values[0]));
    }
    for ((theirs, ours), text) in FIELDS.iter().zip(&values[1..]) {
        if !text.is_empty() {
            fields.insert((*ours).to_owned(), value(theirs, text)?);
        }
    }
    Ok(fields)
}

/// Numbers come in decimal or hexadecimal, flags as digits or words.
fn value(field: &str, text: &str) -> Result<Value> {
    if field.starts_with("eth.") {
        return Ok(json!(text));
    }
    if ["aoe.response", "aoe.flags_error"].contains(&field) || field.starts_with("aoe.aflags.") {
        return Ok(json!(["1", "True"].contains(&text)));
    }
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Ok(json!(number.with_context(|| format!("{field} is {text}"))?))
}
