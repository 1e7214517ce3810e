//! SQL text to the parse tree of PostgreSQL's own grammar, without a detour over encoded bytes.
//!
//! The parser crate hands its tree out as protobuf, which costs several times what parsing does. This
//! crate reads the C structs where the parser left them and builds the same values. All unsafe code of
//! the analysis is here; its soundness rests on two things only: that the bindings are made from the
//! headers that the library is compiled from, and that a node's tag tells its type.

#[allow(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unused,
    missing_docs,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
mod c {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
mod convert;

use std::ffi::{CStr, CString, c_char, c_int, c_void};

pub use pg_query::protobuf;
use pg_query::protobuf as pb;

// As `pg_query_internal.h` declares them; the parser crate links them.
unsafe extern "C" {
    fn pg_query_enter_memory_context() -> c::MemoryContext;
    fn pg_query_exit_memory_context(context: c::MemoryContext);
    fn pg_query_raw_parse(
        input: *const c_char,
        options: c_int,
    ) -> c::PgQueryInternalParsetreeAndError;
    fn pg_query_free_error(error: *mut c::PgQueryError);
    fn free(memory: *mut c_void);
}

/// Why a text has no parse tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseError {
    /// The text has a zero byte, which no statement can have.
    ZeroByte,
    /// The grammar does not know the text.
    Syntax {
        /// The parser's own words.
        message: String,
        /// Where in the text, in characters from 1; 0 where it is not known.
        position: u32,
    },
    /// The tree has something that no raw parse tree should have; names it.
    Odd(&'static str),
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ZeroByte => f.write_str("the text has a zero byte"),
            Self::Syntax { message, .. } => f.write_str(message),
            Self::Odd(what) => write!(f, "the parse tree has an unexpected {what}"),
        }
    }
}

impl std::error::Error for ParseError {}

/// The parser's memory for one text. While it lives, this thread parses nothing else.
struct Memory(c::MemoryContext);

impl Memory {
    fn enter() -> Self {
        // SAFETY: the library sets up this thread's memory on its first call; `Drop` leaves it again.
        Self(unsafe { pg_query_enter_memory_context() })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this is the context that `enter` made, and it is left once.
        unsafe { pg_query_exit_memory_context(self.0) }
    }
}

/// Parses `text` by the grammar of PostgreSQL 18, with `standard_conforming_strings` on.
///
/// The caller bounds the text's size and nesting: the parser is quadratic in some things, and the
/// conversion recurses as deep as the tree.
pub fn parse(text: &str) -> Result<pb::ParseResult, ParseError> {
    let text = CString::new(text).map_err(|_| ParseError::ZeroByte)?;
    let memory = Memory::enter();
    // SAFETY: `text` ends with a zero byte and outlives the call; the library turns its own long jumps
    // into an error in the result.
    let parsed = unsafe { pg_query_raw_parse(text.as_ptr(), 0) };
    // SAFETY: the library allocates it for the caller, or leaves it null; `free` takes both.
    unsafe { free(parsed.stderr_buffer.cast()) };
    if let Some(error) = Failure::take(parsed.error) {
        return Err(error);
    }
    // SAFETY: a result without an error holds a list of RawStmt in the memory of this context, or null
    // for a text without statements, and `memory` lives until the conversion is done.
    let tree = unsafe { convert::statements(parsed.tree) };
    drop(memory);
    tree.map_err(|convert::Odd(what)| ParseError::Odd(what))
}

struct Failure;

impl Failure {
    /// The parser's error as a value; frees the original.
    fn take(error: *mut c::PgQueryError) -> Option<ParseError> {
        if error.is_null() {
            return None;
        }
        // SAFETY: not null, so it is an error that the library allocated for the caller, its message a
        // C string; it is read before it is freed, and freed once.
        let (message, position) = unsafe {
            let message = CStr::from_ptr((*error).message).to_string_lossy().into_owned();
            let position = u32::try_from((*error).cursorpos).unwrap_or_default();
            pg_query_free_error(error);
            (message, position)
        };
        Some(ParseError::Syntax { message, position })
    }
}
