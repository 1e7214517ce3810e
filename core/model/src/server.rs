//! Which servers a database is at, and which of them a session may have.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::Database;

/// The most servers of one database.
pub const SERVERS_MAX: usize = 16;

/// One server of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl Server {
    /// Reads `host`, `host:port`, `address`, `[address]:port`. The error says what is wrong with it.
    fn parse(text: &str, port: u16) -> Result<Self, String> {
        let (host, own_port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(format!("`{text}` lacks a ]"))?;
                (host, rest.strip_prefix(':').or((!rest.is_empty()).then_some(rest)))
            }
            // More than one colon: an IPv6 address without a port.
            None => match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let port = match own_port {
            None => port,
            Some(own) => own.parse().map_err(|_| format!("`{own}` in `{text}` is no port"))?,
        };
        if host.is_empty() || port == 0 {
            return Err(format!("`{text}` lacks a host or a port"));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// Which of its servers a session may have; the words are libpq's (`target_session_attrs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionAttrs {
    /// The first that answers.
    #[default]
    Any,
    /// The first that takes writes.
    ReadWrite,
    /// The first that takes none.
    ReadOnly,
    /// The first that is not in recovery.
    Primary,
    /// The first that is.
    Standby,
    /// The same, or else the first that answers.
    PreferStandby,
}

impl SessionAttrs {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Any,
        Self::ReadWrite,
        Self::ReadOnly,
        Self::Primary,
        Self::Standby,
        Self::PreferStandby,
    ];

    /// libpq's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::PreferStandby => "prefer-standby",
        }
    }

    /// Whether a server is such a one, by what it says of itself when somebody logs in (`in_hot_standby`,
    /// `default_transaction_read_only`; every server since PostgreSQL 14 does). Who does not say is not.
    #[must_use]
    pub fn fits(self, parameters: &[(String, String)]) -> bool {
        let says = |name: &str, value: &str| {
            parameters.iter().any(|(known, said)| known == name && said == value)
        };
        let standby = says("in_hot_standby", "on");
        let primary = says("in_hot_standby", "off");
        match self {
            Self::Any => true,
            Self::ReadWrite => primary && says("default_transaction_read_only", "off"),
            Self::ReadOnly => standby || says("default_transaction_read_only", "on"),
            Self::Primary => primary,
            Self::Standby | Self::PreferStandby => standby,
        }
    }
}

impl fmt::Display for SessionAttrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SessionAttrs {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|one| one.as_str() == text);
        known.ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|one| one.as_str()).collect();
            format!("`{text}` is none of {}", all.join(", "))
        })
    }
}

impl Database {
    /// Its servers, in the order in which they are tried: `host` names them, with commas between, and each may have a port
    /// of its own. The error says what is wrong.
    pub fn servers(&self) -> Result<Vec<Server>, String> {
        let parts = self.host.split(',').map(str::trim);
        let servers: Result<Vec<_>, _> = parts.map(|part| Server::parse(part, self.port)).collect();
        let servers = servers?;
        if servers.len() > SERVERS_MAX {
            return Err(format!("{} servers are more than {SERVERS_MAX}", servers.len()));
        }
        Ok(servers)
    }

    /// The same database at one of its servers.
    #[must_use]
    pub fn at(&self, server: &Server) -> Self {
        Self { host: server.host.clone(), port: server.port, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_people_write_them() {
        for (text, expected) in [
            ("db", "db:5432"),
            ("db:6543", "db:6543"),
            ("10.0.0.1", "10.0.0.1:5432"),
            ("::1", "[::1]:5432"),
            ("[::1]", "[::1]:5432"),
            ("[fe80::1]:7", "[fe80::1]:7"),
        ] {
            let server = Server::parse(text, 5432).expect(text);
            assert_eq!(server.to_string(), expected);
        }
        for wrong in ["", "db:", "db:x", "db:70000", "db:0", "[::1", "[::1]x", ":5432", "[]:1"] {
            assert!(Server::parse(wrong, 5432).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_server_fits_by_what_it_says_of_itself() {
        use SessionAttrs::{Any, PreferStandby, Primary, ReadOnly, ReadWrite, Standby};
        let said = |standby: &str, read_only: &str| {
            vec![
                ("in_hot_standby".to_owned(), standby.to_owned()),
                ("default_transaction_read_only".to_owned(), read_only.to_owned()),
            ]
        };
        for (parameters, expected) in [
            (said("off", "off"), vec![Any, ReadWrite, Primary]),
            (said("off", "on"), vec![Any, ReadOnly, Primary]),
            (said("on", "off"), vec![Any, ReadOnly, Standby, PreferStandby]),
            (vec![], vec![Any]),
        ] {
            let fitting: Vec<_> =
                SessionAttrs::ALL.into_iter().filter(|attrs| attrs.fits(&parameters)).collect();
            assert_eq!(fitting, expected, "{parameters:?}");
        }
    }

    #[test]
    fn words_are_read_and_written_alike() {
        for attrs in SessionAttrs::ALL {
            assert_eq!(attrs.as_str().parse(), Ok(attrs));
        }
        assert!("master".parse::<SessionAttrs>().expect_err("no such word").contains("read-write"));
    }
}
