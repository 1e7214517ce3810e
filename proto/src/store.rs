//! The configuration that an edge or a lake holds: signed snapshots and deltas in, one consistent
//! [`EdgeConfig`] out. Pure: the shell moves the bytes and keeps the file.
//!
//! What is signed is the epoch and the root over all resources, so a delta is only accepted where the whole
//! set after it is exactly what the control plane has (E5).

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use prost::Message;
use sha2::{Digest, Sha256};
use writ_model::config::EdgeConfig;
use writ_model::{EnvironmentName, Epoch};

use crate::convert::ConvertError;
use crate::v1;

/// Why a configuration is not accepted. The text goes to the control plane and to operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The bytes are not what they should be.
    #[error("the configuration does not decode: {0}")]
    Decode(String),
    /// No signature, or one that does not verify.
    #[error("the configuration's signature does not verify with key {0}")]
    Signature(String),
    /// It is for somewhere else.
    #[error("the configuration is for environment {found}, this node serves {expected}")]
    Environment {
        /// What it is for.
        found: String,
        /// What this node serves.
        expected: String,
    },
    /// It is older than what is held (E5).
    #[error("epoch {found} is older than epoch {held}, which is held already")]
    Older {
        /// The offered epoch.
        found: u64,
        /// The epoch held.
        held: u64,
    },
    /// The delta does not start from what is held.
    #[error("the delta starts from epoch {from}, but epoch {held} is held; a snapshot is needed")]
    Gap {
        /// Where the delta starts.
        from: u64,
        /// The epoch held.
        held: u64,
    },
    /// The resources are not those that were signed.
    #[error("the resources are not those that epoch {0} was signed over")]
    Root(u64),
    /// A resource does not convert.
    #[error("resource {key}: {source}")]
    Resource {
        /// The resource's key.
        key: String,
        /// What is wrong.
        source: ConvertError,
    },
}

/// The SHA-256 over the sorted resources: each key and each resource's own hash, length first.
#[must_use]
pub fn root(resources: &BTreeMap<String, Vec<u8>>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (key, resource) in resources {
        hash.update((key.len() as u64).to_be_bytes());
        hash.update(key.as_bytes());
        hash.update(Sha256::digest(resource));
    }
    hash.finalize().into()
}

/// Signs `resources` as `environment`'s set at `epoch`; for the control plane.
#[must_use]
pub fn sign(
    environment: &str,
    epoch: Epoch,
    issued_at_micros: i64,
    resources: &BTreeMap<String, Vec<u8>>,
    key_id: &str,
    key: &Ed25519KeyPair,
) -> v1::SignedEpoch {
    let statement = v1::EpochStatement {
        environment: environment.to_owned(),
        epoch: epoch.0,
        root: root(resources).to_vec(),
        issued_at_micros,
    }
    .encode_to_vec();
    let signature = key.sign(&statement).as_ref().to_vec();
    v1::SignedEpoch { statement, key_id: key_id.to_owned(), signature }
}

/// A verified configuration. Only made by [`ConfigStore::accept_snapshot`] and [`ConfigStore::accept_delta`].
#[derive(Debug, Clone)]
pub struct ConfigStore {
    environment: String,
    key_id: String,
    key: Vec<u8>,
    signed: Option<v1::SignedEpoch>,
    epoch: Epoch,
    resources: BTreeMap<String, Vec<u8>>,
}

impl ConfigStore {
    /// An empty store for `environment` (empty text: for a lake) that trusts one 32-byte Ed25519 key.
    #[must_use]
    pub fn new(environment: Option<&EnvironmentName>, key_id: &str, key: &[u8]) -> Self {
        Self {
            environment: environment.map(ToString::to_string).unwrap_or_default(),
            key_id: key_id.to_owned(),
            key: key.to_vec(),
            signed: None,
            epoch: Epoch(0),
            resources: BTreeMap::new(),
        }
    }

