//! What was measured on, and with what.

use crate::build::workspace;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a reader has to know of the machine: names and values.
pub(super) fn describe(directory: &Path) -> Vec<(&'static str, String)> {
    let cpuinfo = read("/proc/cpuinfo");
    let processors = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let model = field(&cpuinfo, "model name").unwrap_or_else(|| "unknown".into());
    let volume = said("findmnt", &["-n", "-o", "SOURCE,FSTYPE,OPTIONS", "-T"], Some(directory));
    let device = volume.split_whitespace().next().unwrap_or_default().to_owned();
    vec![
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("processor", format!("{model}, {processors} cores")),
        ("memory", memory),
        ("filesystem", volume.split_whitespace().collect::<Vec<_>>().join(" ")),
        ("disk", disk(device.trim_start_matches("/dev/"))),
        ("fio", said("fio", &["--version"], None)),
        ("vblade", said("dpkg-query", &["-W", "-f=${Version}", "vblade"], None)),
        ("this project", revision()),
    ]
}

/// What the kernel says of the queue of a disk, or of the one that a partition is on.
fn disk(name: &str) -> String {
    let queue = |attribute: &str| {
        let own = format!("/sys/class/block/{name}/queue/{attribute}");
        let of_whole = format!("/sys/class/block/{name}/../queue/{attribute}");
        let text = fs::read_to_string(own).or_else(|_| fs::read_to_string(of_whole));
        text.map_or_else(|_| "unknown".into(), |text| text.trim().to_owned())
    };
    format!(
        "{name}: cache {}, sectors of {} bytes, rotational {}, scheduler {}",
        queue("write_cache"),
        queue("logical_block_size"),
        queue("rotational"),
        queue("scheduler"),
    )
}

fn revision() -> String {
    let git = |arguments: &[&str]| {
        let top = workspace().display().to_string();
        said("git", &[&["-C", &top], arguments].concat(), None)
    };
    let changed = match git(&["status", "--porcelain", "--untracked-files=no"]).as_str() {
        "" => "",
        _ => " with changes",
    };
    format!("{} {}{changed}", env!("CARGO_PKG_VERSION"), git(&["rev-parse", "--short", "HEAD"]))
}

/// What a program prints; nothing where there is none.
fn said(program: &str, arguments: &[&str], path: Option<&Path>) -> String {
    let output = Command::new(program).args(arguments).args(path).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first line `name: value`, as files in /proc have them.
pub(super) fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "VmRSSx:\t1 kB\nVmRSS:\t  20 kB\nVmRSS:\t30 kB\n";
        assert_eq!(field(text, "VmRSS").as_deref(), Some("20 kB"));
        assert_eq!(field(text, "VmR"), None);
    }
}
