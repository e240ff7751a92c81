//! Config strings, with Debian's vblade.

use std::time::{Duration, Instant};

use crate::support::{aoe, e0_1, error, inside, printed, refused, vblade};
use anyhow::{Result, ensure};
use aoe_client::reply::Failure;
use aoe_client::request::Forbidden;
use aoe_client::{AoeError, Error, Options, Port};
use aoe_tests::image::random_image;
use aoe_tests::paths::scratch;
use aoe_tests::wire::{CLIENT_PORT, Shape, TARGET_PORT, Wire};

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn config_strings_are_set_tested_and_cleared() -> Result<()> {
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let image = directory.path().join("disk.img");
    random_image(&image, 1 << 20, 1)?;
    let _target = vblade(&wire.target, TARGET_PORT, 1, &[], &image)?;
    inside(&wire.client, || {
        let mut port = Port::open(CLIENT_PORT, e0_1(), Options::default())?;
        assert_eq!(port.config_string()?, b"");
        assert!(port.test_config_string(b"")? && port.test_config_prefix(b"")?);
        assert_eq!(port.set_config_string(b"hello", false)?, b"hello");
        assert_eq!(port.set_config_string(b"hello", false)?, b"hello", "the same again");
        assert_eq!(port.config_string()?, b"hello");
        assert!(port.test_config_string(b"hello")? && port.test_config_prefix(b"hel")?);
        let present = error(port.set_config_string(b"other", false))?;
        let code = AoeError::ConfigStringPresent;
        let is_present = matches!(
            present, Error::Failed { failure: Failure::Aoe(found), .. } if found == code
        );
        ensure!(is_present, "{present}");
        assert_eq!(port.config_string()?, b"hello");
        let longest: Vec<u8> = (0..1024).map(|at| at as u8).collect();
        assert_eq!(port.set_config_string(&longest, true)?, longest);
        assert!(port.test_config_string(&longest)? && port.test_config_prefix(&longest[..1023])?);
        let too_long = error(port.set_config_string(&[b'x'; 1025], true))?;
        let limit = Forbidden::ConfigTooLong { bytes: 1025, limit: 1024 };
        let is_too_long =
            matches!(too_long, Error::Forbidden { forbidden, .. } if forbidden == limit);
        ensure!(is_too_long, "{too_long}");
        assert_eq!(port.set_config_string(b"", true)?, b"");
        assert_eq!(port.config_string()?, b"");
        Ok(())
    })
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn another_string_is_told_from_a_target_that_is_gone() -> Result<()> {
    const PATIENCE: Duration = Duration::from_millis(1500);
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let image = directory.path().join("disk.img");
    random_image(&image, 1 << 20, 1)?;
    let mut target = vblade(&wire.target, TARGET_PORT, 1, &[], &image)?;
    inside(&wire.client, || {
        let options = Options { patience: PATIENCE, ..Options::default() };
        let mut port = Port::open(CLIENT_PORT, e0_1(), options)?;
        port.set_config_string(b"hello", true)?;
        for wrong in [&b"hel"[..], b"hello!", b""] {
            assert!(!port.test_config_string(wrong)?, "{wrong:?}");
        }
        let start = Instant::now();
        assert!(!port.test_config_prefix(b"ell")?);
        ensure!(start.elapsed() < PATIENCE, "it waited for all the time there was");

        target.kill()?;
        let gone = error(port.test_config_string(b"hello"))?;
        ensure!(matches!(gone, Error::Timeout { .. }), "{gone}");
        Ok(())
    })
}

#[test]
#[ignore = "needs root and network namespaces: cargo xtask test runs it"]
fn the_command_administers_config_strings() -> Result<()> {
    let directory = scratch()?;
    let wire = Wire::new(Shape::default())?;
    let image = directory.path().join("disk.img");
    random_image(&image, 1 << 20, 1)?;
    let _target = vblade(&wire.target, TARGET_PORT, 1, &[], &image)?;

    assert_eq!(printed(&wire, &["config", "get", "e0.1"])?, "\n");
    let no_string = refused(&wire, &["config", "test", "e0.1", "x"])?;
    assert_eq!(no_string, "aoe: e0.1 has no config string\n");
    assert_eq!(
        printed(&wire, &["config", "set", "e0.1", "gr\u{f6}\u{df}er"])?,
        "gr\u{f6}\u{df}er\n"
    );
    assert_eq!(printed(&wire, &["config", "test", "e0.1", "gr\u{f6}\u{df}er"])?, "");
    assert_eq!(printed(&wire, &["config", "test", "e0.1", "--prefix", "gr"])?, "");
    let another = "aoe: e0.1 has another config string: \"gr\u{f6}\u{df}er\"\n";
    assert_eq!(refused(&wire, &["config", "test", "e0.1", "gr"])?, another);
    let present = "aoe: e0.1 failed the change of the config string: config string present: it is \
                   \"gr\u{f6}\u{df}er\", and --force replaces it\n";
    assert_eq!(refused(&wire, &["config", "set", "e0.1", "other"])?, present);

    let forced = printed(&wire, &["config", "set", "e0.1", "--force", "--hex", "1bff"])?;
    assert_eq!(forced, "\\x1b\\xff\n");
    let json: serde_json::Value =
        serde_json::from_str(&printed(&wire, &["config", "get", "e0.1", "--json"])?)?;
    assert_eq!(json["config_string_hex"], "1bff");
    let found: serde_json::Value =
        serde_json::from_str(&printed(&wire, &["discover", "--json", "--timeout", "1000"])?)?;
    assert_eq!(found[0]["config_string_hex"], "1bff");
    let tested = aoe(&wire, &["config", "test", "e0.1", "other", "--json"])?;
    assert_eq!(tested.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_str(&tested.text())?;
    assert_eq!((&json["matches"], &json["config_string_hex"]), (&false.into(), &"1bff".into()));

    let long = "x".repeat(1025);
    let too_long = "aoe: e0.1: the config string has 1025 bytes, and 1024 are the most\n";
    assert_eq!(refused(&wire, &["config", "set", "e0.1", "--force", &long])?, too_long);
    assert_eq!(printed(&wire, &["config", "clear", "e0.1"])?, "");
    assert_eq!(printed(&wire, &["config", "get", "e0.1"])?, "\n");

    let nobody = refused(&wire, &["config", "get", "e0.2", "--timeout", "300"])?;
    ensure!(nobody.starts_with("aoe: e0.2 on client0 did not answer the config query"), "{nobody}");
    ensure!(nobody.lines().count() == 1 && nobody.contains("`aoe discover`"), "{nobody}");
    Ok(())
}
