//! Every way to attach, on links of every kind, and links that change under the daemon.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aoe_tests::client::Client;
use aoe_tests::daemon::{Daemon, Setup};
use aoe_tests::image::{random_bytes, random_image};
use aoe_tests::paths;
use aoe_tests::retry::retry_until;
use aoe_tests::status::Status;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

/// Size of the images, in bytes: 8192 sectors.
const IMAGE_BYTES: usize = 4 << 20;

/// For the daemon to notice a link change, on a busy machine.
const LINK_LIMIT: Duration = Duration::from_secs(15);

/// Most sectors of a request: the biggest number whose frame fits, by the rule of all targets.
fn sectors_of(mtu: u32) -> u32 {
    (mtu - 36) / 512
}

/// One cell of the matrix.
fn serves(mode: &str, mtu: u32, queues: u32) -> Result<()> {
    let scratch = paths::scratch()?;
    let image = scratch.path().join("disk.img");
    let mut expected = random_image(&image, IMAGE_BYTES, 10)?;
    let wire = Wire::new(Shape { mtu, queues })?;
    let setup = Setup::new(&wire.target, TARGET_PORT, scratch.path()).option("--mode", mode);
    let daemon = setup.export(0, 1, &image).start()?;
    ensure!(wire.target.xdp_attachment(TARGET_PORT)?.is_some(), "no XDP program is attached");
    let client = Client::new(&wire.client, CLIENT_PORT)?;

    ensure!(client.find("e0.1")?.sectors == Some(8192), "the size is wrong");
    ensure!(client.read("e0.1", 0, 8192)? == expected, "wrong data read");
    // An odd start and length: the last request of a transfer is a short one.
    let written = random_bytes(2001 * 512, 11);
    client.write("e0.1", 1003, &written)?;
    expected[1003 * 512..3004 * 512].copy_from_slice(&written);
    ensure!(client.read("e0.1", 0, 8192)? == expected, "what was written is not what is read");
    ensure!(fs::read(&image)? == expected, "the image has other data");

    let status = check_status(&daemon, mode, mtu, queues)?;
    let log = daemon.stop()?;
    for kind in ["read", "written"] {
        let bytes = format!("({} bytes)", status.count(&format!("bytes_{kind}"))?);
        ensure!(log.contains(&bytes), "no {bytes} {kind} in the summary:\n{log}");
    }
    ensure!(log.contains(&format!("{mode} mode")), "no mode in the summary:\n{log}");
    ensure!(wire.target.xdp_attachment(TARGET_PORT)?.is_none(), "a program stayed attached");
    Ok(())
}

fn check_status(daemon: &Daemon, mode: &str, mtu: u32, queues: u32) -> Result<Status> {
    let status = daemon.status()?;
    let interface = status.interface()?;
    ensure!(interface.serving && interface.waiting_for.is_none(), "{status}");
    ensure!(interface.mode.as_deref() == Some(mode), "{status}");
    ensure!(interface.mtu == mtu, "{status}");
    ensure!(u32::from(interface.max_sectors) == sectors_of(mtu), "{status}");
    ensure!(interface.queues.len() == queues as usize, "{status}");
    ensure!(status.exports[0].sectors == 8192 && !status.exports[0].failed, "{status}");

    // More than was asked for is possible: on a busy machine the client repeats a request.
    ensure!(status.count("bytes_read")? >= 2 * IMAGE_BYTES as u64, "{status}");
    ensure!(status.count("bytes_written")? >= 2001 * 512, "{status}");
    let limit = u64::from(sectors_of(mtu));
    ensure!(status.count("reads")? >= 2 * 8192_u64.div_ceil(limit), "{status}");
    ensure!(status.count("writes")? >= 2001_u64.div_ceil(limit), "{status}");
    ensure!(status.count("failed")? == 0, "{status}");
    // Everything that was steered came out of a ring and was answered.
    ensure!(interface.xdp["steered"] == status.count("received")?, "{status}");
    ensure!(status.count("replied")? >= status.count("received")?, "{status}");
    ensure!(status.drops().is_empty(), "{:?}\n{status}", status.drops());
    Ok(status)
}

macro_rules! matrix {
    ($($name:ident: $mode:literal, $mtu:literal, $queues:literal;)*) => {$(
        #[test]
        #[ignore = "needs root and network namespaces: cargo xtask test runs it"]
        fn $name() -> Result<()> {
            serves($mode, $mtu, $queues)
        }
    )*};
}

