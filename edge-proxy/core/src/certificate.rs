//! Whom a client's certificate names. That it is a good one has been checked before.

use writ_model::PrincipalId;
use writ_model::config::EdgeConfig;
use writ_model::ids::PrincipalKind;
use writ_model::login::CertificateNames;

/// What comes before a principal's id in a certificate's URI.
pub const URI_PREFIX: &str = "writ://principal/";

/// The names in a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The URIs among its alternative names.
    pub uris: Vec<String>,
    /// The common names of its subject.
    pub common_names: Vec<String>,
}

/// Why a certificate names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No name that this environment looks at.
    #[error("the client certificate names no principal")]
    Nobody,
    /// Two names would be two identities.
    #[error("the client certificate names more than one principal")]
    Several,
    /// A name that cannot be one.
    #[error("the client certificate names {0:?}, which is no principal's id")]
    NoId(String),
    /// A name that is not known, or that several have.
    #[error("the client certificate names {0:?}, which is not exactly one principal")]
    NotOne(String),
}

impl Named {
    /// The principal. A URI counts first; a common name only where `rule` says so and there is no such URI, as an id
    /// or as a name that just one principal has.
    pub fn principal(
        &self,
        rule: CertificateNames,
        config: &EdgeConfig,
    ) -> Result<PrincipalId, NameError> {
        let mut ids = self.uris.iter().filter_map(|uri| uri.strip_prefix(URI_PREFIX));
        match (ids.next(), ids.next()) {
            (Some(id), None) => id.parse().map_err(|_| NameError::NoId(id.to_owned())),
            (Some(_), Some(_)) => Err(NameError::Several),
            _ => match (rule, self.common_names.as_slice()) {
                (CertificateNames::Uri, _) | (_, []) => Err(NameError::Nobody),
                (CertificateNames::UriOrCommonName, [name]) => by_name(name, config),
                (CertificateNames::UriOrCommonName, _) => Err(NameError::Several),
            },
        }
    }
}

fn by_name(name: &str, config: &EdgeConfig) -> Result<PrincipalId, NameError> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let kinds = [PrincipalKind::User, PrincipalKind::Service, PrincipalKind::Agent];
    let ids = kinds.iter().filter_map(|kind| format!("{}:{name}", kind.as_str()).parse().ok());
    let mut known = ids.filter(|id| config.principals.contains_key(id));
    match (known.next(), known.next()) {
        (Some(id), None) => Ok(id),
        _ => Err(NameError::NotOne(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use writ_model::Principal;

    use super::*;

    fn config() -> EdgeConfig {
        let principals = ["user:dana", "service:batch", "user:both", "service:both"].map(|id| {
            let id: PrincipalId = id.parse().expect("an id");
            let principal = Principal {
                id: id.clone(),
                display_name: String::new(),
                groups: [].into(),
                on_behalf_of: None,
                disabled: false,
            };
            (id, principal)
        });
        EdgeConfig { principals: principals.into(), ..EdgeConfig::default() }
    }

    fn named(uris: &[&str], common_names: &[&str]) -> Named {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Named { uris: owned(uris), common_names: owned(common_names) }
    }

    #[test]
    fn a_uri_names_its_principal_whatever_the_subject_says() {
        for rule in [CertificateNames::Uri, CertificateNames::UriOrCommonName] {
            let who = |uris: &[&str]| named(uris, &["dana"]).principal(rule, &config());
            let batch = "service:batch".parse().expect("an id");
            assert_eq!(who(&["https://x", "writ://principal/service:batch"]), Ok(batch));
            let two = ["writ://principal/service:batch", "writ://principal/user:dana"];
            assert_eq!(who(&two), Err(NameError::Several));
            assert_eq!(who(&["writ://principal/batch"]), Err(NameError::NoId("batch".into())));
            assert_eq!(who(&["writ://principal/"]), Err(NameError::NoId(String::new())));
        }
    }

    #[test]
    fn a_common_name_counts_where_the_environment_says_so() {
        let who = |rule, names: &[&str]| {
            named(&["writ://edge/e1"], names).principal(rule, &config()).map(|id| id.to_string())
        };
        let (uri, both) = (CertificateNames::Uri, CertificateNames::UriOrCommonName);
        assert_eq!(who(uri, &["dana"]), Err(NameError::Nobody));
        assert_eq!(who(both, &[]), Err(NameError::Nobody));
        assert_eq!(who(both, &["dana"]), Ok("user:dana".into()));
        assert_eq!(who(both, &["service:both"]), Ok("service:both".into()));
        assert_eq!(who(both, &["both"]), Err(NameError::NotOne("both".into())));
        assert_eq!(who(both, &["nobody"]), Err(NameError::NotOne("nobody".into())));
        assert_eq!(who(both, &["dana", "batch"]), Err(NameError::Several));
    }
}
