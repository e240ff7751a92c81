//! Disks that grow, such that somebody has cut, and such whose file is not where it was.

use super::{Export, Exports};
use crate::record::Changes;
use tracing::{error, info, warn};

impl Exports {
    /// Looks at every file and device, whether it is as large and where it was.
    pub fn look_at_disks(&self) {
        self.look_at_sizes();
        self.all().iter().for_each(|export| export.disk.store().look_at_place());
    }

    /// Looks at the size of every file and device. What has grown is served as far as it goes now.
    /// What has shrunk keeps its size for the clients, whose filesystems reach that far, and what
    /// is missing of it can't be read or written.
    pub fn look_at_sizes(&self) {
        self.all().iter().for_each(Export::look_at_size);
    }
}

impl Export {
    fn look_at_size(&self) {
        let (address, image) = (self.address(), self.disk.image());
        let path = image.backing.path.display();
        let now = match image.sectors_now() {
            Ok(now) => now,
            Err(reason) => {
                warn!(export = %address, %path, %reason, "its size can't be seen");
                return;
            }
        };
        let (described, reachable) = {
            let target = self.record.current();
            (target.description().sectors, target.reachable())
        };
        if now > described {
            self.record.update(Changes::ANNOUNCEMENT, |target| target.with_sectors(now));
            info!(export = %address, %path, before = described, sectors = now, "it has grown");
        } else if now != reachable {
            self.record.update(Changes::default(), |target| target.with_reachable(now));
            if now < described {
                error!(
                    export = %address,
                    %path,
                    sectors = described,
                    left = now,
                    "it has shrunk: the size told to clients stays, and what is behind the end \
                     can't be read or written; make it as long as it was"
                );
            } else {
                info!(export = %address, %path, sectors = now, "it is as long as it was");
            }
        }
    }
}
