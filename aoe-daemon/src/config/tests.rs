//! Command lines and configuration files together.

use super::*;
use clap::Parser;
use std::fs;
use tempfile::TempDir;

fn parse(args: &str) -> Result<Config> {
    let cli = Cli::try_parse_from(format!("aoe-daemon {args}").split_whitespace())?;
    Config::new(cli.serve)
}

/// A directory with this configuration file, and the flag that names it.
fn file(text: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("aoe.toml");
    fs::write(&path, text).unwrap();
    (directory, format!("--config {}", path.display()))
}

const FILE: &str = "interfaces = ['a', 'b*']\nmode = 'native'\ncontrol = 'c'\nstate-dir = '/s'\n\
                    announce-every = 60\nhugepages = 'off'\ncache = '1M'\n\
                    io-timeout = 5\ndurability = 'writeback'\n\
                    [[export]]\nshelf = 0\nslot = 1\nfile = 'x'\n";

#[test]
fn one_export() {
    let config = parse("--iface a --shelf 0 --slot 1 --file x").unwrap();
    let export = ExportConfig::new(Address::new(0, 1).unwrap(), "x".into());
    assert_eq!(config.exports, [export]);
    assert_eq!(config.mode, Mode::Auto);
    assert_eq!(config.state_dir, PathBuf::from(STATE_DIR));
    assert_eq!(config.control, PathBuf::from(CONTROL_SOCKET));
    assert_eq!(config.announce_every, None);
    assert_eq!(config.huge_pages, HugePages::Use);
    assert_eq!(config.storage, StorageConfig::default());
}

#[test]
fn several_exports_and_interfaces() {
    let config =
        parse("--iface a --iface b* --shelf 0 --slot 1 --file x --shelf 0 --slot 2 --file y")
            .unwrap();
    assert!(config.interfaces[0].matches("a") && config.interfaces[1].matches("b2"));
    assert_eq!(config.exports[1].address.to_string(), "e0.2");
}

#[test]
fn an_export_may_be_a_part_of_a_file() {
    let two = "--iface a --shelf 0 --slot 1 --file x --shelf 0 --slot 2 --file x";
    let parts = |flags: &str| {
        let exports = parse(&format!("{two} {flags}")).unwrap().exports;
        exports.iter().map(|export| (export.offset, export.length)).collect::<Vec<_>>()
    };
    assert_eq!(parts(""), [(0, None); 2]);
    assert_eq!(parts("--offset 0 --offset 1M"), [(0, None), (1 << 20, None)]);
    assert_eq!(
        parts("--length 1M --offset 0 --offset 1024K --length 512"),
        [(0, Some(1 << 20)), (1 << 20, Some(512))]
    );
    for (flags, expected) in [
        ("--offset 512", "1 --offset and 2 exports: give one for each or none"),
        ("--length 512", "1 --length and 2 exports: give one for each or none"),
        ("--length 512 --length 512 --length 512", "3 --length and 2 exports"),
        ("--offset 100 --offset 0", "multiple of 512"),
        ("--length 0 --length 512", "multiple of 512"),
    ] {
        let error = format!("{:#}", parse(&format!("{two} {flags}")).unwrap_err());
        assert!(error.contains(expected), "{flags}: {error}");
    }
    assert!(parse("--offset 512").is_err() && parse("--config y --length 512").is_err());
}

#[test]
fn a_file_says_everything() {
    let (directory, flag) = file(FILE);
    let config = parse(&flag).unwrap();
    let export = ExportConfig {
        durability: Durability::Writeback,
        ..ExportConfig::new(Address::new(0, 1).unwrap(), directory.path().join("x"))
    };
    let expected = Config {
        interfaces: vec!["a".parse().unwrap(), "b*".parse().unwrap()],
        exports: vec![export],
        mode: Mode::Native,
        create: None,
        sparse: false,
        control: directory.path().join("c"),
        state_dir: "/s".into(),
        announce_every: Some(Duration::from_secs(60)),
        huge_pages: HugePages::Off,
        storage: StorageConfig {
            cache: CacheSize::Bytes(1 << 20),
            preload: false,
            io_timeout: Duration::from_secs(5),
        },
    };
    assert_eq!(config, expected);
}

