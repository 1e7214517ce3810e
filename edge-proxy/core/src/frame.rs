//! PostgreSQL frames as raw bytes: a tag, a length, a body. Nothing here decodes more than it is asked to.

/// The bytes before a frame's body: the tag and the length.
pub const HEADER_BYTES: usize = 5;
/// The largest frame that the protocol can express and the server accepts, in bytes (1 GiB).
pub const FRAME_BYTES_MAX: usize = 1 << 30;

/// One frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What sort of message it is.
    pub tag: u8,
    /// The whole frame's length, header included.
    pub total: usize,
}

/// What the start of a buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// Fewer than [`HEADER_BYTES`] bytes.
    Incomplete,
    /// A header; the body may not be there yet.
    Frame(Header),
    /// A length that no frame can have (E1: not guessed at).
    Malformed(i32),
}

/// Reads the header at the start of `input`.
#[must_use]
pub fn scan(input: &[u8]) -> Scan {
    let Some((head, _)) = input.split_first_chunk::<HEADER_BYTES>() else {
        return Scan::Incomplete;
    };
    let [tag, a, b, c, d] = *head;
    let length = i32::from_be_bytes([a, b, c, d]);
    match usize::try_from(length) {
        Ok(length) if (4..FRAME_BYTES_MAX).contains(&length) => {
            Scan::Frame(Header { tag, total: length + 1 })
        }
        _ => Scan::Malformed(length),
    }
}

/// The body of a complete frame.
#[must_use]
pub fn body(frame: &[u8]) -> &[u8] {
    frame.get(HEADER_BYTES..).unwrap_or_default()
}

/// Takes what precedes the next zero byte off the front of `rest`.
pub fn take_cstr<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|b| *b == 0)?;
    let text = rest.get(..end)?;
    *rest = rest.get(end + 1..)?;
    Some(text)
}

/// Takes `N` bytes off the front of `rest`.
pub fn take_array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// The text of a Query message; `None` where it is not one zero-terminated text and nothing more.
#[must_use]
pub fn query_text(body: &[u8]) -> Option<&[u8]> {
    let mut rest = body;
    let text = take_cstr(&mut rest)?;
    rest.is_empty().then_some(text)
}

/// A Parse message's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a [u8],
    /// The text.
    pub text: &'a [u8],
    /// The parameter types as sent: a count and OIDs.
    pub types: &'a [u8],
}

/// Reads a Parse message's body.
#[must_use]
pub fn parse(body: &[u8]) -> Option<Parse<'_>> {
    let mut rest = body;
    let name = take_name(&mut rest)?;
    let text = take_cstr(&mut rest)?;
    let types = rest;
    let count = usize::from(u16::from_be_bytes(take_array(&mut rest)?));
    (rest.len() == count * 4).then_some(Parse { name, text, types })
}

/// The server tells statements and portals apart by so many bytes of their names.
pub const NAME_BYTES: usize = 63;

/// The name of a statement or portal as the server tells it from others (E1): two that it takes for one are one.
fn take_name<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let name = take_cstr(rest)?;
    Some(name.get(..NAME_BYTES).unwrap_or(name))
}

/// A Bind message's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal's name.
    pub portal: &'a [u8],
    /// The statement's name.
    pub statement: &'a [u8],
    /// Formats and values as sent: the part that an approval is bound to.
    pub tail: &'a [u8],
}

/// Reads a Bind message's body; the values are only walked, not decoded.
#[must_use]
pub fn bind(body: &[u8]) -> Option<Bind<'_>> {
    let mut rest = body;
    let portal = take_name(&mut rest)?;
    let statement = take_name(&mut rest)?;
    let tail = rest;
    walk_values(tail, |_, _| {})?;
    Some(Bind { portal, statement, tail })
}

/// Calls `each` with every value of a Bind message's tail: whether it is binary, and its bytes (`None`: NULL).
/// Returns how many there are; `None` where the tail is malformed.
pub fn walk_values<'a>(tail: &'a [u8], each: impl FnMut(bool, Option<&'a [u8]>)) -> Option<u32> {
    let mut rest = tail;
    let count = take_values(&mut rest, each)?;
    let results = usize::from(u16::from_be_bytes(take_array(&mut rest)?));
    (rest.len() == results * 2).then_some(count)
}

/// Takes formats and values off the front of `rest`. Returns how many values there are.
fn take_values<'a>(
    rest: &mut &'a [u8],
    mut each: impl FnMut(bool, Option<&'a [u8]>),
) -> Option<u32> {
    let formats = usize::from(u16::from_be_bytes(take_array(rest)?));
    let format_codes = rest.get(..formats * 2)?;
    *rest = rest.get(formats * 2..)?;
    let is_binary = |index: usize| {
        let at = if formats == 1 { 0 } else { index };
        format_codes.get(at * 2 + 1) == Some(&1)
    };
    let count = usize::from(u16::from_be_bytes(take_array(rest)?));
    for index in 0..count {
        let length = i32::from_be_bytes(take_array(rest)?);
        if length == -1 {
            each(is_binary(index), None);
            continue;
        }
        let length = usize::try_from(length).ok()?;
        each(is_binary(index), Some(rest.get(..length)?));
        *rest = rest.get(length..)?;
    }
    u32::try_from(count).ok()
}

/// A FunctionCall message's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionCall {
    /// `pg_proc.oid` of the function.
    pub oid: u32,
    /// How many arguments there are.
    pub arguments: u32,
    /// Formats and values, written as the tail of a Bind message has them.
    pub tail: Vec<u8>,
}

