//! One request at a time over a NETLINK_ROUTE socket.

use std::fmt;
use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::SocketAddr;

/// What was tried, and why it failed.
#[derive(Debug)]
pub struct Error {
    pub action: String,
    pub cause: io::Error,
}

impl Error {
    pub(crate) fn new(action: impl Into<String>, cause: io::Error) -> Self {
        Self {
            action: action.into(),
            cause,
        }
    }

    /// True if the object that the request was about does not exist.
    pub fn is_absent(&self) -> bool {
        matches!(
            self.cause.raw_os_error(),
            Some(libc::ENOENT | libc::ESRCH | libc::ENODEV | libc::EADDRNOTAVAIL)
        )
    }

    pub fn is_present(&self) -> bool {
        self.cause.raw_os_error() == Some(libc::EEXIST)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.action, self.cause)
    }
}

impl std::error::Error for Error {}

/// Belongs to the network namespace of the thread that opened it.
pub struct Socket {
    socket: netlink_sys::Socket,
    sequence: u32,
}

impl Socket {
    pub fn open() -> Result<Self, Error> {
        let open = || {
            let mut socket = netlink_sys::Socket::new(netlink_sys::protocols::NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(socket)
        };
        let socket = open().map_err(|cause| Error::new("opening a netlink socket", cause))?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Sends a change and waits for the kernel's acknowledgement. `action` is for the error's sentence.
    pub(crate) fn change(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        action: &str,
    ) -> Result<(), Error> {
        self.exchange(message, flags | NLM_F_ACK, |_| {})
            .map_err(|cause| Error::new(action, cause))
    }

    /// All objects of one kind.
    pub(crate) fn dump(
        &mut self,
        message: RouteNetlinkMessage,
        action: &str,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        let mut objects = Vec::new();
        self.exchange(message, NLM_F_DUMP, |object| objects.push(object))
            .map_err(|cause| Error::new(action, cause))?;
        Ok(objects)
    }

    fn exchange(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        mut each: impl FnMut(RouteNetlinkMessage),
    ) -> io::Result<()> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while rest.len() >= 16 {
                let length = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
                if length < 16 || length > rest.len() {
                    return Err(io::Error::other("the kernel's answer is cut off"));
                }
                let sequence = u32::from_ne_bytes([rest[8], rest[9], rest[10], rest[11]]);
                if sequence == self.sequence {
                    // A message that this library can't read (a newer kernel's) is no reason to fail the others.
                    if let Ok(answer) =
                        NetlinkMessage::<RouteNetlinkMessage>::deserialize(&rest[..length])
                    {
                        match answer.payload {
                            NetlinkPayload::Done(_) => return Ok(()),
                            NetlinkPayload::Error(error) => {
                                return error.code.map_or(Ok(()), |_| Err(error.to_io()));
                            }
                            NetlinkPayload::InnerMessage(object) => each(object),
                            _ => {}
                        }
                    }
                }
                rest = &rest[length.next_multiple_of(4).min(rest.len())..];
            }
        }
    }
}
