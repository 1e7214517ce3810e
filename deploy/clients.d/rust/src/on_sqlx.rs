//! sqlx: its prepared statements speak the binary format, `raw_sql` the text format.

use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use sqlx::encode::IsNull;
use sqlx::postgres::{
    PgArgumentBuffer, PgConnection, PgDatabaseError, PgErrorPosition, PgListener, PgPoolCopyExt,
    PgPoolOptions, PgRow, PgTypeInfo, PgValueRef,
};
use sqlx::{
    Column, Connection, Decode, Encode, Error, Executor, Postgres, Row, Statement, Type, TypeInfo,
    ValueRef,
};

use crate::cells::{Cells, FORMATS, Failed, digest, hex, lines, put, unsupported};

/// A value as its bytes are sent, and its type.
struct Raw(PgTypeInfo, Option<Vec<u8>>);

impl Type<Postgres> for Raw {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("text")
    }

    fn compatible(_: &PgTypeInfo) -> bool {
        true
    }
}

impl<'r> Decode<'r, Postgres> for Raw {
    fn decode(value: PgValueRef<'r>) -> Result<Self, Failed> {
        Ok(Self(value.type_info().into_owned(), Some(value.as_bytes()?.to_vec())))
    }
}

impl<'q> Encode<'q, Postgres> for Raw {
    fn encode_by_ref(&self, out: &mut PgArgumentBuffer) -> Result<IsNull, Failed> {
        let Some(bytes) = &self.1 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.0.clone())
    }
}

fn failure(error: &Error) -> Value {
    let Some(db) = error.as_database_error().and_then(|e| e.try_downcast_ref::<PgDatabaseError>())
    else {
        return json!({ "error": error.to_string() });
    };
    let position = db.position().map(|p| match p {
        PgErrorPosition::Original(n) => n.to_string(),
        PgErrorPosition::Internal { position, query } => format!("{position} of {query}"),
    });
    json!({
        "severity": format!("{:?}", db.severity()), "code": db.code(), "message": db.message(), "detail": db.detail(), "hint": db.hint(),
        "position": position, "schema": db.schema(), "table": db.table(), "column": db.column(), "datatype": db.data_type(),
        "constraint": db.constraint(),
    })
}

fn or_failure<T: Into<Value>>(result: Result<T, Error>) -> Value {
    result.map_or_else(|e| failure(&e), Into::into)
}

fn raw(row: &PgRow, column: usize) -> Value {
    let Ok(value) = row.try_get_raw(column) else { return "no column".into() };
    let bytes = if value.is_null() { None } else { value.as_bytes().ok() };
    json!([value.type_info().name(), hex(bytes)])
}

async fn number(on: &mut PgConnection, text: &str) -> Value {
    or_failure(sqlx::query_scalar::<_, i64>(text).fetch_one(on).await)
}

async fn types(on: &mut PgConnection, cells: &Cells) -> Result<(), Error> {
    for (name, literals) in &cells.types {
        let (mut results, mut back) = (Vec::new(), Vec::new());
        for literal in literals.iter().map(Some).chain([None]) {
            let row = match sqlx::query(&format!("SELECT ($1::text)::{name}"))
                .bind(literal)
                .fetch_one(&mut *on)
                .await
            {
                Ok(row) => row,
                Err(error) => {
                    results.push(failure(&error));
                    continue;
                }
            };
            results.push(raw(&row, 0));
            let value = row.try_get_raw(0)?;
            let bytes =
                if value.is_null() { None } else { value.as_bytes().ok().map(<[u8]>::to_vec) };
            let sent = Raw(value.type_info().into_owned(), bytes);
            let text = format!("SELECT ($1::{name})::text");
            back.push(or_failure(
                sqlx::query_scalar::<_, Option<String>>(&text).bind(sent).fetch_one(&mut *on).await,
            ));
        }
        put("results as binary", name, results.into());
        put("parameters as binary", name, back.into());
        if let Some(first) = literals.first() {
            let text = format!("SELECT '{}'::{name}", first.replace('\'', "''"));
            put(
                "results as text",
                name,
                or_failure(sqlx::raw_sql(&text).fetch_one(&mut *on).await.map(|row| raw(&row, 0))),
            );
        }
    }
    unsupported(
        "parameters as text",
        "all types",
        "sqlx has only the binary format for parameters",
    );
    let text = "SELECT $1::text, octet_length($1)";
    let row = sqlx::query(text).bind(&cells.big).fetch_one(&mut *on).await?;
    let back: String = row.get(0);
    put(
        "large values",
        "5 MB of text, binary",
        json!([digest(back.as_bytes()), row.get::<i32, _>(1), back == cells.big]),
    );
    let marks: Vec<String> = (1..=cells.parameters).map(|n| format!("${n}")).collect();
    let text = format!("SELECT sum(x) FROM unnest(ARRAY[{}]::int[]) x", marks.join(","));
    let query = (0..cells.parameters)
        .fold(sqlx::query_scalar::<_, i64>(&text), sqlx::query::QueryScalar::bind);
    put("large values", "10,000 parameters", or_failure(query.fetch_one(on).await));
    Ok(())
}

