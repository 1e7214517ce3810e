//! Our own questions to a database: simple queries, and extended ones with a client's parameter bytes.

use bytes::{Buf, Bytes, BytesMut};

use super::Upstream;
use super::error::{QueryError, server_error};
use super::frames::{self, Message};

/// The largest message accepted in an answer, in bytes.
const MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The most that all values of an answer may take together, in bytes.
const RESULT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What a query says that would not fit a message.
const TOO_LONG: QueryError = QueryError::Unsendable("it is too long for one message");

/// One row: `None` is NULL.
pub type Row = Vec<Option<Vec<u8>>>;

/// A client's parameters, as its Parse and Bind messages carry them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parameters<'a> {
    /// The type oids of Parse; missing ones are inferred by the server.
    pub types: &'a [u32],
    /// Bind from the parameter format codes on: formats, values and, ignored here, the result formats.
    /// Empty stands for no parameters.
    pub bind_tail: &'a [u8],
}

impl Upstream {
    /// Runs `sql` as a simple query; the rows of all its statements one after the other, in text format.
    ///
    /// Not cancel-safe: where the future is dropped, drop the connection too.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Row>, QueryError> {
        let mut out = BytesMut::new();
        let sql = c_bytes(sql)?;
        frames::put(&mut out, b'Q', &[sql, b"\0"]).ok_or(TOO_LONG)?;
        self.ask(&out).await
    }

    /// Runs `sql`, one statement only, with a client's parameters; the rows come in text format.
    ///
    /// Not cancel-safe: where the future is dropped, drop the connection too.
    pub async fn query_with(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, QueryError> {
        let values = match parameters.bind_tail {
            [] => &[0, 0, 0, 0],
            tail => formats_and_values(tail)?,
        };
        let sql = c_bytes(sql)?;
        let types: Vec<u8> = parameters.types.iter().flat_map(|oid| oid.to_be_bytes()).collect();
        let count = u16::try_from(parameters.types.len())
            .map_err(|_| QueryError::Unsendable("it has too many parameter types"))?;
        let mut out = BytesMut::new();
        let put = |out: &mut BytesMut, tag, parts: &[&[u8]]| frames::put(out, tag, parts);
        put(&mut out, b'P', &[b"\0", sql, b"\0", &count.to_be_bytes(), &types]).ok_or(TOO_LONG)?;
        put(&mut out, b'B', &[b"\0\0", values, b"\0\0"]).ok_or(TOO_LONG)?;
        put(&mut out, b'E', &[b"\0", b"\0\0\0\0"]).ok_or(TOO_LONG)?;
        put(&mut out, b'S', &[]).ok_or(TOO_LONG)?;
        self.ask(&out).await
    }

    /// Sends `out` and reads until the server is ready again.
    async fn ask(&mut self, out: &[u8]) -> Result<Vec<Row>, QueryError> {
        self.send(out).await?;
        let mut rows = Vec::new();
        let mut bytes = 0_usize;
        let mut failure = None;
        loop {
            let read = frames::read(&mut self.stream, &mut self.leftover, MESSAGE_BYTES_MAX).await;
            let Message { tag, body } = match (read, failure.take()) {
                (Ok(message), earlier) => {
                    failure = earlier;
                    message
                }
                // A server that ends the session says why, and then closes.
                (Err(_), Some(said)) => return Err(said),
                (Err(error), None) => return Err(error.into()),
            };
            match tag {
                b'Z' => return failure.map_or(Ok(rows), Err),
                b'D' => {
                    bytes = bytes.saturating_add(body.len());
                    if bytes > RESULT_BYTES_MAX {
                        rows.clear();
                        failure.get_or_insert(QueryError::TooLarge(RESULT_BYTES_MAX));
                    } else {
                        rows.push(row(body)?);
                    }
                }
                b'E' => failure = Some(QueryError::Server(server_error(&body))),
                b'S' => self.note_parameter(&body),
                b'G' | b'W' => {
                    return Err(QueryError::Protocol("the query began a COPY".to_owned()));
                }
                _ => {}
            }
        }
    }
}

fn c_bytes(sql: &str) -> Result<&[u8], QueryError> {
    if sql.contains('\0') {
        return Err(QueryError::Unsendable("it holds a NUL"));
    }
    Ok(sql.as_bytes())
}

fn row(mut body: Bytes) -> Result<Row, QueryError> {
    let short = |_| QueryError::Protocol("a row is short".to_owned());
    let count = body.try_get_u16().map_err(short)?;
    let mut row = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let length = body.try_get_i32().map_err(short)?;
        let Ok(length) = usize::try_from(length) else {
            row.push(None);
            continue;
        };
        if length > body.len() {
            return Err(QueryError::Protocol("a row is short".to_owned()));
        }
        row.push(Some(body.split_to(length).to_vec()));
    }
    Ok(row)
}

/// The part of a Bind tail before the result formats: they belong to the client's statement, not to ours.
fn formats_and_values(tail: &[u8]) -> Result<&[u8], QueryError> {
    let short = |_| QueryError::Unsendable("its parameters are cut short");
    let cut = QueryError::Unsendable("its parameters are cut short");
    let mut rest = tail;
    let formats = usize::from(rest.try_get_u16().map_err(short)?) * 2;
    rest = rest.get(formats..).ok_or(cut)?;
    let count = rest.try_get_u16().map_err(short)?;
    for _ in 0..count {
        let length = rest.try_get_i32().map_err(short)?;
        let length = usize::try_from(length).unwrap_or(0);
        rest = rest.get(length..).ok_or(QueryError::Unsendable("its parameters are cut short"))?;
    }
    let end = tail.len().saturating_sub(rest.len());
    tail.get(..end).ok_or(QueryError::Unsendable("its parameters are cut short"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_formats_are_cut_off() {
        let tail = b"\0\x01\0\x01\0\x02\0\0\0\x02ab\xff\xff\xff\xff";
        let with_results = [tail.as_slice(), b"\0\x01\0\x01"].concat();
        assert_eq!(formats_and_values(tail).expect("whole"), tail);
        assert_eq!(formats_and_values(&with_results).expect("whole"), tail);
        for end in 0..tail.len() {
            let cut = tail.get(..end).expect("a part");
            assert!(formats_and_values(cut).is_err(), "{end} bytes were taken");
        }
    }

    #[test]
    fn rows_keep_null_and_empty_apart() {
        let read = row(Bytes::from_static(b"\0\x02\xff\xff\xff\xff\0\0\0\0")).expect("whole");
        assert_eq!(read, [None, Some(Vec::new())]);
        assert!(row(Bytes::from_static(b"\0\x01\0\0\0\x05ab")).is_err());
    }
}
