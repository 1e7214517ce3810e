//! tokio-postgres, which prepares each statement and speaks the binary format; many statements at once go as a pipeline.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt, TryStreamExt, pin_mut};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{AsyncMessage, Client, Config, Error, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::cells::{Cells, FORMATS, Failed, digest, hex, lines, put, unsupported};

/// A value as its bytes are sent.
#[derive(Debug)]
struct Raw(Option<Vec<u8>>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        Ok(Self(Some(raw.to_vec())))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failed> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn failure(error: &Error) -> Value {
    let Some(db) = error.as_db_error() else { return json!({ "error": error.to_string() }) };
    json!({
        "severity": db.severity(), "code": db.code().code(), "message": db.message(), "detail": db.detail(), "hint": db.hint(),
        "position": db.position().map(|p| format!("{p:?}")), "schema": db.schema(), "table": db.table(),
        "column": db.column(), "datatype": db.datatype(), "constraint": db.constraint(),
    })
}

fn or_failure<T: Into<Value>>(result: Result<T, Error>) -> Value {
    result.map_or_else(|e| failure(&e), Into::into)
}

/// A session, what it hears beside answers, and how to cancel in it.
struct Session {
    client: Client,
    heard: mpsc::UnboundedReceiver<Value>,
    tls: Option<MakeRustlsConnect>,
}

fn tls(root: &str) -> Result<MakeRustlsConnect, Failed> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut std::fs::read(root)?.as_slice()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// The driver knows neither `verify-full` nor `sslrootcert`.
async fn connect(url: &str) -> Result<Session, Failed> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let root = query.split('&').find_map(|p| p.strip_prefix("sslrootcert="));
    let root = root.map(|r| r.replace("%2F", "/").replace("%2f", "/"));
    let mut config: Config = base.parse()?;
    let tls = root.map(|root| tls(&root)).transpose()?;
    let (sender, heard) = mpsc::unbounded_channel();
    let client = if let Some(tls) = &tls {
        config.ssl_mode(tokio_postgres::config::SslMode::Require);
        let (client, connection) = config.connect(tls.clone()).await?;
        tokio::spawn(listen(connection, sender));
        client
    } else {
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        tokio::spawn(listen(connection, sender));
        client
    };
    Ok(Session { client, heard, tls })
}

async fn listen<S, T>(
    mut connection: tokio_postgres::Connection<S, T>,
    sender: mpsc::UnboundedSender<Value>,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
    while let Some(Ok(message)) = messages.next().await {
        let _ = sender.send(match message {
            AsyncMessage::Notice(n) => json!([n.severity(), n.code().code(), n.message()]),
            AsyncMessage::Notification(n) => json!([n.channel(), n.payload()]),
            _ => Value::Null,
        });
    }
}