    /// The epoch held; 0 for none.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What to keep on disk as the last known good; `None` where nothing is held.
    #[must_use]
    pub fn to_snapshot(&self) -> Option<v1::Snapshot> {
        let signed = self.signed.clone()?;
        let resources = self
            .resources
            .iter()
            .map(|(key, resource)| v1::KeyedResource {
                key: key.clone(),
                resource: resource.clone(),
            })
            .collect();
        Some(v1::Snapshot { signed: Some(signed), resources })
    }

    /// Takes a whole set, from the wire or from disk. On an error the store is as it was.
    pub fn accept_snapshot(&mut self, snapshot: v1::Snapshot) -> Result<EdgeConfig, StoreError> {
        let v1::Snapshot { signed, resources } = snapshot;
        let resources = resources.into_iter().map(|r| (r.key, r.resource)).collect();
        self.accept(signed, resources)
    }

    /// Takes a change. On an error the store is as it was.
    pub fn accept_delta(&mut self, delta: v1::Delta) -> Result<EdgeConfig, StoreError> {
        let v1::Delta { from_epoch, signed, upserts, removes } = delta;
        if from_epoch != self.epoch.0 {
            return Err(StoreError::Gap { from: from_epoch, held: self.epoch.0 });
        }
        let mut resources = self.resources.clone();
        for key in &removes {
            resources.remove(key);
        }
        resources.extend(upserts.into_iter().map(|r| (r.key, r.resource)));
        self.accept(signed, resources)
    }

    fn accept(
        &mut self,
        signed: Option<v1::SignedEpoch>,
        resources: BTreeMap<String, Vec<u8>>,
    ) -> Result<EdgeConfig, StoreError> {
        let signed = signed.ok_or_else(|| StoreError::Signature("none".to_owned()))?;
        let statement = self.verify(&signed)?;
        // E5: an edge never goes back to an older epoch.
        if statement.epoch < self.epoch.0 {
            return Err(StoreError::Older { found: statement.epoch, held: self.epoch.0 });
        }
        if statement.root != root(&resources) {
            return Err(StoreError::Root(statement.epoch));
        }
        let config = to_config(Epoch(statement.epoch), &resources)?;
        self.epoch = Epoch(statement.epoch);
        self.resources = resources;
        self.signed = Some(signed);
        Ok(config)
    }

    fn verify(&self, signed: &v1::SignedEpoch) -> Result<v1::EpochStatement, StoreError> {
        let bad = || StoreError::Signature(signed.key_id.clone());
        if signed.key_id != self.key_id {
            return Err(bad());
        }
        UnparsedPublicKey::new(&ED25519, &self.key)
            .verify(&signed.statement, &signed.signature)
            .map_err(|_| bad())?;
        let statement = v1::EpochStatement::decode(signed.statement.as_slice())
            .map_err(|e| StoreError::Decode(e.to_string()))?;
        if statement.environment != self.environment {
            return Err(StoreError::Environment {
                found: statement.environment,
                expected: self.environment.clone(),
            });
        }
        Ok(statement)
    }
}

fn to_config(
    epoch: Epoch,
    resources: &BTreeMap<String, Vec<u8>>,
) -> Result<EdgeConfig, StoreError> {
    let mut config = EdgeConfig { epoch, ..EdgeConfig::default() };
    for (key, bytes) in resources {
        let resource = v1::Resource::decode(bytes.as_slice())
            .map_err(|e| StoreError::Decode(format!("{key}: {e}")))?;
        add(&mut config, resource)
            .map_err(|source| StoreError::Resource { key: key.clone(), source })?;
    }
    Ok(config)
}

