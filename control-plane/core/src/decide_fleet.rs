//! Environments, databases, classifications, and the nodes that serve them.

use std::collections::BTreeSet;

use writ_model::config::{
    ClassificationSource, ColumnClassification, Database, Pooling, SHARED_CONNECTIONS_MAX,
    UpstreamTls,
};
use writ_model::role::ROLE_RULES_MAX;
use writ_model::{ColumnRef, DatabaseName, DurationMs, EdgeId, EnvironmentName, Tag, Timestamp};

use crate::command::{Command, Submission};
use crate::decide::{needs, needs_node, short};
use crate::event::{Event, EventHash, NodeKind};
use crate::refusal::Refusal;
use crate::state::State;
use crate::{GROUP_ADMINS, GROUP_DBA, decide_logins};

/// The most columns that are classified in one database.
pub const CLASSIFIED_COLUMNS_MAX: usize = 200_000;
/// The longest life of a join token.
pub const JOIN_TOKEN_VALID_MAX: DurationMs = DurationMs::from_seconds(7 * 24 * 60 * 60);
/// The most names in one node's certificate.
pub const HOST_NAMES_MAX: usize = 32;
/// The longest host name in one node's certificate, in bytes.
pub const HOST_NAME_BYTES_MAX: usize = 253;
/// The most databases.
pub const DATABASES_MAX: usize = 10_000;

pub(crate) fn decide(state: &State, submission: &Submission) -> Result<Vec<Event>, Refusal> {
    let actor = &submission.actor;
    match &submission.command {
        Command::ReportClassification { database, columns } => {
            let (_, node) = needs_node(state, actor)?;
            report_classification(state, node.environment.as_ref(), database, columns)
        }
        Command::OverrideClassification { database, column, tag, reason } => {
            needs(state, actor, &[GROUP_ADMINS, GROUP_DBA])?;
            override_classification(state, database, column, tag.as_ref(), reason)
        }
        Command::Enroll { .. } => enroll(state, submission),
        Command::RenewNode { certificate_expires_at } => {
            let (name, _) = needs_node(state, actor)?;
            let certificate_expires_at = *certificate_expires_at;
            Ok(vec![Event::NodeRenewed { name: name.clone(), certificate_expires_at }])
        }
        other => {
            needs(state, actor, &[GROUP_ADMINS])?;
            administer(state, other, submission.at)
        }
    }
}

fn administer(state: &State, command: &Command, at: Timestamp) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::SetEnvironment { environment } => {
            decide_logins::check(&environment.logins)?;
            if state.environments.get(&environment.name) == Some(environment) {
                return Ok(Vec::new());
            }
            Ok(vec![Event::EnvironmentSet { environment: environment.clone() }])
        }
        Command::SetDatabase { database } => set_database(state, database),
        Command::RemoveDatabase { name } => {
            known_database(state, name)?;
            Ok(vec![Event::DatabaseRemoved { name: name.clone() }])
        }
        Command::IssueJoinToken { hash, kind, environment, expires_at } => {
            issue_join_token(state, *hash, *kind, environment.as_ref(), *expires_at, at)
        }
        Command::RemoveNode { name } => {
            if !state.nodes.contains_key(name) {
                return Err(Refusal::NotFound {
                    what: "node",
                    name: name.to_string(),
                    list: "writ edges list",
                });
            }
            Ok(vec![Event::NodeRemoved { name: name.clone() }])
        }
        _ => Err(Refusal::Invalid("this command is not for administrators".to_owned())),
    }
}

fn known_environment(state: &State, name: &EnvironmentName) -> Result<(), Refusal> {
    if state.environments.contains_key(name) {
        return Ok(());
    }
    Err(Refusal::NotFound {
        what: "environment",
        name: name.to_string(),
        list: "writ databases environments",
    })
}

