//! Compiles the XDP program, which `src/xdp.rs` embeds, with a Rust toolchain that can do BPF.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::exit;

#[path = "../aoe-ebpf/toolchain.rs"]
#[allow(dead_code, reason = "xtask uses more of it")]
mod toolchain;

use toolchain::{Target, Toolchain};

fn main() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("aoe-daemon's parent");
    for source in ["aoe-ebpf", "aoe-common", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    match Toolchain::find() {
        Some(toolchain) => build(&toolchain, workspace),
        // Cargo makes this one line, if the build script itself ends well.
        None => println!(
            "cargo::error=the XDP program needs a Rust toolchain for BPF and bpf-linker: \
             run `cargo xtask setup`, which installs them or says how to"
        ),
    }
}

/// Compiles the program into `OUT_DIR/aoe-ebpf`.
fn build(toolchain: &Toolchain, workspace: &Path) {
    let out_dir = PathBuf::from(variable("OUT_DIR"));
    let arch = variable("CARGO_CFG_TARGET_ARCH");
    let endian = variable("CARGO_CFG_TARGET_ENDIAN");
    let target = Target { arch: &arch, endian: &endian };
    // Its own directory, since the outer cargo holds the lock of the usual one while this runs, and
    // the same for debug and release builds: OUT_DIR is <target>/<profile>/build/<package>/out.
    let target_dir = out_dir.ancestors().nth(4).unwrap_or(&out_dir).join("ebpf");
    let mut cargo = toolchain.cargo("build", &target);
    cargo.current_dir(workspace).arg("--target-dir").arg(&target_dir);

    match cargo.status() {
        Ok(status) if status.success() => {}
        // Cargo shows what the compiler wrote to standard error if the build script fails.
        Ok(_) => exit(1),
        Err(error) => fail(&format!("cannot run {}: {error}", cargo.get_program().display())),
    }
    let object = target_dir.join(target.triple()).join("release/aoe-ebpf");
    if let Err(error) = fs::copy(&object, out_dir.join("aoe-ebpf")) {
        fail(&format!("cannot copy {}: {error}", object.display()));
    }
}

/// A variable that cargo sets for every build script.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    exit(1)
}
