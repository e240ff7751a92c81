//! `aoe identify`

use aoe_client::{Features, Rotation, SECTOR_SIZE, Switch, Target, Trim};
use clap::Args;
use serde_json::{Value, json};

use super::{Connection, print};
use crate::size::gigabytes;

const EXAMPLES: &str = "\
Examples:
  aoe identify e0.1 --iface eth0
  aoe identify e0.1 --iface eth0 --json | jq -r .serial";

/// Tell what a disk says about itself
///
/// This is its answer to IDENTIFY DEVICE, which a reservation does not keep anybody from.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: Connection,

    /// Print one JSON object instead
    ///
    /// What the disk does not say is null.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (target, features) =
        arguments.connection.with_disk(|disk| Ok((disk.target().clone(), disk.features())))?;
    if arguments.json {
        return print(format_args!("{:#}", object(&target, &features)));
    }
    for (name, value) in lines(&features) {
        print(format_args!("{name:<18} {value}"))?;
    }
    Ok(())
}

fn object(target: &Target, features: &Features) -> Value {
    let switch =
        |switch: Switch| json!({ "supported": switch.supported, "enabled": switch.enabled });
    let (solid_state, rotations) = match features.rotation {
        Rotation::Unknown => (None, None),
        Rotation::SolidState => (Some(true), None),
        Rotation::PerMinute(rotations) => (Some(false), Some(rotations)),
    };
    let trim = features.trim.map(|trim| {
        let Trim { blocks, deterministic, zeroes } = trim;
        json!({ "blocks": blocks, "deterministic": deterministic, "zeroes": zeroes })
    });
    json!({
        "address": target.address.to_string(),
        "mac": target.mac.to_string(),
        "interface": target.interface,
        "model": features.model,
        "serial": features.serial,
        "firmware": features.firmware,
        "world_wide_name": features.world_wide_name.map(|name| format!("{name:016x}")),
        "sectors": features.sectors,
        "sector_bytes": SECTOR_SIZE,
        "physical_sector_bytes": features.physical_sector_bytes,
        "solid_state": solid_state,
        "rotations_per_minute": rotations,
        "lba48": features.lba48,
        "dma": features.dma,
        "flush": features.flush,
        "flush_ext": features.flush_ext,
        "fua": features.fua,
        "write_cache": switch(features.write_cache),
        "look_ahead": switch(features.look_ahead),
        "smart": switch(features.smart),
        "power_management": features.power_management,
        "trim": trim,
        "checksum_right": features.checksum,
    })
}

fn lines(features: &Features) -> [(&'static str, String); 17] {
    let yes_no = |yes| if yes { "yes" } else { "no" }.to_owned();
    let name = features.world_wide_name.map(|name| format!("{name:016x}"));
    let bytes = features.physical_sector_bytes;
    [
        ("model", features.model.clone()),
        ("serial", features.serial.clone()),
        ("firmware", features.firmware.clone()),
        ("world wide name", name.unwrap_or("none".to_owned())),
        ("size", format!("{}, {} sectors", gigabytes(features.sectors), features.sectors)),
        ("sector size", format!("{SECTOR_SIZE} bytes, physically {bytes}")),
        ("rotation", rotation(features.rotation)),
        ("LBA48", yes_no(features.lba48)),
        ("DMA", yes_no(features.dma)),
        ("flush", flush(features).to_owned()),
        ("FUA", yes_no(features.fua)),
        ("write cache", state(features.write_cache).to_owned()),
        ("look-ahead", state(features.look_ahead).to_owned()),
        ("SMART", state(features.smart).to_owned()),
        ("power management", yes_no(features.power_management)),
        ("TRIM", features.trim.map_or("no".to_owned(), trim)),
        ("checksum", checksum(features.checksum).to_owned()),
    ]
}

fn rotation(rotation: Rotation) -> String {
    match rotation {
        Rotation::Unknown => "unknown".to_owned(),
        Rotation::SolidState => "none, solid state".to_owned(),
        Rotation::PerMinute(rotations) => format!("{rotations} per minute"),
    }
}

fn flush(features: &Features) -> &'static str {
    match (features.flush, features.flush_ext) {
        (true, true) => "FLUSH CACHE, FLUSH CACHE EXT",
        (true, false) => "FLUSH CACHE",
        (false, true) => "FLUSH CACHE EXT",
        (false, false) => "no",
    }
}