/// Reads a FunctionCall message's body.
#[must_use]
pub fn function_call(body: &[u8]) -> Option<FunctionCall> {
    let mut rest = body;
    let oid = u32::from_be_bytes(take_array(&mut rest)?);
    let values = rest;
    let arguments = take_values(&mut rest, |_, _| {})?;
    let format: [u8; 2] = take_array(&mut rest)?;
    if !rest.is_empty() {
        return None;
    }
    // One result, in the format asked for.
    let tail = [values.get(..values.len() - format.len())?, &[0, 1], &format].concat();
    Some(FunctionCall { oid, arguments, tail })
}

/// An Execute message's parts: the portal and the row limit.
#[must_use]
pub fn execute(body: &[u8]) -> Option<(&[u8], i32)> {
    let mut rest = body;
    let portal = take_name(&mut rest)?;
    let limit = i32::from_be_bytes(take_array(&mut rest)?);
    rest.is_empty().then_some((portal, limit))
}

/// A Describe or Close message's parts: `S` or `P`, and the name.
#[must_use]
pub fn target(body: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = body;
    let [what] = take_array(&mut rest)?;
    let name = take_name(&mut rest)?;
    (rest.is_empty() && matches!(what, b'S' | b'P')).then_some((what, name))
}

/// The value of one field of an ErrorResponse or NoticeResponse.
#[must_use]
pub fn error_field(body: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = body;
    loop {
        let [code] = take_array(&mut rest)?;
        if code == 0 {
            return None;
        }
        let value = take_cstr(&mut rest)?;
        if code == wanted {
            return Some(value);
        }
    }
}

/// The columns of a DataRow; `None` inside for NULL.
#[must_use]
pub fn data_row(body: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let mut rest = body;
    let count = usize::from(u16::from_be_bytes(take_array(&mut rest)?));
    let mut columns = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let length = i32::from_be_bytes(take_array(&mut rest)?);
        if length == -1 {
            columns.push(None);
            continue;
        }
        let length = usize::try_from(length).ok()?;
        columns.push(Some(rest.get(..length)?));
        rest = rest.get(length..)?;
    }
    rest.is_empty().then_some(columns)
}

/// The rows that a command tag counts: the last word of `SELECT 5`, `INSERT 0 3`, `DELETE 2`.
#[must_use]
pub fn rows_of_tag(tag: &[u8]) -> u64 {
    let digits = tag.rsplit(|b| *b == b' ').next().unwrap_or_default();
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_bounded() {
        assert_eq!(scan(b"Q\0\0\0"), Scan::Incomplete);
        assert_eq!(scan(b"Q\0\0\0\x04"), Scan::Frame(Header { tag: b'Q', total: 5 }));
        assert_eq!(scan(b"Q\0\0\0\x03"), Scan::Malformed(3));
        assert_eq!(scan(b"Q\xff\xff\xff\xff"), Scan::Malformed(-1));
        assert_eq!(scan(b"Q\x7f\xff\xff\xff"), Scan::Malformed(i32::MAX));
    }

    #[test]
    fn a_query_is_one_text() {
        assert_eq!(query_text(b"select 1\0"), Some(&b"select 1"[..]));
        assert_eq!(query_text(b"select 1\0; drop table t\0"), None);
        assert_eq!(query_text(b"select 1"), None);
    }

    #[test]
    fn bind_values_are_walked_to_the_end() {
        let tail = b"\0\x01\0\x01\0\x02\0\0\0\x02hi\xff\xff\xff\xff\0\0";
        let mut seen = Vec::new();
        assert_eq!(walk_values(tail, |binary, value| seen.push((binary, value))), Some(2));
        assert_eq!(seen, vec![(true, Some(&b"hi"[..])), (true, None)]);
        assert_eq!(walk_values(&tail[..tail.len() - 1], |_, _| {}), None);
        assert_eq!(walk_values(b"\0\0\0\x01\x7f\xff\xff\xff", |_, _| {}), None);
    }

    #[test]
    fn function_calls_read_like_binds() {
        let body = b"\0\0\x03\xba\0\x01\0\x01\0\x01\0\0\0\x02hi\0\x01";
        let call = function_call(body).expect("a call");
        assert_eq!((call.oid, call.arguments), (954, 1));
        let mut seen = Vec::new();
        assert_eq!(walk_values(&call.tail, |binary, value| seen.push((binary, value))), Some(1));
        assert_eq!(seen, vec![(true, Some(&b"hi"[..]))]);
        assert_eq!(function_call(&body[..body.len() - 1]), None);
        assert_eq!(function_call(&[&body[..], b"\0"].concat()), None);
    }

    #[test]
    fn command_tags_count_rows() {
        assert_eq!(rows_of_tag(b"SELECT 5"), 5);
        assert_eq!(rows_of_tag(b"INSERT 0 3"), 3);
        assert_eq!(rows_of_tag(b"CREATE TABLE"), 0);
        assert_eq!(rows_of_tag(b"X 99999999999999999999"), 0);
    }

    #[test]
    fn error_fields_are_found() {
        let body = b"SERROR\0C42501\0Mno\0\0";
        assert_eq!(error_field(body, b'C'), Some(&b"42501"[..]));
        assert_eq!(error_field(body, b'D'), None);
        assert_eq!(error_field(b"C42", b'C'), None);
    }
}
