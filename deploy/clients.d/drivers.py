"""asyncpg and psycopg 3: type introspection, statements, COPY, a pipeline. Argument: a libpq URL."""

import asyncio
import sys

import asyncpg
import psycopg
from psycopg.types.composite import CompositeInfo
from psycopg.types.enum import EnumInfo
from psycopg.types.range import RangeInfo


async def with_asyncpg(url):
    connection = await asyncpg.connect(url)
    print(connection.get_server_version().major, connection.get_settings().client_encoding)
    row = await connection.fetchrow("SELECT $1::tools.mood, $2::tools.pair, $3::tools.span, $4::tools.positive[], $5::jsonb",
                                    "sad", (1, "x"), asyncpg.Range(1, 5), [1, 2], '{"a": 1}')
    print(row)
    statement = await connection.prepare("SELECT id, code, state, labels, extra FROM tools.parent WHERE id = $1")
    print(statement.get_parameters(), [(a.name, a.type.name) for a in statement.get_attributes()])
    print(await statement.fetchval(3, column=1))
    async with connection.transaction():
        async for row in connection.cursor("SELECT sku FROM products ORDER BY id LIMIT 3"):
            print(row)
    await connection.execute("CREATE TEMP TABLE loaded (a int, b text)")
    print(await connection.copy_records_to_table("loaded", records=[(n, str(n)) for n in range(100)]))
    print(await connection.fetchval("SELECT sum(a) FROM loaded"))
    await connection.executemany("INSERT INTO loaded VALUES ($1, $2)", [(n, "y") for n in range(10)])
    print(await connection.fetchval("SELECT count(*) FROM loaded"))
    await connection.reset()
    await connection.close()


def with_psycopg(url):
    with psycopg.connect(url) as connection:
        print(EnumInfo.fetch(connection, "tools.mood").labels, CompositeInfo.fetch(connection, "tools.pair").field_names)
        print(RangeInfo.fetch(connection, "tools.span").name, connection.info.server_version)
        with connection.pipeline(), connection.cursor() as cursor:
            cursor.execute("SELECT %s::int + 1", (1,))
            cursor.execute("SELECT count(*) FROM tools.child WHERE amount > %s", (50,))
            cursor.nextset()
            print(cursor.fetchall())
        with connection.cursor() as cursor, cursor.copy("COPY tools.parent (id, code) TO STDOUT") as copy:
            print(sum(len(block) for block in copy))
        with connection.cursor(binary=True) as cursor:
            print(cursor.execute("SELECT id, code, state::text FROM tools.parent ORDER BY id LIMIT 2").fetchall())
        connection.prepare_threshold = 0
        for n in range(3):
            print(connection.execute("SELECT code FROM tools.parent WHERE id = %s", (n + 1,)).fetchone())


asyncio.run(with_asyncpg(sys.argv[1]))
with_psycopg(sys.argv[1])
