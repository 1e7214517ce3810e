//! Backend messages: a tag, a length and a body.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Tag and length of a message, in bytes.
const HEADER_BYTES: usize = 5;
/// How much room a read asks for, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// One message of the server.
#[derive(Debug)]
pub(super) struct Message {
    /// What it is.
    pub(super) tag: u8,
    /// What follows tag and length.
    pub(super) body: Bytes,
}

/// Why no message could be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The connection failed.
    #[error("{0}")]
    Io(io::Error),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// A length that cannot be.
    #[error("a message of {0} bytes came")]
    Length(i32),
}

/// Reads one message; `buffer` keeps what came after it.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    body_bytes_max: usize,
) -> Result<Message, ReadError> {
    loop {
        if let Some(message) = take(buffer, body_bytes_max)? {
            return Ok(message);
        }
        buffer.reserve(READ_BYTES);
        if stream.read_buf(buffer).await.map_err(ReadError::Io)? == 0 {
            return Err(ReadError::Closed);
        }
    }
}

fn take(buffer: &mut BytesMut, body_bytes_max: usize) -> Result<Option<Message>, ReadError> {
    let Some((header, _)) = buffer.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let [tag, length @ ..] = *header;
    let length = i32::from_be_bytes(length);
    let body = length.checked_sub(4).and_then(|body| usize::try_from(body).ok());
    let body = body.filter(|b| *b <= body_bytes_max).ok_or(ReadError::Length(length))?;
    if buffer.len() < HEADER_BYTES + body {
        return Ok(None);
    }
    buffer.advance(HEADER_BYTES);
    Ok(Some(Message { tag, body: buffer.split_to(body).freeze() }))
}

/// Appends a message to `out`. `None` where the body is too long for the protocol.
pub(super) fn put(out: &mut BytesMut, tag: u8, body: &[&[u8]]) -> Option<()> {
    out.put_u8(tag);
    let start = out.len();
    out.put_i32(0);
    body.iter().for_each(|part| out.put_slice(part));
    set_length(out, start)
}

/// Writes the length of what begins at `start` there.
pub(super) fn set_length(out: &mut BytesMut, start: usize) -> Option<()> {
    let length = i32::try_from(out.len().checked_sub(start)?).ok()?;
    out.get_mut(start..start + 4)?.copy_from_slice(&length.to_be_bytes());
    Some(())
}

/// The NUL-terminated text at the start of `bytes`, and what follows it.
pub(super) fn cstr(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let text = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
    Some((text, bytes.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_at_their_length() {
        let mut buffer = BytesMut::from(&b"Z\0\0\0\x05IN\0\0"[..]);
        let message = take(&mut buffer, 10).expect("valid").expect("whole");
        assert_eq!((message.tag, message.body.as_ref()), (b'Z', &b"I"[..]));
        assert!(take(&mut buffer, 10).expect("valid").is_none());
        assert_eq!(buffer.as_ref(), b"N\0\0");
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_before_the_body_comes() {
        for header in [&b"Z\0\0\0\x03"[..], b"Z\xff\xff\xff\xff", b"Z\0\0\0\x0f"] {
            let mut buffer = BytesMut::from(header);
            assert!(matches!(take(&mut buffer, 10), Err(ReadError::Length(_))));
        }
        assert!(take(&mut BytesMut::from(&b"Z\0\0\0\x0e"[..]), 10).expect("valid").is_none());
    }
}
