"""Writes labelled columns and labelled texts, for measuring the classifier.

The values come from Faker's generators of many locales, from numbers drawn at random until python-stdnum accepts them,
and from the published forms of the tokens of large services. Nothing here is shared with the detectors. One seed and
one set of locales is for tuning, another is for reporting.

Usage: classify_data.py tune|report DIRECTORY
"""

import base64
import hashlib
import json
import random
import string
import sys
import uuid

from faker import Faker
from stdnum import luhn
from stdnum.util import get_cc_module

ROWS = 200
SETS = {
    "tune": {
        "seed": 20_000,
        "locales": ["en_US", "de_DE", "fr_FR", "es_ES", "pl_PL", "nl_NL", "sv_SE", "ja_JP", "en_IN"],
        "domains": ["de", "es", "us", "pl", "nl", "se", "fr", "be", "it", "gb"],
    },
    "report": {
        "seed": 90_000,
        "locales": ["en_GB", "it_IT", "pt_BR", "pt_PT", "da_DK", "fi_FI", "no_NO", "cs_CZ", "ro_RO", "hr_HR", "en_AU",
                    "en_CA", "de_AT", "de_CH", "nl_BE", "hu_HU", "el_GR", "uk_UA", "zh_CN", "ko_KR", "tr_TR", "es_MX"],
        "domains": [],
    },
}
B62 = string.ascii_letters + string.digits


