//! Passwords of services: what the log says of them, and the rules. The keys are sealed for the nodes of the control
//! plane and the edges; whoever reads the log or the lake reads that there is a password, and nothing to test guesses by.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use writ_model::password::{PASSWORDS_MAX, SALT_BYTES};
use writ_model::{PrincipalId, Timestamp, ids::PrincipalKind};

use crate::decide_identity::principal;
use crate::event::Event;
use crate::refusal::Refusal;
use crate::state::State;

/// The longest sealed keys, in bytes: two keys of 32, with what sealing adds.
pub const SEALED_KEYS_BYTES_MAX: usize = 256;

/// A salt; hexadecimal in the log. Not secret: whoever logs in is told it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Salt(pub [u8; SALT_BYTES]);

/// The keys of one password as nobody reads them; hexadecimal in the log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealedKeys(pub Vec<u8>);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salt({})", hex::encode(self.0))
    }
}

impl fmt::Debug for SealedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedKeys({} bytes)", self.0.len())
    }
}

impl From<Salt> for String {
    fn from(salt: Salt) -> Self {
        hex::encode(salt.0)
    }
}

impl From<SealedKeys> for String {
    fn from(keys: SealedKeys) -> Self {
        hex::encode(keys.0)
    }
}

impl TryFrom<String> for Salt {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; SALT_BYTES];
        hex::decode_to_slice(&text, &mut bytes).map_err(|e| format!("not a salt: {e}"))?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for SealedKeys {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        hex::decode(&text).map(Self).map_err(|e| format!("not sealed keys: {e}"))
    }
}

/// One password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePassword {
    /// From 1; never given twice.
    pub number: u32,
    /// Since when.
    pub set_at: Timestamp,
    /// What it is checked against.
    pub keys: SealedKeys,
}

/// The passwords of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePasswords {
    /// Of all of them: a client is told one before it proves anything.
    pub salt: Salt,
    /// The last number given.
    pub last: u32,
    /// At most [`PASSWORDS_MAX`]; none where all were removed.
    pub list: Vec<ServicePassword>,
}

pub(crate) fn set(
    state: &State,
    id: &PrincipalId,
    salt: Salt,
    keys: &SealedKeys,
) -> Result<Vec<Event>, Refusal> {
    principal(state, id)?;
    if id.kind() != PrincipalKind::Service {
        return Err(Refusal::Invalid(format!(
            "only services have passwords, and {id} is none: people and agents get tokens with `writ login`"
        )));
    }
    if keys.0.len() > SEALED_KEYS_BYTES_MAX {
        return Err(Refusal::Invalid(format!(
            "sealed keys have at most {SEALED_KEYS_BYTES_MAX} bytes, these have {}",
            keys.0.len()
        )));
    }
    let known = state.passwords.get(id);
    if let Some(known) = known.filter(|known| !known.list.is_empty()) {
        if known.list.len() >= PASSWORDS_MAX {
            return Err(Refusal::Conflict(format!(
                "{id} has {PASSWORDS_MAX} passwords, the most; remove the one that is not used any more with \
                 `writ identities password remove {id} NUMBER`"
            )));
        }
        if known.salt != salt {
            return Err(Refusal::Conflict(format!(
                "another password of {id} was set meanwhile; run the command again"
            )));
        }
    }
    let number = known.map_or(0, |known| known.last).saturating_add(1);
    Ok(vec![Event::PasswordSet { id: id.clone(), number, salt, keys: keys.clone() }])
}

pub(crate) fn remove(state: &State, id: &PrincipalId, number: u32) -> Result<Vec<Event>, Refusal> {
    principal(state, id)?;
    let list = state.passwords.get(id).map_or(&[][..], |known| known.list.as_slice());
    if list.iter().any(|password| password.number == number) {
        return Ok(vec![Event::PasswordRemoved { id: id.clone(), number }]);
    }
    let name = format!("{number} of {id}");
    Err(Refusal::NotFound { what: "password", name, list: "writ identities password list" })
}

pub(crate) fn evolve(
    all: &mut BTreeMap<PrincipalId, ServicePasswords>,
    event: &Event,
    at: Timestamp,
) {
    match event {
        Event::PasswordSet { id, number, salt, keys } => {
            let none = || ServicePasswords { salt: *salt, last: 0, list: Vec::new() };
            let known = all.entry(id.clone()).or_insert_with(none);
            known.salt = *salt;
            known.last = *number;
            let keys = keys.clone();
            known.list.push(ServicePassword { number: *number, set_at: at, keys });
        }
        Event::PasswordRemoved { id, number } => {
            if let Some(known) = all.get_mut(id) {
                known.list.retain(|password| password.number != *number);
            }
        }
        _ => {}
    }
}
