//! What a configuration file may say, and what it may not.

use super::{FileExport, parse};
use crate::config::{CacheSize, Durability, ExportConfig, HugePages, Mode};
use std::time::Duration;

/// The least that an export needs.
const EXPORT: &str = "[[export]]\nshelf = 0\nslot = 1\nfile = '/a'\n";

/// What is wrong with a text.
fn problems(text: &str) -> Vec<String> {
    let problems = parse(text).expect_err(text);
    problems.iter().map(ToString::to_string).collect()
}

/// The problems of one export with these lines, which begin in line 6.
fn problems_of_export(lines: &str) -> Vec<String> {
    problems(&format!("interfaces = ['a']\n{EXPORT}{lines}\n"))
}

/// Fails unless each text has one problem, which begins as the case says.
fn expect(cases: &[(&str, &str)], problems: impl Fn(&str) -> Vec<String>) {
    for (text, expected) in cases {
        let found = problems(text);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{text}: {found:#?}");
    }
}

#[test]
fn the_least_is_little() {
    let file = parse(&format!("interfaces = ['ens33', 'eth*']\n{EXPORT}")).unwrap();
    assert!(file.interfaces[0].get_ref().matches("ens33"));
    assert!(file.interfaces[1].get_ref().is_pattern());
    let [FileExport { config, .. }] = &file.exports[..] else { panic!("{:?}", file.exports) };
    assert_eq!(*config, ExportConfig::new("e0.1".parse().unwrap(), "/a".into()));
    let nothing = (file.mode, file.control, file.state_dir, file.announce_every);
    assert_eq!(nothing, (None, None, None, None));
    assert_eq!((file.huge_pages, file.cache, file.io_timeout), (None, None, None));
    assert!(!file.require_zerocopy && !file.preload);
}

#[test]
fn the_sample_says_all_there_is_to_say() {
    let sample = include_str!("../../../../packaging/aoe-daemon.toml");
    parse(sample).unwrap();
    // With what it only tells of as well.
    let uncommented: Vec<_> =
        sample.lines().map(|line| line.strip_prefix("#! ").unwrap_or(line)).collect();
    let file = parse(&uncommented.join("\n")).unwrap();
    assert_eq!(file.mode, Some(Mode::Native));
    assert_eq!(file.announce_every, Some(Duration::from_secs(60)));
    assert!(file.control.is_some() && file.state_dir.is_some());
    assert_eq!(file.huge_pages, Some(HugePages::Reserve));
    assert_eq!(file.cache, Some(CacheSize::Bytes(4 << 30)));
    assert!(file.preload);
    assert_eq!(file.io_timeout, Some(Duration::from_secs(30)));
    let said = |key: &str| uncommented.iter().any(|line| line.starts_with(&format!("{key} = ")));
    for key in super::KEYS.iter().chain(&super::export::KEYS) {
        assert!(*key == "export" || said(key), "{key}");
    }
}

#[test]
fn values_have_several_forms() {
    let read = |lines: &str| {
        let file = parse(&format!("interfaces = ['a']\n{EXPORT}{lines}\n")).expect(lines);
        file.exports[0].config.clone()
    };
    assert_eq!(read("length = '20G'").length, Some(20 << 30));
    assert_eq!(read("length = 0x20_0000").length, Some(2 << 20));
    assert_eq!(read("wwn = '5000c500a1b2c3d4'").wwn, Some(0x5000_C500_A1B2_C3D4));
    assert_eq!(read("wwn = 0x5000_c500_a1b2_c3d4").wwn, Some(0x5000_C500_A1B2_C3D4));
    assert_eq!(read("vlan = 0").vlan, 0);
    assert_eq!(read("vlan = 4094").vlan, 4094);
    assert_eq!(read("config-string = ''").config_string, Some(Vec::new()));
    assert_eq!(read("deny = []").deny, []);
}

#[test]
fn an_export_is_as_durable_as_the_file_says_unless_it_says_otherwise() {
    use Durability::{Always, Writeback};
    let read = |top: &str, own: &str| {
        let text = format!("interfaces = ['a']\n{top}\n{EXPORT}{own}\n");
        parse(&text).expect(&text).exports[0].config.durability
    };
    assert_eq!(read("", ""), Always);
    assert_eq!(read("durability = 'writeback'", ""), Writeback);
    assert_eq!(read("durability = 'writeback'\ncache = 0", "durability = 'always'"), Always);
    assert_eq!(read("durability = 'always'", "durability = 'writeback'"), Writeback);
}

#[test]
fn exports_of_one_file_are_durable_alike() {
    let parts = "length = 512\n[[export]]\nshelf = 0\nslot = 2\nfile = '/a'\noffset = 512";
    let own = |own: &str| format!("{parts}\n{own}");
    expect(
        &[
            (
                &own("durability = 'writeback'"),
                "12:14: e0.2 has durability writeback and e0.1 in line 5 has always, and both are",
            ),
            (
                &format!("durability = 'writeback'\n{parts}"),
                "11:8: e0.2 has durability always and e0.1 in line 6 has writeback, and both are",
            ),
        ],
        problems_of_export,
    );
    let text = format!("interfaces = ['a']\n{EXPORT}durability = 'writeback'\n{parts}\n");
    assert!(parse(&text.replace("slot = 2\nfile = '/a'", "slot = 2\nfile = '/b'")).is_ok());
    assert!(parse(&format!("{text}durability = 'writeback'\n")).is_ok());
}

#[test]
fn a_cache_has_several_forms() {
    for (value, cache) in [
        ("'all'", CacheSize::All),
        ("'2G'", CacheSize::Bytes(2 << 30)),
        ("4096", CacheSize::Bytes(4096)),
        ("0", CacheSize::Bytes(0)),
    ] {
        let text = format!("interfaces = ['a']\ncache = {value}\n{EXPORT}");
        assert_eq!(parse(&text).unwrap().cache, Some(cache), "{value}");
    }
}

#[test]
fn what_is_no_toml_is_said_where_that_shows_first() {
    expect(
        &[
            ("interfaces = ['a'", "1:18: this is no TOML: "),
            ("a b c", "1:3: this is no TOML: "),
            ("\n\na = 1\na = 2", "4:1: this is no TOML: duplicate key"),
            ("a = 99999999999999999999x", "1:5: this is no TOML: "),
            ("a = \nb = 1\nc = 'x", "1:5: this is no TOML: "),
            ("interfaces = ['a]\n[[export]]\nshelf = 1", "1:18: this is no TOML: "),
        ],
        problems,
    );
}

#[test]
fn the_whole_file_may_be_wrong() {
    let with_export = |text: &str| problems(&format!("{text}\n{EXPORT}"));
    expect(
        &[
            ("", "1:1: interfaces says where to serve"),
            ("interfaces = []", "1:14: interfaces says where to serve"),
            (
                "interfaces = 'a'",
                "1:14: interfaces must be an array as in interfaces = [\"…\"], not",
            ),
            ("interfaces = [1]", "1:15: each of interfaces must be a string, not 1"),
            (
                "interfaces = ['a/b']",
                "1:15: each of interfaces must be an interface, and \"a/b\" is",
            ),
            (
                "interfaces = ['[']",
                "1:15: each of interfaces must be an interface, and \"[\" is none: in",
            ),
            (
                "interfaces = ['']",
                "1:15: each of interfaces must be an interface, and \"\" is none",
            ),
            ("interfaces = ['a', 'b', 'a']", "1:25: interfaces has this twice"),
            (
                "interfaces = ['a']\nmode = 'fast'",
                "2:8: mode must be one of auto, native-zerocopy,",
            ),
            ("interfaces = ['a']\nmode = 1", "2:8: mode must be a string, not 1"),
            (
                "interfaces = ['a']\nmode = 'native'\nrequire-zerocopy = true",
                "3:20: require-zerocopy contradicts mode native: leave one",
            ),
            ("interfaces = ['a']\nrequire-zerocopy = 'yes'", "2:20: require-zerocopy must be true"),
            (
                "interfaces = ['a']\nannounce-every = 0",
                "2:18: announce-every must be a number from 1",
            ),
            (
                "interfaces = ['a']\nannounce-every = 1.5",
                "2:18: announce-every must be a number from",
            ),
            ("interfaces = ['a']\ncontrol = ''", "2:11: control must be a path, not an empty"),
            (
                "interfaces = ['a']\nstate-dir = []",
                "2:13: state-dir must be a string, not an array",
            ),
            (
                "interfaces = ['a']\nhugepages = 'on'",
                "2:13: hugepages must be reserve, use or off, not \"on\"",
            ),
            ("interfaces = ['a']\nhugepages = true", "2:13: hugepages must be a string, not true"),
            ("interfaces = ['a']\ncache = 'half'", "2:9: cache can't be \"half\": a size is a"),
            ("interfaces = ['a']\ncache = -1", "2:9: cache must be bytes, a multiple of 512"),
            ("interfaces = ['a']\npreload = 1", "2:11: preload must be true or false, not 1"),
            (
                "interfaces = ['a']\npreload = true\ncache = 0",
                "3:9: preload contradicts cache 0: leave one",
            ),
            (
                "interfaces = ['a']\ndurability = 'never'",
                "2:14: durability must be one of always, writeback, not \"never\"",
            ),
            (
                "interfaces = ['a']\ncache = 0\ndurability = 'writeback'",
                "2:9: durability writeback contradicts cache 0, for it keeps",
            ),
            ("interfaces = ['a']\nio-timeout = 0", "2:14: io-timeout must be a number from 1 to"),
            ("interfaces = ['a']\nfoo = 1", "2:1: unknown key \"foo\": here can be interfaces,"),
            (
                "interfaces = ['a']\nstate_dir = '/'",
                "2:1: unknown key \"state_dir\": write state-dir",
            ),
            ("interfaces = ['a']\nslot = 1", "2:1: slot is a key of an export: put it below"),
            ("interfaces = ['a']\n\"a\\nb\" = 1", "2:1: unknown key \"a\\nb\""),
        ],
        with_export,
    );
    let many: Vec<_> = (0..65).map(|number| format!("'a{number}'")).collect();
    let text = format!("interfaces = [{}]", many.join(","));
    expect(&[(&text, "1:14: interfaces are more than 64: give patterns")], with_export);
}

#[test]
fn there_is_an_export() {
    expect(
        &[
            ("interfaces = ['a']", "1:1: there is no export"),
            ("interfaces = ['a']\nexport = []", "2:10: there is no export"),
            ("interfaces = ['a']\nexport = 1", "2:10: exports are tables below [[export]], not 1"),
            (
                "interfaces = ['a']\nexport = [1]",
                "2:11: an export must be a table below [[export]]",
            ),
            ("interfaces = ['a']\n[export]\nshelf = 1", "2:1: an export has two brackets"),
        ],
        problems,
    );
    let empty = problems("interfaces = ['a']\n[[export]]");
    assert_eq!(empty.len(), 3, "{empty:?}");
    for (problem, key) in empty.iter().zip(["shelf", "slot", "file"]) {
        assert!(
            problem.starts_with(&format!("2:1: {key} is missing: an export needs")),
            "{problem}"
        );
    }
}

#[test]
fn an_address_has_limits() {
    let address =
        |address: &str| problems(&format!("interfaces = ['a']\n[[export]]\nfile = 'a'\n{address}"));
    expect(
        &[
            ("shelf = 65535\nslot = 1", "4:9: shelf must be a number from 0 to 65534, not 65535"),
            ("shelf = 4095\nslot = 1", "4:9: Linux refuses shelf 4095"),
            ("shelf = -1\nslot = 1", "4:9: shelf must be a number from 0 to 65534, not -1"),
            ("shelf = '0'\nslot = 1", "4:9: shelf must be a number from 0 to 65534, not a string"),
            ("shelf = 0\nslot = 255", "5:8: slot must be a number from 0 to 254, not 255"),
            (
                "shelf = 0\nslot = 1.0",
                "5:8: slot must be a number from 0 to 254, not a number with",
            ),
            ("slot = 1", "2:1: shelf is missing"),
        ],
        address,
    );
}

#[test]
fn keys_of_an_export_have_their_types_and_limits() {
    let long = "x".repeat(1025);
    let config_string = format!("config-string = '{long}'");
    let serial = format!("serial = '{}'", &long[..21]);
    let model = format!("model = '{}'", &long[..41]);
    let interfaces = format!("interfaces = [{}]", "'a*',".repeat(65));
    assert_eq!(problems_of_export(&interfaces).len(), 64, "all but the first are there twice");
    expect(
        &[
            ("durability = true", "6:14: durability must be a string, not true"),
            ("durability = 'back'", "6:14: durability must be one of always, writeback, not"),
            ("read-only = 'yes'", "6:13: read-only must be true or false, not a string"),
            ("offset = 100", "6:10: offset must be bytes, a multiple of 512, not 100"),
            ("offset = -512", "6:10: offset must be bytes, a multiple of 512, not -512"),
            ("offset = '1.5G'", "6:10: offset can't be \"1.5G\": a size is a number"),
            ("offset = 1.5", "6:10: offset must be a number of bytes, or a size like \"20G\", not"),
            ("length = 0", "6:10: length must not be 0: leave it out"),
            ("length = '1000'", "6:10: length can't be \"1000\": a size must be a multiple of 512"),
            ("length = '16777216T'", "6:10: length can't be \"16777216T\": that is more than"),
            ("length = '16777215T'\noffset = '2T'", "6:10: offset and length together are more"),
            ("interfaces = []", "6:14: interfaces is empty: leave it out for all"),
            ("interfaces = ['b']", "6:15: b is none of the interfaces at the top"),
            ("interfaces = ['a', 'b*']", "6:20: b* is none of the interfaces at the top"),
            ("interfaces = ['a b']", "6:15: each of interfaces must be an interface"),
            ("vlan = 4095", "6:8: vlan must be a number from 0 to 4094, not 4095"),
            ("vlan = '5'", "6:8: vlan must be a number from 0 to 4094, not a string"),
            (&config_string, "6:17: config-string must have at most 1024 bytes, not 1025"),
            ("config-string = [1]", "6:17: config-string must be a string, not an array"),
            (&serial, "6:10: serial must be 1 to 20 printable ASCII characters"),
            ("serial = ''", "6:10: serial must be 1 to 20 printable"),
            ("serial = ' '", "6:10: serial must be 1 to 20 printable"),
            ("serial = \"a\\tb\"", "6:10: serial must be 1 to 20 printable"),
            ("serial = 5", "6:10: serial must be a string, not 5"),
            (&model, "6:9: model must be 1 to 40 printable ASCII characters"),
            ("model = 'ü'", "6:9: model must be 1 to 40 printable"),
            ("wwn = 0", "6:7: wwn must be 16 hexadecimal digits as in \"5000c500a1b2c3d4\", not 0"),
            ("wwn = '5000c500a1b2c3d'", "6:7: wwn must be 16 hexadecimal digits"),
            ("wwn = '+000c500a1b2c3d4'", "6:7: wwn must be 16 hexadecimal digits"),
            ("wwn = -1", "6:7: wwn must be 16 hexadecimal digits"),
            ("allow = []", "6:9: allow is empty: leave it out for everybody"),
            ("allow = '02:00:00:00:00:01'", "6:9: allow must be an array"),
            ("allow = ['02:00:00:00:00:1']", "6:10: each of allow must be a MAC address like"),
            ("allow = ['ff:ff:ff:ff:ff:ff']", "6:10: each of allow must be the MAC address of one"),
            ("deny = ['01:00:5e:00:00:01']", "6:9: each of deny must be the MAC address of one"),
            ("deny = ['02:00:00:00:00:01', '02:00:00:00:00:01']", "6:30: deny has this twice"),
            (
                "allow = ['02:00:00:00:00:01']\ndeny = ['02:00:00:00:00:02', '02:00:00:00:00:01']",
                "7:30: 02:00:00:00:00:01 is in allow, too",
            ),
            ("mode = 'auto'", "6:1: mode is a key of the whole file: put it above the first"),
            ("read_only = true", "6:1: unknown key \"read_only\": write read-only"),
            ("slat = 1", "6:1: unknown key \"slat\": here can be shelf, slot, file,"),
            ("[export.more]", "6:9: unknown key \"more\""),
        ],
        problems_of_export,
    );
}

#[test]
fn a_file_has_a_path() {
    for (file, reason) in [
        ("''", "must be a path, not an empty"),
        ("\"a\\u0000b\"", "must be a path, which has no zero"),
        ("5", "must be a string, not 5"),
    ] {
        let text = format!("interfaces = ['a']\n[[export]]\nshelf = 0\nslot = 1\nfile = {file}");
        let found = problems(&text);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with(&format!("5:8: file {reason}")), "{found:?}");
    }
}