pub(crate) fn known_database<'s>(
    state: &'s State,
    name: &DatabaseName,
) -> Result<&'s Database, Refusal> {
    state.databases.get(name).ok_or_else(|| Refusal::NotFound {
        what: "database",
        name: name.to_string(),
        list: "writ databases list",
    })
}

fn set_database(state: &State, database: &Database) -> Result<Vec<Event>, Refusal> {
    short("the owner", &database.owner)?;
    known_environment(state, &database.environment)?;
    if database.host.is_empty() || database.port == 0 || database.dbname.is_empty() {
        return Err(Refusal::Invalid(format!(
            "database {} needs a host, a port and the database's name at the server",
            database.name
        )));
    }
    if let Err(reason) = database.servers() {
        let name = &database.name;
        return Err(Refusal::Invalid(format!("the host of database {name}: {reason}")));
    }
    if database.roles.len() > ROLE_RULES_MAX {
        return Err(Refusal::Invalid(format!(
            "database {} has {} rules of roles, more than {ROLE_RULES_MAX}; name groups instead of people",
            database.name,
            database.roles.len()
        )));
    }
    if database.client_certificate.is_some() && database.tls == UpstreamTls::Disable {
        return Err(Refusal::Invalid(format!(
            "database {} has a client certificate and no TLS to show it in; set --tls verify-full",
            database.name
        )));
    }
    if let Pooling::Transaction { connections_max } = database.pooling
        && !(1..=SHARED_CONNECTIONS_MAX).contains(&connections_max)
    {
        return Err(Refusal::Invalid(format!(
            "sessions of database {} can share 1 to {SHARED_CONNECTIONS_MAX} connections, not {connections_max}",
            database.name
        )));
    }
    match state.databases.get(&database.name) {
        Some(known) if known == database => return Ok(Vec::new()),
        Some(known) if known.environment != database.environment => {
            return Err(Refusal::Conflict(format!(
                "database {} is in environment {}; remove it there first",
                database.name, known.environment
            )));
        }
        None if state.databases.len() >= DATABASES_MAX => {
            return Err(Refusal::Conflict(format!(
                "there are {DATABASES_MAX} databases, the most"
            )));
        }
        _ => {}
    }
    Ok(vec![Event::DatabaseSet { database: database.clone() }])
}

fn report_classification(
    state: &State,
    environment: Option<&EnvironmentName>,
    name: &DatabaseName,
    columns: &[ColumnClassification],
) -> Result<Vec<Event>, Refusal> {
    let database = known_database(state, name)?;
    if environment != Some(&database.environment) {
        return Err(Refusal::Forbidden {
            actor: "this edge".to_owned(),
            needs: format!("environment {}", database.environment),
        });
    }
    if columns.len() > CLASSIFIED_COLUMNS_MAX {
        return Err(Refusal::Invalid(format!(
            "at most {CLASSIFIED_COLUMNS_MAX} columns of a database are classified, not {}",
            columns.len()
        )));
    }
    if columns.iter().any(|c| c.source != ClassificationSource::Detected) {
        return Err(Refusal::Invalid("an edge reports what it detected, no overrides".to_owned()));
    }
    let mut columns = columns.to_vec();
    columns.sort_by(|a, b| a.column.cmp(&b.column));
    columns.dedup_by(|a, b| a.column == b.column);
    // A report that says nothing new must not make a new epoch: edges report again and again.
    if state.classifications.get(name).is_some_and(|known| known.detected == columns) {
        return Ok(Vec::new());
    }
    Ok(vec![Event::ClassificationDetected { database: name.clone(), columns }])
}

