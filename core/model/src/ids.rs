//! Identifiers as types, so that one cannot stand in for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest identifier accepted anywhere, in bytes.
pub const IDENTIFIER_BYTES_MAX: usize = 256;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("an identifier must not be empty")]
    Empty,
    /// The text is longer than [`IDENTIFIER_BYTES_MAX`].
    #[error("an identifier has at most {IDENTIFIER_BYTES_MAX} bytes, this one has {0}")]
    TooLong(usize),
    /// A character that would be ambiguous in logs, URLs or policies.
    #[error("`{0}` is not allowed in an identifier; use letters, digits, and . _ - @ : /")]
    Character(char),
    /// A principal id without its kind.
    #[error("`{0}` does not say what it is; write user:NAME, service:NAME or agent:NAME")]
    NoKind(String),
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > IDENTIFIER_BYTES_MAX {
        return Err(IdError::TooLong(text.len()));
    }
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | ':' | '/');
    text.chars().find(|c| !allowed(*c)).map_or(Ok(()), |c| Err(IdError::Character(c)))
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text of this identifier.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

text_id!(
    /// A set of principals, such as `dba`.
    GroupName
);
text_id!(
    /// Where databases live: `prod`, `staging`, ….
    EnvironmentName
);
text_id!(
    /// A named target behind the edges of one environment, such as `orders-prod`.
    DatabaseName
);
text_id!(
    /// One edge process; also the source name of its audit records.
    EdgeId
);
text_id!(
    /// One policy rule: its `@id` annotation, or the name that Cedar gave it.
    RuleId
);
text_id!(
    /// One approval request, such as `apr-01J…`.
    ApprovalId
);
text_id!(
    /// One client session at an edge, unique fleet-wide.
    SessionId
);
text_id!(
    /// One decided statement, unique fleet-wide: ties an outcome to its intent.
    StatementId
);
text_id!(
    /// What a column holds, in dotted form: `pii.email`, `secret.key`, `unclassified`.
    Tag
);

/// What sort of principal acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program with an identity of its own.
    Service,
    /// An AI agent: always acts on behalf of another principal.
    Agent,
}

impl PrincipalKind {
    /// The prefix of ids of this kind.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Agent => "agent",
        }
    }
}

/// Who acts, written `user:NAME`, `service:NAME` or `agent:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PrincipalId {
    kind: PrincipalKind,
    name: String,
}

impl PrincipalId {
    /// Builds an id from its parts. Errors where `name` is not an identifier.
    pub fn new(kind: PrincipalKind, name: &str) -> Result<Self, IdError> {
        check(name)?;
        Ok(Self { kind, name: name.to_owned() })
    }

    /// What sort of principal this is.
    #[must_use]
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// The name without its kind.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for PrincipalId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (kind, name) = text.split_once(':').ok_or_else(|| IdError::NoKind(text.to_owned()))?;
        let kind = match kind {
            "user" => PrincipalKind::User,
            "service" => PrincipalKind::Service,
            "agent" => PrincipalKind::Agent,
            _ => return Err(IdError::NoKind(text.to_owned())),
        };
        Self::new(kind, name)
    }
}

impl TryFrom<String> for PrincipalId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<PrincipalId> for String {
    fn from(id: PrincipalId) -> String {
        id.to_string()
    }
}

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.name)
    }
}

/// The number of an event in the control plane's log; the first is 1, and there are no gaps (C1).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EventSeq(pub u64);

/// The number of one consistent set of policies, identities, masks and classifications.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for EventSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One column of one relation, by exact (unquoted, case-sensitive) names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ColumnRef {
    /// The schema's name.
    pub schema: String,
    /// The relation's name.
    pub relation: String,
    /// The column's name.
    pub column: String,
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.schema, self.relation, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principal_ids_round_trip_and_name_their_kind() {
        let id: PrincipalId = "agent:copilot".parse().expect("an id");
        assert_eq!(id.kind(), PrincipalKind::Agent);
        assert_eq!(id.to_string(), "agent:copilot");
        assert!(matches!("copilot".parse::<PrincipalId>(), Err(IdError::NoKind(_))));
        assert!(matches!("user:a b".parse::<PrincipalId>(), Err(IdError::Character(' '))));
    }

    #[test]
    fn identifiers_have_bounds() {
        assert_eq!("".parse::<GroupName>(), Err(IdError::Empty));
        let long = "x".repeat(IDENTIFIER_BYTES_MAX + 1);
        assert_eq!(long.parse::<GroupName>(), Err(IdError::TooLong(IDENTIFIER_BYTES_MAX + 1)));
        assert_eq!("a\nb".parse::<GroupName>(), Err(IdError::Character('\n')));
    }
}