async fn numbers(
    client: &Client,
    text: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Value, Error> {
    let rows = client.query(text, values).await?;
    rows.iter().map(|row| row.try_get::<_, i64>(0).map(Value::from)).collect()
}

async fn types(client: &Client, cells: &Cells) {
    for (name, literals) in &cells.types {
        let (mut results, mut back) = (Vec::new(), Vec::new());
        for literal in literals.iter().map(Some).chain([None]) {
            match client.query_one(&format!("SELECT ($1::text)::{name}"), &[&literal]).await {
                Ok(row) => {
                    let raw: Raw = row.get(0);
                    results
                        .push(json!([row.columns()[0].type_().to_string(), hex(raw.0.as_deref())]));
                    let done =
                        client.query_one(&format!("SELECT ($1::{name})::text"), &[&raw]).await;
                    back.push(or_failure(done.map(|row| row.get::<_, Option<String>>(0))));
                }
                Err(error) => results.push(failure(&error)),
            }
        }
        put("results as binary", name, results.into());
        put("parameters as binary", name, back.into());
        if let Some(first) = literals.first() {
            let done = client
                .simple_query(&format!("SELECT '{}'::{name}", first.replace('\'', "''")))
                .await;
            put("results as text", name, or_failure(done.map(|m| simple(&m))));
        }
    }
    unsupported(
        "parameters as text",
        "all types",
        "tokio-postgres has only the binary format for parameters",
    );
    typed(client).await;
    let done = client.query_one("SELECT $1::text, octet_length($1)", &[&cells.big]).await;
    put(
        "large values",
        "5 MB of text, binary",
        or_failure(done.map(|row| {
            let back: &str = row.get(0);
            json!([digest(back.as_bytes()), row.get::<_, i32>(1), back == cells.big])
        })),
    );
    let many: Vec<i32> = (0..cells.parameters).collect();
    let marks: Vec<String> = (1..=cells.parameters).map(|n| format!("${n}")).collect();
    let values: Vec<&(dyn ToSql + Sync)> = many.iter().map(|n| n as &(dyn ToSql + Sync)).collect();
    let text = format!("SELECT sum(x) FROM unnest(ARRAY[{}]::int[]) x", marks.join(","));
    put("large values", "10,000 parameters", or_failure(numbers(client, &text, &values).await));
}

/// The driver's own types.
async fn typed(client: &Client) {
    let text = "SELECT $1::int2, $2::int4, $3::int8, $4::float4, $5::float8, $6::text, $7::bytea, $8::bool, $9::uuid, $10::jsonb, \
                $11::timestamptz, $12::date, $13::int4[], $14::int4";
    let at: chrono::DateTime<chrono::Utc> =
        chrono::DateTime::from_timestamp(1_800_000_000, 5_000).unwrap_or_default();
    let day = at.date_naive();
    let document = json!({ "a": [1, null, "漢"] });
    let list = vec![Some(1), None, Some(-3)];
    let id = uuid::Uuid::from_u128(7);
    let done = client
        .query_one(
            text,
            &[
                &1i16,
                &2i32,
                &3i64,
                &f32::NAN,
                &f64::INFINITY,
                &"漢",
                &b"\0\xff".as_slice(),
                &true,
                &id,
                &document,
                &at,
                &day,
                &list,
                &None::<i32>,
            ],
        )
        .await;
    put(
        "results as binary",
        "the driver's own types",
        or_failure(done.map(|row| {
            let words = [
                format!("{:?}", row.get::<_, i16>(0)),
                format!("{:?}", row.get::<_, i32>(1)),
                format!("{:?}", row.get::<_, i64>(2)),
                format!("{:?}", row.get::<_, f32>(3)),
                format!("{:?}", row.get::<_, f64>(4)),
                format!("{:?}", row.get::<_, String>(5)),
                format!("{:?}", row.get::<_, Vec<u8>>(6)),
                format!("{:?}", row.get::<_, bool>(7)),
                format!("{:?}", row.get::<_, uuid::Uuid>(8)),
                format!("{:?}", row.get::<_, Value>(9)),
                format!("{:?}", row.get::<_, chrono::DateTime<chrono::Utc>>(10)),
                format!("{:?}", row.get::<_, chrono::NaiveDate>(11)),
                format!("{:?}", row.get::<_, Vec<Option<i32>>>(12)),
                format!("{:?}", row.get::<_, Option<i32>>(13)),
            ];
            json!(words)
        })),
    );
}

fn simple(messages: &[SimpleQueryMessage]) -> Value {
    let one = |m: &SimpleQueryMessage| match m {
        SimpleQueryMessage::Row(row) => {
            json!((0..row.len()).map(|n| row.get(n)).collect::<Vec<_>>())
        }
        SimpleQueryMessage::CommandComplete(count) => json!(count),
        _ => json!("rows"),
    };
    messages.iter().map(one).collect()
}

async fn prepared(client: &Client, cells: &Cells) -> Result<(), Error> {
    let select = client.prepare("SELECT name, $1::int4 + size FROM m WHERE id = $2").await?;
    let described = json!([
        select.params().iter().map(ToString::to_string).collect::<Vec<_>>(),
        select
            .columns()
            .iter()
            .map(|c| format!("{} {} {:?}", c.name(), c.type_(), c.column_id()))
            .collect::<Vec<_>>()
    ]);
    let mut found = vec![described];
    for n in 0..cells.many {
        let row = client.query_one(&select, &[&n, &(1 + n % 2)]).await?;
        found.push(json!([row.get::<_, String>(0), row.get::<_, i32>(1)]));
    }
    put("prepared statements", "the same many times", found.into());
    client.batch_execute("CREATE TEMP TABLE c (a int)").await?;
    let changing = client.prepare("SELECT * FROM c").await?;
    let before = or_failure(client.query(&changing, &[]).await.map(|rows| rows.len()));
    client.batch_execute("ALTER TABLE c ADD COLUMN b int DEFAULT 5").await?;
    let after = or_failure(client.query(&changing, &[]).await.map(|rows| rows.len()));
    put("prepared statements", "a table that changes", json!([before, after]));
    client.batch_execute("DEALLOCATE ALL").await?;
    let gone = or_failure(client.query(&select, &[&1, &1]).await.map(|rows| rows.len()));
    put(
        "prepared statements",
        "DEALLOCATE ALL in between",
        json!([gone, or_failure(client.query("SELECT 1", &[]).await.map(|r| r.len()))]),
    );
    Ok(())
}

async fn pipelines(client: &Client) -> Result<(), Error> {
    let plus = client.prepare("SELECT $1::int8 + 1").await?;
    let many: Vec<i64> = (0..60).collect();
    let done = join_all(many.iter().map(|n| async {
        or_failure(client.query_one(&plus, &[n]).await.map(|r| r.get::<_, i64>(0)))
    }))
    .await;
    put("pipelines", "60 statements", done.into());
    let divide = client.prepare("SELECT 10 / $1::int8").await?;
    let some = [1i64, 2, 0, 4, 5];
    let done = join_all(some.iter().map(|n| async {
        or_failure(client.query_one(&divide, &[n]).await.map(|r| r.get::<_, i64>(0)))
    }))
    .await;
    put("pipelines", "an error in the middle", done.into());
    let unprepared =
        join_all(some.iter().map(|n| async move {
            or_failure(numbers(client, "SELECT 10 / $1::int8", &[n]).await)
        }))
        .await;
    put("pipelines", "with preparing, an error in the middle", unprepared.into());
    let texts = [
        "BEGIN",
        "INSERT INTO m (id, name) VALUES (50, 'a')",
        "INSERT INTO m (id, name) VALUES (50, 'b')",
        "SELECT 1",
        "COMMIT",
    ];
    let mixed = join_all(texts.map(|text| async move {
        or_failure(client.simple_query(text).await.map(|m| simple(&m)))
    }))
    .await;
    put(
        "pipelines",
        "a transaction that fails",
        json!([mixed, or_failure(numbers(client, "SELECT count(*) FROM m", &[]).await)]),
    );
    Ok(())
}

async fn copy_in(client: &Client, option: &str, data: &[u8]) -> Result<u64, Error> {
    let sink = client.copy_in(&format!("COPY k FROM STDIN {option}")).await?;
    pin_mut!(sink);
    for part in data.chunks(70_001) {
        sink.send(bytes(part)).await?;
    }
    sink.finish().await
}

fn bytes(part: &[u8]) -> std::io::Cursor<Vec<u8>> {
    std::io::Cursor::new(part.to_vec())
}

async fn copies(client: &Client) -> Result<(), Error> {
    client.batch_execute("CREATE TEMP TABLE k (a int, b text, c float8)").await?;
    for (name, option) in FORMATS {
        let first = copy_in(client, "", &lines(20_000)).await?;
        let out = client.copy_out(&format!("COPY k TO STDOUT {option}")).await?;
        let data = out.map_ok(|part| part.to_vec()).try_concat().await?;
        client.batch_execute("DELETE FROM k WHERE a >= 0").await?;
        let second = or_failure(copy_in(client, option, &data).await);
        let sums = or_failure(
            numbers(client, "SELECT sum(a) + count(b) + sum(c)::int8 FROM k", &[]).await,
        );
        put("COPY", &format!("in and out, {name}"), json!([first, digest(&data), second, sums]));
        client.batch_execute("DELETE FROM k WHERE a >= 0").await?;
    }
    let count = || numbers(client, "SELECT count(*) FROM k", &[]);
    let bad = or_failure(copy_in(client, "", b"1\ta\t1\nx\tb\t2\n").await);
    put("COPY", "a bad row", json!([bad, or_failure(count().await)]));
    {
        let sink = client.copy_in("COPY k FROM STDIN").await?;
        pin_mut!(sink);
        sink.send(bytes(b"1\ta\t1\n")).await?;
        // Dropped without an end: the driver sends CopyFail.
    }
    put("COPY", "given up by the client", or_failure(count().await));
    Ok(())
}

async fn cancels(session: &Session) {
    let token = session.client.cancel_token();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        match &session.tls {
            Some(tls) => token.cancel_query(tls.clone()).await,
            None => token.cancel_query(tokio_postgres::NoTls).await,
        }
    };
    let (said, ended) = tokio::join!(cancel, session.client.query("SELECT pg_sleep(30)", &[]));
    let after = or_failure(numbers(&session.client, "SELECT 1::int8", &[]).await);
    put(
        "cancel",
        "CancelToken",
        json!([or_failure(said.map(|()| "said")), or_failure(ended.map(|r| r.len())), after]),
    );
    let timeout = "SET statement_timeout = 100; SELECT pg_sleep(30)";
    put(
        "cancel",
        "statement_timeout",
        or_failure(session.client.batch_execute(timeout).await.map(|()| "done")),
    );
}

