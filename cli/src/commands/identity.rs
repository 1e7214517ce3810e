//! Who I am: login, whoami, connect, token issue.

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;

use serde_json::json;
use writ_proto::v1;

use crate::args::{Connect, Login, Token};
use crate::client;
use crate::failure::{Answer, Failure, Result, file};
use crate::output::{Format, distance, moment, now_micros, object, sentence};
use crate::settings::{Settings, Stored, stored_path, write_private};

/// Keeps the token (pasted, or from `--token`) once the control plane has accepted it.
pub(crate) async fn login(settings: &Settings, login: &Login) -> Result<Answer> {
    let path = stored_path()
        .ok_or_else(|| Failure::usage("set HOME, so that the token can be kept there"))?;
    if login.forget {
        return match std::fs::remove_file(&path) {
            Ok(()) => Ok(Answer::Done),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Answer::Done),
            Err(error) => Err(file(&path, error)),
        };
    }
    let token = match settings.token() {
        Ok(token) => token.to_owned(),
        Err(_) => paste()?,
    };
    let ca = std::path::absolute(settings.ca()?).map_err(|error| file(&path, error))?;
    let settings = Settings::of(settings.control_plane()?.to_owned(), ca.clone(), token.clone());
    let me = client::connect(&settings).await?.who_am_i(v1::Empty {}).await?.into_inner();
    let stored = Stored {
        control_plane: Some(settings.control_plane()?.to_owned()),
        ca: Some(ca),
        token: Some(token),
    };
    let text = toml::to_string(&stored).map_err(|error| Failure::no(error.to_string()))?;
    write_private(&path, &text)?;
    let name = me.principal.map(|p| p.id).unwrap_or_default();
    crate::output::say!(
        "You are {name}. The token lasts until {}.",
        moment(me.token_expires_at_micros)
    );
    Ok(Answer::Done)
}

fn paste() -> Result<String> {
    if std::io::stdin().is_terminal() {
        eprint!("Paste your token: ");
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Failure::usage(error.to_string()))?;
    match line.trim() {
        "" => Err(Failure::usage("no token; paste one, or give --token")),
        token => Ok(token.to_owned()),
    }
}

/// Prints the principal behind the token.
pub(crate) async fn whoami(settings: &Settings) -> Result<Answer> {
    let me = client::connect(settings).await?.who_am_i(v1::Empty {}).await?.into_inner();
    let principal = me.principal.unwrap_or_default();
    let ends = me.token_expires_at_micros;
    let mut value = json!({
        "principal": principal.id,
        "display_name": principal.display_name,
        "groups": principal.groups,
        "on_behalf_of": me.on_behalf_of,
        "token_expires_at": moment(ends),
    });
    if settings.format == Format::Table {
        value["token_expires_at"] =
            json!(format!("{} ({})", moment(ends), distance(ends, now_micros())));
    }
    let fields = [
        ("You are", "principal"),
        ("Name", "display_name"),
        ("On behalf of", "on_behalf_of"),
        ("Groups", "groups"),
        ("Token ends", "token_expires_at"),
    ];
    object(settings.format, &fields, &value);
    Ok(Answer::Done)
}

/// Becomes psql.
pub(crate) fn connect(settings: &Settings, connect: &Connect) -> Result<Answer> {
    let (host, port) = connect
        .edge
        .rsplit_once(':')
        .ok_or_else(|| Failure::usage("the edge is HOST:PORT, such as edge.example.org:5432"))?;
    let error = std::process::Command::new("psql")
        .env("PGHOST", host)
        .env("PGPORT", port)
        .env("PGUSER", name(&settings.token_subject()?))
        .env("PGDATABASE", &connect.database)
        .env("PGPASSWORD", settings.token()?)
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", settings.ca()?)
        .args(&connect.psql)
        .exec();
    Err(Failure::no(format!("psql cannot be run: {error}; install it (Debian: postgresql-client)")))
}

/// A principal's name without its kind: so it is asked for its token.
fn name(principal: &str) -> &str {
    principal.split_once(':').map_or(principal, |(_, name)| name)
}

/// Issues a token and prints it alone on its line, so that it can be captured.
pub(crate) async fn token(settings: &Settings, command: &Token) -> Result<Answer> {
    let Token::Issue { principal, valid } = command;
    let request = v1::IssueTokenRequest {
        principal: principal.clone().unwrap_or_default(),
        valid_ms: valid.unwrap_or(0),
    };
    let reply = client::connect(settings).await?.issue_token(request).await?.into_inner();
    let value = json!({ "token": reply.token, "expires_at": moment(reply.expires_at_micros) });
    sentence(settings.format, &reply.token, &value);
    Ok(Answer::Done)
}