class Maker:
    """One seeded source of everything."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.fakers = {}
        self.seed = seed

    def fake(self, locale):
        if locale not in self.fakers:
            fake = Faker(locale)
            fake.seed_instance(self.random.randrange(1 << 30))
            self.fakers[locale] = fake
        return self.fakers[locale]

    def digits(self, count):
        return "".join(self.random.choice(string.digits) for _ in range(count))

    def number(self, count):
        return str(self.random.randrange(10 ** (count - 1), 10**count))

    def text(self, alphabet, count):
        return "".join(self.random.choice(alphabet) for _ in range(count))

    def pick(self, *of):
        return self.random.choice(of)

    def until(self, valid, draw, tries=200_000):
        for _ in range(tries):
            value = draw()
            if valid(value):
                return value
        raise SystemExit("no valid value was drawn")

    def day(self, first, last, form):
        year = self.random.randrange(first, last + 1)
        month, day = self.random.randrange(1, 13), self.random.randrange(1, 29)
        return form.format(y=year, yy=year % 100, m=month, d=day)


def national_ids(m):
    """(what, maker, column names): drawn until an independent implementation accepts them."""

    def stdnum(country, name, draw, write=None):
        module = get_cc_module(country, name)
        if module is None:
            raise SystemExit(f"python-stdnum has no {country}.{name}")
        return lambda: (write or (lambda v: v))(m.until(module.is_valid, draw))

    def born(form, tail, first=1940, last=2005):
        return lambda: m.day(first, last, form) + m.digits(tail)

    def letters(count):
        return m.text(string.ascii_uppercase, count)

    def nino():
        return m.text("ABCEGHJKLMNPRSTWXYZ", 1) + m.text("ABCEGHJKLMNPRSTWXYZ", 1) + m.digits(6) + m.text("ABCD", 1)

    def nir():
        body = f"{m.pick(1, 2)}{m.random.randrange(100):02}{m.random.randrange(1, 13):02}{m.random.randrange(1, 96):02}" \
            + f"{m.random.randrange(1, 990):03}{m.random.randrange(1, 999):03}"
        return body + f"{97 - int(body) % 97:02}"

    def dni():
        number = m.random.randrange(10_000_000, 99_999_999)
        return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"

    return [
        ("us ssn", "us", stdnum("us", "ssn", lambda: f"{m.digits(3)}-{m.digits(2)}-{m.digits(4)}"), ["ssn", "social_security_number"]),
        ("us itin", "us", lambda: f"9{m.digits(2)}-{m.random.randrange(70, 89)}-{m.digits(4)}", ["itin", "taxpayer_id"]),
        ("gb nino", "gb", nino, ["nino", "national_insurance_number", "ni_number"]),
        ("de steuer-id", "de", stdnum("de", "idnr", lambda: m.number(11)), ["steuer_id", "tax_id"]),
        ("fr nir", "fr", stdnum("fr", "nir", nir), ["nir", "numero_securite_sociale"]),
        ("es dni", "es", stdnum("es", "dni", dni), ["dni", "nif"]),
        ("es nie", "es", stdnum("es", "nie", lambda: m.pick("X", "Y", "Z") + m.digits(7) + letters(1)), ["nie"]),
        ("it codice fiscale", "it", lambda: m.fake("it_IT").ssn(), ["codice_fiscale", "cf"]),
        ("nl bsn", "nl", stdnum("nl", "bsn", lambda: m.number(9)), ["bsn"]),
        ("be nn", "be", stdnum("be", "nn", born("{yy:02}{m:02}{d:02}", 5)), ["rijksregisternummer", "national_number"]),
        ("pl pesel", "pl", stdnum("pl", "pesel", born("{yy:02}{m:02}{d:02}", 5)), ["pesel"]),
        ("se personnummer", "se", stdnum("se", "personnummer", lambda: m.day(1940, 2005, "{yy:02}{m:02}{d:02}") + "-" + m.digits(4)), ["personnummer"]),
        ("fi hetu", "fi", stdnum("fi", "hetu", lambda: m.day(1940, 1999, "{d:02}{m:02}{yy:02}") + "-" + m.digits(3) + m.text("0123456789ABCDEFHJKLMNPRSTUVWXY", 1)), ["hetu", "henkilotunnus"]),
        ("dk cpr", "dk", stdnum("dk", "cpr", lambda: m.day(1940, 1999, "{d:02}{m:02}{yy:02}") + m.text("0123", 1) + m.digits(3), lambda v: v[:6] + "-" + v[6:]), ["cpr", "cpr_nummer"]),
        ("pt nif", "pt", stdnum("pt", "nif", lambda: m.pick("1", "2") + m.digits(8)), ["nif", "contribuinte"]),
        ("ro cnp", "ro", stdnum("ro", "cnp", lambda: m.pick("1", "2") + m.day(1940, 1999, "{yy:02}{m:02}{d:02}") + f"{m.random.randrange(1, 47):02}" + m.digits(4)), ["cnp"]),
        ("at svnr", "at", stdnum("at", "vnr", lambda: m.number(4) + m.day(1940, 2005, "{d:02}{m:02}{yy:02}")), ["sozialversicherungsnummer", "svnr"]),
        ("bg egn", "bg", stdnum("bg", "egn", born("{yy:02}{m:02}{d:02}", 4, 1940, 1999)), ["egn"]),
        ("cz rodne cislo", "cz", stdnum("cz", "rc", born("{yy:02}{m:02}{d:02}", 4, 1955, 1999), lambda v: v[:6] + "/" + v[6:]), ["rodne_cislo"]),
        ("hr oib", "hr", stdnum("hr", "oib", lambda: m.digits(11)), ["oib"]),
        ("ee isikukood", "ee", stdnum("ee", "ik", lambda: m.pick("3", "4") + m.day(1940, 1999, "{yy:02}{m:02}{d:02}") + m.digits(4)), ["isikukood"]),
        ("lt asmens kodas", "lt", stdnum("lt", "asmens", lambda: m.pick("3", "4") + m.day(1940, 1999, "{yy:02}{m:02}{d:02}") + m.digits(4)), ["asmens_kodas"]),
        ("lv personas kods", "lv", stdnum("lv", "pvn", lambda: m.day(1940, 1999, "{d:02}{m:02}{yy:02}") + "1" + m.digits(4), lambda v: v[:6] + "-" + v[6:]), ["personas_kods"]),
        ("ie pps", "ie", stdnum("ie", "pps", lambda: m.digits(7) + letters(1)), ["pps_number", "ppsn"]),
        ("gr amka", "gr", stdnum("gr", "amka", lambda: m.day(1940, 2005, "{d:02}{m:02}{yy:02}") + m.digits(5)), ["amka"]),
        ("si emso", "si", stdnum("si", "emso", lambda: m.day(1940, 1999, "{d:02}{m:02}9{yy:02}") + "50" + m.digits(4)), ["emso"]),
        ("no fodselsnummer", "no", stdnum("no", "fodselsnummer", born("{d:02}{m:02}{yy:02}", 5, 1940, 1999)), ["fodselsnummer"]),
        ("ch ahv", "ch", lambda: m.fake("de_CH").ssn(), ["ahv_nr", "ahv"]),
        ("br cpf", "br", stdnum("br", "cpf", lambda: m.digits(11), lambda v: f"{v[:3]}.{v[3:6]}.{v[6:9]}-{v[9:]}"), ["cpf"]),
        ("in aadhaar", "in", stdnum("in", "aadhaar", lambda: m.pick("2", "3", "5", "7", "9") + m.digits(11)), ["aadhaar", "aadhaar_no"]),
        ("cn resident id", "cn", lambda: m.fake("zh_CN").ssn(), ["id_card_no", "identity_number"]),
        ("kr rrn", "kr", lambda: m.fake("ko_KR").ssn(), ["rrn", "resident_registration_number"]),
        ("tr tckn", "tr", stdnum("tr", "tckimlik", lambda: m.number(11)), ["tckn", "tc_kimlik_no"]),
        ("ca sin", "ca", lambda: m.fake("en_CA").ssn(), ["sin", "social_insurance_number"]),
    ]


def secrets(m):
    def jwt():
        part = lambda of: base64.urlsafe_b64encode(json.dumps(of).encode()).decode().rstrip("=")  # noqa: E731
        return ".".join([part({"alg": m.pick("HS256", "RS256", "ES256"), "typ": "JWT"}),
                         part({"sub": m.number(9), "iat": 1_700_000_000 + m.random.randrange(10**7)}),
                         m.text(B62 + "-_", 43)])

    def pem():
        kind = m.pick("RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY")
        body = "\n".join(m.text(B62 + "+/", 64) for _ in range(6))
        return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----"

    upper32 = string.ascii_uppercase + "234567"
    hexa = "0123456789abcdef"
    return [
        ("aws access key", lambda: m.pick("AKIA", "ASIA") + m.text(upper32, 16), ["aws_access_key_id", "access_key"]),
        ("aws secret key", lambda: m.text(B62 + "+/", 40), ["aws_secret_access_key", "secret_key"]),
        ("gcp key", lambda: "AIza" + m.text(B62 + "-_", 35), ["google_api_key"]),
        ("gcp oauth", lambda: "ya29." + m.text(B62 + "-_", 100), ["google_access_token"]),
        ("azure storage", lambda: "DefaultEndpointsProtocol=https;AccountName=acme" + m.digits(3) + ";AccountKey=" + m.text(B62 + "+/", 86) + "==;EndpointSuffix=core.windows.net", ["storage_connection", "azure_connection_string"]),
        ("azure client secret", lambda: m.text(B62, 3) + m.digits(1) + "Q~" + m.text(B62 + "_.~-", 34), ["client_secret"]),
        ("github", lambda: m.pick("ghp_", "gho_", "ghs_", "ghu_", "ghr_") + m.text(B62, 36), ["github_token"]),
        ("github fine", lambda: "github_pat_" + m.text(B62, 22) + "_" + m.text(B62, 59), ["gh_pat"]),
        ("gitlab", lambda: "glpat-" + m.text(B62 + "-_", 20), ["gitlab_token"]),
        ("slack", lambda: m.pick("xoxb-", "xoxp-") + m.number(12) + "-" + m.number(12) + "-" + m.text(B62, 24), ["slack_token", "bot_token"]),
        ("slack hook", lambda: "https://hooks.slack.com/services/T" + m.text(B62[26:], 10) + "/B" + m.text(B62[26:], 10) + "/" + m.text(B62, 24), ["slack_webhook"]),
        ("stripe", lambda: m.pick("sk_live_", "sk_test_", "rk_live_") + m.text(B62, 24), ["stripe_key"]),
        ("openai", lambda: "sk-proj-" + m.text(B62, 48), ["openai_api_key"]),
        ("anthropic", lambda: "sk-ant-api03-" + m.text(B62 + "-_", 93) + "AA", ["llm_api_key"]),
        ("twilio", lambda: "SK" + m.text(hexa, 32), ["twilio_api_key"]),
        ("sendgrid", lambda: "SG." + m.text(B62 + "-_", 22) + "." + m.text(B62 + "-_", 43), ["sendgrid_key"]),
        ("npm", lambda: "npm_" + m.text(B62, 36), ["npm_token"]),
        ("pypi", lambda: "pypi-AgEIcHlwaS5vcmc" + m.text(B62 + "-_", 120), ["pypi_token"]),
        ("digitalocean", lambda: "dop_v1_" + m.text(hexa, 64), ["do_token"]),
        ("vault", lambda: "hvs." + m.text(B62 + "-_", 90), ["vault_token"]),
        ("jwt", jwt, ["id_token", "session_token", "jwt"]),
        ("private key", pem, ["private_key", "signing_key_pem"]),
        ("database url", lambda: f"postgres://app:{m.text(B62, 14)}@db{m.digits(2)}.internal:5432/app", ["database_url", "dsn"]),
    ]


def hashes(m):
    b64 = B62 + "./"
    return [
        ("bcrypt", lambda: f"$2{m.pick('a', 'b', 'y')}$12$" + m.text(b64, 53), ["password_hash", "encrypted_password"]),
        ("argon2", lambda: "$argon2id$v=19$m=65536,t=3,p=4$" + m.text(b64, 22) + "$" + m.text(b64, 43), ["password"]),
        ("sha512-crypt", lambda: "$6$" + m.text(b64, 12) + "$" + m.text(b64, 86), ["passwd", "shadow"]),
        ("django", lambda: "pbkdf2_sha256$600000$" + m.text(B62, 22) + "$" + m.text(B62 + "+/", 43) + "=", ["password"]),
        ("scram", lambda: "SCRAM-SHA-256$4096:" + m.text(B62, 22) + "==$" + m.text(B62, 43) + "=:" + m.text(B62, 43) + "=", ["rolpassword"]),
        ("clear", lambda: m.fake("en_US").password(length=m.random.randrange(10, 16)), ["password", "user_password"]),
    ]


def look_alikes(m):
    """(what, type, maker, column names): nothing here is personal."""
    us = m.fake("en_US")
    hexa = "0123456789abcdef"
    counter = iter(range(10_000_000, 99_999_999))

    def ean():
        body = m.pick("40", "50", "76", "87", "00") + m.digits(10)
        total = sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(body))
        return body + str(-total % 10)

    return [
        ("order number", "text", lambda: f"ORD-{m.random.randrange(2019, 2026)}-{m.digits(6)}", ["order_number", "order_ref"]),
        ("order number, digits", "text", lambda: m.number(10), ["order_no"]),
        ("invoice", "text", lambda: f"INV{m.digits(8)}", ["invoice_number"]),
        ("invoice with slashes", "text", lambda: f"{m.random.randrange(2019, 2026)}/{m.digits(6)}", ["document_no"]),
        ("uuid", "uuid", lambda: str(uuid.UUID(int=m.random.getrandbits(128), version=4)), ["id", "request_id"]),
        ("uuid as text", "text", lambda: str(uuid.UUID(int=m.random.getrandbits(128), version=4)), ["external_ref", "correlation_id"]),
        ("uuid without dashes", "text", lambda: m.text(hexa, 32), ["trace_id"]),
        ("md5", "text", lambda: hashlib.md5(m.digits(9).encode()).hexdigest(), ["md5", "etag"]),
        ("sha1", "text", lambda: hashlib.sha1(m.digits(9).encode()).hexdigest(), ["commit_sha", "git_sha"]),
        ("sha256", "text", lambda: hashlib.sha256(m.digits(9).encode()).hexdigest(), ["checksum", "sha256"]),
        ("sha256 base64", "text", lambda: base64.b64encode(hashlib.sha256(m.digits(9).encode()).digest()).decode(), ["digest"]),
        ("timestamp", "timestamptz", lambda: m.day(2018, 2025, "{y}-{m:02}-{d:02}") + f" {m.random.randrange(24):02}:{m.random.randrange(60):02}:07+00", ["created_at", "updated_at"]),
        ("timestamp as text", "text", lambda: m.day(2018, 2025, "{y}-{m:02}-{d:02}") + f"T{m.random.randrange(24):02}:{m.random.randrange(60):02}:07Z", ["received", "event_time"]),
        ("business date", "date", lambda: m.day(2018, 2025, "{y}-{m:02}-{d:02}"), ["shipped_on", "due_date"]),
        ("epoch seconds", "int8", lambda: f"17{m.digits(8)}", ["ts", "epoch"]),
        ("epoch milliseconds", "int8", lambda: f"17{m.digits(11)}", ["ts_ms", "occurred_ms"]),
        ("epoch as text", "text", lambda: f"17{m.digits(8)}", ["ts"]),
        ("sku", "text", lambda: f"{m.text(string.ascii_uppercase, 3)}-{m.digits(4)}-{m.text(string.ascii_uppercase, 2)}", ["sku", "article"]),
        ("sku, digits", "text", lambda: f"{m.digits(3)}-{m.digits(3)}-{m.digits(2)}", ["part_number"]),
        ("ean13", "text", ean, ["ean", "barcode"]),
        ("ean8", "text", lambda: us.ean8(), ["ean8", "barcode"]),
        ("isbn", "text", lambda: us.isbn13(), ["isbn"]),
        ("snowflake id", "int8", lambda: f"1{m.digits(18)}", ["id", "message_id"]),
        ("snowflake id as text", "text", lambda: f"1{m.digits(18)}", ["tweet_id", "channel_id"]),
        ("random 9 digits", "int4", lambda: m.number(9), ["batch", "points"]),
        ("random 9 digits as text", "text", lambda: m.number(9), ["lot_number", "account_ref"]),
        ("random 10 digits as text", "text", lambda: m.number(10), ["ticket_no"]),
        ("random 11 digits as text", "text", lambda: m.number(11), ["case_ref"]),
        ("random 12 digits as text", "text", lambda: m.number(12), ["shipment"]),
        ("random 16 digits", "int8", lambda: m.number(16), ["transaction_no", "external_id"]),
        ("random 16 digits as text", "text", lambda: m.number(16), ["voucher", "reference"]),
        ("random 16 digits from 4", "text", lambda: "4" + m.digits(15), ["reference"]),
        ("sequence", "int8", lambda: str(next(counter)), ["id", "seq"]),
        ("sequence as text", "text", lambda: str(next(counter)), ["legacy_id"]),
        ("imei", "text", lambda: (lambda b: b + luhn.calc_check_digit(b))("35" + m.digits(12)), ["imei", "device_serial"]),
        ("version", "text", lambda: f"{m.random.randrange(9)}.{m.random.randrange(30)}.{m.random.randrange(99)}", ["version", "app_version"]),
        ("version of four", "text", lambda: f"{m.random.randrange(9)}.{m.random.randrange(9)}.{m.random.randrange(60)}.{m.random.randrange(90)}", ["build", "driver_version"]),
        ("hex colour", "text", lambda: us.hex_color(), ["color", "theme"]),
        ("hex colour short", "text", lambda: m.text(hexa, 6), ["background"]),
        ("amount", "numeric", lambda: f"{m.random.randrange(9999)}.{m.random.randrange(100):02}", ["amount", "total"]),
        ("amount as text", "text", lambda: f"{m.random.randrange(9999)}.{m.random.randrange(100):02}", ["price"]),
        ("quantity", "int4", lambda: str(m.random.randrange(100)), ["quantity", "stock"]),
        ("measure", "float8", lambda: f"{m.random.uniform(0, 80):.4f}", ["temperature", "score", "weight_kg"]),
        ("share", "float8", lambda: f"{m.random.random():.6f}", ["ratio", "confidence"]),
        ("status", "text", lambda: m.pick("open", "paid", "shipped", "cancelled", "returned"), ["status", "state"]),
        ("currency", "text", lambda: m.pick("EUR", "USD", "GBP", "SEK", "PLN", "CHF"), ["currency"]),
        ("country code", "text", lambda: us.country_code(), ["country", "market"]),
        ("locale", "text", lambda: us.locale(), ["locale"]),
        ("mime", "text", lambda: us.mime_type(), ["content_type"]),
        ("file name", "text", lambda: us.file_name(), ["file", "attachment"]),
        ("file path", "text", lambda: us.file_path(depth=3), ["path"]),
        ("url", "text", lambda: f"https://shop.example.com/{us.uri_path()}/{m.digits(5)}", ["url", "link"]),
        ("user agent", "text", lambda: us.user_agent(), ["user_agent"]),
        ("tracking", "text", lambda: "1Z" + m.text(string.ascii_uppercase + string.digits, 6) + m.digits(10), ["tracking_number"]),
        ("tracking post", "text", lambda: m.text("RCEL", 1) + m.text(string.ascii_uppercase, 1) + m.digits(9) + m.pick("DE", "US", "GB"), ["parcel"]),
        ("vin", "text", lambda: us.vin(), ["chassis"]),
        ("ulid", "text", lambda: "01J" + m.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", 23), ["event_key", "ulid"]),
        ("nano id", "text", lambda: m.text(B62 + "-_", 21), ["public_id"]),
        ("short code", "text", lambda: m.text(string.ascii_uppercase + string.digits, 8), ["promo", "coupon"]),
        ("object id", "text", lambda: m.text(hexa, 24), ["mongo_id"]),
        ("domain", "text", lambda: us.domain_name(), ["domain"]),
        ("slug", "text", lambda: us.slug(), ["slug"]),
        ("cidr", "cidr", lambda: f"10.{m.random.randrange(256)}.0.0/16", ["subnet"]),
        ("duration", "text", lambda: f"{m.random.randrange(24):02}:{m.random.randrange(60):02}:{m.random.randrange(60):02}", ["duration"]),
        ("size", "text", lambda: f"{m.random.randrange(10, 200)}x{m.random.randrange(10, 200)}x{m.random.randrange(10, 200)}", ["dimensions"]),
        ("flag", "bool", lambda: m.pick("t", "f"), ["active", "email_verified"]),
        ("json settings", "jsonb", lambda: json.dumps({"theme": m.pick("dark", "light"), "size": m.random.randrange(90), "beta": m.pick(True, False)}), ["settings", "flags"]),
        ("tags", "_text", lambda: "{" + ",".join(m.random.sample(["new", "sale", "eco", "bulk", "gift", "b2b"], 2)) + "}", ["tags", "labels"]),
        ("log line", "text", lambda: f"worker {m.random.randrange(40)} took {m.random.randrange(9000)} ms for job {m.number(9)} at step {m.random.randrange(9)}", ["message", "log"]),
        ("review", "text", lambda: us.sentence(nb_words=12), ["body", "description"]),
    ]


def structured(m, locales, domains):
    """(what, label, type, maker, column names)."""
    us = m.fake("en_US")
    found = []
    for locale in locales:
        fake = m.fake(locale)
        found.append((f"email {locale}", "pii.email", "text", fake.email, ["email", "contact_email", "mail"]))
        found.append((f"phone {locale}", "pii.phone", "text", fake.phone_number, ["phone", "mobile", "telephone", "contact_number"]))
        try:
            fake.iban()
            found.append((f"iban {locale}", "payment.iban", "text", fake.iban, ["iban", "account_iban"]))
        except (AttributeError, NotImplementedError):
            pass
    for what, domain, make, names in national_ids(m):
        if not domains or domain in domains:
            found.append((what, "pii.national_id", "text", make, names))
            if what in ("nl bsn", "pl pesel", "de steuer-id"):
                found.append((what + " as number", "pii.national_id", "int8", lambda make=make: make().lstrip("0"), names))
    for what, make, names in secrets(m):
        found.append((what, "secret.key", "text", make, names))
    for what, make, names in hashes(m):
        found.append((what, "secret.password", "text", make, names))
    spaced = lambda n: " ".join(n[i:i + 4] for i in range(0, len(n), 4))  # noqa: E731
    cards = [("card", "text", lambda: us.credit_card_number()), ("card visa", "text", lambda: us.credit_card_number("visa16")),
             ("card number", "int8", lambda: us.credit_card_number("mastercard")), ("card amex", "text", lambda: us.credit_card_number("amex")),
             ("card spaced", "text", lambda: spaced(us.credit_card_number("visa16")))]
    for what, kind, make in cards:
        found.append((what, "payment.card", kind, make, ["card_number", "cc_number", "pan"]))
    found += [
        ("ipv4", "pii.ip", "text", us.ipv4_public, ["ip", "ip_address", "client_ip"]),
        ("ipv6", "pii.ip", "text", us.ipv6, ["ip", "remote_addr"]),
        ("inet", "pii.ip", "inet", us.ipv4_public, ["ip", "last_login_ip"]),
        ("mac", "pii.mac", "text", us.mac_address, ["mac", "mac_address"]),
        ("mac dashes", "pii.mac", "text", lambda: us.mac_address().upper().replace(":", "-"), ["hw_address", "mac"]),
        ("macaddr", "pii.mac", "macaddr", us.mac_address, ["mac"]),
        ("position", "pii.location", "text", lambda: f"{us.latitude()}, {us.longitude()}", ["location", "coordinates"]),
        ("position point", "pii.location", "point", lambda: f"({us.longitude()},{us.latitude()})", ["position"]),
        ("bic", "payment.bank_account", "text", lambda: m.fake("en_GB").swift(), ["bic", "swift_code"]),
        ("routing number", "payment.bank_account", "text", us.aba, ["routing_number"]),
        ("nhs number", "health.record", "text", lambda: m.until(get_cc_module("gb", "nhs").is_valid, lambda: m.number(10)), ["nhs_number"]),
        ("emails in an array", "pii.email", "_text", lambda: "{" + us.email() + "," + us.email() + "}", ["emails"]),
    ]
    # Only a name tells these: they are not asked for under neutral names.
    named = [
        ("latitude", "pii.location", "float8", lambda: str(us.latitude()), ["latitude", "lat"]),
        ("longitude", "pii.location", "numeric", lambda: str(us.longitude()), ["longitude", "lng"]),
        ("passport", "pii.national_id", "text", us.passport_number, ["passport_number", "passport_no"]),
        ("driving licence", "pii.national_id", "text", lambda: m.text(string.ascii_uppercase, 1) + m.digits(7), ["drivers_license", "driving_licence_number", "license_no"]),
        ("medical record", "health.record", "text", lambda: "MRN" + m.digits(7), ["mrn", "medical_record_number"]),
        ("bank account", "payment.bank_account", "text", lambda: m.digits(10), ["account_number", "bank_account"]),
        ("insurance number", "health.record", "text", lambda: m.text(string.ascii_uppercase, 1) + m.digits(9), ["health_insurance_number", "insurance_member_id"]),
        ("ssn without dashes", "pii.national_id", "int4", lambda: m.number(9), ["ssn"]),
    ]
    return found, named


def people(m, locales):
    found = []
    for locale in locales:
        fake = m.fake(locale)
        found += [
            (f"name {locale}", "pii.name", "text", fake.name, ["full_name", "customer_name", "contact_name"]),
            (f"first name {locale}", "pii.name", "text", fake.first_name, ["first_name", "given_name"]),
            (f"last name {locale}", "pii.name", "text", fake.last_name, ["last_name", "surname"]),
            (f"address {locale}", "pii.address", "text", fake.address, ["address", "billing_address"]),
            (f"street {locale}", "pii.address", "text", fake.street_address, ["street", "address_line1"]),
        ]
    iso = lambda: m.fake("en_US").date_of_birth(minimum_age=18, maximum_age=90).isoformat()  # noqa: E731
    found += [
        ("birth date", "pii.birth_date", "date", iso, ["birth_date", "date_of_birth", "dob"]),
        ("birth date as text", "pii.birth_date", "text", iso, ["birthday", "dob", "born_on"]),
        ("birth date, day first", "pii.birth_date", "text", lambda: m.day(1935, 2006, "{d:02}.{m:02}.{y}"), ["geburtsdatum", "birthdate"]),
    ]
    return found


def texts(m):
    """Texts with one find, and texts without: (text, what is in it or None)."""
    us = m.fake("en_US")
    keys = {what: make for what, make, _ in secrets(m)}
    ids = {what: make for what, _, make, _ in national_ids(m)}
    clean = [
        lambda: f"order ORD-2024-{m.digits(6)} shipped with 1Z999AA1{m.digits(10)}, total {m.random.randrange(900)}.{m.digits(2)} EUR",
        lambda: f"customer {m.number(16)} asked about invoice {m.number(9)} on 2024-{m.random.randrange(1, 13):02}-{m.random.randrange(1, 29):02} {m.random.randrange(24):02}:{m.random.randrange(60):02}",
        lambda: f"request {uuid.UUID(int=m.random.getrandbits(128))} failed after {m.random.randrange(9000)} ms in version {m.random.randrange(9)}.{m.random.randrange(30)}.{m.random.randrange(99)}",
        lambda: f"commit {m.text('0123456789abcdef', 40)} touched {m.random.randrange(50)} files, see https://git.example.com/p/{m.number(5)}",
        lambda: f"article 40{m.digits(11)} is back in stock, {m.random.randrange(400)} pieces, colour #{m.text('0123456789abcdef', 6)}",
        lambda: f"message {m.number(19)} was delivered at 17{m.digits(8)}",
        lambda: us.paragraph(nb_sentences=3),
        lambda: "the password was reset and the token expired, please log in again",
    ]
    dirty = [
        ("pii.email", lambda: us.email()), ("pii.email", lambda: us.ascii_company_email()),
        ("pii.phone", lambda: m.pick("+49 170 ", "+44 7911 ", "+33 6 12 ") + m.digits(6)),
        ("pii.phone", lambda: f"({m.random.randrange(201, 980)}) {m.random.randrange(200, 999)}-{m.digits(4)}"),
        ("pii.national_id", ids["us ssn"]),
        ("payment.card", lambda: (lambda n: " ".join(n[i:i + 4] for i in range(0, 16, 4)))(us.credit_card_number("visa16"))),
        ("payment.card", lambda: "card " + us.credit_card_number("mastercard")),
        ("payment.iban", lambda: m.fake("de_DE").iban()), ("payment.iban", lambda: m.fake("en_GB").iban()),
        ("pii.ip", us.ipv4_public), ("pii.mac", us.mac_address),
        ("secret.key", keys["aws access key"]), ("secret.key", keys["github"]), ("secret.key", keys["jwt"]),
        ("secret.key", keys["stripe"]), ("secret.key", keys["slack"]), ("secret.key", keys["private key"]),
        ("secret.key", keys["database url"]), ("secret.key", lambda: "password: " + m.text(B62, 10) + "7!"),
        ("secret.password", lambda: "$2b$12$" + m.text(B62, 53)),
    ]
    frames = ["please note {} for the file", "{} was given by the customer in chat", "call ended. {}. follow up tomorrow",
              '{{"note": "{}", "step": 3}}', "see also\n{}\nthanks"]
    for _ in range(4_000):
        yield m.pick(*clean)(), None
    for _ in range(1_200):
        kind, make = m.pick(*dirty)
        yield m.pick(*frames).format(make()), kind


TABLES = ["customers", "orders", "accounts", "devices", "events", "records", "items", "t_main", "contacts", "logs"]
NEUTRAL = ["c{}", "col{}", "value{}", "data{}", "f{}", "field_{}", "x{}"]


def tables(m, columns, naming, size):
    """Groups columns into tables and names both."""
    columns = columns[:]
    m.random.shuffle(columns)
    for start in range(0, len(columns), size):
        table = {"table": m.pick(*TABLES) if naming == "real" else f"t{m.digits(3)}", "naming": naming, "columns": []}
        style, taken = m.pick(*NEUTRAL), set()
        for index, (group, what, label, kind, make, names) in enumerate(columns[start:start + size]):
            name = m.pick(*names) if naming == "real" else style.format(index + 1)
            while name in taken:
                name += "_2"
            taken.add(name)
            table["columns"].append({"name": name, "type": kind, "what": what, "label": label, "group": group,
                                     "values": [str(make()) for _ in range(ROWS)]})
        yield table


def main():
    which, directory = sys.argv[1], sys.argv[2]
    chosen = SETS[which]
    m = Maker(chosen["seed"])
    known, named = structured(m, chosen["locales"], chosen["domains"])
    persons = people(m, chosen["locales"])
    others = [("look-alike", what, None, kind, make, names) for what, kind, make, names in look_alikes(m)]
    sensitive = [("structured", *c) for c in known]
    with open(f"{directory}/columns.jsonl", "w", encoding="utf-8") as out:
        def write(*args):
            for table in tables(m, *args):
                out.write(json.dumps(table, ensure_ascii=False) + "\n")
        for _ in range(2):
            write(sensitive + [("structured", *c) for c in named] + others, "real", 8)
            write([("person", *c) for c in persons] + others, "real", 6)
            write(sensitive + others, "neutral", 8)
        write([("person", *c) for c in persons], "neutral", 4)
        for _ in range(6):
            write(others, "real", 8)
            write(others, "neutral", 8)
    with open(f"{directory}/texts.jsonl", "w", encoding="utf-8") as out:
        for text, kind in texts(m):
            out.write(json.dumps({"text": text, "label": kind}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
