"""The driver matrix: asyncpg, which always prepares and speaks the binary format. Argument: a libpq URL."""

import asyncio
import io
import time

import asyncpg

from common import BIG, CELLS, URL, digest, put, text_of, unsupported

FIELDS = ["severity_en", "sqlstate", "message", "detail", "hint", "position", "schema_name", "table_name", "column_name",
          "data_type_name", "constraint_name"]


def failure(error):
    return {"error": type(error).__name__, "text": str(error) if not isinstance(error, asyncpg.PostgresError) else None,
            **{f: getattr(error, f) for f in FIELDS if getattr(error, f, None) is not None}}


async def attempt(coroutine):
    try:
        return text_of(plain(await coroutine))
    except Exception as error:  # an error is a result like any other
        return failure(error)


def plain(value):
    if isinstance(value, asyncpg.Record):
        return [plain(v) for v in value.values()]
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


async def check(group, name, coroutine):
    put(group, name, await attempt(coroutine))


async def connect():
    connection = await asyncpg.connect(URL)
    for text in CELLS["setup"]:
        await connection.execute(text)
    return connection


async def types(connection):
    for name, literals in CELLS["types"].items():
        async def results(name=name, literals=literals):
            return [await connection.fetch(f"SELECT ($1::text)::{name}", literal) for literal in [*literals, None]]

        async def parameters(name=name, literals=literals):
            values = [await connection.fetchval(f"SELECT ($1::text)::{name}", literal) for literal in [*literals, None]]
            return [await connection.fetch(f"SELECT ($1::{name})::text", value) for value in values]

        await check("results as binary", name, results())
        await check("parameters as binary", name, parameters())
    unsupported("results as text", "all types", "asyncpg asks for the binary format wherever it can decode it")
    unsupported("parameters as text", "all types", "asyncpg sends the binary format wherever it can encode it")

    async def large():
        back, length = await connection.fetchrow("SELECT $1::text, octet_length($1)", BIG)
        return [digest(back), length, back == BIG]

    await check("large values", "5 MB of text, binary", large())
    many = list(range(CELLS["parameters"]))
    marks = ",".join(f"${n + 1}" for n in many)
    await check("large values", "10,000 parameters", connection.fetch(f"SELECT sum(x) FROM unnest(ARRAY[{marks}]::int[]) x", *many))
    await check("large values", "an array of 100,000", connection.fetchval("SELECT sum(x) FROM unnest($1::int[]) x", list(range(100_000))))


async def all_of(calls):
    return [await attempt(call()) for call in calls]


async def prepared(connection):
    async def many():
        statement = await connection.prepare("SELECT name, $1::int + size FROM m WHERE id = $2")
        described = [[a.name, a.kind] for a in (*statement.get_parameters(), *(c.type for c in statement.get_attributes()))]
        return [described, [await statement.fetchrow(n, 1 + n % 2) for n in range(CELLS["many"])]]

    async def deallocated():
        fetch = lambda: connection.fetchval("SELECT $1::int + 7", 1)
        await fetch()
        await connection.execute("DEALLOCATE ALL")
        return await all_of([fetch] * 3)

    async def changed():
        await connection.execute("CREATE TEMP TABLE c (a int); INSERT INTO c VALUES (1)")
        fetch = lambda: connection.fetch("SELECT * FROM c")
        before = await all_of([fetch] * 2)
        await connection.execute("ALTER TABLE c ADD COLUMN b int DEFAULT 5")
        return [before, await all_of([fetch] * 2)]

    await check("prepared statements", "the same many times", many())
    await check("prepared statements", "DEALLOCATE ALL in between", deallocated())
    await check("prepared statements", "a table that changes", changed())