matrix! {
    native_1500_one_queue: "native", 1500, 1;
    native_1500_two_queues: "native", 1500, 2;
    native_9000_one_queue: "native", 9000, 1;
    native_9000_two_queues: "native", 9000, 2;
    generic_1500_one_queue: "generic", 1500, 1;
    generic_1500_two_queues: "generic", 1500, 2;
    generic_9000_one_queue: "generic", 9000, 1;
    generic_9000_two_queues: "generic", 9000, 2;
}

/// A daemon on a wire, with the content of its image.
struct Served {
    content: Vec<u8>,
    daemon: Daemon,
}

fn serve(wire: &Wire, directory: &Path) -> Result<Served> {
    let image = directory.join("disk.img");
    let content = random_image(&image, IMAGE_BYTES, 12)?;
    let setup = Setup::new(&wire.target, TARGET_PORT, directory);
    Ok(Served { content, daemon: setup.export(0, 1, &image).start()? })
}

/// Reads until the right data comes: a link takes a moment, and so does the daemon.
fn read_again(client: &Client, content: &[u8]) -> Result<()> {
    retry_until("reading works again", LINK_LIMIT, || {
        let read = client.read("e0.1", 0, 256).context("read")?;
        ensure!(read == content[..256 * 512], "wrong data read");
        Ok(())
    })
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_link_may_go_down_and_up() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape { mtu: 1500, queues: 2 })?;
    let Served { content, mut daemon } = serve(&wire, scratch.path())?;
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    // Our own end down is a link that is down; the other end, one without a carrier.
    let ends =
        [(&wire.target, TARGET_PORT, "link is down"), (&wire.client, CLIENT_PORT, "carrier")];
    for (end, port, said) in ends {
        for _ in 0..3 {
            end.ip(&format!("link set dev {port} down"))?;
            end.ip(&format!("link set dev {port} up"))?;
            read_again(&client, &content)?;
        }
        end.ip(&format!("link set dev {port} down"))?;
        daemon.process.wait_for_line(said, LINK_LIMIT)?;
        end.ip(&format!("link set dev {port} up"))?;
        read_again(&client, &content)?;
    }
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn the_mtu_may_change() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape { mtu: 1500, queues: 1 })?;
    let Served { content, daemon } = serve(&wire, scratch.path())?;
    let client = Client::new(&wire.client, CLIENT_PORT)?;
    read_again(&client, &content)?;
    for mtu in [9000, 1500, 4096, 9000] {
        wire.set_link(&format!("mtu {mtu}"))?;
        daemon.wait_for_status("the daemon notices the MTU", LINK_LIMIT, |status| {
            status.interface().is_ok_and(|interface| {
                interface.mtu == mtu && u32::from(interface.max_sectors) == sectors_of(mtu)
            })
        })?;
        read_again(&client, &content)?;
    }
    daemon.stop()?;
    Ok(())
}

/// Started on an interface that is down, the daemon says so and serves as soon as it is up.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn an_interface_may_be_down_at_the_start() -> Result<()> {
    let scratch = paths::scratch()?;
    let wire = Wire::new(Shape::default())?;
    wire.set_link("down")?;
    let Served { content, mut daemon } = serve(&wire, scratch.path())?;
    let line = daemon.process.wait_for_line("waiting", LINK_LIMIT)?;
    ensure!(line.contains(TARGET_PORT), "{line}");
    ensure!(daemon.status()?.interface()?.waiting_for.is_some(), "the status does not say so");
    wire.set_link("up")?;
    read_again(&Client::new(&wire.client, CLIENT_PORT)?, &content)?;
    daemon.stop()?;
    Ok(())
}

/// The interface is deleted under a daemon that is being read from, and another of its name takes
/// its place: the daemon goes on there, and its summary has both.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn an_interface_may_go_and_come_back() -> Result<()> {
    let scratch = paths::scratch()?;
    let shape = Shape { mtu: 9000, queues: 2 };
    let wire = Wire::new(shape)?;
    let Served { content, mut daemon } = serve(&wire, scratch.path())?;
    for _ in 0..3 {
        read_again(&Client::new(&wire.client, CLIENT_PORT)?, &content)?;
        wire.cut()?;
        daemon.process.wait_for_line("is gone", LINK_LIMIT)?;
        wire.lay(shape)?;
    }
    read_again(&Client::new(&wire.client, CLIENT_PORT)?, &content)?;
    let log = daemon.stop()?;
    let served = log.lines().find_map(|line| line.split(" reads (").nth(1));
    let bytes: usize = served.and_then(|rest| rest.split(' ').next()).unwrap_or("").parse()?;
    ensure!(bytes >= 4 * 256 * 512, "the summary has {bytes} bytes of four reads:\n{log}");
    Ok(())
}
