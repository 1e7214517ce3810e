"""Django: its own migrations (auth, sessions, content types), inspectdb, and down again. Arguments: URL, `up`/`down`."""

import os
import sys
from urllib.parse import parse_qs, unquote, urlsplit

import django
from django.conf import settings
from django.core.management import call_command

url = urlsplit(sys.argv[1])
options = {name: values[0] for name, values in parse_qs(url.query).items()}
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": url.path.lstrip("/"), "USER": unquote(url.username),
        "PASSWORD": unquote(url.password), "HOST": url.hostname, "PORT": url.port,
        "OPTIONS": {**options, "options": "-c search_path=mig,public"},
    }},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    SECRET_KEY="x",
)
django.setup()
from django.contrib.auth.models import Group, Permission, User  # noqa: E402  (needs the set-up)
from django.db import connection  # noqa: E402

if sys.argv[2] == "up":
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS mig")
    connection.close()
    call_command("migrate", verbosity=1)
    call_command("showmigrations")
    call_command("inspectdb", "products", "orders", "django_session")
    print(Permission.objects.count(), list(Group.objects.values_list("name")))
    group, _ = Group.objects.get_or_create(name="g")
    group.permissions.set(Permission.objects.all()[:3])
    print(Group.objects.prefetch_related("permissions").get(name="g").permissions.count(), User.objects.count())
else:
    call_command("migrate", "sessions", "zero", verbosity=1)
    # The steps back of `auth` make columns of names and addresses narrower. Whether that fails depends on values that a
    # developer does not see, so it is refused: the tables go as they are.
    for app in ["auth", "contenttypes"]:
        call_command("migrate", app, "zero", fake=True, verbosity=1)
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table.startswith(("auth_", "django_content_type")):
                cursor.execute(f'DROP TABLE {connection.ops.quote_name(table)} CASCADE')