#[test]
fn flags_weigh_more_than_the_file() {
    let (_directory, flag) = file(FILE);
    let flags = "--mode generic --control /c --state-dir /t --announce-every 5 --read-only \
                 --create 1M --sparse --hugepages reserve --cache all --preload \
                 --io-timeout 7 --durability always";
    let config = parse(&format!("{flag} {flags}")).unwrap();
    assert_eq!(config.mode, Mode::Generic);
    assert_eq!((config.control, config.state_dir), ("/c".into(), "/t".into()));
    assert_eq!(config.announce_every, Some(Duration::from_secs(5)));
    assert!(config.exports[0].read_only && config.sparse);
    assert_eq!(config.exports[0].durability, Durability::Always);
    assert_eq!(config.create, Some(1 << 20));
    assert_eq!(config.huge_pages, HugePages::Reserve);
    let storage =
        StorageConfig { cache: CacheSize::All, preload: true, io_timeout: Duration::from_secs(7) };
    assert_eq!(config.storage, storage);
}

#[test]
fn what_is_wrong_on_the_command_line_is_said() {
    let cases = [
        ("--iface a --shelf 65535 --slot 1 --file x", "65535 is not in 0..=65534"),
        ("--iface a --shelf 4095 --slot 1 --file x", "4095"),
        ("--iface a --shelf 0 --slot 255 --file x", "255 is not in 0..=254"),
        ("--iface a --shelf 0 --slot 1 --slot 2 --file x", "once for every export"),
        ("--iface a --shelf 0 --slot 1 --file x --shelf 0 --slot 1 --file y", "e0.1 is given"),
        ("--iface a --iface a --shelf 0 --slot 1 --file x", "twice"),
        ("--iface a --shelf 0 --slot 1 --file x --mode native --require-zerocopy", "mode native"),
        ("--iface a --shelf 0 --slot 1 --file x --create 100", "multiple of 512"),
        ("--shelf 0 --slot 1 --file x", "--iface"),
        ("--iface a", "--file"),
        ("--iface a[ --shelf 0 --slot 1 --file x", "in patterns * stands for"),
        ("--iface a --shelf 0 --slot 1 --file x --announce-every 0", "1..=86400"),
        ("--iface a --shelf 0 --slot 1 --file x --hugepages on", "reserve, use or off"),
        ("--iface a --shelf 0 --slot 1 --file x --cache lots", "number of bytes"),
        (
            "--iface a --shelf 0 --slot 1 --file x --preload --cache 0",
            "preload contradicts cache 0",
        ),
        ("--iface a --shelf 0 --slot 1 --file x --durability never", "always, writeback"),
        (
            "--iface a --shelf 0 --slot 1 --file x --durability writeback --cache 0",
            "durability writeback contradicts cache 0",
        ),
        ("--iface a --shelf 0 --slot 1 --file x --io-timeout 0", "0 is not in 1..=3600"),
        ("--iface a --shelf 0 --slot 1 --file x --config y", "cannot be used with"),
    ];
    for (args, expected) in cases {
        let error = parse(args).unwrap_err();
        assert!(!error.is::<FileError>());
        let error = format!("{error:#}");
        assert!(error.contains(expected), "{args}: {error}");
    }
}

#[test]
fn what_a_flag_contradicts_in_the_file_is_said() {
    let (_directory, flag) = file(FILE);
    let error = parse(&format!("{flag} --require-zerocopy")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "require-zerocopy contradicts mode native: leave one of them out"
    );
    let (_directory, flag) = file(&FILE.replace("cache = '1M'", "preload = true"));
    assert!(parse(&flag).unwrap().storage.preload);
    let error = parse(&format!("{flag} --cache 0")).unwrap_err();
    assert_eq!(error.to_string(), "preload contradicts cache 0: leave one of them out");
    let (_directory, flag) = file(FILE);
    let error = parse(&format!("{flag} --cache 0")).unwrap_err().to_string();
    assert!(error.starts_with("durability writeback contradicts cache 0"), "{error}");
    assert!(parse(&format!("{flag} --cache 0 --durability always")).is_ok());
}

