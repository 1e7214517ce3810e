//! What the edge logs in with: read where the database's `credential` points, and read again where it turns out wrong.

use std::sync::Arc;

use writ_model::Secret;
use writ_model::config::{CredentialRef, Database};

use super::error::ConnectError;
use super::vault::Vault;

/// A database, and what its credential may have to be asked of.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The database.
    pub database: &'a Database,
    /// The Vault, where there is one.
    pub vault: Option<&'a Arc<Vault>>,
}

impl<'a> From<&'a Database> for Target<'a> {
    fn from(database: &'a Database) -> Self {
        Self { database, vault: None }
    }
}

/// What one login used.
#[derive(Debug, Default)]
pub(super) struct Used {
    password: Option<Secret<String>>,
    /// The certificate's file as it was.
    pub(super) certificate: Option<Vec<u8>>,
}

impl Used {
    /// Reads the password, and notes which it was.
    pub(super) async fn password(
        &mut self,
        target: Target<'_>,
    ) -> Result<Secret<String>, ConnectError> {
        let password = password(target, false).await?;
        self.password = Some(password.clone());
        Ok(password)
    }

    /// Whether there is something else to try by now: everything is read again, and what was is what the next login uses.
    pub(super) async fn is_outdated(&self, target: Target<'_>) -> bool {
        if let Some(used) = &self.password
            && let Ok(now) = password(target, true).await
            && now != *used
        {
            return true;
        }
        let Some(used) = &self.certificate else { return false };
        let Some(certificate) = &target.database.client_certificate else { return false };
        tokio::fs::read(&certificate.certificate_file).await.is_ok_and(|now| now != *used)
    }
}

/// Reads the password from where the database's `credential` points; `again`: not one that was read before.
async fn password(target: Target<'_>, again: bool) -> Result<Secret<String>, ConnectError> {
    let Target { database, vault } = target;
    let (place, found) = match &database.credential {
        CredentialRef::File(name) => {
            let read = tokio::fs::read_to_string(name).await;
            let read = read.map(|text| Secret::new(text.trim().to_owned()));
            (format!("file {name}"), read.map_err(|error| format!("cannot be read ({error})")))
        }
        CredentialRef::Variable(name) => {
            let read = std::env::var(name).map(|text| Secret::new(text.trim().to_owned()));
            (format!("variable {name}"), read.map_err(|_| "is not set, or not UTF-8".to_owned()))
        }
        CredentialRef::Vault(reference) => {
            let read = match vault {
                Some(vault) => vault.secret(reference, again).await,
                None => {
                    Err("cannot be asked: the edge's configuration has no vault_address".into())
                }
            };
            (format!("the vault of {reference}"), read)
        }
        CredentialRef::None => {
            ("the server asks for one and".to_owned(), Err("the credential is `none`".to_owned()))
        }
    };
    let missing =
        |reason| ConnectError::CredentialMissing { role: database.username.clone(), place, reason };
    match found {
        Ok(secret) if secret.expose().is_empty() => Err(missing("is empty".to_owned())),
        Ok(secret) => Ok(secret),
        Err(reason) => Err(missing(reason)),
    }
}

#[cfg(test)]
mod tests;
