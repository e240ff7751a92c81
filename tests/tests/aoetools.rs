//! aoetools' commands, which Coraid wrote for its own targets.
//!
//! aoe-stat, aoe-discover and their like ask the Linux driver, and run in the virtual machine.
//! aoe-sancheck, and the least of the others, is in `third_party.rs`.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use aoe_tests::command::{Finished, SHORT, finish};
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::image::random_image;
use aoe_tests::paths;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// Exit code for what the target does not do.
const REFUSED: i32 = 1;

fn setup<'n>(wire: &'n Wire, directory: &Path) -> Result<Setup<'n>> {
    let mut setup = Setup::new(&wire.target, TARGET_PORT, directory);
    for slot in [1, 2] {
        let image = directory.join(format!("{slot}.img"));
        random_image(&image, 1 << 20, u64::from(slot))?;
        setup = setup.export(0, slot, &image);
    }
    Ok(setup)
}

/// Runs a command of aoetools. They wait forever for an answer that does not come.
fn tool(wire: &Wire, program: &str, arguments: &[&str]) -> Result<Finished> {
    let mut command: Command = wire.client.command(program);
    finish(command.args(arguments), SHORT)
}

/// What `aoecfg` prints of e0.1, without the end of the line; nothing where nothing comes.
fn config(wire: &Wire, command: &str, string: &str) -> Result<String> {
    let arguments = ["-c", command, "-s", string, "-t", "2", "0", "1", CLIENT_PORT];
    let text = tool(wire, "aoecfg", &arguments)?.success()?.text();
    Ok(text.trim_end_matches('\n').to_owned())
}

/// What `aoecfg` prints of all targets, a line for each.
fn configs(wire: &Wire) -> Result<Vec<String>> {
    let text = tool(wire, "aoecfg", &["-t", "2", CLIENT_PORT])?.success()?.text();
    Ok(text.lines().map(str::to_owned).collect())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn aoecfg_does_all_it_can() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape::default())?;
    let setup = setup(&wire, scratch.path())?;
    let daemon = setup.start()?;

    ensure!(configs(&wire)? == ["0.1\t", "0.2\t"], "{:?}", configs(&wire)?);
    let cases = [
        ("set", "a disk", "a disk"),
        ("read", "", "a disk"),
        ("test", "a disk", "a disk"),
        ("test", "a", ""),
        ("prefix", "a", "a disk"),
        ("prefix", "disk", ""),
        // Error 4.
        ("set", "another", "*badcfg*"),
        ("set", "a disk", "a disk"),
        ("fset", "another", "another"),
        ("test", "a disk", ""),
        ("test", "another", "another"),
    ];
    for (command, string, expected) in cases {
        let got = config(&wire, command, string)?;
        ensure!(got == expected, "{command} {string:?} printed {got:?}");
    }
    ensure!(configs(&wire)? == ["0.1\tanother", "0.2\t"], "{:?}", configs(&wire)?);

    daemon.stop()?;
    let _again: Daemon = setup.start()?;
    ensure!(configs(&wire)? == ["0.1\tanother", "0.2\t"], "restarted: {:?}", configs(&wire)?);
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn aoeping_finds_a_target_and_dumps_what_it_is() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape::default())?;
    let _daemon = setup(&wire, scratch.path())?.start()?;

    let text =
        tool(&wire, "aoeping", &["-v", "-s", "10", "0", "2", CLIENT_PORT])?.success()?.text();
    ensure!(text.contains("found e0.2"), "{text}");

    let text =
        tool(&wire, "aoeping", &["-i", "-s", "10", "0", "2", CLIENT_PORT])?.success()?.text();
    let byte = |word: &str| u8::from_str_radix(word, 16);
    let data: Vec<u8> = text
        .lines()
        .skip_while(|line| !line.contains("identify"))
        .skip(1)
        .flat_map(str::split_whitespace)
        .map_while(|word| byte(word).ok())
        .collect();
    ensure!(data.len() == 512, "{} bytes of IDENTIFY:\n{text}", data.len());
    let sum = data.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    ensure!(sum == 0, "they sum to {sum}");
    ensure!(data[200..208] == 2048_u64.to_le_bytes(), "the size: {:02x?}", &data[200..208]);
    Ok(())
}

/// It believes that every SMART command returns 512 bytes, and calls a status without data a
/// failure. That it gets as far shows that IDENTIFY says SMART, and that there is an answer.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn aoeping_asks_for_smart_and_ends() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape::default())?;
    let _daemon = setup(&wire, scratch.path())?.start()?;
    for command in ["enable_ops", "status"] {
        let start = std::time::Instant::now();
        let ended = tool(&wire, "aoeping", &["-S", command, "-s", "10", "0", "1", CLIENT_PORT])?;
        let said = format!("{command}: {}\n{}{}", ended.status, ended.text(), ended.stderr);
        ensure!(ended.status.code() == Some(REFUSED), "{said}");
        ensure!(!said.contains("does not support SMART"), "{said}");
        ensure!(start.elapsed().as_secs() < 9, "it was not answered: {said}");
    }
    Ok(())
}