async fn transactions(client: &mut Client) -> Result<(), Error> {
    let insert = "INSERT INTO m (id, name) VALUES ($1, 'new')";
    for (name, second, commits) in [
        ("commit", 71, true),
        ("rollback", 71, false),
        ("an error, then rollback", 70, false),
        ("an error, then commit", 70, true),
    ] {
        let transaction = client.transaction().await?;
        let mut found = Vec::new();
        for id in [70, second, 72] {
            found.push(or_failure(transaction.execute(insert, &[&id]).await));
        }
        let ended = if commits { transaction.commit().await } else { transaction.rollback().await };
        found.push(or_failure(ended.map(|()| "ended")));
        found.push(or_failure(client.execute("DELETE FROM m WHERE id >= 70", &[]).await));
        put("transactions", name, found.into());
    }
    let mut transaction = client.transaction().await?;
    transaction.execute(insert, &[&70]).await?;
    let inner = transaction.savepoint("here").await?;
    let error = or_failure(inner.execute(insert, &[&70]).await);
    inner.rollback().await?;
    transaction.execute(insert, &[&71]).await?;
    transaction.commit().await?;
    put(
        "transactions",
        "an error in a savepoint",
        json!([error, or_failure(client.execute("DELETE FROM m WHERE id >= 70", &[]).await)]),
    );
    let level = tokio_postgres::IsolationLevel::Serializable;
    let transaction = client
        .build_transaction()
        .isolation_level(level)
        .read_only(true)
        .deferrable(true)
        .start()
        .await?;
    let shown =
        transaction.simple_query("SHOW transaction_isolation; SHOW transaction_read_only").await;
    put("transactions", "isolation and read only", or_failure(shown.map(|m| simple(&m))));
    Ok(())
}

