//! The fixed say in who may talk to a target: the administrator's, which no frame can change.

use aoe_common::wire::Mac;

/// Stations that are let in or kept out, whatever the MAC mask list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    allow: Vec<Mac>,
    deny: Vec<Mac>,
}

impl Access {
    /// Lets in only `allow`, or everybody where that is empty, and of those nobody in `deny`.
    pub fn new(allow: &[Mac], deny: &[Mac]) -> Self {
        Self { allow: allow.to_vec(), deny: deny.to_vec() }
    }

    /// Whether this station may talk to the target.
    pub fn admits(&self, source: Mac) -> bool {
        (self.allow.is_empty() || self.allow.contains(&source)) && !self.deny.contains(&source)
    }

    /// Whether everybody is let in.
    pub const fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// The only stations that are let in; empty where that is everybody.
    pub fn allow(&self) -> &[Mac] {
        &self.allow
    }

    /// The stations that are kept out.
    pub fn deny(&self) -> &[Mac] {
        &self.deny
    }
}
