"""The driver matrix: SQLAlchemy's Core and its sessions, over psycopg 3. Argument: a libpq URL."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from common import BIG, CELLS, URL, cell, digest, put, unsupported

ENGINE = sa.create_engine(URL.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=3)
TYPES = {
    "int2": sa.SmallInteger(), "int4": sa.Integer(), "int8": sa.BigInteger(), "numeric": sa.Numeric(), "float4": sa.REAL(),
    "float8": sa.Double(), "text": sa.Text(), "varchar": sa.String(), "bpchar": sa.CHAR(5), "bytea": sa.LargeBinary(),
    "bool": sa.Boolean(), "date": sa.Date(), "time": sa.Time(), "timetz": sa.Time(timezone=True), "timestamp": sa.DateTime(),
    "timestamptz": sa.DateTime(timezone=True), "interval": sa.Interval(), "uuid": sa.Uuid(), "json": sa.JSON(), "jsonb": pg.JSONB(),
    "int4[]": pg.ARRAY(sa.Integer), "int8[]": pg.ARRAY(sa.BigInteger), "text[]": pg.ARRAY(sa.Text), "numeric[]": pg.ARRAY(sa.Numeric),
    "bool[]": pg.ARRAY(sa.Boolean), "uuid[]": pg.ARRAY(sa.Uuid), "timestamptz[]": pg.ARRAY(sa.DateTime(timezone=True)),
    "inet": pg.INET(), "cidr": pg.CIDR(), "macaddr": pg.MACADDR(), "int4range": pg.INT4RANGE(), "numrange": pg.NUMRANGE(),
    "tstzrange": pg.TSTZRANGE(), "int4multirange": pg.INT4MULTIRANGE(), "bit": pg.BIT(), "varbit": pg.BIT(varying=True),
    "tsvector": pg.TSVECTOR(), "oid": pg.OID(), "tools.mood": pg.ENUM("glad", "sad", name="mood", schema="tools"),
}


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "m"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    size: Mapped[int | None]
    parent: Mapped[int | None] = mapped_column(sa.ForeignKey("m.id"))
    children: Mapped[list["Row"]] = relationship(order_by=id)


def failure(error):
    original = getattr(error, "orig", None)
    diag = getattr(original, "diag", None)
    if diag is None:
        return {"error": type(error).__name__, "text": str(error)}
    names = ["sqlstate", "message_primary", "message_detail", "message_hint", "statement_position", "table_name", "constraint_name"]
    return {"error": type(error).__name__, **{n: getattr(diag, n) for n in names if getattr(diag, n) is not None}}


def check(group, name, f):
    cell(group, name, f, failure)


def rows(connection, text, **values):
    found = connection.execute(sa.text(text) if isinstance(text, str) else text, values)
    return [tuple(row) for row in found] if found.returns_rows else found.rowcount


def types(connection):
    for name, literals in CELLS["types"].items():
        if name not in TYPES:
            unsupported("results as text", name, f"no type {name}")
            continue
        kind = TYPES[name]

        def results(name=name, literals=literals, kind=kind):
            text = sa.text(f"SELECT CAST(CAST(:v AS text) AS {name}) AS x").columns(x=kind)
            return [rows(connection, text, v=literal) for literal in [*literals, None]]

        def parameters(name=name, literals=literals, kind=kind):
            found = []
            for literal in [*literals, None]:
                value = connection.execute(sa.text(f"SELECT CAST(CAST(:v AS text) AS {name}) AS x").columns(x=kind), {"v": literal}).scalar()
                found.append(rows(connection, sa.select(sa.cast(sa.bindparam("v", value, kind), sa.Text))))
            return found

        check("results as text", name, results)
        check("parameters as text", name, parameters)
    unsupported("results as binary", "all types", "SQLAlchemy leaves the format to the driver, which takes text")
    unsupported("parameters as binary", "all types", "SQLAlchemy leaves the format to the driver")

    def large():
        back = connection.execute(sa.select(sa.bindparam("v", BIG, sa.Text))).scalar()
        return [digest(back), back == BIG]

    check("large values", "5 MB of text", large)
    check("large values", "10,000 parameters", lambda: rows(
        connection, sa.select(sa.func.count()).where(sa.column("n").in_(list(range(CELLS["parameters"])))).select_from(
            sa.func.generate_series(1, 20_000).alias("n"))))


def prepared(connection):
    query = sa.select(Row.name, Row.size + sa.bindparam("n")).where(Row.id == sa.bindparam("i"))
    check("prepared statements", "the same many times", lambda: [rows(connection, query, n=n, i=1 + n % 2) for n in range(CELLS["many"])])

    def many_values():
        made = connection.execute(sa.insert(Row).returning(Row.id), [{"id": n, "name": f"n{n}"} for n in range(100, 1700)])
        found = [len(made.all()), connection.execute(sa.insert(Row), [{"id": n, "name": "x"} for n in range(2000, 2500)]).rowcount]
        return [*found, rows(connection, "DELETE FROM m WHERE id >= 100")]

    def upsert():
        statement = pg.insert(Row).values(id=1, name="changed")
        statement = statement.on_conflict_do_update(index_elements=[Row.id], set_={"name": statement.excluded.name}).returning(Row.name)
        return [rows(connection, statement), rows(connection, "UPDATE m SET name = 'one' WHERE id = 1")]

    check("prepared statements", "insertmanyvalues", many_values)
    check("prepared statements", "ON CONFLICT", upsert)
    unsupported("pipelines", "all", "SQLAlchemy waits for each answer")
    unsupported("COPY", "all", "SQLAlchemy has no COPY of its own")
    unsupported("cancel", "all", "SQLAlchemy has no cancel of its own")


def transactions(connection):
    count = sa.select(sa.func.count()).select_from(Row)

    def session(use):
        with Session(connection, join_transaction_mode="rollback_only") as s:
            try:
                found = use(s)
            except sa.exc.SQLAlchemyError as error:
                s.rollback()
                found = failure(error)
        return [found, connection.execute(count).scalar()]

    def committed(s):
        s.add_all([Row(id=70, name="new", children=[Row(id=71, name="child"), Row(id=72, name="child")])])
        s.commit()
        found = [[r.id for r in s.get(Row, 70).children], s.query(Row).filter(Row.parent == 70).count()]
        s.delete(s.get(Row, 71))
        s.flush()
        s.rollback()
        return found

    def nested(s):
        s.add(Row(id=80, name="new"))
        try:
            with s.begin_nested():
                s.add(Row(id=1, name="again"))
                s.flush()
        except sa.exc.IntegrityError as error:
            found = failure(error)
        s.commit()
        return found

    def failing(s):
        s.add(Row(id=90, name="new"))
        s.flush()
        s.execute(sa.text("SELECT 1 / 0"))

    check("transactions", "commit", lambda: session(committed))
    check("transactions", "rollback", lambda: session(lambda s: [s.add(Row(id=95, name="new")), s.flush(), s.rollback()]))
    check("transactions", "an error, then rollback", lambda: session(failing))
    check("transactions", "an error in a savepoint", lambda: session(nested))
    check("transactions", "isolation and read only", isolation)


def isolation():
    options = {"isolation_level": "SERIALIZABLE", "postgresql_readonly": True, "postgresql_deferrable": True}
    with ENGINE.connect().execution_options(**options) as other:
        return [rows(other, f"SHOW transaction_{what}") for what in ["isolation", "read_only", "deferrable"]]


def errors(connection):
    for name, text in CELLS["errors"].items():
        check("errors", name, lambda text=text: rows(connection, text.replace(":", r"\:")))


def session_cells(connection):
    check("session", "result description", lambda: [[c.name, str(c.type_code)] for c in connection.execute(
        sa.text("SELECT id, sku, id + 1 AS more FROM products WHERE id = 1")).cursor.description])
    unsupported("session", "notices", "SQLAlchemy leaves them to the driver")
    unsupported("session", "LISTEN and NOTIFY", "SQLAlchemy leaves them to the driver")
    check("masking", "a masked column", lambda: rows(connection, "SELECT id, ssn FROM customers WHERE id <= :n ORDER BY id", n=3))


def cursors(connection):
    series = "SELECT n, repeat('x', n % 50) FROM generate_series(1, 1000) n"

    def streamed():
        done = connection.execution_options(stream_results=True, max_row_buffer=7).execute(sa.text(series))
        return [tuple(done.fetchone()), len(done.fetchmany(10)), sum(row[0] for row in done)]

    check("cursors", "stream_results", streamed)
    check("cursors", "partitions", lambda: [len(p) for p in connection.execution_options(yield_per=300).execute(sa.text(series)).partitions()])


def main():
    put("driver", "version", f"SQLAlchemy {sa.__version__}, {ENGINE.dialect.driver} {'.'.join(str(n) for n in ENGINE.dialect.psycopg_version)}")
    autocommit = ENGINE.connect().execution_options(isolation_level="AUTOCOMMIT")
    for text in CELLS["setup"]:
        rows(autocommit, text)
    for part in [types, prepared, errors, session_cells]:
        part(autocommit)
    autocommit.close()
    with ENGINE.connect() as connection:
        for text in CELLS["setup"]:
            rows(connection, text.replace("CREATE TEMP TABLE", "CREATE TEMP TABLE IF NOT EXISTS") + (
                " ON CONFLICT DO NOTHING" if text.startswith("INSERT") else ""))
        connection.commit()
        transactions(connection)
        cursors(connection)


main()
