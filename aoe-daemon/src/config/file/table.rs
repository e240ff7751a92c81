//! A table of the file: takes its keys one by one, and keeps account of what is wrong.

use super::super::problem::{Flaw, shown};
use super::values;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table, and where to put what is wrong with it.
pub(super) struct Table<'t, 'f> {
    entries: &'t DeTable<'t>,
    /// The byte where it begins.
    at: usize,
    flaws: &'f mut Vec<Flaw>,
}

impl<'t, 'f> Table<'t, 'f> {
    pub(super) fn new(entries: &'t DeTable<'t>, at: usize, flaws: &'f mut Vec<Flaw>) -> Self {
        Self { entries, at, flaws }
    }

    /// Finds fault with every key that is not one of these. `elsewhere` are keys of another table,
    /// which `hint` tells how to find.
    pub(super) fn expect_keys(&mut self, known: &[&str], elsewhere: &[&str], hint: &str) {
        for key in self.entries.keys() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let dashed = name.replace('_', "-");
            let text = if elsewhere.contains(&name) {
                format!("{name} is a key {hint}")
            } else if known.contains(&dashed.as_str()) {
                format!("unknown key {}: write {dashed}", shown(name))
            } else {
                format!("unknown key {}: here can be {}", shown(name), known.join(", "))
            };
            self.flaws.push(Flaw { at: key.span().start, text });
        }
    }

    /// Something is wrong with this key, or with the table for the lack of it.
    pub(super) fn flaw(&mut self, key: &str, text: &str) {
        let at = self.entries.get(key).map_or(self.at, |value| value.span().start);
        self.flaw_at(at, text.to_owned());
    }

    /// Something is wrong at this byte of the file.
    pub(super) fn flaw_at(&mut self, at: usize, text: String) {
        self.flaws.push(Flaw { at, text });
    }

    /// What is behind a key.
    pub(super) fn get(&self, key: &str) -> Option<&'t DeValue<'t>> {
        self.entries.get(key).map(Spanned::get_ref)
    }

    /// The value of a key that may be missing, read by a function that says what the value must be
    /// instead.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<Spanned<T>> {
        let value = self.entries.get(key)?;
        match read(value.get_ref()) {
            Ok(read) => Some(Spanned::new(value.span(), read)),
            Err(reason) => {
                self.flaw(key, &format!("{key} {reason}"));
                None
            }
        }
    }

    /// The value of a key that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<Spanned<T>> {
        if !self.entries.contains_key(key) {
            self.flaw(key, &format!("{key} is missing: an export needs shelf, slot and file"));
        }
        self.optional(key, read)
    }

    /// Whether a key is `true`. It is not where it is missing.
    pub(super) fn is_true(&mut self, key: &str) -> bool {
        self.optional(key, values::boolean).is_some_and(Spanned::into_inner)
    }

    /// The values of an array, all of which must be right and differ; `None` where the key is
    /// missing or something is wrong.
    pub(super) fn list<T: Ord + Clone>(
        &mut self,
        key: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<Vec<Spanned<T>>> {
        let value = self.entries.get(key)?;
        let DeValue::Array(entries) = value.get_ref() else {
            let found = values::found(value.get_ref());
            self.flaw(key, &format!("{key} must be an array as in {key} = [\"…\"], not {found}"));
            return None;
        };
        let mut list = Vec::with_capacity(entries.len());
        let mut known = BTreeSet::new();
        for entry in entries {
            let at = entry.span().start;
            match read(entry.get_ref()) {
                Ok(read) if known.insert(read.clone()) => {
                    list.push(Spanned::new(entry.span(), read));
                }
                Ok(_) => self.flaw_at(at, format!("{key} has this twice: leave one out")),
                Err(reason) => self.flaw_at(at, format!("each of {key} {reason}")),
            }
        }
        (list.len() == entries.len()).then_some(list)
    }

    /// A list that can't be empty, for then it would be left out, and that means `everything`.
    pub(super) fn limiting_list<T: Ord + Clone>(
        &mut self,
        key: &str,
        everything: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> Vec<Spanned<T>> {
        let list = self.list(key, read);
        if list.as_ref().is_some_and(Vec::is_empty) {
            self.flaw(key, &format!("{key} is empty: leave it out for {everything}"));
        }
        list.unwrap_or_default()
    }
}
