//! The exports of one port, found by the address on the wire.

use super::{Export, Exports, Sources};
use aoe_common::steer::{Admission, Served, ServedKey};
use aoe_common::wire::Mac;
use hashbrown::HashMap;
use std::sync::Arc;

/// What a port offers, by every form in which a frame may name it. Exports are told by their
/// indices among all [`Exports`].
pub struct Offer {
    exports: Arc<Exports>,
    by_name: HashMap<u64, Named>,
    offered: Vec<usize>,
}

/// The exports of a name. Most names are one export's, and that stands in the map itself.
enum Named {
    One(usize),
    Many(Vec<usize>),
}

impl Named {
    fn add(&mut self, export: usize) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, export]),
            Self::Many(exports) => exports.push(export),
        }
    }

    fn as_slice(&self) -> &[usize] {
        match self {
            Self::One(export) => std::slice::from_ref(export),
            Self::Many(exports) => exports,
        }
    }
}

impl Offer {
    /// What is offered on the interface of this name.
    pub fn on(interface: &str, exports: &Arc<Exports>) -> Self {
        let mut by_name: HashMap<u64, Named> = HashMap::new();
        let mut offered = Vec::new();
        for (index, export) in exports.all().iter().enumerate() {
            if export.is_offered_on(interface) {
                offered.push(index);
                for key in export.keys() {
                    by_name
                        .entry(key.bits())
                        .and_modify(|named| named.add(index))
                        .or_insert(Named::One(index));
                }
            }
        }
        Self { exports: Arc::clone(exports), by_name, offered }
    }

    /// Indices of the exports that a frame concerns.
    pub fn named(&self, key: ServedKey) -> &[usize] {
        self.by_name.get(&key.bits()).map_or(&[], Named::as_slice)
    }

    /// The export with this index.
    pub fn export(&self, index: usize) -> &Export {
        &self.exports.all()[index]
    }

    /// All exports, offered or not.
    pub fn exports(&self) -> &Exports {
        &self.exports
    }

    /// Indices of all that are offered.
    pub fn offered(&self) -> &[usize] {
        &self.offered
    }

    /// Who may talk to any of the exports of this name.
    pub fn sources(&self, key: ServedKey) -> Sources {
        let of = |index: &usize| Sources::of(&self.export(*index).record.current());
        self.named(key).iter().map(of).fold(Sources::nobody(), Sources::or)
    }
}

impl Served for Offer {
    /// Every target looks at the sources itself.
    fn admits(&self, key: ServedKey, _source: Mac) -> Admission {
        if self.by_name.contains_key(&key.bits()) {
            Admission::Admitted
        } else {
            Admission::Unknown
        }
    }
}