async def pipelines(connection):
    async def batch():
        await connection.executemany("INSERT INTO m (id, name) VALUES ($1, $2)", [(n, f"n{n}") for n in range(100, 600)])
        return await connection.fetch("DELETE FROM m WHERE id >= 100 RETURNING id")

    async def broken():
        found = await attempt(connection.executemany("INSERT INTO m (id, name) VALUES ($1, $2)", [(n, "n") for n in [101, 102, 101, 103]]))
        return [found, await connection.fetchval("SELECT count(*) FROM m")]

    async def fetched():
        return await connection.fetchmany("INSERT INTO m (id, name) VALUES ($1, $2) RETURNING id", [(n, "n") for n in range(200, 210)])

    async def concurrent():
        async with asyncpg.create_pool(URL, min_size=4, max_size=4) as pool:
            return await asyncio.gather(*(pool.fetchval("SELECT $1::int + 1", n) for n in range(60)))

    async def at_once():
        return await asyncio.gather(*(attempt(connection.fetchval("SELECT $1::int", n)) for n in range(3)))

    await check("pipelines", "executemany", batch())
    await check("pipelines", "an error in the middle", broken())
    await check("pipelines", "fetchmany with RETURNING", fetched())
    await connection.execute("DELETE FROM m WHERE id >= 100")
    await check("pipelines", "60 statements over a pool", concurrent())
    await check("pipelines", "several at once on one connection", at_once())


async def copies(connection):
    await connection.execute("CREATE TEMP TABLE k (a int, b text, c float8)")
    records = [(n, "x\t漢\\" if n % 3 else None, n / 4) for n in range(20_000)]

    async def around(**how):
        done = [await connection.copy_records_to_table("k", records=records)]
        file = io.BytesIO()
        done.append(await connection.copy_from_table("k", output=file, **how))
        await connection.execute("DELETE FROM k WHERE a >= 0")
        file.seek(0)
        done += [await connection.copy_to_table("k", source=file, **how), digest(file.getvalue().hex())]
        done.append(await connection.fetchrow("SELECT count(*), sum(a), sum(c), count(b) FROM k"))
        await connection.execute("DELETE FROM k WHERE a >= 0")
        return done

    async def bad(source):
        return [await attempt(connection.copy_to_table("k", source=source)), await connection.fetchval("SELECT count(*) FROM k")]

    async def given_up():
        yield b"1\ta\t1\n"
        raise ValueError("given up")

    async def query_out():
        file = io.BytesIO()
        done = await connection.copy_from_query("SELECT id, sku FROM products WHERE id <= $1 ORDER BY id", 3, output=file)
        return [done, file.getvalue()]

    await check("COPY", "in and out, text", around())
    await check("COPY", "in and out, CSV", around(format="csv", header=True))
    await check("COPY", "in and out, binary", around(format="binary"))
    await check("COPY", "a bad row", bad(io.BytesIO(b"1\ta\t1\nx\tb\t2\n")))
    await check("COPY", "given up by the client", bad(given_up()))
    await check("COPY", "a query out", query_out())


async def cancels(connection):
    async def by_task():
        task = asyncio.create_task(connection.execute("SELECT pg_sleep(30)"))
        await asyncio.sleep(0.4)
        began = time.monotonic()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            found = "cancelled"
        return [found, await connection.fetchval("SELECT 1"), time.monotonic() - began < 10]

    async def by_timeout():
        found = await attempt(connection.execute("SELECT pg_sleep(30)", timeout=0.4))
        return [found, await connection.fetchval("SELECT 1")]

    async def by_setting():
        await connection.execute("SET statement_timeout = 100")
        found = await attempt(connection.execute("SELECT pg_sleep(30)"))
        await connection.execute("RESET statement_timeout")
        return found

    await check("cancel", "a cancelled task", by_task())
    await check("cancel", "the driver's time-out", by_timeout())
    await check("cancel", "statement_timeout", by_setting())


