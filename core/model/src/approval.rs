//! What a grant is bound to (C4): change any part and the grant does not cover it.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{DatabaseName, Epoch, PrincipalId, SessionId};

/// Everything that an approver approved. Its digest is what the grant is checked against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Who asked.
    pub principal: PrincipalId,
    /// In which session.
    pub session: SessionId,
    /// Against which database.
    pub database: DatabaseName,
    /// `current_user` at the server.
    pub role: String,
    /// The effective search path, in order.
    pub search_path: Vec<String>,
    /// The exact bytes of the client's statement.
    pub statement: Vec<u8>,
    /// The exact bytes of the Bind message's values, formats included; empty for a simple query.
    pub bind: Vec<u8>,
    /// The epoch that the hold was decided under.
    pub epoch: Epoch,
}

/// SHA-256 over a [`Binding`] without its session: statements that share it may wait in one request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JointDigest(pub [u8; 32]);

impl fmt::Debug for JointDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JointDigest({})", BindingDigest(self.0))
    }
}

/// SHA-256 over a [`Binding`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BindingDigest(pub [u8; 32]);

impl fmt::Debug for BindingDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BindingDigest({self})")
    }
}

impl fmt::Display for BindingDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Binding {
    /// The digest. Each field is preceded by its length, so that no two bindings share an encoding.
    #[must_use]
    pub fn digest(&self) -> BindingDigest {
        BindingDigest(self.hash(b"writ binding v1", Some(&self.session)))
    }

    /// The digest of everything but the session.
    #[must_use]
    pub fn joint_digest(&self) -> JointDigest {
        JointDigest(self.hash(b"writ joint binding v1", None))
    }

    fn hash(&self, what: &[u8], session: Option<&SessionId>) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        field(what);
        field(self.principal.to_string().as_bytes());
        if let Some(session) = session {
            field(session.as_str().as_bytes());
        }
        field(self.database.as_str().as_bytes());
        field(self.role.as_bytes());
        field(&(self.search_path.len() as u64).to_be_bytes());
        for schema in &self.search_path {
            field(schema.as_bytes());
        }
        field(&self.statement);
        field(&self.bind);
        field(&self.epoch.0.to_be_bytes());
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding() -> Binding {
        Binding {
            principal: "user:dana".parse().expect("id"),
            session: "s-1".parse().expect("id"),
            database: "shop".parse().expect("id"),
            role: "app".into(),
            search_path: vec!["public".into()],
            statement: b"DELETE FROM orders".to_vec(),
            bind: vec![],
            epoch: Epoch(7),
        }
    }

    #[test]
    fn every_part_changes_the_digest() {
        let base = binding();
        let changes: Vec<fn(&mut Binding)> = vec![
            |b| b.principal = "user:eve".parse().expect("id"),
            |b| b.session = "s-2".parse().expect("id"),
            |b| b.database = "shop2".parse().expect("id"),
            |b| b.role = "admin".into(),
            |b| b.search_path = vec!["pub".into(), "lic".into()],
            |b| b.search_path = vec![],
            |b| b.statement.push(b' '),
            |b| b.bind = vec![0],
            |b| b.epoch = Epoch(8),
        ];
        for change in changes {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(base.digest(), other.digest(), "{other:?}");
            let joint = base.joint_digest() == other.joint_digest();
            assert_eq!(joint, base.session != other.session, "only the session: {other:?}");
        }
    }

    #[test]
    fn fields_cannot_flow_into_each_other() {
        let mut a = binding();
        let mut b = binding();
        a.role = "ab".into();
        a.search_path = vec!["c".into()];
        b.role = "a".into();
        b.search_path = vec!["bc".into()];
        assert_ne!(a.digest(), b.digest());
    }
}
