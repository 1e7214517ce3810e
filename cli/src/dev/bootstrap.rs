//! What a fresh control plane is told: the environment, the sample people and the database. Saying it again changes
//! nothing.

use std::collections::HashMap;
use std::path::Path;

use writ_proto::v1;
use writ_proto::v1::command::Command;

use super::files::Choices;
use super::postgres::Postgres;
use crate::args::Stale;
use crate::client::{Admin, submit};
use crate::commands::environments::environment;
use crate::failure::{Failure, Result};
use crate::lake_client::Target;
use crate::settings::write_private;

/// The environment of everything in `writ dev`: the one where the default guardrails are strictest.
pub(super) const ENVIRONMENT: &str = "prod";
/// How old the edge's configuration may get, in milliseconds: a day without a control plane is no problem here.
const STALENESS_MAX_MS: u64 = 24 * 3_600 * 1_000;
/// How long a join token is good for, in milliseconds.
const JOIN_VALID_MS: u64 = 10 * 60 * 1_000;
/// How long the sample principals' tokens last, in milliseconds.
const TOKEN_VALID_MS: u64 = 12 * 3_600 * 1_000;

/// A sample principal.
pub(super) struct Sample {
    /// Its name in `dev.env`.
    pub(super) role: &'static str,
    pub(super) id: &'static str,
    display_name: &'static str,
    groups: &'static [&'static str],
    on_behalf_of: &'static str,
}

/// The sample principals, in the order they are added: an agent after the person behind it.
pub(super) const SAMPLES: [Sample; 6] = [
    sample("DEVELOPER", "user:dana", "Dana (developer)", &["developers"], ""),
    sample("ADMIN", "user:ada", "Ada (administrator)", &["admins"], ""),
    sample("DBA1", "user:dbora", "Dbora (DBA)", &["dba"], ""),
    sample("DBA2", "user:dboris", "Dboris (DBA)", &["dba"], ""),
    sample("AUDITOR", "user:audrey", "Audrey (auditor)", &["auditors"], ""),
    sample("AGENT", "agent:copilot", "Copilot, for Dana", &["agents"], "user:dana"),
];

const fn sample(
    role: &'static str,
    id: &'static str,
    display_name: &'static str,
    groups: &'static [&'static str],
    on_behalf_of: &'static str,
) -> Sample {
    Sample { role, id, display_name, groups, on_behalf_of }
}

/// Adds what is missing; gives the database's name.
pub(super) async fn run(admin: &mut Admin, dir: &Path, choices: &Choices) -> Result<String> {
    let database = database(dir, choices)?;
    let name = database.name.clone();
    let known = admin.list_databases(v1::Empty {}).await?.into_inner().databases;
    if known.iter().all(|d| d.environment != ENVIRONMENT) {
        let logins = v1::Logins::default();
        let name = ENVIRONMENT.to_owned();
        ensure(admin, environment(name, STALENESS_MAX_MS, Stale::ReadOnly, logins)).await?;
    }
    let people = admin.list_identities(v1::Empty {}).await?.into_inner().principals;
    for sample in &SAMPLES {
        if people.iter().all(|p| p.id != sample.id) {
            submit(admin, add(sample)).await?;
        }
    }
    if known.iter().all(|d| d.name != name) {
        submit(admin, Command::AddDatabase(v1::AddDatabase { database: Some(database) })).await?;
    }
    Ok(name)
}

/// Submits what may have been said before a kill: that it is there already is fine.
async fn ensure(admin: &mut Admin, command: Command) -> Result<()> {
    match admin.submit(v1::Command { command: Some(command) }).await {
        Ok(_) => Ok(()),
        Err(status)
            if matches!(
                status.code(),
                tonic::Code::AlreadyExists | tonic::Code::FailedPrecondition
            ) =>
        {
            Ok(())
        }
        Err(status) => Err(status.into()),
    }
}

fn add(sample: &Sample) -> Command {
    let principal = v1::Principal {
        id: sample.id.to_owned(),
        display_name: sample.display_name.to_owned(),
        groups: sample.groups.iter().map(|g| (*g).to_owned()).collect(),
        on_behalf_of: sample.on_behalf_of.to_owned(),
        disabled: false,
    };
    Command::AddPrincipal(v1::AddPrincipal { principal: Some(principal) })
}

fn database(dir: &Path, choices: &Choices) -> Result<v1::Database> {
    let (target, password_file, tls) = match &choices.database_url {
        None => {
            let postgres = Postgres::new(dir, choices);
            (postgres.direct()?, postgres.password_file(), v1::UpstreamTls::Disable)
        }
        Some(url) => {
            let (target, tls) = theirs(url)?;
            let password_file = dir.join("secrets/database.password");
            write_private(&password_file, &target.password)?;
            (target, password_file, tls)
        }
    };
    let from = v1::credential_ref::From::File(password_file.display().to_string());
    Ok(v1::Database {
        name: target.dbname.clone(),
        environment: ENVIRONMENT.to_owned(),
        owner: "dba".to_owned(),
        tags: HashMap::new(),
        host: target.host,
        port: target.port.into(),
        dbname: target.dbname,
        username: target.user,
        credential: Some(v1::CredentialRef { from: Some(from) }),
        tls: tls.into(),
        shared_connections: 0,
        target_session_attrs: String::new(),
        label: String::new(),
        client_certificate: None,
        roles: Vec::new(),
    })
}

/// Somebody's own database: its URL as libpq reads it, with the TLS that it asks for.
fn theirs(url: &str) -> Result<(Target, v1::UpstreamTls)> {
    let parsed = url::Url::parse(url).map_err(|_| {
        Failure::usage(
            "--database-url cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/DB",
        )
    })?;
    let mode = parsed.query_pairs().find(|(key, _)| key == "sslmode").map(|(_, v)| v.into_owned());
    let tls = match mode.as_deref() {
        Some("verify-full") => v1::UpstreamTls::VerifyFull,
        Some("require" | "verify-ca") => v1::UpstreamTls::Require,
        _ => v1::UpstreamTls::Disable,
    };
    let mut plain = parsed;
    plain.set_query(Some("sslmode=disable"));
    Ok((Target::parse(plain.as_str())?, tls))
}

/// A join token for one node.
pub(super) async fn join_token(admin: &mut Admin, kind: v1::NodeKind) -> Result<String> {
    let environment =
        if kind == v1::NodeKind::Edge { ENVIRONMENT.to_owned() } else { String::new() };
    let request =
        v1::IssueJoinTokenRequest { kind: kind.into(), environment, valid_ms: JOIN_VALID_MS };
    Ok(admin.issue_join_token(request).await?.into_inner().join_token)
}

/// A token for each sample principal, in the order of [`SAMPLES`].
pub(super) async fn tokens(admin: &mut Admin) -> Result<Vec<String>> {
    let mut tokens = Vec::new();
    for sample in &SAMPLES {
        let request =
            v1::IssueTokenRequest { principal: sample.id.to_owned(), valid_ms: TOKEN_VALID_MS };
        tokens.push(admin.issue_token(request).await?.into_inner().token);
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_which_tls_it_wants() {
        let tls =
            |query: &str| theirs(&format!("postgresql://u:p@h:1/d{query}")).map(|(_, tls)| tls);
        assert_eq!(tls("").expect("a URL"), v1::UpstreamTls::Disable);
        assert_eq!(tls("?sslmode=require").expect("a URL"), v1::UpstreamTls::Require);
        assert_eq!(tls("?sslmode=verify-full").expect("a URL"), v1::UpstreamTls::VerifyFull);
        assert!(theirs("nonsense").is_err());
    }
}