/// Exports e0.1, e0.2 and so on with these lines each.
fn exports(lines: &[&str]) -> String {
    let export =
        |(at, lines): (usize, &&str)| format!("[[export]]\nshelf = 0\nslot = {at}\n{lines}\n");
    let exports: String = lines.iter().enumerate().map(export).collect();
    format!("interfaces = ['a']\n{exports}")
}

#[test]
fn an_address_is_given_once() {
    let text = format!(
        "interfaces = ['a']\n{EXPORT}{}{}",
        EXPORT.replace("/a", "/b"),
        EXPORT.replace("/a", "/c")
    );
    let expected = |line| {
        format!(
            "{line}:9: e0.1 is the address of the export in line 3, too: give each one of its own"
        )
    };
    assert_eq!(problems(&text), [expected(7), expected(11)]);
}

#[test]
fn clients_can_tell_exports_apart() {
    for (key, name) in [("serial = 'a'", "serial number"), ("wwn = 1", "world wide name")] {
        let lines = ["file = '/a'", "file = '/b'"].map(|file| format!("{file}\n{key}"));
        let found = problems(&exports(&[&lines[0], &lines[1]]));
        assert_eq!(found.len(), 1);
        let place = if name == "serial number" { "11:10" } else { "11:7" };
        let expected = format!("{place}: this is the {name} of e0.0 in line 3, too: clients");
        assert!(found[0].starts_with(&expected), "{found:?}");
    }
}

