//! `writ environments`: where databases live, and how clients prove who they are there.

use std::path::Path;

use writ_proto::v1;
use writ_proto::v1::command::Command;

use crate::args::{AddEnvironment, ClientNames, Environments, Stale};
use crate::client;
use crate::failure::{Answer, Result, file};
use crate::settings::Settings;

use super::databases::done;

/// Runs one of them.
pub(crate) async fn run(settings: &Settings, command: Environments) -> Result<Answer> {
    let Environments::Add(add) = command;
    let AddEnvironment {
        name,
        staleness_max,
        when_stale,
        client_ca,
        client_names,
        oauth_issuer,
        oauth_scope,
    } = add;
    let what = format!("environment {name} is added");
    let logins = v1::Logins {
        certificates: client_ca.map(|path| certificates(&path, client_names)).transpose()?,
        oauth: oauth_issuer.map(|url| v1::OauthIssuer { url, scope: oauth_scope }),
    };
    let environment = environment(name, staleness_max, when_stale, logins);
    let mut admin = client::connect(settings).await?;
    done(settings, &what, client::submit(&mut admin, environment).await?)
}

fn certificates(path: &Path, names: ClientNames) -> Result<v1::ClientCertificates> {
    let names = match names {
        ClientNames::Uri => v1::CertificateNames::Uri,
        ClientNames::UriOrCommonName => v1::CertificateNames::UriOrCommonName,
    };
    let ca_pem = std::fs::read_to_string(path).map_err(|error| file(path, error))?;
    Ok(v1::ClientCertificates { ca_pem, names: names.into() })
}

/// The command that adds an environment.
pub(crate) fn environment(
    name: String,
    staleness_max_ms: u64,
    when_stale: Stale,
    logins: v1::Logins,
) -> Command {
    let when_stale = match when_stale {
        Stale::Refuse => v1::WhenStale::Refuse,
        Stale::ReadOnly => v1::WhenStale::ReadOnly,
        Stale::GoOn => v1::WhenStale::GoOn,
    };
    let when_stale = when_stale.into();
    let logins = Some(logins);
    let environment = v1::Environment { name, staleness_max_ms, when_stale, logins };
    Command::AddEnvironment(v1::AddEnvironment { environment: Some(environment) })
}
