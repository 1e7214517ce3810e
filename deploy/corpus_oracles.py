"""The two oracles of the corpus. Neither knows any trick.

Canary: no planted secret is in what came back, in any encoding that we know. Paired: two databases that differ only in
masked cells gave the same bytes.
"""

import base64
import codecs
import re
import struct
from datetime import date
from urllib.parse import quote

from corpus_wire import fields, values

# Fewer letters and digits than this can be in an answer by chance.
CANARY_LENGTH_MIN = 8
PACKED = re.compile(rb"[^0-9A-Za-z]+")
# What an approval's request is called, how long it waits yet, and the configuration's number.
APPROVAL = re.compile(rb"apr-[0-9a-z]+|for \d+ s:|epoch=\d+")
NUMBERS = re.compile(rb"\d+")


def packed(data):
    """Only letters and digits, in lower case: separators, quotes and framing are gone."""
    return PACKED.sub(b"", data).lower()


def base64_cores(raw):
    """The parts of base64 of `raw` that do not depend on what stands before and after it, for all three offsets."""
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw)
        start = (0, 2, 3)[offset]
        end = len(text) - len(text) % 4 - (4 if (len(raw) + offset) % 3 else 0)
        core = text[start + (1 if offset else 0):end]
        if len(core) >= CANARY_LENGTH_MIN:
            yield core


class Canary:
    """One planted secret and all the ways it can look."""

    def __init__(self, secret):
        self.secret = secret
        text = secret.encode()
        self.exact = {text, quote(secret, safe="").encode(), b"".join(b"%%%02X" % b for b in text),
                      b"".join(b"\\u%04x" % b for b in text), codecs.encode(secret, "rot13").encode(),
                      codecs.encode(secret, "rot13").encode()[::-1]}
        self.exact |= set(base64_cores(text)) | set(base64_cores(text[::-1]))
        self.exact |= {secret.encode("utf-16-be"), secret.encode("utf-16-le")}
        if secret.isdigit():
            number = int(secret)
            self.exact |= {struct.pack("!q", number), struct.pack("!d", number)}
            if number < 1 << 31:
                self.exact |= {struct.pack("!i", number)}
        if re.fullmatch(r"\d{4}-\d\d-\d\d", secret):
            self.exact.add(struct.pack("!i", (date.fromisoformat(secret) - date(2000, 1, 1)).days))
        if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", secret):
            self.exact.add(bytes.fromhex(secret.replace("-", "")))
        self.exact = {e for e in self.exact if len(e) >= 4}
        tight = packed(text)
        self.packed = {tight, tight[::-1], tight.hex().encode(), tight[::-1].hex().encode(), text.hex().encode(),
                       text.lower().hex().encode(), text.upper().hex().encode(), text[::-1].hex().encode()}
        self.codes = [self.code_list(text), self.code_list(text[::-1])]

    @staticmethod
    def code_list(text):
        return b" " + b" ".join(b"%d" % b for b in text) + b" "

    def found_in(self, seen):
        for needle in self.exact:
            if needle in seen.raw:
                return needle
        for needle in self.packed:
            if needle in seen.packed or needle in seen.joined:
                return needle
        return next((codes for codes in self.codes if codes in seen.codes), None)


class Seen:
    """What came back in one run, in the forms that canaries are looked for in."""

    def __init__(self, raw, messages=()):
        self.raw = bytes(raw)
        self.packed = packed(self.raw)
        cells = [cell for kind, body in messages if kind == b"D" for cell in values(body) if cell]
        self.joined = packed(b"".join(cells)) + b" " + self.by_column(messages)
        self.codes = b" " + b" ".join(NUMBERS.findall(b" ".join(cells) or self.raw)) + b" "

    @staticmethod
    def by_column(messages):
        columns = {}
        for kind, body in messages:
            if kind == b"D":
                for number, cell in enumerate(values(body)):
                    columns.setdefault(number, []).append(cell or b"")
        return b" ".join(packed(b"".join(cells)) for cells in columns.values())


def canaries(secrets):
    return [Canary(s) for s in secrets if len(packed(s.encode())) >= CANARY_LENGTH_MIN]


def canaries_in(seen, planted, told):
    """The planted secrets that came back. A secret that the case itself tells (`told`) may be echoed."""
    found = []
    for canary in planted:
        needle = canary.found_in(seen)
        if needle is not None and canary.secret not in told:
            found.append((canary.secret, needle))
    return found


def comparable(messages, oid_limit, names):
    """The messages without what two servers cannot agree on: keys, OIDs made while the case ran, request numbers."""
    out = []
    for kind, body in messages:
        if kind == b"K":
            continue
        if kind == b"A":
            body = b"\0\0\0\0" + body[4:]
        elif kind == b"T":
            body = described(body, oid_limit)
        elif kind in (b"E", b"N"):
            body = APPROVAL.sub(b"", body)
            for name in names:
                body = body.replace(name.encode(), names[0].encode())
        out.append((kind, body))
    return out


def described(body, oid_limit):
    """A RowDescription with the OIDs of objects that the case itself made set to 0."""
    count = struct.unpack("!H", body[:2])[0]
    out, at = body[:2], 2
    for _ in range(count):
        end = body.index(b"\0", at) + 1
        table, number, type_oid, size, modifier, form = struct.unpack("!IHIhih", body[end:end + 18])
        table = 0 if table >= oid_limit else table
        type_oid = 0 if type_oid >= oid_limit else type_oid
        out += body[at:end] + struct.pack("!IHIhih", table, number, type_oid, size, modifier, form)
        at = end + 18
    return out


def difference(a, b):
    """The first place where two runs differ, readable."""
    for left, right in zip(a, b):
        if left != right:
            return f"{readable(left)}  !=  {readable(right)}"
    if len(a) != len(b):
        longer = a if len(a) > len(b) else b
        return f"{len(a)} messages != {len(b)} messages; then {readable(longer[min(len(a), len(b))])}"
    return None


def readable(part):
    kind, body = part
    text = " | ".join(f"{k}:{v}" for k, v in fields(body).items() if k in "CMD") if kind in (b"E", b"N") else repr(body)
    return f"{kind.decode()} {text[:300]}"