async def transactions(connection):
    insert = "INSERT INTO m (id, name) VALUES ($1, 'new')"

    async def run(end, steps):
        transaction = connection.transaction()
        await transaction.start()
        found = await all_of([lambda n=n: connection.execute(insert, n) if n else connection.execute("SELECT 1 / 0") for n in steps])
        found.append(await attempt(getattr(transaction, end)()))
        found.append(await connection.fetchval("SELECT count(*) FROM m"))
        await connection.execute("DELETE FROM m WHERE id >= 70")
        return found

    async def nested():
        async with connection.transaction():
            await connection.execute(insert, 70)
            try:
                async with connection.transaction():
                    await connection.execute(insert, 71)
                    await connection.execute(insert, 70)
            except asyncpg.UniqueViolationError as error:
                found = failure(error)
            await connection.execute(insert, 72)
        return [found, await connection.fetch("DELETE FROM m WHERE id >= 70 RETURNING id")]

    async def isolation():
        async with connection.transaction(isolation="serializable", readonly=True, deferrable=True):
            return [await connection.fetchval(f"SHOW transaction_{what}") for what in ["isolation", "read_only", "deferrable"]]

    await check("transactions", "commit", run("commit", [70]))
    await check("transactions", "rollback", run("rollback", [70]))
    await check("transactions", "an error, then rollback", run("rollback", [70, 0, 71]))
    await check("transactions", "an error, then commit", run("commit", [70, 0]))
    await check("transactions", "an error in a savepoint", nested())
    await check("transactions", "isolation and read only", isolation())


async def errors(connection):
    for name, text in CELLS["errors"].items():
        await check("errors", name, connection.fetch(text))
    await check("errors", "a parameter's value", connection.fetch("SELECT 1 / $1::int", 0))
    await check("errors", "several statements", connection.execute("SELECT 1; SELECT 1 / 0; SELECT 2"))


async def session(connection):
    async def notices():
        heard = []
        connection.add_log_listener(lambda _, m: heard.append([type(m).__name__, m.sqlstate, m.message]))
        for text in ["CREATE TEMP TABLE IF NOT EXISTS m (id int)", "COMMIT", f"SELECT 1 AS {'a' * 70}"]:
            await connection.execute(text)
        await asyncio.sleep(0.1)
        return heard

    async def notifications():
        heard, done = [], asyncio.Event()

        def hear(_connection, _pid, channel, payload):
            heard.append([channel, payload])
            if len(heard) == 3:
                done.set()

        for channel in ["one", "Zwei"]:
            await connection.add_listener(channel, hear)
        other = await asyncpg.connect(URL)
        await other.execute("NOTIFY one, 'first'")
        await other.execute("SELECT pg_notify('Zwei', 'häß')")
        await other.close()
        await connection.execute("NOTIFY one, 'own'")
        await asyncio.wait_for(done.wait(), 10)
        return heard

    async def status():
        await connection.execute("SET TimeZone = 'Asia/Tokyo'")
        settings = connection.get_settings()
        found = [settings.TimeZone, settings.server_version, settings.client_encoding, settings.is_superuser]
        await connection.execute("RESET ALL")
        return [found, connection.get_settings().TimeZone, connection.get_server_version()]

    await check("session", "notices", notices())
    await check("session", "LISTEN and NOTIFY", notifications())
    await check("session", "parameter status", status())
    await check("session", "an empty query", connection.execute(""))
    await check("session", "several results", connection.execute("SELECT 1; SELECT 'a', 2"))
    await check("masking", "a masked column", connection.fetch("SELECT id, ssn FROM customers WHERE id <= $1 ORDER BY id", 3))


async def cursors(connection):
    series = "SELECT n, repeat('x', n % 50) FROM generate_series(1, $1) n"

    async def pieces():
        async with connection.transaction():
            return sum([row[0] async for row in connection.cursor(series, 1000, prefetch=7)])

    async def steps():
        async with connection.transaction():
            cursor = await connection.cursor(series, 1000)
            return [await cursor.fetchrow(), len(await cursor.fetch(10)), await cursor.forward(500), await cursor.fetchrow()]

    async def two():
        async with connection.transaction():
            one, other = await connection.cursor(series, 20), await connection.cursor(series, 30)
            return [len(await one.fetch(15)), len(await other.fetch(15)), len(await one.fetch(15)), len(await other.fetch(15))]

    await check("cursors", "in pieces", pieces())
    await check("cursors", "step by step", steps())
    await check("cursors", "two at once", two())


async def main():
    put("driver", "version", f"asyncpg {asyncpg.__version__}")
    connection = await connect()
    for part in [types, prepared, pipelines, copies, transactions, errors, session, cursors, cancels]:
        await part(connection)
    await check("session", "reset()", connection.reset())
    await connection.close()


asyncio.run(main())
