"""Alembic: two migrations up, a check for drift, and down again. Arguments: a libpq URL, `up` or `down`."""

import os
import sys
import tempfile

from alembic import command
from alembic.config import Config

ENV = '''
from alembic import context
from sqlalchemy import create_engine, MetaData, Table, Column, Integer, String
metadata = MetaData(schema="mig")
Table("users", metadata, Column("id", Integer, primary_key=True), Column("name", String(40), index=True),
      Column("nick", String(20), nullable=False, server_default="x"))
with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, version_table_schema="mig", include_schemas=True,
                      include_name=lambda name, kind, parents: kind != "schema" or name == "mig")
    with context.begin_transaction():
        context.execute("CREATE SCHEMA IF NOT EXISTS mig")
        context.run_migrations()
    connection.commit()
'''
FIRST = '''
import sqlalchemy as sa
from alembic import op
revision, down_revision = "1", None
def upgrade():
    op.create_table("users", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20)), schema="mig")
    op.create_index("ix_mig_users_name", "users", ["name"], schema="mig")
    op.bulk_insert(sa.table("users", sa.column("name"), schema="mig"), [{"name": "a"}, {"name": "b"}])
def downgrade():
    op.drop_table("users", schema="mig")
'''
SECOND = '''
import sqlalchemy as sa
from alembic import op
revision, down_revision = "2", "1"
def upgrade():
    op.add_column("users", sa.Column("nick", sa.String(20), nullable=False, server_default="x"), schema="mig")
    op.alter_column("users", "name", type_=sa.String(40), schema="mig")
    op.execute("UPDATE mig.users SET nick = name WHERE id > 0; CREATE TYPE mig.level AS ENUM ('low'); "
               "ALTER TABLE mig.users ADD COLUMN level mig.level; UPDATE mig.users SET level = 'low' WHERE id > 0; "
               "ALTER TABLE mig.users DROP COLUMN level; DROP TYPE mig.level")
def downgrade():
    op.drop_column("users", "nick", schema="mig")
'''

with tempfile.TemporaryDirectory() as directory:
    os.mkdir(os.path.join(directory, "versions"))
    for name, text in [("env.py", ENV), ("versions/first.py", FIRST), ("versions/second.py", SECOND)]:
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)
    config = Config()
    config.set_main_option("script_location", directory)
    url = sys.argv[1].replace("postgresql://", "postgresql+psycopg2://", 1)
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    if sys.argv[2] == "up":
        command.upgrade(config, "head")
        command.current(config)
        command.check(config)
    else:
        command.downgrade(config, "base")
