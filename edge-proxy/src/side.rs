//! The two sides of a session: what is read from each, and what is written to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use writ_edge_core::Outbox;

use crate::bulk::Bulk;
use crate::spare::{SPARE_BYTES, lend, take_back};
use crate::startup::ClientStream;
use crate::upstream::UpstreamStream;

/// How many bytes may wait for a side before the other is not read any more.
const BACKLOG_BYTES_MAX: usize = 256 * 1024;
/// The first size of a read, in bytes; grows where reads fill it, and shrinks where they bring little.
const READ_BYTES_MIN: u32 = SPARE_BYTES as u32;
/// The largest size of a read, in bytes.
const READ_BYTES_MAX: u32 = 128 * 1024;

/// One side of the proxy.
pub struct Side<S> {
    pub(crate) stream: S,
    /// Received and not dealt with.
    pub(crate) inbox: BytesMut,
    read_bytes: u32,
    pub(crate) eof: bool,
    /// The last write has to be flushed (TLS buffers).
    pub(crate) unflushed: bool,
    /// Of a long answer.
    bulk: Option<Box<Bulk>>,
}

/// Which side's connection failed.
pub(crate) enum Broken {
    /// The client's.
    Client,
    /// The server's.
    Upstream,
}

/// Writes what waits and reads what has come, on both sides; pending only when nothing could be done.
pub(crate) fn poll_io(
    client: &mut Side<ClientStream>,
    mut upstream: Option<&mut Side<UpstreamStream>>,
    outbox: &mut Outbox,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Broken>> {
    if let Poll::Ready(Err(_)) = client.poll_send(&mut outbox.to_client, cx) {
        return Poll::Ready(Err(Broken::Client));
    }
    if let Some(upstream) = &mut upstream {
        if !outbox.to_upstream().is_empty() {
            upstream.end_bulk();
        }
        if let Poll::Ready(Err(_)) = upstream.poll_send(outbox.to_upstream(), cx) {
            return Poll::Ready(Err(Broken::Upstream));
        }
    }
    let mut read = false;
    if !client.eof
        && client.inbox.len() < client.room()
        && outbox.to_upstream().len() < BACKLOG_BYTES_MAX
    {
        match client.poll_receive(cx) {
            Poll::Ready(Ok(())) => read = true,
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Client)),
            Poll::Pending => {}
        }
    }
    if let Some(upstream) = &mut upstream
        && !upstream.eof
        && outbox.to_client.len() < BACKLOG_BYTES_MAX
    {
        let before = upstream.inbox.len();
        match upstream.poll_receive(cx) {
            Poll::Ready(Ok(())) => {
                read = true;
                upstream.note_bulk(upstream.inbox.len() - before);
            }
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Upstream)),
            Poll::Pending => upstream.poll_lull(cx),
        }
    }
    if read {
        return Poll::Ready(Ok(()));
    }
    // Most sessions are idle most of the time: they keep no room for what may come.
    take_back(&mut client.inbox);
    if let Some(upstream) = upstream {
        take_back(&mut upstream.inbox);
    }
    take_back(&mut outbox.to_client);
    take_back(outbox.to_upstream());
    Poll::Pending
}

impl Side<UpstreamStream> {
    /// What comes next is an answer to something else, or another session's.
    pub(crate) fn end_bulk(&mut self) {
        if let Some(mut bulk) = self.bulk.take() {
            bulk.end(self.stream.tcp());
        }
    }

    fn note_bulk(&mut self, count: usize) {
        // Reads grow where answers are long.
        if self.bulk.is_none() && self.read_bytes > READ_BYTES_MIN {
            self.bulk = Some(Box::default());
        }
        if let Some(bulk) = &mut self.bulk {
            bulk.received(self.stream.tcp(), count);
        }
    }

    fn poll_lull(&mut self, cx: &mut Context<'_>) {
        if let Some(bulk) = &mut self.bulk {
            bulk.poll_lull(self.stream.tcp(), cx);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Side<S> {
    /// A connection of which these bytes were read already.
    #[must_use]
    pub fn new(stream: S, inbox: BytesMut) -> Self {
        Self { stream, inbox, read_bytes: READ_BYTES_MIN, eof: false, unflushed: false, bulk: None }
    }

    /// How many bytes may wait here: a whole message must fit, where it is one that is looked at as a whole.
    fn room(&self) -> usize {
        match writ_edge_core::frame::scan(&self.inbox) {
            writ_edge_core::frame::Scan::Frame(header)
                if header.total <= writ_edge_core::client_message_bytes_max(header.tag) =>
            {
                header.total.max(BACKLOG_BYTES_MAX)
            }
            _ => BACKLOG_BYTES_MAX,
        }
    }

    fn poll_send(&mut self, bytes: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !bytes.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                Poll::Ready(Ok(count)) => {
                    bytes.advance(count);
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        bytes.clear();
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lend(&mut self.inbox);
        let room = self.read_bytes as usize;
        self.inbox.reserve(room);
        let spare = self.inbox.spare_capacity_mut();
        let room = spare.len().min(room);
        let Some(spare) = spare.get_mut(..room) else { return Poll::Pending };
        let mut buffer = ReadBuf::uninit(spare);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                let count = buffer.filled().len();
                self.eof = count == 0;
                self.grow_by(count);
                if count == room {
                    self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
                } else if count < room / 4 {
                    self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Takes in `count` bytes that were read into the spare room.
    #[allow(unsafe_code)]
    fn grow_by(&mut self, count: usize) {
        let length = self.inbox.len() + count;
        // SAFETY: the first `count` bytes of the spare room were filled by the read just before, as its `ReadBuf` says,
        // and the capacity covers them.
        unsafe { self.inbox.set_len(length) };
    }
}
