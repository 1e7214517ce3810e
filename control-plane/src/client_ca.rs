//! Whether what is to be trusted for clients' certificates can be.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Whether `pem` is certificates of CAs, one at least, and nothing else.
pub(crate) fn check(pem: &str) -> Result<(), String> {
    if pem.contains("PRIVATE KEY") {
        return Err(
            "it holds a private key, which stays where it is: give the certificate alone".into()
        );
    }
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|e| format!("it is no PEM: {e}"))?;
        let (_, parsed) = X509Certificate::from_der(&certificate)
            .map_err(|e| format!("certificate {} in it cannot be read: {e}", count + 1))?;
        if !parsed.is_ca() {
            return Err(format!("{} in it is not a CA's certificate", parsed.subject()));
        }
        count += 1;
    }
    if count == 0 { Err("there is no certificate in it".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    #[test]
    fn only_certificates_of_cas_are_taken() {
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(vec!["x".to_owned()]).expect("params");
        let mut ca = leaf.clone();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let leaf = leaf.self_signed(&key).expect("a certificate").pem();
        let ca = ca.self_signed(&key).expect("a certificate").pem();
        check(&format!("{ca}{ca}")).expect("control");
        let private = format!("{ca}{}", key.serialize_pem());
        for bad in ["", "hello", &leaf, &format!("{ca}{leaf}"), &private] {
            check(bad).expect_err(bad);
        }
    }
}
