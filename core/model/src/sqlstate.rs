//! The SQLSTATEs that Writ itself raises. Each is part of the outside interface.

/// A five-character SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(pub &'static str);

/// A refusal by policy.
pub const REFUSED: SqlState = SqlState("42501");
/// A text that does not parse, as the server would say it.
pub const SYNTAX_ERROR: SqlState = SqlState("42601");
/// A relation that the gateway does not know, as the server would say it.
pub const UNDEFINED_TABLE: SqlState = SqlState("42P01");
/// A column that the gateway cannot resolve, as the server would say it.
pub const UNDEFINED_COLUMN: SqlState = SqlState("42703");
/// An approval that was declined, expired or cancelled.
pub const APPROVAL_ENDED: SqlState = SqlState("57014");
/// No usable policy, stale past the bound, or audit not possible.
pub const UNAVAILABLE: SqlState = SqlState("58000");
/// The identity is not acceptable.
pub const AUTHENTICATION: SqlState = SqlState("28000");
/// The token or password is wrong.
pub const BAD_PASSWORD: SqlState = SqlState("28P01");
/// The client asked for something that is not there, such as another version of the protocol.
pub const NOT_SUPPORTED: SqlState = SqlState("0A000");
/// The client broke the protocol.
pub const PROTOCOL_VIOLATION: SqlState = SqlState("08P01");
/// The named database does not exist behind this edge.
pub const UNKNOWN_DATABASE: SqlState = SqlState("3D000");
/// The database could not be reached.
pub const UPSTREAM_UNREACHABLE: SqlState = SqlState("08006");
/// A connection broke off.
pub const CONNECTION_FAILURE: SqlState = SqlState("08006");
/// A message or statement is larger than the named limit.
pub const TOO_LARGE: SqlState = SqlState("54000");
/// A statement passed a limit that policy sets on what it returns or changes.
pub const LIMIT_REACHED: SqlState = SqlState("54000");
/// The edge is draining or the session was ended by an administrator.
pub const ADMIN_SHUTDOWN: SqlState = SqlState("57P01");
/// The edge takes no new sessions now.
pub const CANNOT_CONNECT_NOW: SqlState = SqlState("57P03");
/// The prepared statement is not known.
pub const UNKNOWN_STATEMENT: SqlState = SqlState("26000");
/// The portal is not known.
pub const UNKNOWN_PORTAL: SqlState = SqlState("34000");
