//! Writing frames: what the edge itself says to a client or a server.

use bytes::{BufMut, BytesMut};
use writ_model::sqlstate::SqlState;

/// The text that the server refuses in a statement's place (E4): a syntax error in every state of a session,
/// so that the error, the transaction's state and the skip until Sync are the server's own.
pub const REFUSED_TEXT: &[u8] = b"writ_refused";

/// What an ErrorResponse or NoticeResponse says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `ERROR`, `FATAL` or `NOTICE`.
    pub severity: &'static str,
    /// The SQLSTATE.
    pub code: SqlState,
    /// What is the matter.
    pub message: String,
    /// `rule=… request=… epoch=…`; empty: none.
    pub detail: String,
    /// The next step; empty: none.
    pub hint: String,
    /// The function of the server that would have said so, where clients go by it; empty: none.
    pub routine: &'static str,
}

impl Message {
    /// An error that leaves the session usable.
    #[must_use]
    pub fn error(code: SqlState, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            severity: "ERROR",
            code,
            message: message.into(),
            detail: String::new(),
            hint: hint.into(),
            routine: "",
        }
    }

    /// An error that ends the session.
    #[must_use]
    pub fn fatal(code: SqlState, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { severity: "FATAL", ..Self::error(code, message, hint) }
    }

    /// Appends it as a frame with `tag`: `E` or `N`.
    pub fn put(&self, tag: u8, out: &mut BytesMut) {
        framed(tag, out, |out| {
            field(b'S', self.severity, out);
            field(b'V', self.severity, out);
            field(b'C', self.code.0, out);
            field(b'M', &self.message, out);
            let rest = [(b'D', &*self.detail), (b'H', &*self.hint), (b'R', self.routine)];
            for (code, text) in rest {
                if !text.is_empty() {
                    field(code, text, out);
                }
            }
            out.put_u8(0);
        });
    }
}

fn field(code: u8, text: &str, out: &mut BytesMut) {
    out.put_u8(code);
    cstr(text.as_bytes(), out);
}

/// Appends `text` and a zero byte; zero bytes inside are left out, as the protocol cannot carry them.
fn cstr(text: &[u8], out: &mut BytesMut) {
    if text.contains(&0) {
        out.extend(text.iter().filter(|b| **b != 0));
    } else {
        out.extend_from_slice(text);
    }
    out.put_u8(0);
}

/// Appends a frame with `tag` whose body `write` writes.
pub fn framed(tag: u8, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    let at = out.len();
    out.put_u32(0);
    write(out);
    let length = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends a Query.
pub fn query(text: &[u8], out: &mut BytesMut) {
    framed(b'Q', out, |out| cstr(text, out));
}

/// Appends a FunctionCall of no function, which the server refuses in another one's place (E4). Unlike a Query it leaves the
/// unnamed statement alone, as the client's own call would.
pub fn refused_call(out: &mut BytesMut) {
    const OID_FORMATS_ARGUMENTS_FORMAT: [u8; 10] = [0; 10];
    framed(b'F', out, |out| out.extend_from_slice(&OID_FORMATS_ARGUMENTS_FORMAT));
}

/// Appends a Parse; `types` is the raw count and OIDs.
pub fn parse(name: &[u8], text: &[u8], types: &[u8], out: &mut BytesMut) {
    framed(b'P', out, |out| {
        cstr(name, out);
        cstr(text, out);
        out.put_slice(if types.is_empty() { &[0, 0] } else { types });
    });
}

/// Appends a Bind without values, all results as text.
pub fn bind_plain(portal: &[u8], statement: &[u8], out: &mut BytesMut) {
    framed(b'B', out, |out| {
        cstr(portal, out);
        cstr(statement, out);
        out.put_slice(&[0; 6]);
    });
}

/// Appends an Execute without a row limit.
pub fn execute(portal: &[u8], out: &mut BytesMut) {
    framed(b'E', out, |out| {
        cstr(portal, out);
        out.put_i32(0);
    });
}

/// Appends a Describe of a portal.
pub fn describe_portal(name: &[u8], out: &mut BytesMut) {
    framed(b'D', out, |out| {
        out.put_u8(b'P');
        cstr(name, out);
    });
}

/// Appends a Close of a statement (`S`) or a portal (`P`).
pub fn close(what: u8, name: &[u8], out: &mut BytesMut) {
    framed(b'C', out, |out| {
        out.put_u8(what);
        cstr(name, out);
    });
}

/// Appends a frame without a body: Sync, Flush, Terminate.
pub fn bare(tag: u8, out: &mut BytesMut) {
    framed(tag, out, |_| {});
}

/// What of an ErrorResponse the client does not see (E3).
#[derive(Debug, Clone, Copy)]
pub struct LeftOut {
    /// What points into the statement's text: positions in a rewritten text would tell of the rewrite.
    pub positions: bool,
    /// The DETAIL, which quotes a row with masked columns.
    pub row: bool,
}

/// The DETAIL in place of one that quotes such a row.
const ROW_NOT_SHOWN: &[u8] = b"The row is not shown: some of its columns are masked for you.";

/// Appends an ErrorResponse's body as a frame, without what is left out.
pub fn error_without(body: &[u8], left_out: LeftOut, out: &mut BytesMut) {
    framed(b'E', out, |out| {
        let mut rest = body;
        while let Some([code]) = crate::frame::take_array(&mut rest) {
            if code == 0 {
                break;
            }
            let Some(value) = crate::frame::take_cstr(&mut rest) else { break };
            let value = if code == b'D' && left_out.row { ROW_NOT_SHOWN } else { value };
            if !(left_out.positions && matches!(code, b'P' | b'p' | b'q')) {
                out.put_u8(code);
                cstr(value, out);
            }
        }
        out.put_u8(0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{body, error_field};

    #[test]
    fn messages_carry_their_fields() {
        let mut out = BytesMut::new();
        let message = Message::error(writ_model::sqlstate::REFUSED, "no\0pe", "ask");
        message.put(b'E', &mut out);
        assert_eq!(error_field(body(&out), b'C'), Some(&b"42501"[..]));
        assert_eq!(error_field(body(&out), b'M'), Some(&b"nope"[..]));
        assert_eq!(error_field(body(&out), b'H'), Some(&b"ask"[..]));
        assert_eq!(error_field(body(&out), b'D'), None);
    }

    #[test]
    fn positions_are_left_out() {
        let mut out = BytesMut::new();
        let left_out = LeftOut { positions: true, row: false };
        error_without(b"SERROR\0C42703\0P17\0Mx\0Dd\0\0", left_out, &mut out);
        assert_eq!(error_field(body(&out), b'P'), None);
        assert_eq!(error_field(body(&out), b'M'), Some(&b"x"[..]));
        assert_eq!(error_field(body(&out), b'D'), Some(&b"d"[..]));
    }

    #[test]
    fn a_row_is_left_out() {
        let mut out = BytesMut::new();
        let left_out = LeftOut { positions: false, row: true };
        error_without(b"SERROR\0C23514\0P17\0DFailing row contains (7).\0\0", left_out, &mut out);
        assert_eq!(error_field(body(&out), b'P'), Some(&b"17"[..]));
        assert_eq!(error_field(body(&out), b'D'), Some(ROW_NOT_SHOWN));
    }
}