fn state(switch: Switch) -> &'static str {
    match (switch.supported, switch.enabled) {
        (true, true) => "on",
        (true, false) => "off",
        (false, _) => "no",
    }
}

fn trim(trim: Trim) -> String {
    let leaves = match (trim.deterministic, trim.zeroes) {
        (_, true) => "leaves zeroes",
        (true, false) => "leaves always the same",
        (false, false) => "leaves anything",
    };
    format!("up to {} ranges in a request, {leaves}", u32::from(trim.blocks) * 64)
}

fn checksum(right: Option<bool>) -> &'static str {
    match right {
        None => "none",
        Some(true) => "right",
        Some(false) => "WRONG",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aoe_client::Mac;

    const ON: Switch = Switch { supported: true, enabled: true };
    const OFF: Switch = Switch { supported: true, enabled: false };
    const NONE: Switch = Switch { supported: false, enabled: false };

    fn features() -> Features {
        Features {
            model: "a model".to_owned(),
            serial: "a serial number".to_owned(),
            firmware: "1.0".to_owned(),
            world_wide_name: Some(0x5001_2345_6789_ABCD),
            sectors: 2_097_152,
            physical_sector_bytes: 4096,
            rotation: Rotation::PerMinute(7200),
            lba48: true,
            dma: false,
            flush: true,
            flush_ext: true,
            fua: true,
            write_cache: ON,
            look_ahead: OFF,
            smart: NONE,
            power_management: true,
            trim: Some(Trim { blocks: 8, deterministic: true, zeroes: true }),
            checksum: Some(true),
        }
    }

    #[test]
    fn everything_has_a_line() {
        let lines: Vec<_> =
            lines(&features()).map(|(name, value)| format!("{name}: {value}")).into();
        let expected = [
            "model: a model",
            "serial: a serial number",
            "firmware: 1.0",
            "world wide name: 500123456789abcd",
            "size: 1.073GB, 2097152 sectors",
            "sector size: 512 bytes, physically 4096",
            "rotation: 7200 per minute",
            "LBA48: yes",
            "DMA: no",
            "flush: FLUSH CACHE, FLUSH CACHE EXT",
            "FUA: yes",
            "write cache: on",
            "look-ahead: off",
            "SMART: no",
            "power management: yes",
            "TRIM: up to 512 ranges in a request, leaves zeroes",
            "checksum: right",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn json_has_everything_in_its_type() {
        let target = Target {
            address: "e0.1".parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            interface: "eth0".to_owned(),
            sector_count: 2,
            buffer_count: 16,
            firmware_version: 0,
            config_string: Vec::new(),
        };
        let full = object(&target, &features());
        assert_eq!(full["world_wide_name"], "500123456789abcd");
        assert_eq!(full["sectors"], 2_097_152);
        assert_eq!(
            (&full["solid_state"], &full["rotations_per_minute"]),
            (&json!(false), &json!(7200))
        );
        assert_eq!(full["look_ahead"], json!({ "supported": true, "enabled": false }));
        assert_eq!(full["trim"], json!({ "blocks": 8, "deterministic": true, "zeroes": true }));
        let rotation = Rotation::Unknown;
        let less =
            Features { world_wide_name: None, trim: None, rotation, checksum: None, ..features() };
        let less = object(&target, &less);
        for key in
            ["world_wide_name", "trim", "solid_state", "rotations_per_minute", "checksum_right"]
        {
            assert_eq!(less.get(key), Some(&Value::Null), "{key}");
        }
    }
}
