//! The frontend/backend protocol, as far as a gateway needs it that only looks.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;

/// One message: its type byte and what follows the length.
pub(crate) struct Message {
    pub(crate) tag: u8,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The fields of an ErrorResponse or NoticeResponse.
    pub(crate) fn fields(&self) -> Vec<(u8, String)> {
        self.body
            .split(|b| *b == 0)
            .filter_map(|f| f.split_first())
            .map(|(code, text)| (*code, String::from_utf8_lossy(text).into_owned()))
            .collect()
    }

    /// One field of an ErrorResponse or NoticeResponse.
    pub(crate) fn field(&self, code: u8) -> String {
        self.fields().into_iter().find(|f| f.0 == code).map_or(String::new(), |f| f.1)
    }

    /// The values of a DataRow in text format.
    fn row(&self) -> Vec<Option<String>> {
        let mut rest = self.body.get(2..).unwrap_or_default();
        let mut values = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = i32::from_be_bytes(*length);
            let Ok(length) = usize::try_from(length) else {
                values.push(None);
                rest = after;
                continue;
            };
            let (value, after) = after.split_at(length);
            values.push(Some(String::from_utf8_lossy(value).into_owned()));
            rest = after;
        }
        values
    }
}

/// One side of a connection.
pub(crate) struct Peer {
    reader: BufReader<UnixStream>,
    writer: BufWriter<UnixStream>,
}

impl Peer {
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        Ok(Self { reader: BufReader::new(stream.try_clone()?), writer: BufWriter::new(stream) })
    }

    pub(crate) fn read(&mut self) -> io::Result<Message> {
        let mut head = [0; 5];
        self.reader.read_exact(&mut head)?;
        let [tag, length @ ..] = head;
        let body = self.rest(u32::from_be_bytes(length))?;
        Ok(Message { tag, body })
    }

    /// A client's first message, which has no type byte.
    pub(crate) fn read_startup(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.reader.read_exact(&mut length)?;
        self.rest(u32::from_be_bytes(length))
    }

    fn rest(&mut self, length: u32) -> io::Result<Vec<u8>> {
        let mut body = vec![0; (length as usize).saturating_sub(4)];
        self.reader.read_exact(&mut body)?;
        Ok(body)
    }

    pub(crate) fn write(&mut self, message: &Message) -> io::Result<()> {
        self.writer.write_all(&[message.tag])?;
        self.write_startup(&message.body)
    }

    pub(crate) fn write_startup(&mut self, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
        self.writer.write_all(&length.to_be_bytes())?;
        self.writer.write_all(body)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// Runs our own statements; all their rows, or the error.
    pub(crate) fn ask(&mut self, sql: &str) -> io::Result<Result<Vec<Vec<String>>, String>> {
        let body = [sql.as_bytes(), b"\0"].concat();
        self.write(&Message { tag: b'Q', body })?;
        self.flush()?;
        let mut answer = Ok(Vec::new());
        loop {
            let message = self.read()?;
            match message.tag {
                b'D' => {
                    if let Ok(rows) = &mut answer {
                        rows.push(
                            message.row().into_iter().map(Option::unwrap_or_default).collect(),
                        );
                    }
                }
                b'E' => answer = Err(message.field(b'M')),
                b'Z' => return Ok(answer),
                _ => {}
            }
        }
    }
}
