//! `writ cluster`: the control plane's nodes and its event log.

use serde_json::{Value, json};
use tokio_stream::StreamExt;
use writ_proto::v1;

use crate::args::Cluster;
use crate::client;
use crate::failure::{Answer, Result};
use crate::output::{Format, moment, object, rows};
use crate::settings::Settings;

/// Runs one of them.
pub(crate) async fn run(settings: &Settings, command: Cluster) -> Result<Answer> {
    match command {
        Cluster::Status => status(settings).await,
        Cluster::Events { from, follow } => events(settings, from, follow).await,
    }
}

async fn status(settings: &Settings) -> Result<Answer> {
    let reply = client::connect(settings).await?.cluster_status(v1::Empty {}).await?.into_inner();
    let member = |m: v1::Member| {
        let role = if m.voter { "voter" } else { "learner" };
        json!({ "id": m.id, "address": m.address, "role": role })
    };
    let members: Vec<Value> = reply.members.into_iter().map(member).collect();
    let value = json!({
        "node": reply.node, "leader": reply.leader, "term": reply.term, "epoch": reply.epoch,
        "last_applied": reply.last_applied, "last_event": reply.last_event,
        "last_event_hash": hex::encode(&reply.last_event_hash), "members": members,
    });
    let fields = [
        ("Node", "node"),
        ("Leader", "leader"),
        ("Term", "term"),
        ("Epoch", "epoch"),
        ("Last event", "last_event"),
        ("Its hash", "last_event_hash"),
    ];
    object(settings.format, &fields, &value);
    if settings.format == Format::Table {
        crate::output::say!("");
        rows(
            settings.format,
            &[("MEMBER", "id"), ("ADDRESS", "address"), ("ROLE", "role")],
            &members,
            "no members",
        );
    }
    // A cluster without a leader can do nothing: the answer is no.
    Ok(if reply.leader == 0 { Answer::No } else { Answer::Done })
}

/// One line each, so that following and piping work; `--json` gives one JSON object a line.
async fn events(settings: &Settings, from: u64, follow: bool) -> Result<Answer> {
    let request = v1::ListEventsRequest { from, follow };
    let mut events = client::connect(settings).await?.list_events(request).await?.into_inner();
    while let Some(event) = events.next().await {
        let event = row(event?);
        match settings.format {
            Format::Json => crate::output::say!("{event}"),
            Format::Table => {
                let word = |key: &str| crate::output::text(event.get(key));
                crate::output::say!(
                    "{:>6}  {}  {:<20} {:<24} {}",
                    word("seq"),
                    word("at"),
                    word("actor"),
                    word("kind"),
                    event["payload"]
                );
            }
        }
    }
    Ok(Answer::Done)
}

fn row(event: v1::Event) -> Value {
    let v1::Event { seq, at_micros, actor, kind, payload_json, previous_hash, hash } = event;
    json!({
        "seq": seq, "at": moment(at_micros), "at_micros": at_micros, "actor": actor, "kind": kind,
        "payload": serde_json::from_str::<Value>(&payload_json).unwrap_or(Value::String(payload_json)),
        "previous_hash": hex::encode(previous_hash), "hash": hex::encode(hash),
    })
}
