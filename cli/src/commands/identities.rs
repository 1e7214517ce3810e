//! `writ identities`: users, services, agents and their groups.

use serde_json::{Value, json};
use writ_proto::v1;
use writ_proto::v1::command::Command;

use crate::args::Identities;
use crate::client;
use crate::failure::{Answer, Result};
use crate::output::rows;
use crate::settings::Settings;

use super::databases::done;
use super::passwords;

/// Runs one of them.
pub(crate) async fn run(settings: &Settings, command: Identities) -> Result<Answer> {
    let mut admin = client::connect(settings).await?;
    let (what, command) = match command {
        Identities::List => {
            let reply = admin.list_identities(v1::Empty {}).await?.into_inner();
            let list: Vec<Value> = reply.principals.into_iter().map(row).collect();
            let columns = [
                ("WHO", "id"),
                ("NAME", "display_name"),
                ("GROUPS", "groups"),
                ("ON BEHALF OF", "on_behalf_of"),
                ("DISABLED", "disabled"),
            ];
            rows(settings.format, &columns, &list, "nobody yet");
            return Ok(Answer::Done);
        }
        Identities::Add { id, name, groups, on_behalf_of } => {
            let display_name = if name.is_empty() { id.clone() } else { name };
            let principal = v1::Principal {
                id: id.clone(),
                display_name,
                groups,
                on_behalf_of,
                disabled: false,
            };
            let add = v1::AddPrincipal { principal: Some(principal) };
            (format!("{id} is added"), Command::AddPrincipal(add))
        }
        Identities::Disable { id } => (
            format!("{id} is disabled; what it and its agents were doing ends"),
            Command::DisablePrincipal(v1::DisablePrincipal { id }),
        ),
        Identities::Enable { id } => {
            (format!("{id} is enabled"), Command::EnablePrincipal(v1::EnablePrincipal { id }))
        }
        Identities::Groups { id, groups, none: _ } => {
            (format!("{id} has new groups"), Command::SetGroups(v1::SetGroups { id, groups }))
        }
        Identities::Password { command } => return passwords::run(settings, command).await,
    };
    done(settings, &what, client::submit(&mut admin, command).await?)
}

fn row(principal: v1::Principal) -> Value {
    let v1::Principal { id, display_name, groups, on_behalf_of, disabled } = principal;
    json!({
        "id": id, "display_name": display_name, "groups": groups,
        "on_behalf_of": on_behalf_of, "disabled": disabled,
    })
}
