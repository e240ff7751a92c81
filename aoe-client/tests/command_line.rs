//! The `aoe` command where no network is needed.

use std::process::{Command, Output, Stdio};

use anyhow::Result;

fn aoe(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aoe"));
    Ok(command.args(arguments).stdin(Stdio::null()).output()?)
}

#[test]
fn a_command_line_without_sense_is_exit_code_2() -> Result<()> {
    let target = ["e0.1", "--iface", "none"];
    let senseless: [(&[&str], &[&str]); 10] = [
        (&["config", "get"], &["more"]),
        (&["config", "set"], &[]),
        (&["config", "test"], &["string", "--hex", "00"]),
        (&["config", "set"], &["--hex", "0"]),
        (&["mask", "add"], &[]),
        (&["mask", "add"], &["01:00:5e:00:00:01"]),
        (&["reserve", "set"], &["ff:ff:ff:ff:ff:ff"]),
        (&["trim"], &["--lba", "0"]),
        (&["trim"], &["--sectors", "1"]),
        (&["trim"], &["--lba", "0", "--whole-disk"]),
    ];
    for (command, rest) in senseless {
        let output = aoe(&[command, &target, rest].concat())?;
        assert_eq!(output.status.code(), Some(2), "{command:?} {rest:?}");
    }
    Ok(())
}

#[test]
fn an_interface_that_is_not_there_is_one_line_and_exit_code_1() -> Result<()> {
    let sensible: [&[&str]; 6] = [
        &["identify"],
        &["config", "get"],
        &["mask", "show"],
        &["reserve", "release"],
        &["flush"],
        &["trim", "--whole-disk"],
    ];
    for command in sensible {
        let output = aoe(&[command, &["e0.1", "--iface", "nonesuch"]].concat())?;
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let said = String::from_utf8(output.stderr)?;
        assert!(said.starts_with("aoe: ") && said.lines().count() == 1, "{command:?}: {said}");
    }
    Ok(())
}

#[test]
fn every_shell_has_completions_of_every_command() -> Result<()> {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = aoe(&["completions", shell])?;
        assert!(output.status.success(), "{shell}");
        let script = String::from_utf8(output.stdout)?;
        for word in ["identify", "release", "whole-disk"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    Ok(())
}

#[test]
fn who_reads_the_output_need_not_read_all_of_it() -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_aoe"))
        .args(["completions", "bash"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()?
        .wait_with_output()?;
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stderr)?, "");
    Ok(())
}