#[test]
fn bytes_are_written_by_one_export() {
    let apart: [&[&str]; 4] = [
        &["file = '/a'", "file = '/b'"],
        &["file = '/a'\nread-only = true", "file = '/a'\nread-only = true"],
        &["file = '/a'\nlength = '1M'", "file = '/a'\noffset = '1M'"],
        &["file = '/a'\noffset = 512\nlength = 512", "file = '/a'\nlength = 512", "file = '/b'"],
    ];
    for lines in apart {
        assert_eq!(parse(&exports(lines)).map(|file| file.exports.len()), Ok(lines.len()));
    }
    let together: [&[&str]; 3] = [
        &["file = '/a'", "file = '/a'"],
        &["file = '/a'\nread-only = true", "file = '/a'"],
        &["file = '/a'\noffset = 1024", "file = '/a'\nlength = '1M'"],
    ];
    for lines in together {
        let found = problems(&exports(lines));
        assert_eq!(found.len(), 1);
        let line = 5 + lines[0].lines().count() + 3;
        let expected = format!("{line}:8: e0.1 and e0.0 in line 5 have the same bytes of a file");
        assert!(found[0].starts_with(&expected), "{found:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = "mode = 1\nfoo = 2\n[[export]]\nshelf = 65535\nvlan = 5000\n";
    let lines: Vec<_> = parse(text).unwrap_err().iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 1, 2, 3, 3, 4, 5]);
}

#[test]
fn odd_texts_are_read_to_their_end() {
    let deep = 200_000;
    for text in [
        format!("{}b = 1", "a.".repeat(deep)),
        format!("[{}b]", "a.".repeat(deep)),
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep)),
        format!("interfaces = [{}]", "1,".repeat(deep)),
        "[[export]]\n".repeat(deep),
        "\r".repeat(deep),
        "\u{feff}\0".to_owned(),
    ] {
        let problems = parse(&text).unwrap_err();
        assert!((1..=crate::config::MAX_PROBLEMS).contains(&problems.len()));
        assert!(problems.iter().all(|problem| problem.text.len() < 400), "{problems:?}");
    }
}
