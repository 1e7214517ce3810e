//! What can go wrong with a database, for operators; no text here ever holds a secret.

use std::io;
use std::time::Duration;

use writ_model::server::SessionAttrs;

use super::frames::{ReadError, cstr};

/// What the server itself said in an ErrorResponse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (SQLSTATE {sqlstate})")]
pub struct ServerError {
    /// The five characters of its SQLSTATE.
    pub sqlstate: String,
    /// Its primary message.
    pub message: String,
}

/// Why there is no connection to a database.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers there.
    #[error(
        "{address} cannot be reached ({reason}); check the database's host and port, and that PostgreSQL listens there"
    )]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the operating system says.
        reason: String,
    },
    /// No TLS as the database's `tls` asks for it.
    #[error("no TLS with {address}: {reason}")]
    Tls {
        /// Host and port.
        address: String,
        /// What is wrong, with the next step.
        reason: String,
    },
    /// The server asks for a password, and there is none where the database's `credential` points.
    #[error(
        "the password for role {role} is missing: {place} {reason}; put it there, or change the database's credential"
    )]
    CredentialMissing {
        /// The role to log in with.
        role: String,
        /// Which file or variable.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server does not let the role in, or we do not trust the server with the password.
    #[error("{address} does not let role {role} in: {reason}")]
    AuthenticationRefused {
        /// Host and port.
        address: String,
        /// The role to log in with.
        role: String,
        /// What is wrong, with the next step.
        reason: String,
        /// Whether the server found the credential wrong: class 28.
        wrong: bool,
    },
    /// The server refused for another reason, such as an unknown database or too many connections.
    #[error("the server refused the connection: {0}")]
    Server(ServerError),
    /// The other side does not speak the protocol.
    #[error(
        "the login broke off: {0}; check that the database's host and port are those of PostgreSQL 14 or later"
    )]
    Protocol(String),
    /// The server is there, and is not one that sessions may have.
    #[error("{address} is not {wanted}; it is passed over")]
    Unsuitable {
        /// Host and port.
        address: String,
        /// What the database's `target_session_attrs` asks for.
        wanted: SessionAttrs,
    },
    /// None of several servers will do.
    #[error("no server will do: {0}")]
    NoServer(String),
    /// It took too long.
    #[error(
        "{address} did not finish the login within {wait:?}; check the network and the server's load"
    )]
    Timeout {
        /// Host and port.
        address: String,
        /// How long we waited.
        wait: Duration,
    },
}

impl ConnectError {
    /// Whether the other servers of the same database would say the same.
    pub(super) fn is_everywhere(&self) -> bool {
        match self {
            Self::CredentialMissing { .. } | Self::AuthenticationRefused { .. } => true,
            // The server starts, stops, or has no room: 57P, 53.
            Self::Server(error) => {
                !error.sqlstate.starts_with("57P") && !error.sqlstate.starts_with("53")
            }
            Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Protocol(_)
            | Self::Unsuitable { .. }
            | Self::NoServer(_)
            | Self::Timeout { .. } => false,
        }
    }
}

impl ConnectError {
    /// Whether another password or certificate could make a difference.
    pub(super) fn is_credential_wrong(&self) -> bool {
        matches!(self, Self::AuthenticationRefused { wrong: true, .. })
    }
}

impl From<ReadError> for ConnectError {
    fn from(error: ReadError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// Why one of our own queries has no result.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The server refused it; the connection goes on.
    #[error("{0}")]
    Server(ServerError),
    /// More rows than fit the bound; the connection goes on.
    #[error("the result has more than {0} bytes")]
    TooLarge(usize),
    /// The query or its parameters cannot be sent; the connection goes on.
    #[error("the query cannot be sent: {0}")]
    Unsendable(&'static str),
    /// The connection is lost.
    #[error("the connection is lost: {0}")]
    Io(io::Error),
    /// The server broke the protocol; the connection must not be used again.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
}

impl QueryError {
    /// Whether the connection can be used again.
    #[must_use]
    pub fn connection_is_usable(&self) -> bool {
        match self {
            // Class 57P is the server going away, 25P03 an idle session that it ended.
            Self::Server(error) => {
                !error.sqlstate.starts_with("57P") && !error.sqlstate.starts_with("25P03")
            }
            Self::TooLarge(_) | Self::Unsendable(_) => true,
            Self::Io(_) | Self::Protocol(_) => false,
        }
    }
}

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            ReadError::Closed => Self::Io(io::ErrorKind::UnexpectedEof.into()),
            ReadError::Length(_) => Self::Protocol(error.to_string()),
        }
    }
}

/// Reads an ErrorResponse. Fields that are missing become plain words: an error is reported in any case.
pub(super) fn server_error(body: &[u8]) -> ServerError {
    let mut error = ServerError { sqlstate: "XX000".to_owned(), message: "no message".to_owned() };
    let mut rest = body;
    while let Some((field, after)) = rest.split_first() {
        let Some((value, after)) = cstr(after) else { break };
        match field {
            b'C' => error.sqlstate = value,
            b'M' => error.message = value,
            _ => {}
        }
        rest = after;
    }
    error
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use writ_model::config::{CredentialRef, Database, Pooling, UpstreamTls};

    pub(in crate::upstream) fn database() -> Database {
        Database {
            name: "shop".parse().expect("a name"),
            environment: "test".parse().expect("a name"),
            owner: "tests".to_owned(),
            tags: std::collections::BTreeMap::new(),
            host: "localhost".to_owned(),
            port: 5432,
            dbname: "shop".to_owned(),
            username: "app".to_owned(),
            credential: CredentialRef::None,
            tls: UpstreamTls::Disable,
            pooling: Pooling::Session,
            session_attrs: writ_model::server::SessionAttrs::Any,
            label: writ_model::label::Label::None,
            client_certificate: None,
            roles: Vec::new(),
        }
    }

    #[test]
    fn server_errors_are_read_by_field() {
        let error = server_error(b"SFATAL\0VFATAL\0C3D000\0Mno such database\0\0");
        assert_eq!(error.to_string(), "no such database (SQLSTATE 3D000)");
        assert_eq!(server_error(b"Mcut").sqlstate, "XX000");
    }

    #[test]
    fn a_server_that_goes_away_ends_the_connection() {
        let error = |sqlstate: &str| {
            let message = String::new();
            QueryError::Server(ServerError { sqlstate: sqlstate.to_owned(), message })
        };
        assert!(error("42P01").connection_is_usable());
        assert!(!error("57P01").connection_is_usable());
    }
}
