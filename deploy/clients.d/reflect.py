"""SQLAlchemy: everything that its inspector says about the database, printed. Argument: a libpq URL."""

import sys

from sqlalchemy import MetaData, create_engine, inspect

engine = create_engine(sys.argv[1].replace("postgresql://", "postgresql+psycopg2://", 1))
inspector = inspect(engine)
print(engine.dialect.default_schema_name, inspector.get_schema_names())
for schema in ["public", "tools"]:
    print(schema, sorted(inspector.get_view_names(schema=schema)), inspector.get_materialized_view_names(schema=schema))
    print(inspector.get_sequence_names(schema=schema), inspector.get_enums(schema=schema))
    print(inspector.get_domains(schema=schema))
    for what in ["columns", "pk_constraint", "foreign_keys", "indexes", "unique_constraints", "check_constraints",
                 "table_comment", "table_options"]:
        found = getattr(inspector, f"get_multi_{what}")(schema=schema)
        for key in sorted(found, key=str):
            print(what, key, found[key])
    for view in sorted(inspector.get_view_names(schema=schema)):
        print(view, inspector.get_view_definition(view, schema=schema))
metadata = MetaData()
metadata.reflect(engine, views=True)
for table in metadata.sorted_tables:
    print(table, [repr(c) for c in table.columns])
with engine.begin() as connection:
    print(connection.exec_driver_sql("SELECT count(*), max(sku) FROM products").all())
