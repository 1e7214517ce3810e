//! Short-lived signed tokens: what people paste as a password and send as a bearer. JWT with EdDSA, checked
//! offline against the keys of the current epoch.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use writ_model::config::TokenKey;
use writ_model::{PrincipalId, Timestamp};

/// The longest token accepted, in bytes.
pub const TOKEN_BYTES_MAX: usize = 4_096;
/// How far ahead of ours an issuer's clock may be, in seconds.
pub const CLOCK_SKEW_SECONDS_MAX: i64 = 60;
const ISSUER: &str = "writ";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who signed: always `writ`.
    pub iss: String,
    /// The principal.
    pub sub: PrincipalId,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// The token's own id.
    pub jti: String,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a token at all.
    #[error("this is not a Writ token; get one with `writ login`")]
    Malformed,
    /// Nobody we trust signed it.
    #[error("the token's signature does not verify; get a new one with `writ login`")]
    Signature,
    /// It has ended.
    #[error("the token expired {0} s ago; get a new one with `writ login`")]
    Expired(i64),
    /// It is from the future.
    #[error("the token is not valid yet; check this machine's clock")]
    NotYet,
}

/// A principal whose token was verified. Only [`verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    claims: Claims,
}

impl VerifiedToken {
    /// Who it is.
    #[must_use]
    pub fn principal(&self) -> &PrincipalId {
        &self.claims.sub
    }

    /// When the token ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        Timestamp(self.claims.exp.saturating_mul(1_000_000))
    }
}

/// Signs `claims` with a PKCS#8 Ed25519 key; for the control plane.
pub fn issue(
    principal: &PrincipalId,
    now: Timestamp,
    expires_at: Timestamp,
    token_id: &str,
    key_id: &str,
    pkcs8: &[u8],
) -> Result<String, TokenError> {
    let claims = Claims {
        iss: ISSUER.to_owned(),
        sub: principal.clone(),
        iat: now.seconds(),
        exp: expires_at.seconds(),
        jti: token_id.to_owned(),
    };
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(key_id.to_owned());
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(pkcs8))
        .map_err(|_| TokenError::Malformed)
}

/// Checks form, signature and time, in that order.
pub fn verify(token: &str, keys: &[TokenKey], now: Timestamp) -> Result<VerifiedToken, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
    let key_id = header.kid.ok_or(TokenError::Malformed)?;
    let key = keys.iter().find(|k| k.id == key_id).ok_or(TokenError::Signature)?;
    // The clock is an input here, so the library must not read one.
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.validate_exp = false;
    rules.validate_aud = false;
    rules.set_issuer(&[ISSUER]);
    let claims = jsonwebtoken::decode::<Claims>(
        token,
        &DecodingKey::from_ed_der(&key.ed25519_public),
        &rules,
    )
    .map_err(|_| TokenError::Signature)?
    .claims;
    let now = now.seconds();
    if claims.exp <= now {
        return Err(TokenError::Expired(now.saturating_sub(claims.exp)));
    }
    if claims.iat > now.saturating_add(CLOCK_SKEW_SECONDS_MAX) {
        return Err(TokenError::NotYet);
    }
    Ok(VerifiedToken { claims })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    fn key_pair() -> (Vec<u8>, TokenKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).expect("a seed");
        let public =
            TokenKey { id: "t1".into(), ed25519_public: pair.public_key().as_ref().to_vec() };
        (pair.to_pkcs8().expect("pkcs8").as_ref().to_vec(), public)
    }

    fn token(lasts_seconds: i64) -> (String, TokenKey) {
        let (pkcs8, public) = key_pair();
        let id = "user:dana".parse().expect("id");
        let expires = Timestamp(NOW.0 + lasts_seconds * 1_000_000);
        (issue(&id, NOW, expires, "j", "t1", &pkcs8).expect("issued"), public)
    }

    #[test]
    fn a_token_names_its_principal_until_it_ends() {
        let (token, key) = token(60);
        let keys = [key];
        let seen = verify(&token, &keys, NOW).expect("verified");
        assert_eq!(seen.principal().to_string(), "user:dana");
        let later = Timestamp(NOW.0 + 61_000_000);
        assert_eq!(verify(&token, &keys, later), Err(TokenError::Expired(1)));
        let earlier = Timestamp(NOW.0 - 61_000_000);
        assert_eq!(verify(&token, &keys, earlier), Err(TokenError::NotYet));
    }

    #[test]
    fn what_nobody_signed_is_refused() {
        let (token, key) = token(60);
        let mut other = key.clone();
        other.ed25519_public[0] ^= 1;
        assert_eq!(verify(&token, &[other], NOW), Err(TokenError::Signature));
        assert_eq!(verify(&token, &[], NOW), Err(TokenError::Signature));
        let (head, rest) = token.split_once('.').expect("three parts");
        let (body, signature) = rest.split_once('.').expect("three parts");
        let swapped = format!("{head}.{}.{signature}", &body[..body.len() - 2]);
        assert_eq!(verify(&swapped, &[key.clone()], NOW), Err(TokenError::Signature));
        assert_eq!(verify("hunter2", &[key], NOW), Err(TokenError::Malformed));
    }
}
