//! Reservations: who may issue ATA commands to the target.

use super::edit::{Answer, Kind};
use super::{Context, Ignored, Lists, Port, Step, Target};
use aoe_common::wire::reserve::{ReserveHeader, reserve_capacity, reserve_command};
use aoe_common::wire::{AoeError, Mac};
use zerocopy::FromBytes;

impl Target {
    pub(super) fn accept_reserve(&self, context: &Context<'_>, head: &mut [u8]) -> Step {
        let Ok((header, rest)) = ReserveHeader::ref_from_prefix(context.argument(head)) else {
            return Step::Ignore(Ignored::Short);
        };
        // By a wildcard one frame could take every disk from everybody.
        let is_good = !context.wildcard && stations(header, rest).is_some();
        match header.command {
            reserve_command::READ if !self.reservation_fits(context.port) => {
                Step::Ignore(Ignored::NarrowLink)
            }
            reserve_command::READ => {
                let reply = self.reply(context, head);
                Step::Reply(reply.reservation(reserve_command::READ, &self.lists.reserved))
            }
            reserve_command::SET if is_good => Step::Persist(context.edit(Kind::SetReserved)),
            reserve_command::FORCE_SET if is_good => {
                Step::Persist(context.edit(Kind::ForceReserved))
            }
            _ => {
                let reply = self.reply(context, head);
                Step::Reply(reply.refuse(AoeError::BadArgument, size_of::<ReserveHeader>()))
            }
        }
    }

    /// Whether the link of this port carries the list.
    pub(super) fn reservation_fits(&self, port: &Port) -> bool {
        self.lists.reserved.len() <= reserve_capacity(port.mtu)
    }
}

/// The stations of a request, if there are as many as it says.
fn stations<'a>(header: &ReserveHeader, rest: &'a [u8]) -> Option<&'a [Mac]> {
    let count = usize::from(header.count);
    <[Mac]>::ref_from_prefix_with_elems(rest, count).ok().map(|(stations, _)| stations)
}

/// Replaces the reservation by that of the request whose argument this is, in any case.
pub(super) fn replace(lists: &mut Lists, argument: &[u8]) -> Answer {
    let stations = ReserveHeader::ref_from_prefix(argument)
        .ok()
        .and_then(|(header, rest)| stations(header, rest));
    lists.reserved = stations.unwrap_or_default().to_vec();
    Answer::Done
}
