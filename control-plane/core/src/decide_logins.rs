//! How clients of an environment prove who they are: what is refused of it. Whether certificates are some, the shell has
//! looked.

use writ_model::login::{ClientCertificates, Logins, OauthIssuer};

use crate::refusal::Refusal;

/// The largest set of CA certificates of one environment, in bytes of PEM.
pub const CLIENT_CA_BYTES_MAX: usize = 64 * 1024;
/// The longest address of an issuer, and the longest scope, in bytes.
pub const ISSUER_BYTES_MAX: usize = 1_024;

pub(crate) fn check(logins: &Logins) -> Result<(), Refusal> {
    let Logins { certificates, oauth } = logins;
    if let Some(ClientCertificates { ca_pem, names: _ }) = certificates
        && ca_pem.len() > CLIENT_CA_BYTES_MAX
    {
        return Err(Refusal::Invalid(format!(
            "the CA certificates for clients have {} bytes; leave some out: at most {CLIENT_CA_BYTES_MAX} go",
            ca_pem.len()
        )));
    }
    oauth.as_ref().map_or(Ok(()), issuer)
}

fn issuer(issuer: &OauthIssuer) -> Result<(), Refusal> {
    let OauthIssuer { url, scope } = issuer;
    let host = url.strip_prefix("https://").unwrap_or_default();
    let is_url = |byte: u8| byte.is_ascii_graphic() && !b"?#\"\\<>".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_url) || url.len() > ISSUER_BYTES_MAX {
        return Err(Refusal::Invalid(format!(
            "{url:?} is not an issuer's address: write https://HOST and its path, without a query, in at most {ISSUER_BYTES_MAX} bytes"
        )));
    }
    let is_scope = |byte: u8| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    if scope.trim().is_empty() || !scope.bytes().all(is_scope) || scope.len() > ISSUER_BYTES_MAX {
        return Err(Refusal::Invalid(format!(
            "{scope:?} is not a scope: write words with spaces between, in at most {ISSUER_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use writ_model::login::CertificateNames;

    use super::*;

    fn with(url: &str, scope: &str) -> Result<(), Refusal> {
        check(&Logins {
            certificates: None,
            oauth: Some(OauthIssuer { url: url.into(), scope: scope.into() }),
        })
    }

    #[test]
    fn an_issuer_has_an_address_and_a_scope() {
        with("https://id.example/realms/a", "openid postgres").expect("control");
        for url in ["", "https://", "http://id.example", "https://id.example?x", "https://a b"] {
            assert!(matches!(with(url, "openid"), Err(Refusal::Invalid(_))), "{url}");
        }
        for scope in ["", " ", "open\"id", "open\nid", "ö"] {
            assert!(
                matches!(with("https://id.example", scope), Err(Refusal::Invalid(_))),
                "{scope}"
            );
        }
    }

    #[test]
    fn certificates_are_bounded() {
        let with = |bytes| {
            let names = CertificateNames::Uri;
            let certificates = Some(ClientCertificates { ca_pem: "x".repeat(bytes), names });
            check(&Logins { certificates, oauth: None })
        };
        with(CLIENT_CA_BYTES_MAX).expect("control");
        assert!(matches!(with(CLIENT_CA_BYTES_MAX + 1), Err(Refusal::Invalid(_))));
    }
}
