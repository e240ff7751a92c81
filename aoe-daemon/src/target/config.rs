//! Config queries: how initiators discover a target, learn its limits, and mark it with a string.

use super::edit::Kind;
use super::{Context, FIRMWARE_VERSION, Ignored, Port, Step, Target};
use aoe_common::wire::AoeError;
use aoe_common::wire::config::{ConfigHeader, MAX_CONFIG_STRING, sub_command, version_command};
use zerocopy::FromBytes;

impl Target {
    pub(super) fn query_config(&self, context: &Context<'_>, head: &mut [u8]) -> Step {
        let Ok((query, rest)) = ConfigHeader::ref_from_prefix(context.argument(head)) else {
            return Step::Ignore(Ignored::Short);
        };
        let sub_command = query.sub_command();
        let stored = &self.lists.config_string;
        // Only a read does without the string; common tools send rubbish there.
        let is_known = sub_command <= sub_command::FORCE_SET;
        let edits = matches!(sub_command, sub_command::SET | sub_command::FORCE_SET);
        if sub_command != sub_command::READ && is_known {
            let Some(string) = string(query, rest) else {
                return Step::Ignore(Ignored::Short);
            };
            match sub_command {
                sub_command::TEST if string != stored => {
                    return Step::Ignore(Ignored::OtherString);
                }
                sub_command::PREFIX if !stored.starts_with(string) => {
                    return Step::Ignore(Ignored::OtherString);
                }
                sub_command::SET if !context.wildcard => {
                    return Step::Persist(context.edit(Kind::SetConfig));
                }
                sub_command::FORCE_SET if !context.wildcard => {
                    return Step::Persist(context.edit(Kind::ForceConfig));
                }
                _ => {}
            }
        }
        // A wildcard would mark every disk at once, and no client needs it.
        if !is_known || edits {
            let reply = self.reply(context, head);
            return Step::Reply(reply.refuse(AoeError::BadArgument, size_of::<ConfigHeader>()));
        }
        if !self.config_fits(context.port) {
            return Step::Ignore(Ignored::NarrowLink);
        }
        let answer = self.config_header(context.port, sub_command);
        Step::Reply(self.reply(context, head).argument(&answer, stored))
    }

    /// Whether the link of this port carries the config string.
    pub(super) fn config_fits(&self, port: &Port) -> bool {
        port.fits(size_of::<ConfigHeader>() + self.lists.config_string.len())
    }

    /// What every config reply says in front of the string.
    pub(super) fn config_header(&self, port: &Port, sub_command: u8) -> ConfigHeader {
        ConfigHeader {
            buffer_count: port.buffer_count.into(),
            firmware_version: FIRMWARE_VERSION.into(),
            sector_count: port.max_sectors,
            version_command: version_command(sub_command),
            string_length: (self.lists.config_string.len() as u16).into(),
        }
    }
}

/// The string of a query, if it is as long as its length says and not too long.
pub(super) fn string<'a>(query: &ConfigHeader, rest: &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::from(query.string_length.get());
    if length > MAX_CONFIG_STRING { None } else { rest.get(..length) }
}