async fn prepared(on: &mut PgConnection, cells: &Cells) -> Result<(), Error> {
    let text = "SELECT name, $1::int4 + size FROM m WHERE id = $2";
    let statement = (&mut *on).prepare(text).await?;
    let mut found = vec![json!(
        statement
            .columns()
            .iter()
            .map(|c| format!("{} {}", c.name(), c.type_info()))
            .collect::<Vec<_>>()
    )];
    for n in 0..cells.many {
        let row = sqlx::query(text).bind(n).bind(1 + n % 2).fetch_one(&mut *on).await?;
        found.push(json!([row.get::<String, _>(0), row.get::<i32, _>(1)]));
    }
    put("prepared statements", "the same many times", found.into());
    sqlx::raw_sql("CREATE TEMP TABLE c (a int)").execute(&mut *on).await?;
    let before =
        or_failure(sqlx::query("SELECT * FROM c").fetch_all(&mut *on).await.map(|r| r.len()));
    sqlx::raw_sql("ALTER TABLE c ADD COLUMN b int DEFAULT 5").execute(&mut *on).await?;
    let after =
        or_failure(sqlx::query("SELECT * FROM c").fetch_all(&mut *on).await.map(|r| r.len()));
    put("prepared statements", "a table that changes", json!([before, after]));
    on.clear_cached_statements().await?;
    put("prepared statements", "after a cleared cache", number(on, "SELECT 1::int8").await);
    sqlx::raw_sql("DEALLOCATE ALL").execute(&mut *on).await?;
    put(
        "prepared statements",
        "DEALLOCATE ALL in between",
        json!([number(on, "SELECT 1::int8").await, number(on, "SELECT 2::int8").await]),
    );
    on.clear_cached_statements().await?;
    unsupported("pipelines", "all", "sqlx waits for each answer");
    Ok(())
}

async fn copies(on: &mut PgConnection) -> Result<(), Error> {
    sqlx::raw_sql("CREATE TEMP TABLE k (a int, b text, c float8)").execute(&mut *on).await?;
    for (name, option) in FORMATS {
        let first = copy_in(on, "", &lines(20_000)).await?;
        let parts: Vec<_> =
            on.copy_out_raw(&format!("COPY k TO STDOUT {option}")).await?.try_collect().await?;
        let data = parts.concat();
        sqlx::raw_sql("DELETE FROM k WHERE a >= 0").execute(&mut *on).await?;
        let second = or_failure(copy_in(on, option, &data).await);
        let sums = number(on, "SELECT sum(a) + count(b) + sum(c)::int8 FROM k").await;
        put("COPY", &format!("in and out, {name}"), json!([first, digest(&data), second, sums]));
        sqlx::raw_sql("DELETE FROM k WHERE a >= 0").execute(&mut *on).await?;
    }
    let bad = or_failure(copy_in(on, "", b"1\ta\t1\nx\tb\t2\n").await);
    put("COPY", "a bad row", json!([bad, number(on, "SELECT count(*) FROM k").await]));
    let mut copy = on.copy_in_raw("COPY k FROM STDIN").await?;
    copy.send(b"1\ta\t1\n".as_slice()).await?;
    let ended = or_failure(copy.abort("given up").await.map(|()| "given up"));
    put(
        "COPY",
        "given up by the client",
        json!([ended, number(on, "SELECT count(*) FROM k").await]),
    );
    Ok(())
}

async fn copy_in(on: &mut PgConnection, option: &str, data: &[u8]) -> Result<u64, Error> {
    let mut copy = on.copy_in_raw(&format!("COPY k FROM STDIN {option}")).await?;
    for part in data.chunks(70_001) {
        copy.send(part).await?;
    }
    copy.finish().await
}

