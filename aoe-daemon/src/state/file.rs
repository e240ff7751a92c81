//! The form of a state file: JSON, so that an administrator can read it.

use crate::target::Lists;
use anyhow::{Context, Result, ensure};
use aoe_common::wire::Mac;
use serde::{Deserialize, Serialize};

/// Version of the form.
const VERSION: u32 = 1;

/// A state file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    version: u32,
    /// In hexadecimal: the string may be any bytes.
    config_string: String,
    mac_mask: Vec<String>,
    reserved: Vec<String>,
}

/// The content of the file that remembers this.
pub(super) fn format(lists: &Lists) -> Result<Vec<u8>> {
    let texts = |list: &[Mac]| list.iter().map(ToString::to_string).collect();
    let file = File {
        version: VERSION,
        config_string: lists.config_string.iter().map(|byte| format!("{byte:02x}")).collect(),
        mac_mask: texts(&lists.mask),
        reserved: texts(&lists.reserved),
    };
    let mut text = serde_json::to_vec_pretty(&file)?;
    text.push(b'\n');
    Ok(text)
}

/// What a file with this content remembers.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn parse(text: &[u8]) -> Result<Lists> {
    let file: File = serde_json::from_slice(text)?;
    ensure!(file.version == VERSION, "it is of version {}", file.version);
    let macs = |list: &[String]| -> Result<Vec<Mac>> {
        list.iter().map(|text| text.parse().with_context(|| format!("{text:?}"))).collect()
    };
    let lists = Lists {
        config_string: bytes(&file.config_string)?,
        mask: macs(&file.mac_mask)?,
        reserved: macs(&file.reserved)?,
    };
    lists.check()?;
    Ok(lists)
}

fn bytes(digits: &str) -> Result<Vec<u8>> {
    let digits = digits.as_bytes();
    ensure!(digits.len().is_multiple_of(2), "half a byte is missing from the config string");
    digits
        .chunks(2)
        .map(|pair| {
            ensure!(pair.iter().all(u8::is_ascii_hexdigit), "the config string is not hexadecimal");
            Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mac() -> impl Strategy<Value = Mac> {
        any::<[u8; 6]>().prop_map(Mac)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            config_string in prop::collection::vec(any::<u8>(), 0..=1024),
            mask in prop::collection::vec(mac(), 0..=255),
            reserved in prop::collection::vec(mac(), 0..=255),
        ) {
            let lists = Lists { config_string, mask, reserved };
            prop_assert_eq!(parse(&format(&lists).unwrap()).unwrap(), lists);
        }

        #[test]
        fn damage_is_never_a_panic(
            at in any::<prop::sample::Index>(), value in any::<u8>(), cut in any::<bool>(),
        ) {
            let lists = Lists { config_string: b"hello".to_vec(), ..Lists::default() };
            let mut text = format(&lists).unwrap();
            let at = at.index(text.len());
            if cut {
                text.truncate(at);
            } else {
                text[at] = value;
            }
            let _ = parse(&text);
        }
    }

    #[test]
    fn what_is_too_long_or_unknown_is_damage() {
        let file = |string: &str, more: &str| {
            format!(
                r#"{{"version":1,"config-string":"{string}","mac-mask":[],"reserved":[]{more}}}"#
            )
        };
        assert!(parse(file("6869", "").as_bytes()).is_ok());
        for bad in [
            file(&"00".repeat(1025), ""),
            file("6", ""),
            file("+1", ""),
            file("", r#","other":1"#),
            file("", "").replace(":1", ":2"),
            file("", "").replace("[]", r#"["02:00"]"#),
            String::new(),
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
