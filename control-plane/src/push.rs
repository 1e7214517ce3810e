//! What each environment's nodes get: resources, signed as one epoch (E5), as a snapshot or as a change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use prost::Message;
use writ_control_core::State;
use writ_model::config::EdgeConfig;
use writ_model::{DurationMs, EnvironmentName, Epoch, PrincipalId, Timestamp};
use writ_proto::store::sign;
use writ_proto::v1;
use writ_proto::v1::resource::Kind;

use crate::keys::Keys;

/// A signature older than this is made again for the next snapshot: a node that starts without the control
/// plane counts its staleness from the signature.
const SIGNATURE_AGE_MAX: DurationMs = DurationMs::from_seconds(30);

/// One environment's set under one epoch.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) epoch: Epoch,
    resources: BTreeMap<String, Vec<u8>>,
    signed: v1::SignedEpoch,
    signed_at: Timestamp,
    disabled: BTreeSet<PrincipalId>,
    known: BTreeSet<PrincipalId>,
}

/// Makes and signs them; every node of an environment shares one.
pub(crate) struct Publisher {
    keys: Arc<Keys>,
    made: Mutex<HashMap<Option<EnvironmentName>, Arc<Pushed>>>,
}

impl Publisher {
    pub(crate) fn new(keys: Arc<Keys>) -> Self {
        Self { keys, made: Mutex::default() }
    }

    /// The set of `environment` (`None`: for lakes) in `state`.
    pub(crate) fn current(
        &self,
        state: &State,
        environment: Option<&EnvironmentName>,
        now: Timestamp,
    ) -> Arc<Pushed> {
        let key = environment.cloned();
        let mut made = self.made.lock();
        if let Some(known) = made.get(&key)
            && known.epoch == state.epoch
            && now.since(known.signed_at) <= SIGNATURE_AGE_MAX
        {
            return Arc::clone(known);
        }
        let mut config = state.edge_config(environment);
        if environment.is_some() {
            let vault = &self.keys.vault;
            let with = state.passwords.iter().filter(|(_, known)| !known.list.is_empty());
            config.passwords =
                with.map(|(id, known)| (id.clone(), vault.passwords(id, known))).collect();
            config.mock_salts = (!config.passwords.is_empty()).then(|| vault.mock_salts());
        }
        let resources = resources(&config);
        let name = environment.map(ToString::to_string).unwrap_or_default();
        let signer = &self.keys.config;
        let signed = sign(&name, state.epoch, now.0, &resources, &signer.id, &signer.pair);
        let disabled = config.principals.values().filter(|p| p.disabled).map(|p| p.id.clone());
        let pushed = Arc::new(Pushed {
            epoch: state.epoch,
            resources,
            signed,
            signed_at: now,
            disabled: disabled.collect(),
            known: config.principals.keys().cloned().collect(),
        });
        made.insert(key, Arc::clone(&pushed));
        pushed
    }
}

fn keyed(key: &str, resource: &[u8]) -> v1::KeyedResource {
    v1::KeyedResource { key: key.to_owned(), resource: resource.to_vec() }
}

impl Pushed {
    pub(crate) fn snapshot(&self) -> v1::Snapshot {
        let resources = self.resources.iter().map(|(key, resource)| keyed(key, resource));
        v1::Snapshot { signed: Some(self.signed.clone()), resources: resources.collect() }
    }

    /// What changed since `held`.
    pub(crate) fn delta(&self, held: &Self) -> v1::Delta {
        let upserts = self
            .resources
            .iter()
            .filter(|(key, resource)| held.resources.get(*key) != Some(resource));
        let removes = held.resources.keys().filter(|key| !self.resources.contains_key(*key));
        v1::Delta {
            from_epoch: held.epoch.0,
            signed: Some(self.signed.clone()),
            upserts: upserts.map(|(key, resource)| keyed(key, resource)).collect(),
            removes: removes.cloned().collect(),
        }
    }

    /// Who could act under `held` and cannot any more.
    pub(crate) fn ended<'a>(&'a self, held: &'a Self) -> impl Iterator<Item = &'a PrincipalId> {
        let disabled = self.disabled.difference(&held.disabled);
        disabled.chain(held.known.difference(&self.known))
    }
}

fn resources(config: &EdgeConfig) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut put = |key: String, kind: Kind| {
        all.insert(key, v1::Resource { kind: Some(kind) }.encode_to_vec());
    };
    for (id, principal) in &config.principals {
        put(format!("principal/{id}"), Kind::Principal(principal.into()));
    }
    for name in &config.groups {
        put(format!("group/{name}"), Kind::Group(v1::Group { name: name.to_string() }));
    }
    for key in &config.token_keys {
        put(format!("token_key/{}", key.id), Kind::TokenKey(key.into()));
    }
    for (name, database) in &config.databases {
        put(format!("database/{name}"), Kind::Database(database.into()));
    }
    for (name, columns) in &config.classifications {
        let columns = columns.iter().map(Into::into).collect();
        let classification = v1::DatabaseClassification { database: name.to_string(), columns };
        put(format!("classification/{name}"), Kind::Classification(classification));
    }
    // Only edges check passwords; a lake has none.
    for (id, passwords) in &config.passwords {
        let passwords = writ_proto::passwords::to_wire(id, passwords);
        put(format!("passwords/{id}"), Kind::Passwords(passwords));
    }
    if let Some(secret) = &config.mock_salts {
        let secret = secret.expose().to_vec();
        put("mock_salts".to_owned(), Kind::MockSalts(v1::MockSalts { secret }));
    }
    // Only an environment's nodes decide statements; a lake has none.
    if let Some(environment) = &config.environment {
        put(format!("environment/{}", environment.name), Kind::Environment(environment.into()));
        let files = config.policies.iter().map(Into::into).collect();
        put("policies".to_owned(), Kind::Policies(v1::PolicySet { files }));
    }
    all
}
