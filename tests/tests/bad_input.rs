//! What a user may get wrong: one line says what it is and what to do.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aoe_tests::client::Client;
use aoe_tests::command::{Finished, SHORT, finish};
use aoe_tests::daemon::Setup;
use aoe_tests::image::{MIB, random_image, sparse_image};
use aoe_tests::paths;
use aoe_tests::process::Process;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};
use object::write::{Object, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};

/// For the daemon to come up or to say something.
const LIMIT: Duration = Duration::from_secs(20);

/// Exit code for a command line that makes no sense.
const USAGE: i32 = 2;

/// Fails unless the daemon could not serve: see [`expect_end`].
fn expect_refusal(finished: &Finished, words: &[&str]) -> Result<()> {
    expect_end(finished, 1, words)
}

/// Fails unless the daemon ended with this exit code, and its last words, besides log lines, are
/// one line that contains every one of `words`.
fn expect_end(finished: &Finished, code: i32, words: &[&str]) -> Result<()> {
    let Finished { status, stderr, .. } = finished;
    ensure!(status.code() == Some(code), "ended with {status}: {stderr}");
    ensure!(!stderr.contains('\u{1b}'), "colours for a file: {stderr:?}");
    let is_logged = |line: &&str| line.contains(" WARN ") || line.contains(" INFO ");
    let said: Vec<&str> = stderr.lines().filter(|line| !is_logged(line)).collect();
    let &[line] = &said[..] else { bail!("not one line: {said:#?}") };
    for word in words {
        ensure!(line.contains(word), "does not say {word:?}: {line}");
    }
    Ok(())
}

/// A wire, a directory, and a good image in it.
struct Rig {
    wire: Wire,
    scratch: tempfile::TempDir,
}

impl Rig {
    fn new() -> Result<Self> {
        let rig = Self { wire: Wire::new(Shape::default())?, scratch: paths::scratch()? };
        sparse_image(&rig.image(), MIB)?;
        Ok(rig)
    }

    fn image(&self) -> std::path::PathBuf {
        self.scratch.path().join("disk.img")
    }

