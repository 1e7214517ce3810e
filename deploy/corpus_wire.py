"""A PostgreSQL client of the corpus's own: TLS, a token as password, and a log of every byte that comes back.

No driver sits between the case and the socket: what the edge sent is what the oracles see.
"""

import re
import socket
import ssl
import struct
from urllib.parse import parse_qs, unquote, urlsplit

# How long a case may take before it counts as a hang, in seconds.
TIMEOUT_SECONDS = 20
PROTOCOL_3 = 196608
SSL_REQUEST = 80877103
CANCEL_REQUEST = 80877102
# SQLSTATEs that the edge answers with where it does not let a statement pass.
REFUSALS = {"42501", "57014", "58000", "54000", "08P01", "0A000"}


class Hang(Exception):
    """No answer within the time limit."""


class Url:
    """What a libpq URL says."""

    def __init__(self, url, dbname=None):
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        self.host = parts.hostname or query["host"][0]
        self.port = parts.port or 5432
        self.user = unquote(parts.username)
        self.password = unquote(parts.password or "")
        self.dbname = dbname or parts.path.lstrip("/")
        self.ca = query.get("sslrootcert", [None])[0]
        self.tls = query.get("sslmode", ["disable"])[0] != "disable"


def message(kind, body):
    return kind + struct.pack("!i", len(body) + 4) + body


