//! MAC mask lists: who may talk to the target.

use super::edit::{Answer, Kind};
use super::{Context, Ignored, Lists, Port, Step, Target};
use aoe_common::wire::mac_mask::{
    Directive, MacMaskHeader, MaskError, directive, mask_capacity, mask_command,
};
use aoe_common::wire::{AoeError, Mac};
use zerocopy::FromBytes;

impl Target {
    pub(super) fn accept_mask(&self, context: &Context<'_>, head: &mut [u8]) -> Step {
        let Ok((header, rest)) = MacMaskHeader::ref_from_prefix(context.argument(head)) else {
            return Step::Ignore(Ignored::Short);
        };
        match header.command {
            mask_command::READ if !self.mask_fits(context.port) => {
                Step::Ignore(Ignored::NarrowLink)
            }
            mask_command::READ => {
                let reply = self.reply(context, head);
                Step::Reply(reply.mask_list(mask_command::READ, &self.lists.mask))
            }
            // By a wildcard one frame could lock everybody out of every disk.
            mask_command::EDIT if !context.wildcard && directives(header, rest).is_some() => {
                Step::Persist(context.edit(Kind::EditMask))
            }
            _ => {
                let reply = self.reply(context, head);
                Step::Reply(reply.refuse_mask(AoeError::BadArgument))
            }
        }
    }

    /// Whether the link of this port carries the list.
    pub(super) fn mask_fits(&self, port: &Port) -> bool {
        self.lists.mask.len() <= mask_capacity(port.mtu)
    }
}

/// The directives of an edit, if there are as many as it says.
fn directives<'a>(header: &MacMaskHeader, rest: &'a [u8]) -> Option<&'a [Directive]> {
    let count = usize::from(header.count);
    <[Directive]>::ref_from_prefix_with_elems(rest, count).ok().map(|(directives, _)| directives)
}

/// Carries out the directives of an edit whose argument this is, up to the first that can't be,
/// on a list that may have `capacity` entries.
pub(super) fn edit(lists: &mut Lists, argument: &[u8], capacity: usize) -> Answer {
    let directives = MacMaskHeader::ref_from_prefix(argument)
        .ok()
        .and_then(|(header, rest)| directives(header, rest))
        .unwrap_or_default();
    for (done, directive) in directives.iter().enumerate() {
        if let Err(error) = carry_out(&mut lists.mask, *directive, capacity) {
            // Their number came in 8 bits.
            return Answer::Stopped { error, done: done as u8 };
        }
    }
    Answer::Done
}

fn carry_out(mask: &mut Vec<Mac>, directive: Directive, capacity: usize) -> Result<(), MaskError> {
    let Directive { command, mac, .. } = directive;
    let at = mask.iter().position(|entry| *entry == mac);
    match (command, at) {
        (directive::NONE, _) | (directive::ADD, Some(_)) | (directive::DELETE, None) => Ok(()),
        // No frame comes from a group address: such an entry could only lock everybody out.
        (directive::ADD, None) if mac.is_group() => Err(MaskError::BadDirective),
        (directive::ADD, None) if mask.len() >= capacity => Err(MaskError::ListFull),
        (directive::ADD, None) => {
            mask.push(mac);
            Ok(())
        }
        (directive::DELETE, Some(at)) => {
            mask.remove(at);
            Ok(())
        }
        _ => Err(MaskError::BadDirective),
    }
}
