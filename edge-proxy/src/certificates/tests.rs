//! Certificates of every wrong kind, with a right one as the control; and the proof that the client has the key.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, string::Ia5String,
};
use writ_model::login::CertificateNames;

use super::*;

const DAY: i64 = 24 * 60 * 60;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str) -> Issuer {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA")
}

fn params(uri: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let uri: Ia5String = uri.try_into().expect("a URI");
    params.subject_alt_names.push(SanType::URI(uri));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn issued(params: &CertificateParams, issuer: &Issuer) -> CertificateDer<'static> {
    let key = KeyPair::generate().expect("a key");
    params.signed_by(&key, issuer).expect("a certificate").into()
}

/// What comes of a chain for `user`, at a time of so many seconds.
fn outcome(
    chain: &[CertificateDer<'_>],
    trusted: &Issuer,
    user: &str,
    seconds: i64,
) -> Result<String, String> {
    let rule =
        ClientCertificates { ca_pem: trusted.pem(), names: CertificateNames::UriOrCommonName };
    let now = Timestamp(seconds * 1_000_000);
    proven(chain, &rule, &EdgeConfig::default(), user, now).map(|id| id.to_string()).map_err(
        |refused| {
            assert_eq!(refused.code, sqlstate::AUTHENTICATION);
            assert!(!refused.hint.is_empty(), "the next step");
            refused.reason
        },
    )
}

#[test]
fn only_a_good_certificate_proves_its_own_name() {
    let (ours, theirs) = (ca("ours"), ca("theirs"));
    // rcgen's certificates hold from 1975 to 4096 where nothing else is said.
    let now = 1_700_000_000;
    let good = issued(&params("writ://principal/service:batch"), &ours);
    let said = |chain: &[CertificateDer<'_>], user| outcome(chain, &ours, user, now);
    for user in ["batch", "service:batch"] {
        assert_eq!(said(&[good.clone()], user), Ok("service:batch".into()), "control");
    }
    let refusal = |chain: &[_], user| said(chain, user).expect_err("refused");
    assert_eq!(
        refusal(&[good.clone()], "dana"),
        "the client certificate is service:batch's, not \"dana\"'s"
    );
    let foreign = issued(&params("writ://principal/service:batch"), &theirs);
    let unknown = "the client certificate is not from a CA that this environment trusts";
    assert_eq!(refusal(&[foreign.clone()], "batch"), unknown);
    // To bring its own CA along does not help.
    assert_eq!(refusal(&[foreign, theirs.der().clone()], "batch"), unknown);
    let mut server = params("writ://principal/service:batch");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert_eq!(
        refusal(&[issued(&server, &ours)], "batch"),
        "the client certificate is not for clients"
    );
    let mut short = params("writ://principal/service:batch");
    short.not_before = rcgen::date_time_ymd(2023, 11, 1);
    short.not_after = rcgen::date_time_ymd(2023, 12, 1);
    let short = issued(&short, &ours);
    assert_eq!(said(&[short.clone()], "batch"), Ok("service:batch".into()), "control");
    let at = |days: i64| outcome(&[short.clone()], &ours, "batch", now + days * DAY);
    assert_eq!(at(60), Err("the client certificate has expired".into()));
    assert_eq!(at(-60), Err("the client certificate is not valid yet".into()));
    assert_eq!(refusal(&[], "batch"), "the client certificate is missing");
    assert!(said(&[CertificateDer::from(vec![1, 2, 3])], "batch").is_err());
    let nobody = issued(&params("writ://edge/e1"), &ours);
    assert_eq!(refusal(&[nobody], "e1").split(" names").next(), Some("the client certificate"));
}

#[test]
fn certificates_between_are_followed() {
    let root = ca("root");
    let mut params_of_ca = CertificateParams::default();
    params_of_ca.distinguished_name.push(DnType::CommonName, "between");
    params_of_ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().expect("a key");
    let between = CertifiedIssuer::signed_by(params_of_ca, key, &root).expect("a CA");
    let own = issued(&params("writ://principal/user:dana"), &between);
    let said = |chain: &[CertificateDer<'_>]| outcome(chain, &root, "dana", 1_700_000_000);
    assert_eq!(said(&[own.clone(), between.der().clone()]), Ok("user:dana".into()));
    assert!(said(&[own]).is_err(), "negative control");
}

#[test]
fn a_common_name_is_read_from_the_subject() {
    let ours = ca("ours");
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "service:batch");
    let said = outcome(&[issued(&params, &ours)], &ours, "batch", 1_700_000_000);
    assert_eq!(said, Ok("service:batch".into()));
}