def cstring(text):
    return (text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")) + b"\0"


class Wire:
    """One session. `messages` is every backend message since the connection began, as (kind, body)."""

    def __init__(self, url, options=None):
        self.url = url
        self.messages = []
        self.log = bytearray()
        self.buffer = bytearray()
        self.frame_bytes = None
        self.key = None
        self.status = b"I"
        self.socket = self.dial()
        startup = b"user\0" + cstring(url.user) + b"database\0" + cstring(url.dbname)
        for name, value in (options or {}).items():
            startup += cstring(name) + cstring(value)
        body = struct.pack("!i", PROTOCOL_3) + startup + b"\0"
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self.authenticate()

    def dial(self):
        plain = socket.create_connection((self.url.host, self.url.port), timeout=TIMEOUT_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.url.tls:
            return plain
        plain.sendall(struct.pack("!ii", 8, SSL_REQUEST))
        if plain.recv(1) != b"S":
            raise ConnectionError("the server does not speak TLS")
        context = ssl.create_default_context(cafile=self.url.ca)
        return context.wrap_socket(plain, server_hostname=self.url.host)

    def authenticate(self):
        while True:
            kind, body = self.receive()
            if kind == b"R" and struct.unpack("!i", body[:4])[0] == 3:
                self.send(message(b"p", cstring(self.url.password)))
            elif kind == b"R" and struct.unpack("!i", body[:4])[0] != 0:
                raise ConnectionError(f"authentication method {body[:4]!r}")
            elif kind == b"E":
                raise ConnectionError(error_text(body))
            elif kind == b"Z":
                return

    def send(self, data):
        if self.frame_bytes is None:
            self.socket.sendall(data)
            return
        for start in range(0, len(data), self.frame_bytes):
            self.socket.sendall(data[start:start + self.frame_bytes])

    def fill(self):
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            raise Hang from None
        if not data:
            raise ConnectionResetError("the connection ended")
        self.log += data
        self.buffer += data

    def receive(self):
        while len(self.buffer) < 5:
            self.fill()
        length = struct.unpack("!i", self.buffer[1:5])[0]
        while len(self.buffer) < length + 1:
            self.fill()
        kind, body = bytes(self.buffer[:1]), bytes(self.buffer[5:length + 1])
        del self.buffer[:length + 1]
        self.messages.append((kind, body))
        if kind == b"K":
            self.key = body
        elif kind == b"Z":
            self.status = body
        elif kind == b"N" and b"request=" in body and b"rule=" in body:
            self.cancel()
        return kind, body

    def cancel(self):
        """Ends a statement that waits for an approval: nobody will come."""
        other = self.dial()
        other.sendall(struct.pack("!ii", 16, CANCEL_REQUEST) + self.key)
        other.close()

    def until_ready(self, copy=None):
        """Reads to ReadyForQuery; a COPY FROM STDIN is given `copy`, or fails."""
        while True:
            kind, _ = self.receive()
            if kind == b"G":
                if copy is None:
                    self.send(message(b"f", cstring("no data")))
                else:
                    self.send(message(b"d", copy) + message(b"c", b""))
            elif kind == b"Z":
                return

    # ---- messages ------------------------------------------------------------------------------------------------

    def query(self, sql, copy=None):
        self.send(message(b"Q", cstring(sql)))
        self.until_ready(copy)

    def extended(self, sql, params=(), binary=False, copy=None):
        pipeline = parse("", sql) + describe("S", "") + bind("", "", params, binary) + execute("") + message(b"S", b"")
        self.send(pipeline)
        self.until_copied(copy)

    def until_copied(self, copy):
        """As `until_ready`: after COPY FROM STDIN in an extended query the server skips the Sync it was sent."""
        while True:
            kind, _ = self.receive()
            if kind == b"G":
                data = message(b"f", cstring("no data"))
                if copy is not None:
                    data = message(b"d", copy) + message(b"c", b"")
                self.send(data + message(b"S", b""))
            elif kind == b"Z":
                return

    def close(self):
        try:
            self.socket.sendall(message(b"X", b""))
            self.socket.close()
        except OSError:
            pass


def parse(name, sql, types=()):
    return message(b"P", cstring(name) + cstring(sql) + struct.pack(f"!H{len(types)}I", len(types), *types))


def bind(portal, statement, params=(), binary=False):
    body = cstring(portal) + cstring(statement) + struct.pack("!H", 0) + struct.pack("!H", len(params))
    for param in params:
        if param is None:
            body += struct.pack("!i", -1)
        else:
            value = param.encode()
            body += struct.pack("!i", len(value)) + value
    body += struct.pack("!hh", 1, 1) if binary else struct.pack("!h", 0)
    return message(b"B", body)


def describe(what, name):
    return message(b"D", what.encode() + cstring(name))


def execute(portal, rows_max=0):
    return message(b"E", cstring(portal) + struct.pack("!i", rows_max))


def function_call(oid, args, binary=False):
    body = struct.pack("!IHH", oid, 0, len(args))
    for arg in args:
        body += struct.pack("!i", len(arg)) + arg
    return message(b"F", body + struct.pack("!h", int(binary)))


# ---- scripts -------------------------------------------------------------------------------------------------------

def run_script(wire, lines, functions):
    """The protocol cases: one directive a line, sent as they come; only `wait` reads."""
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word == "wait":
            wire.until_ready()
        elif word == "read":
            read_until(wire, rest.encode())
        elif word == "frames":
            wire.frame_bytes = int(rest) or None
        else:
            wire.send(directive(word, rest, functions))


def read_until(wire, kinds):
    """Reads to a message of one of `kinds`, to an error, or to ReadyForQuery."""
    while True:
        kind, _ = wire.receive()
        if kind in (b"E", b"Z") or kind in kinds:
            return


def directive(word, rest, functions):
    if word == "query":
        return message(b"Q", cstring(rest))
    if word == "parse":
        name, _, sql = rest.partition(" ")
        return parse(unnamed(name), sql)
    if word in ("bind", "bind-binary"):
        portal, statement, *params = rest.split(" ", 2)
        params = params[0].split("|") if params else ()
        return bind(unnamed(portal), unnamed(statement), params, word == "bind-binary")
    if word == "describe":
        what, name = rest.split(" ")
        return describe(what, unnamed(name))
    if word == "execute":
        portal, *rows_max = rest.split(" ")
        return execute(unnamed(portal), int(rows_max[0]) if rows_max else 0)
    if word == "close":
        what, name = rest.split(" ")
        return message(b"C", what.encode() + cstring(unnamed(name)))
    if word == "function":
        name, *args = rest.split(" ", 1)
        return function_call(functions[name], [a.encode() for a in (args[0].split("|") if args else [])])
    if word == "copy-data":
        return message(b"d", rest.encode().decode("unicode_escape").encode())
    if word == "raw":
        return bytes.fromhex(rest)
    return {"sync": message(b"S", b""), "flush": message(b"H", b""), "copy-done": message(b"c", b""),
            "copy-fail": message(b"f", cstring("no"))}[word]


def unnamed(name):
    return "" if name == "-" else name


# ---- reading -------------------------------------------------------------------------------------------------------

def fields(body):
    """ErrorResponse and NoticeResponse as a dictionary."""
    found = {}
    for field in body.split(b"\0"):
        if field:
            found[chr(field[0])] = field[1:].decode("utf-8", "replace")
    return found


def error_text(body):
    found = fields(body)
    return f"{found.get('C')} {found.get('M')} {found.get('D', '')}"


def values(body):
    """The values of a DataRow."""
    count = struct.unpack("!H", body[:2])[0]
    found, at = [], 2
    for _ in range(count):
        length = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        if length < 0:
            found.append(None)
        else:
            found.append(body[at:at + length])
            at += length
    return found


def refusal(messages):
    """The first error that is the edge's own, as text."""
    for kind, body in messages:
        if kind == b"E":
            found = fields(body)
            ours = re.search(r"\b(rule|epoch|request)=", found.get("D", "")) or "Writ" in found.get("M", "")
            if found.get("C") in REFUSALS and ours:
                return error_text(body)
    return None


def first_error(messages):
    return next((error_text(body) for kind, body in messages if kind == b"E"), None)