async fn session(session: &mut Session, url: &str, cells: &Cells) -> Result<(), Failed> {
    let client = &session.client;
    for (name, text) in &cells.errors {
        put("errors", name, or_failure(client.simple_query(text).await.map(|m| simple(&m))));
        put(
            "errors",
            &format!("{name}, prepared"),
            or_failure(client.query(text.as_str(), &[]).await.map(|rows| rows.len())),
        );
    }
    put(
        "errors",
        "a parameter's value",
        or_failure(client.query("SELECT 1 / $1::int4", &[&0]).await.map(|rows| rows.len())),
    );
    while session.heard.try_recv().is_ok() {}
    for text in [
        "CREATE TEMP TABLE IF NOT EXISTS m (id int)",
        "COMMIT",
        &format!("SELECT 1 AS {}", "a".repeat(70)),
    ] {
        client.batch_execute(text).await?;
    }
    client.batch_execute("LISTEN one; LISTEN \"Zwei\"").await?;
    let other = connect(url).await?;
    other.client.batch_execute("NOTIFY one, 'first'").await?;
    other.client.query("SELECT pg_notify('Zwei', $1)", &[&"häß"]).await?;
    client.batch_execute("NOTIFY one, 'own'").await?;
    let mut heard = Vec::new();
    while let Ok(Some(one)) =
        tokio::time::timeout(Duration::from_secs(2), session.heard.recv()).await
    {
        heard.push(one);
    }
    put("session", "notices, LISTEN and NOTIFY", heard.into());
    put(
        "session",
        "several results",
        or_failure(client.simple_query("SELECT 1; SELECT 'a', 2").await.map(|m| simple(&m))),
    );
    put("session", "an empty query", or_failure(client.simple_query("").await.map(|m| simple(&m))));
    let masked =
        client.query("SELECT id, ssn FROM customers WHERE id <= $1 ORDER BY id", &[&3i64]).await;
    put(
        "masking",
        "a masked column",
        or_failure(masked.map(|rows| -> Value {
            rows.iter().map(|r| json!([r.get::<_, i64>(0), r.get::<_, String>(1)])).collect()
        })),
    );
    Ok(())
}

async fn cursors(client: &mut Client) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    let series = "SELECT n::int8 FROM generate_series(1, $1::int4) n";
    let (one, other) =
        (transaction.bind(series, &[&1000]).await?, transaction.bind(series, &[&20]).await?);
    let mut found = Vec::new();
    for (portal, rows) in [(&one, 7), (&other, 15), (&one, 300), (&other, 15), (&one, 0)] {
        let rows = transaction.query_portal(portal, rows).await?;
        found.push(json!([rows.len(), rows.last().map(|r| r.get::<_, i64>(0))]));
    }
    put("cursors", "portals", found.into());
    Ok(())
}

pub async fn run(url: &str, cells: &Cells) -> Result<(), Failed> {
    put("driver", "version", env!("TOKIO_POSTGRES").into());
    let mut open = connect(url).await?;
    for text in &cells.setup {
        open.client.batch_execute(text).await?;
    }
    types(&open.client, cells).await;
    prepared(&open.client, cells).await?;
    pipelines(&open.client).await?;
    copies(&open.client).await?;
    transactions(&mut open.client).await?;
    session(&mut open, url, cells).await?;
    cursors(&mut open.client).await?;
    cancels(&open).await;
    Ok(())
}
