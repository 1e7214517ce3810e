//! `writ databases`: targets and their classification.

use std::collections::HashMap;

use serde_json::{Value, json};
use writ_proto::v1;
use writ_proto::v1::command::Command;

use crate::args::{AddDatabase, Databases, Pooling, Tls};
use crate::client;
use crate::failure::{Answer, Failure, Result};
use crate::output::{rows, sentence};
use crate::settings::Settings;

/// Says what happened, and under which epoch it holds.
pub(crate) fn done(settings: &Settings, what: &str, reply: v1::SubmitReply) -> Result<Answer> {
    let v1::SubmitReply { first_event, last_event, epoch } = reply;
    let value = json!({ "first_event": first_event, "last_event": last_event, "epoch": epoch });
    let text = match first_event {
        0 => format!("nothing changed (epoch {epoch})"),
        _ => format!("{what} (epoch {epoch})"),
    };
    sentence(settings.format, &text, &value);
    Ok(Answer::Done)
}

/// Runs `writ databases …`.
pub(crate) async fn run(settings: &Settings, command: Databases) -> Result<Answer> {
    match command {
        Databases::List => list(settings).await,
        Databases::Add(add) => {
            let what = format!("{} is added; its edge now looks at its columns", add.name);
            let command = database(add)?;
            let mut admin = client::connect(settings).await?;
            done(settings, &what, client::submit(&mut admin, command).await?)
        }
        Databases::Remove { name } => {
            let what = format!("{name} is removed");
            let mut admin = client::connect(settings).await?;
            let command = Command::RemoveDatabase(v1::RemoveDatabase { name });
            done(settings, &what, client::submit(&mut admin, command).await?)
        }
        Databases::Classify { name, column: None, all, .. } => {
            show(settings, name, None, all).await
        }
        Databases::Classify { name, column: Some(column), set: None, harmless: false, .. } => {
            show(settings, name, Some(column), true).await
        }
        Databases::Classify { name, column: Some(column), set, reason, .. } => {
            let tag = set.unwrap_or_default();
            let what = match tag.as_str() {
                "" => format!("{column} is harmless"),
                tag => format!("{column} holds {tag}"),
            };
            let command = classification(name, &column, tag, reason)?;
            let mut admin = client::connect(settings).await?;
            done(settings, &what, client::submit(&mut admin, command).await?)
        }
    }
}

async fn list(settings: &Settings) -> Result<Answer> {
    let reply = client::connect(settings).await?.list_databases(v1::Empty {}).await?.into_inner();
    let list: Vec<Value> = reply.databases.into_iter().map(row).collect();
    let columns = [
        ("DATABASE", "name"),
        ("ENVIRONMENT", "environment"),
        ("OWNER", "owner"),
        ("AT", "at"),
        ("ROLE", "username"),
        ("TLS", "tls"),
    ];
    rows(settings.format, &columns, &list, "no databases yet; add one with `writ databases add`");
    Ok(Answer::Done)
}

fn row(database: v1::Database) -> Value {
    let tls = match database.tls() {
        v1::UpstreamTls::Disable => "disable",
        v1::UpstreamTls::Require => "require",
        v1::UpstreamTls::VerifyFull => "verify-full",
        v1::UpstreamTls::Unspecified => "unknown",
    };
    let v1::Database {
        name,
        environment,
        owner,
        tags,
        host,
        port,
        dbname,
        username,
        credential: _,
        tls: _,
        shared_connections,
        target_session_attrs,
        label,
        client_certificate: _,
        roles,
    } = database;
    let pooling = if shared_connections == 0 { "session" } else { "transaction" };
    json!({
        "name": name, "environment": environment, "owner": owner, "tags": tags, "host": host,
        "port": port, "dbname": dbname, "username": username, "tls": tls,
        "pooling": pooling, "shared_connections": shared_connections,
        "target_session_attrs": target_session_attrs, "label": label, "roles": roles,
        "at": if host.contains([',', ':']) { format!("{host}/{dbname}") } else { format!("{host}:{port}/{dbname}") },
    })
}

