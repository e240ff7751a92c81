//! All targets as one thread sees them.

use super::Exports;
use crate::record::View;
use crate::target::Target;

/// The targets of all [`Exports`], for a thread that looks at one for every frame.
pub struct Targets(Vec<View>);

impl Targets {
    /// As they are now.
    pub fn of(exports: &Exports) -> Self {
        Self(exports.all().iter().map(|export| export.record.view()).collect())
    }

    /// The target of the export with this index, as it is at this moment.
    pub fn look(&mut self, export: usize) -> &Target {
        self.0[export].load()
    }
}
