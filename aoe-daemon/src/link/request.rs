//! Questions to the kernel over rtnetlink, and its answers.

use std::fmt::Display;
use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::LinkError;

type Message = NetlinkMessage<RouteNetlinkMessage>;

/// Asks for the one link that the message names. `None` where there is no such link.
pub(super) fn get_link(link: LinkMessage) -> Result<Option<LinkMessage>, LinkError> {
    let socket = ask(link, NLM_F_REQUEST).map_err(LinkError::Request)?;
    let (answer, _sender) = socket.recv_from_full().map_err(LinkError::Request)?;
    let answer = Message::deserialize(&answer).map_err(not_understood)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(Some(link)),
        NetlinkPayload::Error(error) => match error.to_io() {
            error if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            error => Err(LinkError::Request(error)),
        },
        other => Err(LinkError::Answer(format!("{other:?}"))),
    }
}

/// Asks for all links.
pub(super) fn get_links() -> Result<Vec<LinkMessage>, LinkError> {
    let socket =
        ask(LinkMessage::default(), NLM_F_REQUEST | NLM_F_DUMP).map_err(LinkError::Request)?;
    let mut links = Vec::new();
    loop {
        let (datagram, _sender) = socket.recv_from_full().map_err(LinkError::Request)?;
        // Messages follow each other, aligned to four bytes.
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let length = NetlinkBuffer::new_checked(rest).map_err(not_understood)?.length();
            // An interface that is described in a way that is not understood can't be served.
            let payload = Message::deserialize(rest).ok().map(|message| message.payload);
            match payload {
                Some(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link))) => {
                    links.push(link);
                }
                Some(NetlinkPayload::Done(_)) => return Ok(links),
                Some(NetlinkPayload::Error(error)) => {
                    return Err(LinkError::Request(error.to_io()));
                }
                _ => {}
            }
            rest = rest.get((length as usize).next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

fn not_understood(error: impl Display) -> LinkError {
    LinkError::Answer(error.to_string())
}

/// Sends a question about links; the answers come to the socket.
fn ask(link: LinkMessage, flags: u16) -> io::Result<Socket> {
    let payload = NetlinkPayload::from(RouteNetlinkMessage::GetLink(link));
    send(NETLINK_ROUTE, payload, flags)
}

/// Sends a question of one of netlink's protocols; the answers come to the socket.
pub(super) fn send<M: NetlinkSerializable>(
    protocol: isize,
    payload: NetlinkPayload<M>,
    flags: u16,
) -> io::Result<Socket> {
    let mut question = NetlinkMessage::new(NetlinkHeader::default(), payload);
    question.header.flags = flags;
    question.finalize();
    let mut bytes = vec![0; question.buffer_len()];
    question.serialize(&mut bytes);

    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    Ok(socket)
}
