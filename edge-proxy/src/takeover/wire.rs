//! Messages with descriptors over a Unix socket: a length of four bytes (big-endian), then JSON. Descriptors go with the
//! first byte of their message, so they come out with it.

use std::io;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix_net::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// The longest message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The most descriptors that come with one message.
pub const DESCRIPTORS_MAX: usize = 8;
/// The length before each message, in bytes.
const LENGTH_BYTES: usize = 4;
/// The kernel's MSG_CTRUNC: more descriptors came than were taken.
const CUT_OFF: u32 = 0x8;
/// What is read at once, in bytes.
const READ_BYTES: usize = 4 * 1024;

/// Two processes' connection.
#[derive(Debug)]
pub struct Wire {
    stream: UnixStream,
    read: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Wire {
    /// Over this connection.
    #[must_use]
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, read: Vec::new(), descriptors: Vec::new() }
    }

    /// The user that the other process runs as.
    pub fn peer(&self) -> io::Result<u32> {
        Ok(self.stream.peer_cred()?.uid())
    }

    /// Sends a message with descriptors.
    pub async fn send(
        &mut self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let body = serde_json::to_vec(message)?;
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MESSAGE_BYTES_MAX);
        let mut bytes =
            length.ok_or_else(|| broken("a message is too long"))?.to_be_bytes().to_vec();
        bytes.extend_from_slice(&body);
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = bytes.get(sent..).unwrap_or_default();
            let with = if sent == 0 { descriptors } else { &[] };
            let write = || send_some(self.stream.as_fd(), rest, with);
            sent += self.stream.async_io(Interest::WRITABLE, write).await?;
        }
        Ok(())
    }

    /// The next message and the descriptors that came with it; `None`: the other side ended the connection. Nothing is
    /// lost where this is dropped while it waits.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        loop {
            if let Some(message) = self.whole()? {
                return Ok(Some((message, std::mem::take(&mut self.descriptors))));
            }
            let (read, descriptors) = (&mut self.read, &mut self.descriptors);
            let stream = &self.stream;
            let more = || receive_some(stream.as_fd(), read, descriptors);
            if stream.async_io(Interest::READABLE, more).await? == 0 {
                return if self.read.is_empty() {
                    Ok(None)
                } else {
                    Err(broken("it ends in a message"))
                };
            }
        }
    }

    fn whole<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some((length, rest)) = self.read.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(broken("a message is too long"));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let message = serde_json::from_slice(body)?;
        self.read.drain(..LENGTH_BYTES + length);
        Ok(Some(message))
    }
}

fn send_some(socket: BorrowedFd<'_>, bytes: &[u8], with: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [0; rustix_net::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !with.is_empty() && !control.push(SendAncillaryMessage::ScmRights(with)) {
        return Err(broken("too many descriptors"));
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

fn receive_some(
    socket: BorrowedFd<'_>,
    into: &mut Vec<u8>,
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut bytes = [0; READ_BYTES];
    let mut space = [0; rustix_net::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let got = recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(came) = message {
            descriptors.extend(came);
        }
    }
    if got.flags.bits() & CUT_OFF != 0 || descriptors.len() > DESCRIPTORS_MAX {
        return Err(broken("too many descriptors"));
    }
    into.extend_from_slice(bytes.get(..got.bytes).unwrap_or_default());
    Ok(got.bytes)
}