fn override_classification(
    state: &State,
    database: &DatabaseName,
    column: &ColumnRef,
    tag: Option<&Tag>,
    reason: &str,
) -> Result<Vec<Event>, Refusal> {
    short("the reason", reason)?;
    known_database(state, database)?;
    let classification = ColumnClassification {
        column: column.clone(),
        tag: tag.cloned(),
        confidence_percent: 100,
        reason: reason.to_owned(),
        source: ClassificationSource::Override,
    };
    let known = state.classifications.get(database);
    if known.is_some_and(|known| known.overrides.contains(&classification)) {
        return Ok(Vec::new());
    }
    if known.is_some_and(|known| known.overrides.len() >= CLASSIFIED_COLUMNS_MAX) {
        return Err(Refusal::Conflict(format!(
            "{CLASSIFIED_COLUMNS_MAX} columns of {database} are overridden, the most"
        )));
    }
    Ok(vec![Event::ClassificationOverridden { database: database.clone(), classification }])
}

fn place(kind: NodeKind, environment: Option<&EnvironmentName>) -> Result<(), Refusal> {
    match (kind, environment) {
        (NodeKind::Edge, None) => {
            Err(Refusal::Invalid("an edge serves one environment; name it".to_owned()))
        }
        (NodeKind::Lake, Some(_)) => {
            Err(Refusal::Invalid("a lake serves all environments; name none".to_owned()))
        }
        _ => Ok(()),
    }
}

fn issue_join_token(
    state: &State,
    hash: EventHash,
    kind: NodeKind,
    environment: Option<&EnvironmentName>,
    expires_at: Timestamp,
    at: Timestamp,
) -> Result<Vec<Event>, Refusal> {
    place(kind, environment)?;
    if let Some(environment) = environment {
        known_environment(state, environment)?;
    }
    if expires_at > at.plus(JOIN_TOKEN_VALID_MAX) {
        return Err(Refusal::Invalid("a join token is valid for at most 7 days".to_owned()));
    }
    let environment = environment.cloned();
    Ok(vec![Event::JoinTokenIssued { hash, kind, environment, expires_at }])
}

fn enroll(state: &State, submission: &Submission) -> Result<Vec<Event>, Refusal> {
    let Command::Enroll { token_hash, name, kind, environment, host_names, certificate_expires_at } =
        &submission.command
    else {
        return Err(Refusal::Invalid("not an enrolment".to_owned()));
    };
    let token = state
        .join_tokens
        .get(token_hash)
        .ok_or(Refusal::JoinToken("is not known or was used already"))?;
    if token.expires_at <= submission.at {
        return Err(Refusal::JoinToken("has expired"));
    }
    if token.kind != *kind || token.environment != *environment {
        return Err(Refusal::JoinToken("is for another kind of node or another environment"));
    }
    let distinct: BTreeSet<&String> = host_names.iter().collect();
    if distinct.is_empty() || distinct.len() > HOST_NAMES_MAX {
        return Err(Refusal::Invalid(format!("a node serves under 1 to {HOST_NAMES_MAX} names")));
    }
    let odd = |name: &&&String| name.contains('*') || name.len() > HOST_NAME_BYTES_MAX;
    if let Some(name) = distinct.iter().find(odd) {
        return Err(Refusal::Invalid(format!(
            "`{name}` is not a host name for a node: no wildcards, at most {HOST_NAME_BYTES_MAX} bytes"
        )));
    }
    same_place(state, name, *kind, environment.as_ref())?;
    Ok(vec![
        Event::JoinTokenUsed { hash: *token_hash },
        Event::NodeEnrolled {
            name: name.clone(),
            kind: *kind,
            environment: environment.clone(),
            host_names: host_names.clone(),
            certificate_expires_at: *certificate_expires_at,
        },
    ])
}

/// A node that lost its disk may enrol again, but not as something else.
fn same_place(
    state: &State,
    name: &EdgeId,
    kind: NodeKind,
    environment: Option<&EnvironmentName>,
) -> Result<(), Refusal> {
    match state.nodes.get(name) {
        Some(known) if known.kind != kind || known.environment.as_ref() != environment => {
            Err(Refusal::Conflict(format!(
                "{name} is enrolled elsewhere; remove it with `writ edges remove {name}` first"
            )))
        }
        _ => Ok(()),
    }
}
