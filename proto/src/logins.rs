//! How clients of an environment prove who they are, between wire and model.

use writ_model::login::{CertificateNames, ClientCertificates, Logins, OauthIssuer};

use crate::convert::ConvertError;
use crate::v1;

impl TryFrom<v1::Logins> for Logins {
    type Error = ConvertError;
    fn try_from(wire: v1::Logins) -> Result<Self, ConvertError> {
        let v1::Logins { certificates, oauth } = wire;
        Ok(Self {
            certificates: certificates.map(TryInto::try_into).transpose()?,
            oauth: oauth.map(|v1::OauthIssuer { url, scope }| OauthIssuer { url, scope }),
        })
    }
}

impl TryFrom<v1::ClientCertificates> for ClientCertificates {
    type Error = ConvertError;
    fn try_from(wire: v1::ClientCertificates) -> Result<Self, ConvertError> {
        let v1::ClientCertificates { ca_pem, names } = wire;
        let names = match v1::CertificateNames::try_from(names) {
            Ok(v1::CertificateNames::Uri) => CertificateNames::Uri,
            Ok(v1::CertificateNames::UriOrCommonName) => CertificateNames::UriOrCommonName,
            Ok(v1::CertificateNames::Unspecified) | Err(_) => {
                let field = "logins.certificates.names";
                return Err(ConvertError::Unknown { field, value: i64::from(names) });
            }
        };
        Ok(Self { ca_pem, names })
    }
}

impl From<&Logins> for v1::Logins {
    fn from(model: &Logins) -> Self {
        let Logins { certificates, oauth } = model;
        Self {
            certificates: certificates.as_ref().map(Into::into),
            oauth: oauth.as_ref().map(|OauthIssuer { url, scope }| v1::OauthIssuer {
                url: url.clone(),
                scope: scope.clone(),
            }),
        }
    }
}

impl From<&ClientCertificates> for v1::ClientCertificates {
    fn from(model: &ClientCertificates) -> Self {
        let ClientCertificates { ca_pem, names } = model;
        let names = match names {
            CertificateNames::Uri => v1::CertificateNames::Uri,
            CertificateNames::UriOrCommonName => v1::CertificateNames::UriOrCommonName,
        };
        Self { ca_pem: ca_pem.clone(), names: names.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_is_not_known_is_refused() {
        let oauth = OauthIssuer { url: "https://id.example".into(), scope: "openid".into() };
        for names in [CertificateNames::Uri, CertificateNames::UriOrCommonName] {
            let certificates = Some(ClientCertificates { ca_pem: "PEM".into(), names });
            let logins = Logins { certificates, oauth: Some(oauth.clone()) };
            assert_eq!(Logins::try_from(v1::Logins::from(&logins)), Ok(logins));
        }
        for names in [0, 7] {
            let wire = v1::ClientCertificates { ca_pem: "PEM".into(), names };
            let field = "logins.certificates.names";
            let unknown = ConvertError::Unknown { field, value: i64::from(names) };
            assert_eq!(ClientCertificates::try_from(wire), Err(unknown));
        }
    }
}