async fn transactions(on: &mut PgConnection) -> Result<(), Error> {
    let insert = "INSERT INTO m (id, name) VALUES ($1, 'new')";
    for (name, second, commits) in [
        ("commit", 71, true),
        ("rollback", 71, false),
        ("an error, then rollback", 70, false),
        ("an error, then commit", 70, true),
    ] {
        let mut transaction = on.begin().await?;
        let mut found = Vec::new();
        for id in [70, second, 72] {
            found.push(or_failure(
                sqlx::query(insert)
                    .bind(id)
                    .execute(&mut *transaction)
                    .await
                    .map(|d| d.rows_affected()),
            ));
        }
        let ended = if commits { transaction.commit().await } else { transaction.rollback().await };
        found.push(or_failure(ended.map(|()| "ended")));
        found.push(or_failure(
            sqlx::query("DELETE FROM m WHERE id >= 70")
                .execute(&mut *on)
                .await
                .map(|d| d.rows_affected()),
        ));
        put("transactions", name, found.into());
    }
    let mut transaction = on.begin().await?;
    sqlx::query(insert).bind(70).execute(&mut *transaction).await?;
    let mut inner = transaction.begin().await?;
    let error = or_failure(
        sqlx::query(insert).bind(70).execute(&mut *inner).await.map(|d| d.rows_affected()),
    );
    inner.rollback().await?;
    sqlx::query(insert).bind(71).execute(&mut *transaction).await?;
    transaction.commit().await?;
    let left = or_failure(
        sqlx::query("DELETE FROM m WHERE id >= 70")
            .execute(&mut *on)
            .await
            .map(|d| d.rows_affected()),
    );
    put("transactions", "an error in a savepoint", json!([error, left]));
    {
        let mut dropped = on.begin().await?;
        sqlx::query(insert).bind(90).execute(&mut *dropped).await?;
        // Dropped without an end: the driver sends ROLLBACK before the next statement.
    }
    put("transactions", "dropped", number(on, "SELECT count(*) FROM m").await);
    Ok(())
}

async fn session(on: &mut PgConnection, url: &str, cells: &Cells) -> Result<(), Error> {
    for (name, text) in &cells.errors {
        put(
            "errors",
            name,
            or_failure(sqlx::raw_sql(text).fetch_all(&mut *on).await.map(|r| r.len())),
        );
        put(
            "errors",
            &format!("{name}, prepared"),
            or_failure(sqlx::query(text).fetch_all(&mut *on).await.map(|r| r.len())),
        );
    }
    let zero = sqlx::query("SELECT 1 / $1::int4").bind(0).fetch_all(&mut *on).await;
    put("errors", "a parameter's value", or_failure(zero.map(|r| r.len())));
    let pool = PgPoolOptions::new().max_connections(3).connect(url).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen_all(["one", "Zwei"]).await?;
    pool.execute("NOTIFY one, 'first'").await?;
    sqlx::query("SELECT pg_notify('Zwei', $1)").bind("häß").execute(&pool).await?;
    let mut heard = Vec::new();
    for _ in 0..2 {
        let one = listener.recv().await?;
        heard.push(json!([one.channel(), one.payload()]));
    }
    put("session", "LISTEN and NOTIFY", heard.into());
    unsupported("session", "notices", "sqlx only logs them");
    let out: Vec<_> = pool
        .copy_out_raw("COPY (SELECT id, sku FROM products WHERE id < 4 ORDER BY id) TO STDOUT")
        .await?
        .try_collect()
        .await?;
    put("COPY", "a query out, over a pool", digest(&out.concat()));
    let several: Vec<PgRow> = sqlx::raw_sql("SELECT 1; SELECT 'a', 2").fetch_all(&mut *on).await?;
    put("session", "several results", several.iter().map(|row| raw(row, 0)).collect());
    let masked = sqlx::query("SELECT id, ssn FROM customers WHERE id <= $1 ORDER BY id")
        .bind(3i64)
        .fetch_all(&mut *on)
        .await?;
    put(
        "masking",
        "a masked column",
        masked.iter().map(|r| json!([r.get::<i64, _>(0), r.get::<String, _>(1)])).collect(),
    );
    Ok(())
}

async fn cursors(on: &mut PgConnection) -> Result<(), Error> {
    let series = "SELECT n::int8 FROM generate_series(1, 1000) n";
    let rows = sqlx::query_scalar::<_, i64>(series).fetch(&mut *on);
    put(
        "cursors",
        "row by row",
        or_failure(rows.try_fold(0, |sum, n| async move { Ok(sum + n) }).await),
    );
    let first: Vec<_> =
        sqlx::query_scalar::<_, i64>(series).fetch(&mut *on).take(3).collect().await;
    put("cursors", "left before its end", json!([first.len(), number(on, "SELECT 1::int8").await]));
    unsupported("cancel", "the driver's own", "sqlx has none");
    sqlx::raw_sql("SET statement_timeout = 100").execute(&mut *on).await?;
    put(
        "cancel",
        "statement_timeout",
        or_failure(
            sqlx::raw_sql("SELECT pg_sleep(30)").execute(&mut *on).await.map(|d| d.rows_affected()),
        ),
    );
    put("cancel", "and a statement after it", number(on, "SELECT 1::int8").await);
    Ok(())
}

pub async fn run(url: &str, cells: &Cells) -> Result<(), Failed> {
    put("driver", "version", env!("SQLX").into());
    let mut open = PgConnection::connect(url).await?;
    for text in &cells.setup {
        sqlx::raw_sql(text).execute(&mut open).await?;
    }
    types(&mut open, cells).await?;
    prepared(&mut open, cells).await?;
    copies(&mut open).await?;
    transactions(&mut open).await?;
    session(&mut open, url, cells).await?;
    cursors(&mut open).await?;
    open.close().await?;
    Ok(())
}
