//! Against Debian's vblade, which others wrote: what it agrees with is not our own opinion. Where
//! it does not, it has to differ just as the row says.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use aoe_tests::paths;
use aoe_tests::process::Process;
use aoe_tests::vectors::{self, Case, Expected, Session, Setup, Step, Vblade};
use aoe_tests::wire::TARGET_PORT;

use super::cable::Cable;
use super::{expect_none, make_images};

/// For it to start.
const LIMIT: Duration = Duration::from_secs(10);

/// Starts a process for each export, which is all that one can serve, and waits until they serve.
fn start(cable: &Cable, setup: &Setup, images: &[PathBuf]) -> Result<Vec<Process>> {
    let mut running = Vec::new();
    for ((shelf, slot), image) in setup.exports.iter().zip(images) {
        // Its banner would stay in the buffer of a redirected stdout.
        let mut command = cable.wire.target.command("stdbuf");
        command.args(["-oL", "/usr/sbin/vblade"]);
        if setup.read_only {
            command.arg("-r");
        }
        command.args([&shelf.to_string(), &slot.to_string(), TARGET_PORT]).arg(image);
        let log = image.with_extension("vblade.log");
        let mut process = Process::spawn("vblade", &mut command, &log)?;
        process.wait_for_line(&format!("e{shelf}.{slot}"), LIMIT)?;
        running.push(process);
    }
    Ok(running)
}

/// What is wrong in a session, one line for each row.
fn mistakes(session: &Session) -> Result<Vec<String>> {
    let is_skipped = |case: &Case| matches!(case.vblade, Vblade::Skipped(_));
    if session.cases().all(is_skipped) {
        return Ok(Vec::new());
    }
    let scratch = paths::scratch()?;
    let images = make_images(&session.setup, scratch.path())?;
    let mut cable = Cable::new(&session.setup)?;
    let mut running = start(&cable, &session.setup, &images)?;
    let mut mistakes = Vec::new();
    for step in &session.steps {
        match step {
            Step::Case(case) => mistakes.extend(mistake(&mut cable, case)),
            Step::Restart => {
                running.iter_mut().try_for_each(Process::kill)?;
                running = start(&cable, &session.setup, &images)?;
            }
            // What is refused by vblade is not stored by it; the rows read back what is.
            Step::Stored { .. } => {}
        }
        running.iter_mut().try_for_each(Process::expect_running)?;
    }
    Ok(mistakes)
}

fn mistake(cable: &mut Cable, case: &Case) -> Option<String> {
    let expected = match &case.vblade {
        Vblade::Same => &case.replies,
        Vblade::Differs(replies) => replies,
        Vblade::Skipped(_) => return None,
    };
    let why = match cable.ask(&case.request, expected.len()) {
        Ok(got) => mismatch(expected, &got),
        Err(error) => Some(format!("{error:#}")),
    };
    why.map(|why| format!("{} (line {}): {why}", case.id, case.line))
}

/// As [`vectors::mismatch`], but for the padding: vblade leaves it out, or fills it with what was
/// in the buffer.
fn mismatch(expected: &[Expected], got: &[Vec<u8>]) -> Option<String> {
    if expected.len() != got.len() {
        return vectors::mismatch(expected, got);
    }
    expected.iter().zip(got).find_map(|(expected, frame)| expected.content_mismatch(frame))
}

fn check(letter: char) -> Result<()> {
    let mut all = Vec::new();
    for session in vectors::sessions(letter)? {
        all.extend(
            mistakes(&session).unwrap_or_else(|error| vec![format!("{}: {error:#}", session.name)]),
        );
    }
    expect_none(letter, &all)
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_framing_and_addressing() -> Result<()> {
    check('a')
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn b_query_config() -> Result<()> {
    check('b')
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn c_identify_device() -> Result<()> {
    check('c')
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn d_reads_and_writes() -> Result<()> {
    check('d')
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn e_other_ata_commands() -> Result<()> {
    check('e')
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn f_mac_mask_lists() -> Result<()> {
    check('f')
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn g_reservations() -> Result<()> {
    check('g')
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn h_what_clients_send() -> Result<()> {
    check('h')
}
