//! Who a connection to a database is for, in its `application_name`: what the database's own log (`%a` in
//! `log_line_prefix`) and `pg_stat_activity` show.
//!
//! `writ:KIND:NAME SESSION CLIENT`: the principal's id, the session's id where the connection is one session's alone, and
//! as much of the client's own name as there is room for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{PrincipalId, SessionId};

/// The setting.
pub const APPLICATION_NAME: &str = "application_name";
/// What the server keeps of an `application_name`, in bytes (NAMEDATALEN - 1).
pub const APPLICATION_NAME_BYTES_MAX: usize = 63;
/// What every label begins with.
const PREFIX: &str = "writ:";
/// Stands at the end of a principal's id that had to be cut.
const CUT: char = '~';

/// What of a session is in its connection's `application_name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// Nothing: the client's own name, as it gave it.
    #[default]
    None,
    /// The principal.
    Principal,
    /// The principal, and the session where the connection is its own.
    Session,
}

impl Label {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Principal, Self::Session];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Principal => "principal",
            Self::Session => "session",
        }
    }

    /// The label of a connection for `principal`; `session` where it is that session's alone. `None`: there is none.
    #[must_use]
    pub fn of(self, principal: &PrincipalId, session: Option<&SessionId>) -> Option<LabelText> {
        let session = match self {
            Self::None => return None,
            Self::Principal => String::new(),
            Self::Session => session.map(|s| format!(" {}", clean(s.as_str()))).unwrap_or_default(),
        };
        let room = APPLICATION_NAME_BYTES_MAX.saturating_sub(PREFIX.len() + session.len());
        let mut who = clean(&principal.to_string());
        if who.len() > room {
            who.truncate(room.saturating_sub(1));
            who.push(CUT);
        }
        let mut text = format!("{PREFIX}{who}{session}");
        text.truncate(APPLICATION_NAME_BYTES_MAX);
        Some(LabelText(text))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Label {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|one| one.as_str() == text);
        known.ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|one| one.as_str()).collect();
            format!("`{text}` is none of {}", all.join(", "))
        })
    }
}

/// The label of one connection: printable ASCII, [`APPLICATION_NAME_BYTES_MAX`] bytes at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelText(String);

impl LabelText {
    /// The whole `application_name` for a client that calls itself `client`.
    #[must_use]
    pub fn with(&self, client: &str) -> String {
        let mut name = self.0.clone();
        if !client.is_empty() {
            name.push(' ');
            name.push_str(&clean(client));
        }
        name.truncate(APPLICATION_NAME_BYTES_MAX);
        name.truncate(name.trim_end().len());
        name
    }
}

/// A client's own name as the database gets it: what is not printable ASCII becomes `?`, as servers before 16 have it, and
/// what is longer than the server keeps is cut.
#[must_use]
pub fn client_name(given: &str) -> String {
    let mut name = clean(given);
    name.truncate(APPLICATION_NAME_BYTES_MAX);
    name
}

/// Each byte that is not printable ASCII becomes `?`: afterwards bytes are characters, and cutting is safe.
fn clean(text: &str) -> String {
    text.bytes().map(|byte| if matches!(byte, 32..=126) { char::from(byte) } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> PrincipalId {
        text.parse().expect("an id")
    }

    fn session() -> SessionId {
        "s-01jdabcdefghjkmnpqrstvwxyz".parse().expect("an id")
    }

    #[test]
    fn a_label_names_the_principal_and_its_own_session() {
        let alice = id("user:alice@corp");
        assert_eq!(Label::None.of(&alice, Some(&session())), None);
        let label = Label::Principal.of(&alice, Some(&session())).expect("a label");
        assert_eq!(label.with("psql"), "writ:user:alice@corp psql");
        assert_eq!(label.with(""), "writ:user:alice@corp");
        let label = Label::Session.of(&alice, Some(&session())).expect("a label");
        assert_eq!(label.with("psql"), "writ:user:alice@corp s-01jdabcdefghjkmnpqrstvwxyz psql");
        // A connection that sessions share is of none of them.
        let label = Label::Session.of(&alice, None).expect("a label");
        assert_eq!(label.with("psql"), "writ:user:alice@corp psql");
    }

    #[test]
    fn a_label_has_room_for_the_session_and_never_more_than_the_server_keeps() {
        let long = id(&format!("user:{}", "a".repeat(100)));
        let label = Label::Session.of(&long, Some(&session())).expect("a label");
        let name = label.with("psql");
        assert_eq!(name.len(), APPLICATION_NAME_BYTES_MAX);
        assert!(name.ends_with("aa~ s-01jdabcdefghjkmnpqrstvwxyz"), "{name}");
        for client in
            ["", "x", "a client with a name that is longer than anyone would want it to be"]
        {
            for who in [
                "user:a",
                "user:a@b",
                "service:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ] {
                for label in [Label::Principal, Label::Session] {
                    let name = label.of(&id(who), Some(&session())).expect("a label").with(client);
                    assert!(name.len() <= APPLICATION_NAME_BYTES_MAX, "{name}");
                    assert!(name.starts_with("writ:"), "{name}");
                }
            }
        }
    }

    #[test]
    fn names_are_what_every_server_shows_alike() {
        assert_eq!(client_name("psql"), "psql");
        assert_eq!(client_name("é\nx"), "???x");
        assert_eq!(client_name(&"x".repeat(64)).len(), 63);
        let label = Label::Principal.of(&id("user:zoë"), None).expect("a label");
        assert_eq!(label.with("ü"), "writ:user:zo?? ??");
    }

    #[test]
    fn words_are_read_and_written_alike() {
        for label in Label::ALL {
            assert_eq!(label.as_str().parse(), Ok(label));
        }
        assert!("all".parse::<Label>().expect_err("no such word").contains("principal"));
    }
}