    fn on(&self, interface: &str) -> Setup<'_> {
        Setup::new(&self.wire.target, interface, self.scratch.path())
    }

    /// A daemon with a good interface and no exports yet.
    fn setup(&self) -> Setup<'_> {
        self.on(TARGET_PORT)
    }

    /// What the daemon says of this file.
    fn refuse_file(&self, path: &Path) -> Result<Finished> {
        self.setup().export(0, 1, path).refuse()
    }
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn no_such_interface() -> Result<()> {
    let rig = Rig::new()?;
    let refusal = rig.on("ens33").export(0, 1, &rig.image()).refuse()?;
    expect_refusal(&refusal, &["ens33", "ip link"])
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn files_that_are_no_disk() -> Result<()> {
    let rig = Rig::new()?;
    let missing = rig.scratch.path().join("missing.img");
    expect_refusal(&rig.refuse_file(&missing)?, &["missing.img", "--create"])?;
    ensure!(!missing.exists(), "it was made without --create");
    expect_refusal(&rig.refuse_file(rig.scratch.path())?, &["directory"])?;
    let small = rig.scratch.path().join("small.img");
    sparse_image(&small, 511)?;
    expect_refusal(&rig.refuse_file(&small)?, &["small.img", "511", "512"])?;
    expect_refusal(&rig.refuse_file(Path::new("/dev/null"))?, &["/dev/null", "block device"])
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_partial_sector_is_not_served_and_warned_of() -> Result<()> {
    let rig = Rig::new()?;
    let content = random_image(&rig.image(), 3 * 512 + 100, 20)?;
    let mut daemon = rig.setup().export(0, 1, &rig.image()).start()?;
    let line = daemon.process.wait_for_line("WARN", LIMIT)?;
    ensure!(line.contains("100"), "the warning does not say how many bytes: {line}");
    ensure!(daemon.status()?.exports[0].sectors == 3, "{}", daemon.status()?);
    let client = Client::new(&rig.wire.client, CLIENT_PORT)?;
    ensure!(client.read("e0.1", 0, 3)? == content[..3 * 512], "wrong data");
    daemon.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn addresses_that_can_not_be() -> Result<()> {
    let rig = Rig::new()?;
    let image = rig.image();
    let refuse = |shelf, slot| rig.setup().export(shelf, slot, &image).refuse();
    for (shelf, slot, word) in [
        (65535, 1, "65534"),
        (65536, 1, "65534"),
        (4095, 1, "4095"),
        (0, 255, "254"),
        (0, 256, "254"),
    ] {
        expect_end(&refuse(shelf, slot)?, USAGE, &[word])?;
    }
    let twice = rig.setup().export(0, 1, &image).export(0, 1, &image).refuse()?;
    expect_end(&twice, USAGE, &["e0.1"])
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn usage() -> Result<()> {
    let rig = Rig::new()?;
    expect_end(&rig.setup().refuse()?, USAGE, &["--shelf", "--slot", "--file"])?;
    let setup = rig.setup().export(0, 1, &rig.image());
    expect_end(
        &setup.clone().option("--mode", "fast").refuse()?,
        USAGE,
        &["fast", "native-zerocopy"],
    )?;
    expect_end(&setup.clone().flag("--sparse").refuse()?, USAGE, &["--create"])?;
    expect_end(&setup.option("--create", "lots").refuse()?, USAGE, &["--create"])
}

/// A size of the cache is had or refused; all of the disks is as much as can be had.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_cache_that_is_larger_than_the_memory() -> Result<()> {
    let rig = Rig::new()?;
    let setup = rig.setup().export(0, 1, &rig.image());
    for (size, word) in [("half", "all"), ("1.5G", "--cache")] {
        expect_end(&setup.clone().option("--cache", size).refuse()?, USAGE, &[word])?;
    }
    let missing = rig.scratch.path().join("missing.img");
    let large = rig.setup().export(0, 1, &missing).option("--create", "1M");
    let refusal = large.option("--cache", "1000T").refuse()?;
    expect_refusal(&refusal, &["1099511627776000", "memory are available", "--cache"])?;
    ensure!(!missing.exists(), "an image was made first");

    sparse_image(&rig.image(), 1 << 42)?;
    let mut daemon = setup.clone().option("--cache", "all").start()?;
    daemon.process.wait_for_line("not enough memory for a cache of all disks", LIMIT)?;
    daemon.stop()?;
    let log = setup.option("--cache", "0").start()?.stop()?;
    ensure!(log.contains("cache bytes=0"), "{log}");
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn without_capabilities() -> Result<()> {
    let rig = Rig::new()?;
    let setup = rig.setup().export(0, 1, &rig.image());
    let without =
        setup.wrapped(&["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]).refuse()?;
    expect_refusal(&without, &["root", "CAP_NET_ADMIN", "sudo"])
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn an_image_that_another_process_has_locked() -> Result<()> {
    let rig = Rig::new()?;
    let mut locker = Command::new("flock");
    locker.args(["--exclusive", "--no-fork"]).arg(rig.image()).args(["sleep", "600"]);
    let log = rig.scratch.path().join("flock.log");
    let mut locker = Process::spawn("flock", &mut locker, &log)?;
    // Locked by now? Whoever asks without waiting is refused.
    aoe_tests::retry::retry_until("the image is locked", LIMIT, || {
        let mut ask = Command::new("flock");
        ask.args(["--exclusive", "--nonblock"]).arg(rig.image()).arg("true");
        ensure!(!finish(&mut ask, SHORT)?.status.success(), "not yet");
        Ok(())
    })?;
    expect_refusal(&rig.refuse_file(&rig.image())?, &["disk.img", "in use"])?;
    locker.kill()?;
    rig.setup().export(0, 1, &rig.image()).start()?.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn two_daemons_on_one_interface() -> Result<()> {
    let rig = Rig::new()?;
    let first = rig.setup().export(0, 1, &rig.image()).start()?;
    let other = rig.scratch.path().join("other");
    fs::create_dir(&other)?;
    let image = other.join("disk.img");
    sparse_image(&image, MIB)?;
    let second = Setup::new(&rig.wire.target, TARGET_PORT, &other).export(0, 2, &image).refuse()?;
    expect_refusal(&second, &[TARGET_PORT, "aoe-daemon", "--shelf", "--slot", "--file"])?;
    // The first one has not noticed.
    let client = Client::new(&rig.wire.client, CLIENT_PORT)?;
    client.find("e0.1")?;
    first.stop()?;
    Ok(())
}

/// Writes an ELF file with an XDP program that passes everything.
fn write_foreign_program(path: &Path) -> Result<()> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let section = object.add_section(Vec::new(), b"xdp".to_vec(), SectionKind::Text);
    // r0 = XDP_PASS; exit
    let code = [0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
    object.append_section_data(section, &code, 8);
    object.add_symbol(Symbol {
        name: b"foreign".to_vec(),
        value: 0,
        size: code.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    fs::write(path, object.write()?)?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn another_xdp_program_on_the_interface() -> Result<()> {
    let rig = Rig::new()?;
    let program = rig.scratch.path().join("foreign.o");
    write_foreign_program(&program)?;
    let attach = format!("link set dev {TARGET_PORT} xdp obj {} sec xdp", program.display());
    rig.wire.target.ip(&attach)?;
    let refusal = rig.refuse_file(&rig.image())?;
    expect_refusal(
        &refusal,
        &[TARGET_PORT, "foreign", &format!("ip link set dev {TARGET_PORT} xdp off")],
    )?;
    ensure!(rig.wire.target.xdp_attachment(TARGET_PORT)?.is_some(), "the other program is gone");
    Ok(())
}

/// Few pages may be locked and no huge page is free: it serves all the same, and says what it
/// lacks.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn little_lockable_memory() -> Result<()> {
    let rig = Rig::new()?;
    let content = random_image(&rig.image(), MIB as usize, 21)?;
    let setup = rig.setup().export(0, 1, &rig.image());
    let setup = setup.wrapped(&[
        "prlimit",
        "--memlock=8388608:8388608",
        "setpriv",
        "--bounding-set=-ipc_lock",
        "--inh-caps=-ipc_lock",
        "--",
    ]);
    let mut daemon = setup.start()?;
    daemon.process.wait_for_line("lockable memory", LIMIT)?;
    let client = Client::new(&rig.wire.client, CLIENT_PORT)?;
    ensure!(client.read("e0.1", 0, 2048)? == content, "wrong data");
    daemon.stop()?;
    Ok(())
}

/// A kernel without AF_XDP, made by a seccomp filter that refuses the socket as such a kernel does.
#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn a_kernel_without_af_xdp() -> Result<()> {
    let rig = Rig::new()?;
    let filter = rig.scratch.path().join("seccomp.bpf");
    write_filter(&filter)?;
    let script = format!("exec bwrap --dev-bind / / --seccomp 3 -- \"$@\" 3< {}", filter.display());
    let setup = rig.setup().export(0, 1, &rig.image());
    let refusal = setup.wrapped(&["sh", "-c", &script, "sh"]).refuse()?;
    expect_refusal(&refusal, &["AF_XDP", "CONFIG_XDP_SOCKETS"])
}

/// A classic BPF program: socket(AF_XDP, …) gives EAFNOSUPPORT, everything else is allowed.
fn write_filter(path: &Path) -> Result<()> {
    // Offsets of struct seccomp_data, on a little-endian machine.
    const NUMBER: u32 = 0;
    const FIRST_ARGUMENT: u32 = 16;
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const SKIP_UNLESS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let program: [(u16, u8, u32); 6] = [
        (LOAD, 0, NUMBER),
        (SKIP_UNLESS, 3, libc::SYS_socket as u32),
        (LOAD, 0, FIRST_ARGUMENT),
        (SKIP_UNLESS, 1, libc::AF_XDP as u32),
        (RETURN, 0, libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32),
        (RETURN, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let mut bytes = Vec::new();
    for (code, skipped_if_not, operand) in program {
        bytes.extend(code.to_le_bytes());
        bytes.extend([0, skipped_if_not]);
        bytes.extend(operand.to_le_bytes());
    }
    fs::write(path, bytes)?;
    Ok(())
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn create_makes_what_is_missing_only() -> Result<()> {
    let rig = Rig::new()?;
    let image = rig.scratch.path().join("new.img");
    let setup = rig.setup().export(0, 1, &image).option("--create", "8M");
    setup.start()?.stop()?;
    let metadata = fs::metadata(&image)?;
    let allocated = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
    ensure!(metadata.len() == 8 * MIB && allocated >= 8 * MIB, "{metadata:?}");
    // The second time it is there, and kept.
    File::options().write(true).open(&image)?.set_len(MIB).context("shrink")?;
    let daemon = setup.start()?;
    ensure!(daemon.status()?.exports[0].sectors == 2048, "{}", daemon.status()?);
    daemon.stop()?;
    let sparse = rig.scratch.path().join("sparse.img");
    let setup = rig.setup().export(0, 1, &sparse).option("--create", "1G").flag("--sparse");
    setup.start()?.stop()?;
    let metadata = fs::metadata(&sparse)?;
    let allocated = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
    ensure!(metadata.len() == 1024 * MIB && allocated < MIB, "{metadata:?}");
    Ok(())
}
