//! The canonical encoding: compact, length-prefixed, one byte string for one value. Decoding is exact: what
//! it accepts encodes to the same bytes again, so a hash over bytes is a hash over the value.

use std::str::FromStr;

use writ_model::{
    ApprovalId, DatabaseName, EdgeId, EnvironmentName, Epoch, PrincipalId, RuleId, SessionId,
    StatementId, StatementKind, Tag, Timestamp,
};

/// The largest record, in bytes: above it a source must record a digest of the text instead.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why bytes are not a canonical value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("the record ends inside `{0}`; the bytes were cut")]
    Truncated(&'static str),
    /// Bytes follow the value.
    #[error("{0} bytes follow the end of the record; the bytes were extended")]
    Trailing(usize),
    /// The format's version is not known here.
    #[error("record format version {0} is not known; use a newer `writ`")]
    Version(u8),
    /// A tag that stands for nothing.
    #[error("{tag} is not a known `{what}`; the bytes are damaged or from a newer `writ`")]
    Tag {
        /// What was being read.
        what: &'static str,
        /// The tag found.
        tag: u64,
    },
    /// A number that is written longer than it needs to be, or does not fit.
    #[error("a number in the record is not in its shortest form; the bytes are damaged")]
    Number,
    /// A text that is not UTF-8.
    #[error("a text in the record is not UTF-8; the bytes are damaged")]
    Text,
    /// An identifier with characters that identifiers do not have.
    #[error("`{0}` in the record is not an identifier; the bytes are damaged")]
    Identifier(String),
    /// Larger than [`RECORD_BYTES_MAX`].
    #[error("a record has at most {RECORD_BYTES_MAX} bytes, this one has {0}")]
    TooLarge(usize),
}

/// Reads values off the front of a byte slice.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes exactly `count` bytes.
    pub fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        Ok(head)
    }

    /// Takes one byte.
    pub fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        Ok(*first)
    }

    /// Takes an array of fixed size.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated(what))?;
        self.rest = rest;
        Ok(*head)
    }

    /// Takes a variable-length number: seven bits a byte, lowest first, in its shortest form.
    pub fn number(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte("number")?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(DecodeError::Number);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let padded = byte == 0 && shift > 0;
                return if padded { Err(DecodeError::Number) } else { Ok(value) };
            }
        }
        Err(DecodeError::Number)
    }

    /// Takes a length and that many bytes.
    pub fn blob(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(self.number()?).map_err(|_| DecodeError::Number)?;
        self.bytes(length, what)
    }

    /// Takes a length and a text.
    pub fn text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.blob(what)?).map_err(|_| DecodeError::Text)
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends reading: nothing may be left.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.rest.len())) }
    }
}

/// A value with exactly one encoding.
pub trait Wire: Sized {
    /// Appends the encoding.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads what [`Wire::put`] wrote, and nothing else.
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// Appends a variable-length number in its shortest form.
pub fn put_number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// Appends a length and bytes.
pub fn put_blob(bytes: &[u8], out: &mut Vec<u8>) {
    put_number(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

impl Wire for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        put_number(*self, out);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.number()
    }
}

impl Wire for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        put_number(u64::from(*self), out);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u32::try_from(reader.number()?).map_err(|_| DecodeError::Number)
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("flag")? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(DecodeError::Tag { what: "flag", tag: u64::from(tag) }),
        }
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_blob(self.as_bytes(), out);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.text("text").map(str::to_owned)
    }
}

impl Wire for Vec<u8> {
    fn put(&self, out: &mut Vec<u8>) {
        put_blob(self, out);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.blob("bytes").map(<[u8]>::to_vec)
    }
}

impl Wire for [u8; 32] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("hash")
    }
}

impl Wire for Timestamp {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("time").map(|bytes| Self(i64::from_be_bytes(bytes)))
    }
}

impl Wire for Epoch {
    fn put(&self, out: &mut Vec<u8>) {
        put_number(self.0, out);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.number().map(Self)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if bool::take(reader)? { T::take(reader).map(Some) } else { Ok(None) }
    }
}

/// Appends a count and every item.
pub fn put_list<T: Wire>(items: &[T], out: &mut Vec<u8>) {
    put_number(items.len() as u64, out);
    items.iter().for_each(|item| item.put(out));
}

/// Reads what [`put_list`] wrote.
pub fn take_list<T: Wire>(reader: &mut Reader<'_>) -> Result<Vec<T>, DecodeError> {
    let count = reader.number()?;
    // Every item takes at least one byte: a count beyond the bytes left is a lie, and must not allocate.
    let left = reader.rest.len() as u64;
    if count > left {
        return Err(DecodeError::Truncated("list"));
    }
    (0..count).map(|_| T::take(reader)).collect()
}

macro_rules! wire_text {
    ($($name:ty),*) => { $(
        impl Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                put_blob(self.to_string().as_bytes(), out);
            }
            fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let text = reader.text("identifier")?;
                <$name>::from_str(text).map_err(|_| DecodeError::Identifier(text.to_owned()))
            }
        }
    )* };
}
wire_text!(
    ApprovalId,
    DatabaseName,
    EdgeId,
    EnvironmentName,
    PrincipalId,
    RuleId,
    SessionId,
    StatementId,
    Tag
);

macro_rules! wire_lists {
    ($($name:ty),* $(,)?) => { $(
        impl $crate::codec::Wire for Vec<$name> {
            fn put(&self, out: &mut Vec<u8>) {
                $crate::codec::put_list(self, out);
            }
            fn take(
                reader: &mut $crate::codec::Reader<'_>,
            ) -> Result<Self, $crate::codec::DecodeError> {
                $crate::codec::take_list(reader)
            }
        }
    )* };
}
wire_lists!(String, PrincipalId, RuleId, StatementKind);

/// Fields in the order written: adding one is a new record version.
macro_rules! wire_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::codec::Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                // Destructured so that a new field breaks the build here.
                let Self { $($field),* } = self;
                $( $crate::codec::Wire::put($field, out); )*
            }
            fn take(
                reader: &mut $crate::codec::Reader<'_>,
            ) -> Result<Self, $crate::codec::DecodeError> {
                $( let $field = $crate::codec::Wire::take(reader)?; )*
                Ok(Self { $($field),* })
            }
        }
    };
}

/// Enums without content as one byte each.
macro_rules! wire_enum {
    ($name:ident $what:literal { $($variant:ident = $tag:literal),* $(,)? }) => {
        impl $crate::codec::Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self { $( Self::$variant => $tag ),* });
            }
            fn take(
                reader: &mut $crate::codec::Reader<'_>,
            ) -> Result<Self, $crate::codec::DecodeError> {
                match reader.byte($what)? {
                    $( $tag => Ok(Self::$variant), )*
                    tag => Err($crate::codec::DecodeError::Tag { what: $what, tag: u64::from(tag) }),
                }
            }
        }
    };
}

pub(crate) use {wire_enum, wire_lists, wire_struct};

wire_enum!(StatementKind "statement kind" {
    Select = 1, Insert = 2, Update = 3, Delete = 4, Merge = 5, Truncate = 6, CopyIn = 7, CopyOut = 8,
    CopyServerFile = 9, CopyProgram = 10, Create = 11, Alter = 12, Drop = 13, Grant = 14, Role = 15,
    SetRole = 16, Set = 17, Transaction = 18, Cursor = 19, Prepare = 20, Explain = 21, Notify = 22,
    Lock = 23, Maintenance = 24, Do = 25, Call = 26, Discard = 27, Server = 28, Empty = 29, Unknown = 30,
});
