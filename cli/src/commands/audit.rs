//! `writ audit`: ask the lake in SQL, follow it, and prove it offline.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_postgres::SimpleQueryMessage;

use crate::args::{Audit, LakeAddress};
use crate::failure::{Answer, Failure, Result};
use crate::lake_client::{self, Target};
use crate::output::{Format, grid, printable};
use crate::settings::Settings;

/// The name of the lake's one database.
const LAKE_DATABASE: &str = "lake";
/// How often `tail` asks for what is new.
const TAIL_EVERY: Duration = Duration::from_millis(500);
/// The most statements that `tail` prints at once.
const TAIL_ROWS_MAX: usize = 500;

/// Runs one of them.
pub(crate) async fn run(settings: &Settings, command: Audit) -> Result<Answer> {
    match command {
        Audit::Sql { query, lake } => sql(settings, &query, &lake).await,
        Audit::Tail { lake } => tail(settings, &lake).await,
        Audit::Verify { dir, key } => super::verify::run(settings, &dir, key.as_deref()),
    }
}

fn target(settings: &Settings, lake: &LakeAddress) -> Result<Target> {
    // An explicit token is who asks now; the URL carries whoever it was written for.
    if let Some(url) = &lake.lake_url {
        return Target::parse(url);
    }
    let address = lake.lake.as_deref().ok_or_else(|| {
        Failure::usage(
            "I don't know where the lake is: set WRIT_LAKE_URL, or WRIT_LAKE and WRIT_TOKEN",
        )
    })?;
    let (host, port) = address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .ok_or_else(|| Failure::usage(format!("`{address}` is not HOST:PORT")))?;
    Ok(Target {
        host: host.to_owned(),
        port,
        user: settings.token_subject()?,
        password: settings.token()?.to_owned(),
        dbname: LAKE_DATABASE.to_owned(),
        ca: Some(settings.ca()?.to_owned()),
    })
}

async fn ask(
    client: &tokio_postgres::Client,
    query: &str,
) -> Result<(Vec<String>, Vec<Vec<Option<String>>>)> {
    let messages =
        client.simple_query(query).await.map_err(|e| Failure::no(lake_client::explain(&e)))?;
    let mut titles = Vec::new();
    let mut rows = Vec::new();
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                titles = columns.iter().map(|c| c.name().to_owned()).collect();
            }
            SimpleQueryMessage::Row(row) => {
                titles = row.columns().iter().map(|c| c.name().to_owned()).collect();
                rows.push((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect());
            }
            _ => {}
        }
    }
    Ok((titles, rows))
}

async fn sql(settings: &Settings, query: &str, lake: &LakeAddress) -> Result<Answer> {
    let client = lake_client::connect(&target(settings, lake)?).await?;
    let (titles, rows) = ask(&client, query).await?;
    match settings.format {
        Format::Json => {
            let list: Vec<Value> = rows.into_iter().map(|row| keyed(&titles, row)).collect();
            crate::output::say!("{}", serde_json::to_string_pretty(&list).unwrap_or_default());
        }
        Format::Table => {
            let count = rows.len();
            let cell = |value: Option<String>| printable(&value.unwrap_or_default());
            let cells = rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect();
            let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
            crate::output::say!("{}", grid(&titles, cells));
            crate::output::say!("{count} row{}", if count == 1 { "" } else { "s" });
        }
    }
    Ok(Answer::Done)
}

fn keyed(titles: &[String], row: Vec<Option<String>>) -> Value {
    titles
        .iter()
        .cloned()
        .zip(row.into_iter().map(|v| json!(v)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Prints each statement once. What has been printed is remembered per source by its sequence number, which is
/// dense (L1), so that late arrivals are not missed.
async fn tail(settings: &Settings, lake: &LakeAddress) -> Result<Answer> {
    let client = lake_client::connect(&target(settings, lake)?).await?;
    let (_, newest) =
        ask(&client, "SELECT source, max(seq) FROM statements GROUP BY source").await?;
    let mut seen: BTreeMap<String, u64> =
        newest.into_iter().filter_map(|row| position(&row)).collect();
    loop {
        let (titles, rows) = ask(&client, &newer(&seen)).await?;
        for row in rows {
            if let Some((source, seq)) = position(&row) {
                let last = seen.entry(source).or_default();
                *last = seq.max(*last);
            }
            print_statement(settings.format, &keyed(&titles, row));
        }
        tokio::time::sleep(TAIL_EVERY).await;
    }
}

fn position(row: &[Option<String>]) -> Option<(String, u64)> {
    match row {
        [Some(source), Some(seq), ..] => Some((source.clone(), seq.parse().ok()?)),
        _ => None,
    }
}

fn newer(seen: &BTreeMap<String, u64>) -> String {
    let quote = |text: &String| format!("'{}'", text.replace('\'', "''"));
    let known: Vec<String> = seen.keys().map(quote).collect();
    let mut conditions: Vec<String> =
        seen.iter().map(|(s, seq)| format!("(source = {} AND seq > {seq})", quote(s))).collect();
    conditions.push(match known.as_slice() {
        [] => "true".to_owned(),
        known => format!("source NOT IN ({})", known.join(", ")),
    });
    format!(
        "SELECT source, seq, time, statement_id, session_id, actor_user, on_behalf_of, client_address, database, decision, effect, sqlstate, rows, statement_text FROM statements WHERE {} ORDER BY seq LIMIT {TAIL_ROWS_MAX}",
        conditions.join(" OR ")
    )
}

fn print_statement(format: Format, row: &Value) {
    if format == Format::Json {
        crate::output::say!("{row}");
        return;
    }
    let word = |key: &str| crate::output::text(row.get(key)).replace('\n', " ");
    crate::output::say!(
        "{}  {:<16} {:<10} {:<6} {}",
        word("time"),
        word("actor_user"),
        word("database"),
        word("decision"),
        word("statement_text")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_asks_only_for_what_is_new() {
        let seen = BTreeMap::from([("edge'1".to_owned(), 7)]);
        let query = newer(&seen);
        assert!(
            query.contains("(source = 'edge''1' AND seq > 7) OR source NOT IN ('edge''1')"),
            "{query}"
        );
        assert!(newer(&BTreeMap::new()).contains("WHERE true"));
    }
}
