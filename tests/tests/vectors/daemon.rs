//! Against the daemon over a virtual cable: one daemon for each session.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use aoe_tests::capture::Capture;
use aoe_tests::daemon::{self, Daemon};
use aoe_tests::paths;
use aoe_tests::vectors::{self, Case, Expected, SECTOR, Session, Setup, Step};
use aoe_tests::wire::{CLIENT_PORT, TARGET_PORT};

use super::cable::{BARRIER_TAG, Cable};
use super::{expect_none, make_images};

/// Why no daemon can have this session, if none can.
fn left_out(setup: &Setup) -> Option<&'static str> {
    setup.fault.map(|_| "a disk that fails is made in the daemon's own tests")
}

/// How the session's daemon is to be started.
fn daemon<'c>(
    cable: &'c Cable,
    setup: &Setup,
    images: &[PathBuf],
    directory: &Path,
) -> Result<daemon::Setup<'c>> {
    if setup.vlan > 0 {
        // What the command line can't say.
        let mut file = format!("interfaces = [\"{TARGET_PORT}\"]\n");
        for ((shelf, slot), image) in setup.exports.iter().zip(images) {
            file.push_str(&format!(
                "[[export]]\nshelf = {shelf}\nslot = {slot}\nvlan = {}\nfile = \"{}\"\n",
                setup.vlan,
                image.display()
            ));
        }
        let path = directory.join("aoe-daemon.toml");
        fs::write(&path, file)?;
        return Ok(daemon::Setup::with_config(&cable.wire.target, &path, directory));
    }
    let mut daemon = daemon::Setup::new(&cable.wire.target, TARGET_PORT, directory);
    for ((shelf, slot), image) in setup.exports.iter().zip(images) {
        daemon = daemon.export(u32::from(*shelf), u32::from(*slot), image);
    }
    Ok(if setup.read_only { daemon.flag("--read-only") } else { daemon })
}

/// What is wrong in a session, one line for each row, and for the images at its end.
fn mistakes(session: &Session) -> Result<Vec<String>> {
    let setup = &session.setup;
    let scratch = paths::scratch()?;
    let images = make_images(setup, scratch.path())?;
    let mut cable = Cable::new(setup)?;
    let tags = Tags::capture(session, &cable, scratch.path())?;
    let mut running = Some(daemon(&cable, setup, &images, scratch.path())?.start()?);
    let mut mistakes = Vec::new();
    let mut content = setup.content();
    for step in &session.steps {
        match step {
            Step::Case(case) => mistakes.extend(mistake(&mut cable, case)),
            Step::Restart => {
                running.take().map(Daemon::stop).transpose()?;
                running = Some(daemon(&cable, setup, &images, scratch.path())?.start()?);
            }
            Step::Stored { lba, data } => {
                let content = content.as_mut().context("this disk has no content")?;
                let start = *lba as usize * SECTOR;
                content[start..start + data.len()].copy_from_slice(data);
            }
        }
    }
    running.take().map(Daemon::stop).transpose()?;
    if let Some(tags) = tags {
        mistakes.extend(tags.mistake()?.map(|why| format!("{}: {why}", session.name)));
    }
    for (index, image) in images.iter().enumerate() {
        let expected = if index == 0 { content.clone() } else { setup.content() };
        check_image(image, setup, expected.as_deref()).unwrap_or_else(|error| {
            mistakes.push(format!("{}: {error:#}", session.name));
        });
    }
    Ok(mistakes)
}

/// The tags of a session's replies, which only a capture shows: sockets get frames without.
struct Tags {
    capture: Capture,
    /// The control fields, in the order of the replies.
    expected: Vec<u16>,
}

impl Tags {
    /// Starts capturing, if there are tags to expect.
    fn capture(session: &Session, cable: &Cable, directory: &Path) -> Result<Option<Self>> {
        let expected: Vec<u16> = session
            .cases()
            .flat_map(|case| case.replies.iter().map(Expected::example))
            .filter(|reply| reply[12..14] == [0x81, 0x00])
            .map(|reply| u16::from_be_bytes([reply[14], reply[15]]))
            .collect();
        if expected.is_empty() {
            return Ok(None);
        }
        let capture = Capture::start(&cable.wire.client, CLIENT_PORT, directory)?;
        Ok(Some(Self { capture, expected }))
    }

    /// Why the tags were not the expected ones, if they were not.
    fn mistake(self) -> Result<Option<String>> {
        let barrier = u32::from_be_bytes(BARRIER_TAG);
        let filter = format!(
            "vlan && aoe.response == 1 && eth.dst != ff:ff:ff:ff:ff:ff && aoe.tag != {barrier:#x}"
        );
        let fields = ["vlan.priority", "vlan.dei", "vlan.id"];
        let rows = self.capture.finish()?.rows(&filter, &fields)?;
        let control = |row: &Vec<String>| -> Result<u16> {
            let [priority, dei, id] = &row[..] else { bail!("tshark printed {row:?}") };
            let dei = u16::from(matches!(dei.as_str(), "1" | "True"));
            Ok(priority.parse::<u16>()? << 13 | dei << 12 | id.parse::<u16>()?)
        };
        let got: Vec<u16> = rows.iter().map(control).collect::<Result<_>>()?;
        let differs = got != self.expected;
        Ok(differs.then(|| format!("tags {got:04x?} instead of {:04x?}", self.expected)))
    }
}

fn mistake(cable: &mut Cable, case: &Case) -> Option<String> {
    let place = format!("{} (line {})", case.id, case.line);
    let got = match cable.ask(&case.request, case.replies.len()) {
        Ok(got) => got,
        Err(error) => return Some(format!("{place}: {error:#}")),
    };
    // The client's kernel takes tags off.
    let is_tagged = case.request[12..14] == [0x81, 0x00];
    let expected = match is_tagged {
        true => case.replies.iter().map(Expected::without_tag).collect(),
        false => case.replies.clone(),
    };
    vectors::mismatch(&expected, &got).map(|why| format!("{place}: {why}"))
}

/// Fails unless the image has this content and nothing else has happened to it.
fn check_image(image: &Path, setup: &Setup, expected: Option<&[u8]>) -> Result<()> {
    let length = fs::metadata(image)?.len();
    let right = setup.sectors * SECTOR as u64 + setup.tail;
    ensure!(length == right, "{} has {length} bytes, not {right}", image.display());
    let Some(expected) = expected else { return Ok(()) };
    let got = fs::read(image)?;
    let sectors = got.chunks(SECTOR).zip(expected.chunks(SECTOR));
    let changed: Vec<usize> =
        (0..).zip(sectors).filter(|(_, (a, b))| a != b).map(|(lba, _)| lba).collect();
    ensure!(changed.is_empty(), "{} is wrong in sectors {changed:?}", image.display());
    Ok(())
}

fn check(letter: char) -> Result<()> {
    let mut all = Vec::new();
    for session in vectors::sessions(letter)? {
        match left_out(&session.setup) {
            Some(reason) => println!("session {} is left out: {reason}", session.name),
            // One session that can't be had does not hide what the others say.
            None => all.extend(
                mistakes(&session)
                    .unwrap_or_else(|error| vec![format!("{}: {error:#}", session.name)]),
            ),
        }
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
