//! Edits of what a target remembers: accepted with a frame, answered once they are durable.

use super::reply::Reply;
use super::{Lists, Port, Target, argument, config, mask, reserve};
use aoe_common::wire::config::{ConfigHeader, sub_command};
use aoe_common::wire::mac_mask::{MaskError, mask_capacity, mask_command};
use aoe_common::wire::reserve::reserve_command;
use aoe_common::wire::{AoeError, Mac};
use zerocopy::FromBytes;

/// An accepted edit. What it sets is in the argument of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    pub(super) kind: Kind,
    pub(super) aoe_offset: usize,
    pub(super) length: usize,
    pub(super) source: Mac,
}

impl Edit {
    /// Who asks for it.
    pub const fn source(&self) -> Mac {
        self.source
    }
}

/// What is edited, and under which condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    SetConfig,
    ForceConfig,
    EditMask,
    SetReserved,
    ForceReserved,
}

/// What an edit comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// What has to be remembered from now on; `None` where nothing changes.
    pub lists: Option<Lists>,
    /// What to answer once that is durable.
    pub answer: Answer,
}

/// What an edit is answered with, besides what is remembered then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// It was refused.
    Refused(AoeError),
    /// An edit of the MAC mask list stopped after this many directives.
    Stopped {
        /// Why.
        error: MaskError,
        /// How many were carried out.
        done: u8,
    },
}

impl Target {
    /// What an edit comes to that [`accept`](Self::accept) has found in the frame with this head.
    pub fn revise(&self, port: &Port, edit: &Edit, head: &[u8]) -> Revision {
        let Edit { kind, aoe_offset, length, source } = *edit;
        let argument = argument(head, aoe_offset, length);
        let mut lists = self.lists.clone();
        let answer = match kind {
            Kind::SetConfig if !lists.config_string.is_empty() => {
                // The same string again is the same request again, whose answer was lost.
                if config_string(argument) == lists.config_string {
                    Answer::Done
                } else {
                    Answer::Refused(AoeError::ConfigStringPresent)
                }
            }
            Kind::SetConfig | Kind::ForceConfig => {
                lists.config_string = config_string(argument).to_vec();
                Answer::Done
            }
            Kind::EditMask => mask::edit(&mut lists, argument, mask_capacity(port.mtu)),
            Kind::SetReserved if self.is_reserved_from(source) => {
                Answer::Refused(AoeError::TargetReserved)
            }
            Kind::SetReserved | Kind::ForceReserved => reserve::replace(&mut lists, argument),
        };
        Revision { lists: (lists != self.lists).then_some(lists), answer }
    }

    /// Writes the reply to an edit, and tells its length: this target is what it has become by it.
    /// `None` where the port's link does not carry the reply.
    pub fn finish_edit(
        &self,
        port: &Port,
        edit: &Edit,
        head: &mut [u8],
        answer: Answer,
    ) -> Option<usize> {
        let reply = Reply::to_request(head, edit.aoe_offset, port.mac, self.address);
        let reply = match answer {
            Answer::Refused(reason) => reply.with_error(reason),
            Answer::Done | Answer::Stopped { .. } => reply,
        };
        match (edit.kind, answer) {
            (Kind::SetConfig | Kind::ForceConfig, _) => {
                let sub_command = match edit.kind {
                    Kind::SetConfig => sub_command::SET,
                    _ => sub_command::FORCE_SET,
                };
                let header = self.config_header(port, sub_command);
                let string = &self.lists.config_string;
                self.config_fits(port).then(|| reply.argument(&header, string))
            }
            (Kind::EditMask, Answer::Stopped { error, done }) => {
                Some(reply.mask_stopped(error, done))
            }
            (Kind::EditMask, _) => {
                let mask = &self.lists.mask;
                self.mask_fits(port).then(|| reply.mask_list(mask_command::EDIT, mask))
            }
            (Kind::SetReserved | Kind::ForceReserved, _) => {
                let command = match edit.kind {
                    Kind::SetReserved => reserve_command::SET,
                    _ => reserve_command::FORCE_SET,
                };
                let reserved = &self.lists.reserved;
                self.reservation_fits(port).then(|| reply.reservation(command, reserved))
            }
        }
    }
}

impl Answer {
    /// The answer to an edit that can't be made durable: the client may try again.
    pub const fn unavailable(edit: &Edit) -> Self {
        match edit.kind {
            Kind::EditMask => Self::Stopped { error: MaskError::Unspecified, done: 0 },
            _ => Self::Refused(AoeError::DeviceUnavailable),
        }
    }
}

/// The string of a config query whose argument this is, which [`Target::accept`] has checked.
fn config_string(argument: &[u8]) -> &[u8] {
    ConfigHeader::ref_from_prefix(argument)
        .ok()
        .and_then(|(query, rest)| config::string(query, rest))
        .unwrap_or_default()
}
