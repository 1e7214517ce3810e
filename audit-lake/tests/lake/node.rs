//! What a control plane would have given: a CA, certificates, a signed configuration and tokens.

use std::collections::BTreeMap;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use writ_model::{Epoch, Timestamp};
use writ_proto::{store, token, v1};

use crate::files::NOW;

const HOUR_US: i64 = 3_600_000_000;

/// Signs everything.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub ca_pem: String,
    config_key: Ed25519KeyPair,
    token_key: Ed25519KeyPair,
}

/// A certificate and its key, PEM.
pub struct Certified {
    pub certificate: String,
    pub key: String,
}

fn signing_key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("seed")
}

fn principal(id: &str, groups: &[&str], on_behalf_of: &str) -> v1::resource::Kind {
    v1::resource::Kind::Principal(v1::Principal {
        id: id.into(),
        display_name: id.into(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        on_behalf_of: on_behalf_of.into(),
        disabled: false,
    })
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::new(vec![]).expect("params");
        // Not the leaves' name: OpenSSL would take them for self-signed.
        params.distinguished_name.push(DnType::CommonName, "Test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = params.self_signed(&key).expect("signed").pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, ca_pem, config_key: signing_key(1), token_key: signing_key(2) }
    }

    /// A certificate for localhost with these identities.
    pub fn certify(&self, uris: &[&str]) -> Certified {
        let key = KeyPair::generate().expect("key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("params");
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().expect("ASCII")));
        }
        let certificate = params.signed_by(&key, &self.issuer).expect("signed").pem();
        Certified { certificate, key: key.serialize_pem() }
    }

    /// Makes `data_dir` that of an enrolled lake with a last known good configuration.
    pub fn enrol_lake(&self, data_dir: &Path) {
        let Certified { certificate, key } = self.certify(&["writ://lake/lake-1"]);
        let certificate = v1::Certificate {
            certificate_pem: certificate,
            ca_pem: self.ca_pem.clone(),
            expires_at_micros: NOW.0 + HOUR_US,
            config_key_id: "k1".into(),
            config_key: self.config_key.public_key().as_ref().to_vec(),
        };
        let mut identity = certificate.encode_length_delimited_to_vec();
        identity.extend(key.encode_length_delimited_to_vec());
        std::fs::create_dir_all(data_dir).expect("directory");
        std::fs::write(data_dir.join("identity.pb"), identity).expect("identity");
        std::fs::write(data_dir.join("last-known-good.pb"), self.snapshot().encode_to_vec())
            .expect("configuration");
    }

    fn snapshot(&self) -> v1::Snapshot {
        let token_key = v1::TokenKey {
            id: "t1".into(),
            ed25519_public: self.token_key.public_key().as_ref().to_vec(),
        };
        let kinds = [
            principal("user:erin", &["auditors"], ""),
            principal("user:root", &["admins"], ""),
            principal("user:dana", &["developers"], ""),
            principal("agent:helper", &["auditors"], "user:dana"),
            v1::resource::Kind::TokenKey(token_key),
        ];
        let resources: BTreeMap<String, Vec<u8>> = kinds
            .into_iter()
            .enumerate()
            .map(|(n, kind)| (format!("r/{n}"), v1::Resource { kind: Some(kind) }.encode_to_vec()))
            .collect();
        let signed = store::sign("", Epoch(3), NOW.0, &resources, "k1", &self.config_key);
        let resources =
            resources.into_iter().map(|(key, resource)| v1::KeyedResource { key, resource });
        v1::Snapshot { signed: Some(signed), resources: resources.collect() }
    }

    /// A token that ends `lasts_s` seconds after now.
    pub fn token(&self, principal: &str, lasts_s: i64) -> String {
        let id = principal.parse().expect("id");
        let pkcs8 = self.token_key.to_pkcs8().expect("pkcs8");
        let issued = Timestamp(NOW.0 - HOUR_US);
        let ends = Timestamp(NOW.0 + lasts_s * 1_000_000);
        token::issue(&id, issued, ends, "j1", "t1", pkcs8.as_ref()).expect("token")
    }
}