#[test]
fn without_a_file_both_ways_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let error = load_default(&directory.path().join("aoe.toml")).unwrap_err();
    assert!(!error.is::<FileError>());
    let error = error.to_string();
    assert!(error.contains("--iface") && error.contains("aoe.toml"), "{error}");
    assert!(!error.contains('\n'));
}

#[test]
fn a_wrong_file_is_told_apart_and_has_a_line_for_each_problem() {
    let (directory, flag) = file("interfaces = []\nfoo = 1\n");
    let error = parse(&flag).unwrap_err();
    assert!(error.is::<FileError>());
    let path = directory.path().join("aoe.toml").display().to_string();
    let text = error.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    for (line, place) in lines.iter().zip(["1:1: there is no", "1:14: interfaces", "2:1: unknown"])
    {
        assert!(line.starts_with(&format!("{path}:{place}")), "{line}");
    }
    let error = parse("--config /nowhere/aoe.toml").unwrap_err();
    assert!(error.is::<FileError>() && error.to_string().contains("/nowhere/aoe.toml"));
}

#[test]
fn what_is_no_text_or_too_much_of_it_is_refused() {
    let (directory, flag) = file("");
    let path = directory.path().join("aoe.toml");
    fs::write(&path, b"# \xC3\xA4\nmode = '\xFF'").unwrap();
    let error = parse(&flag).unwrap_err().to_string();
    assert!(error.ends_with("aoe.toml:2:9: this is no TOML: it is not UTF-8 here"), "{error}");
    fs::write(&path, vec![b'\n'; MAX_BYTES as usize + 1]).unwrap();
    let error = parse(&flag).unwrap_err().to_string();
    assert!(error.contains("is too large"), "{error}");
}

#[test]
fn one_file_by_two_names_is_one_file() {
    let (directory, flag) = file(&format!("{FILE}[[export]]\nshelf = 0\nslot = 2\nfile = 'y'\n"));
    let [first, second] = ["x", "y"].map(|name| directory.path().join(name));
    assert_eq!(parse(&flag).unwrap().exports.len(), 2, "neither is there");
    fs::write(&first, [0; 512]).unwrap();
    std::os::unix::fs::symlink(&first, &second).unwrap();
    let error = parse(&flag).unwrap_err().to_string();
    let expected = "aoe.toml:17:8: e0.2 and e0.1 in line 13 have the same bytes of a file: make";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn one_file_by_two_names_is_durable_in_one_way() {
    let part = |slot, file, durability| {
        format!(
            "[[export]]\nshelf = 0\nslot = {slot}\nfile = '{file}'\nread-only = true\n\
             durability = '{durability}'\n"
        )
    };
    let [one, other] = [part(1, "x", "always"), part(2, "y", "writeback")];
    let (directory, flag) = file(&format!("interfaces = ['a']\n{one}{other}"));
    let [first, second] = ["x", "y"].map(|name| directory.path().join(name));
    assert_eq!(parse(&flag).unwrap().exports.len(), 2, "neither is there");
    fs::write(&first, [0; 512]).unwrap();
    std::os::unix::fs::symlink(&first, &second).unwrap();
    let error = parse(&flag).unwrap_err().to_string();
    let expected = "aoe.toml:13:14: e0.2 has durability writeback and e0.1 in line 7 has always";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_report_sums_up_or_says_what_is_wrong() {
    let (directory, _) = file(FILE);
    let path = directory.path().join("aoe.toml");
    let report = check(&path).unwrap();
    let shown = report.to_string();
    assert!(report.problems.is_empty());
    let lines: Vec<_> = shown.lines().collect();
    let last = lines.last().unwrap();
    assert_eq!(*last, format!("{}: 1 export on 2 interface patterns", path.display()));
    // Neither the interfaces nor the image exist.
    assert_eq!(lines.len(), 4, "{shown}");
    let missing = format!("{}:13:8: warning: ", path.display());
    assert!(lines.iter().any(|line| line.starts_with(&missing)), "{shown}");

    fs::write(&path, "interfaces = ['a']").unwrap();
    let shown = check(&path).unwrap().to_string();
    assert!(!shown.contains("interface pattern"), "{shown}");
}