fn database(add: AddDatabase) -> Result<Command> {
    let from = match (add.password_file, add.password_variable, add.password_vault) {
        (Some(path), _, _) => v1::credential_ref::From::File(path),
        (None, Some(name), _) => v1::credential_ref::From::Variable(name),
        (None, None, Some(reference)) => v1::credential_ref::From::Vault(reference.to_string()),
        (None, None, None) => v1::credential_ref::From::None(true),
    };
    let certificate = add.client_certificate_file.zip(add.client_key_file);
    let tls = match add.tls {
        Tls::Disable => v1::UpstreamTls::Disable,
        Tls::Require => v1::UpstreamTls::Require,
        Tls::VerifyFull => v1::UpstreamTls::VerifyFull,
    };
    let database = v1::Database {
        dbname: add.dbname.unwrap_or_else(|| add.name.clone()),
        name: add.name,
        environment: add.environment,
        owner: add.owner,
        tags: tags(&add.tags)?,
        host: add.host,
        port: add.port.into(),
        username: add.username,
        credential: Some(v1::CredentialRef { from: Some(from) }),
        tls: tls.into(),
        shared_connections: match add.pooling {
            Pooling::Session => 0,
            Pooling::Transaction => add.connections_max.into(),
        },
        target_session_attrs: add.target_session_attrs.to_string(),
        label: add.label.to_string(),
        roles: add.roles.iter().map(ToString::to_string).collect(),
        client_certificate: certificate.map(|(certificate_file, key_file)| v1::ClientCertificate {
            certificate_file,
            key_file,
        }),
    };
    Ok(Command::AddDatabase(v1::AddDatabase { database: Some(database) }))
}

fn tags(texts: &[String]) -> Result<HashMap<String, String>> {
    let pair = |text: &String| {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("`{text}` is not a tag; write NAME=VALUE")))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    texts.iter().map(pair).collect()
}

async fn show(
    settings: &Settings,
    name: String,
    only: Option<String>,
    all: bool,
) -> Result<Answer> {
    let request = v1::ShowClassificationRequest { database: name };
    let reply = client::connect(settings).await?.show_classification(request).await?.into_inner();
    let wanted = |value: &Value| match &only {
        Some(column) => value["column"] == json!(column),
        None => all || value["holds"] != json!("harmless"),
    };
    let list: Vec<Value> = reply.columns.into_iter().map(column_row).filter(wanted).collect();
    let columns = [
        ("COLUMN", "column"),
        ("HOLDS", "holds"),
        ("SURE", "confidence"),
        ("SAID BY", "source"),
        ("WHY", "reason"),
    ];
    rows(settings.format, &columns, &list, "no such columns yet");
    let found = only.is_none() || !list.is_empty();
    Ok(if found { Answer::Done } else { Answer::No })
}

fn column_row(column: v1::ColumnClassification) -> Value {
    let source = match column.source() {
        v1::ClassificationSource::Override => "a person",
        _ => "detection",
    };
    let v1::ColumnClassification {
        schema,
        relation,
        column,
        tag,
        confidence_percent,
        reason,
        source: _,
    } = column;
    json!({
        "column": format!("{schema}.{relation}.{column}"),
        "holds": if tag.is_empty() { "harmless" } else { tag.as_str() },
        "confidence": format!("{confidence_percent} %"),
        "source": source,
        "reason": reason,
    })
}

fn classification(database: String, column: &str, tag: String, reason: String) -> Result<Command> {
    let parts: Vec<&str> = column.splitn(3, '.').collect();
    let [schema, relation, column] = parts[..] else {
        return Err(Failure::usage(format!(
            "`{column}` is not a column; write schema.table.column"
        )));
    };
    let (schema, relation, column) = (schema.to_owned(), relation.to_owned(), column.to_owned());
    let said = v1::OverrideClassification { database, schema, relation, column, tag, reason };
    Ok(Command::OverrideClassification(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_three_parts() {
        assert!(
            classification("shop".into(), "public.customers.ssn", "pii.ssn".into(), String::new())
                .is_ok()
        );
        let error = classification("shop".into(), "customers.ssn", String::new(), String::new());
        assert_eq!(error.expect_err("two parts").code(), 2);
    }

    #[test]
    fn tags_are_pairs() {
        assert_eq!(tags(&["tier=1".into()]).expect("a tag")["tier"], "1");
        assert!(tags(&["tier".into()]).is_err());
    }
}