fn add(config: &mut EdgeConfig, resource: v1::Resource) -> Result<(), ConvertError> {
    use v1::resource::Kind;
    // A kind from a newer control plane decodes as none: closed, not skipped.
    match resource.kind.ok_or(ConvertError::Missing("resource.kind"))? {
        Kind::Principal(wire) => {
            let principal: writ_model::Principal = wire.try_into()?;
            config.principals.insert(principal.id.clone(), principal);
        }
        Kind::Group(v1::Group { name }) => {
            let name =
                name.parse().map_err(|source| ConvertError::Id { field: "group.name", source })?;
            config.groups.insert(name);
        }
        Kind::Database(wire) => {
            let database: writ_model::config::Database = wire.try_into()?;
            config.databases.insert(database.name.clone(), database);
        }
        Kind::Classification(v1::DatabaseClassification { database, columns }) => {
            let database = database
                .parse()
                .map_err(|source| ConvertError::Id { field: "classification.database", source })?;
            let columns = columns.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
            config.classifications.insert(database, columns);
        }
        Kind::Policies(v1::PolicySet { files }) => {
            config.policies = files.into_iter().map(Into::into).collect();
        }
        Kind::Environment(wire) => config.environment = Some(wire.try_into()?),
        Kind::TokenKey(wire) => config.token_keys.push(wire.into()),
        Kind::Passwords(wire) => {
            let (principal, passwords) = crate::passwords::from_wire(wire)?;
            config.passwords.insert(principal, passwords);
        }
        Kind::MockSalts(v1::MockSalts { secret }) => {
            config.mock_salts = Some(crate::passwords::key("mock_salts.secret", &secret)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::KeyPair;

    fn key() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed")
    }

    fn resources(names: &[&str]) -> BTreeMap<String, Vec<u8>> {
        names
            .iter()
            .map(|name| {
                let group = v1::Group { name: (*name).to_owned() };
                let resource = v1::Resource { kind: Some(v1::resource::Kind::Group(group)) };
                (format!("group/{name}"), resource.encode_to_vec())
            })
            .collect()
    }

    fn snapshot(epoch: u64, names: &[&str]) -> v1::Snapshot {
        let resources = resources(names);
        let signed = sign("prod", Epoch(epoch), 0, &resources, "k1", &key());
        let resources =
            resources.into_iter().map(|(key, resource)| v1::KeyedResource { key, resource });
        v1::Snapshot { signed: Some(signed), resources: resources.collect() }
    }

    fn store() -> ConfigStore {
        let prod = "prod".parse().expect("id");
        ConfigStore::new(Some(&prod), "k1", key().public_key().as_ref())
    }

    #[test]
    fn a_delta_ends_in_the_signed_set() {
        let mut store = store();
        store.accept_snapshot(snapshot(1, &["a", "b"])).expect("accepted");
        let after = resources(&["b", "c"]);
        let delta = v1::Delta {
            from_epoch: 1,
            signed: Some(sign("prod", Epoch(2), 0, &after, "k1", &key())),
            upserts: vec![v1::KeyedResource {
                key: "group/c".into(),
                resource: after["group/c"].clone(),
            }],
            removes: vec!["group/a".into()],
        };
        let config = store.accept_delta(delta).expect("accepted");
        assert_eq!(config.epoch, Epoch(2));
        assert_eq!(config.groups.iter().map(|g| g.as_str()).collect::<Vec<_>>(), ["b", "c"]);
        // What is kept on disk is accepted by a store that starts anew.
        let kept = store.to_snapshot().expect("held");
        assert!(self::store().accept_snapshot(kept).is_ok());
    }

    #[test]
    fn what_was_not_signed_is_refused_and_changes_nothing() {
        let mut store = store();
        store.accept_snapshot(snapshot(5, &["a"])).expect("accepted");
        let mut forged = snapshot(6, &["a"]);
        forged.resources.extend(snapshot(6, &["admins"]).resources);
        assert_eq!(store.accept_snapshot(forged), Err(StoreError::Root(6)));
        let mut unsigned = snapshot(6, &["a"]);
        if let Some(signed) = &mut unsigned.signed {
            signed.signature[0] ^= 1;
        }
        assert_eq!(store.accept_snapshot(unsigned), Err(StoreError::Signature("k1".into())));
        assert_eq!(
            store.accept_snapshot(snapshot(4, &["a"])),
            Err(StoreError::Older { found: 4, held: 5 })
        );
        assert_eq!(store.epoch(), Epoch(5));
    }

    #[test]
    fn another_environments_configuration_is_refused() {
        let staging = "staging".parse().expect("id");
        let mut store = ConfigStore::new(Some(&staging), "k1", key().public_key().as_ref());
        assert!(matches!(
            store.accept_snapshot(snapshot(1, &["a"])),
            Err(StoreError::Environment { .. })
        ));
    }
}
