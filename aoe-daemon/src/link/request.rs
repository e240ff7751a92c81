//! One question to the kernel over rtnetlink, and its answer.

use std::io;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::LinkError;

/// Asks for the one link that the message names. `None` where there is no such link.
pub(super) fn get_link(link: LinkMessage) -> Result<Option<LinkMessage>, LinkError> {
    let payload = NetlinkPayload::from(RouteNetlinkMessage::GetLink(link));
    let mut question = NetlinkMessage::new(NetlinkHeader::default(), payload);
    question.header.flags = NLM_F_REQUEST;
    question.finalize();
    let mut bytes = vec![0; question.buffer_len()];
    question.serialize(&mut bytes);

    let answer = exchange(&bytes).map_err(LinkError::Request)?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
        .map_err(|error| LinkError::Answer(error.to_string()))?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(Some(link)),
        NetlinkPayload::Error(error) => match error.to_io() {
            error if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            error => Err(LinkError::Request(error)),
        },
        other => Err(LinkError::Answer(format!("{other:?}"))),
    }
}

fn exchange(question: &[u8]) -> io::Result<Vec<u8>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(question, 0)?;
    let (answer, _sender) = socket.recv_from_full()?;
    Ok(answer)
}
