//! Config queries: how initiators discover a target and learn its limits.

use super::{BUFFER_COUNT, FIRMWARE_VERSION, Port, Target};
use aoe_common::wire::AoeError;
use aoe_common::wire::config::{ConfigHeader, sub_command, version_command};

impl Target {
    /// Answers a query and tells the reply's length. The string is empty.
    pub(super) fn query_config(
        &self,
        port: &Port,
        query: ConfigHeader,
        aoe_offset: usize,
        head: &mut [u8],
    ) -> usize {
        let reply = self.reply(port, aoe_offset, head);
        if query.sub_command() != sub_command::READ {
            return reply.refuse(AoeError::BadArgument, size_of::<ConfigHeader>());
        }
        let answer = ConfigHeader {
            buffer_count: BUFFER_COUNT.into(),
            firmware_version: FIRMWARE_VERSION.into(),
            sector_count: port.max_sectors,
            version_command: version_command(sub_command::READ),
            string_length: 0.into(),
        };
        reply.argument(&answer, &[])
    }
}
