//! Texts into the parser of the configuration file.

#![no_main]

use aoe_daemon::config::file::{File, parse};
use aoe_daemon::config::{MAX_PROBLEMS, Problem};
use libfuzzer_sys::{Corpus, fuzz_target};
use std::collections::{HashMap, HashSet};

fuzz_target!(|text: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(text) else { return Corpus::Reject };
    match parse(text) {
        Ok(file) => check_file(&file),
        Err(problems) => check_problems(text, &problems),
    }
    Corpus::Keep
});

/// What is accepted can be served, as far as the text tells.
fn check_file(file: &File) {
    assert!(!file.interfaces.is_empty() && !file.exports.is_empty());
    let mut addresses = HashSet::new();
    let mut durabilities = HashMap::new();
    for export in file.exports.iter().map(|export| &export.config) {
        let name = export.address.to_string();
        assert!(addresses.insert(name.clone()), "{name} twice");
        assert!(export.offset.is_multiple_of(512), "{name} begins at byte {}", export.offset);
        let length = export.length.unwrap_or(512);
        assert!(length > 0 && length.is_multiple_of(512), "{name} has {length} bytes");
        assert!(export.offset.checked_add(length).is_some(), "{name} ends nowhere");
        assert!(export.vlan <= 4094, "{name} is on VLAN {}", export.vlan);
        assert!(export.config_string.as_ref().is_none_or(|string| string.len() <= 1024), "{name}");
        assert!(export.serial.as_ref().is_none_or(|serial| serial.len() <= 20), "{name}");
        assert!(export.model.as_ref().is_none_or(|model| model.len() <= 40), "{name}");
        assert!(!export.file.as_os_str().is_empty(), "{name}");
        let durability = *durabilities.entry(&export.file).or_insert(export.durability);
        assert_eq!(durability, export.durability, "{name} is unlike others on its file");
    }
}

/// Problems are told in order, in a line each, with a place that there is.
fn check_problems(text: &str, problems: &[Problem]) {
    assert!((1..=MAX_PROBLEMS).contains(&problems.len()), "{} problems", problems.len());
    assert!(problems.is_sorted_by_key(|problem| (problem.line, problem.column)));
    for problem in problems {
        let line = text.split('\n').nth(problem.line - 1).expect("a line of the text");
        assert!((1..=line.chars().count() + 1).contains(&problem.column), "{problem}");
        assert!(!problem.text.contains(char::is_control), "{problem}");
    }
}
