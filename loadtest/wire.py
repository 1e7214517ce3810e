"""A client of PostgreSQL's protocol that does no more than log in and ask: what it takes itself is little beside what is measured."""

import socket
import struct

SSL_REQUEST = struct.pack(">ii", 8, 80877103)


class Client:
    """A connection that has logged in, with or without TLS."""

    def __init__(self, port, user, password, database, tls=None, resume=None):
        self.password = password
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.connection.sendall(SSL_REQUEST)
            assert self.connection.recv(1) == b"S", "no TLS here"
            self.connection = tls.wrap_socket(self.connection, session=resume)
        parameters = b"".join(text.encode() + b"\0" for text in ("user", user, "database", database)) + b"\0"
        self.connection.sendall(struct.pack(">ii", len(parameters) + 8, 3 << 16) + parameters)
        self.until_ready()

    def until_ready(self):
        """Reads to ReadyForQuery; answers a request for a password."""
        data = b""
        while True:
            data += self.connection.recv(65536)
            while len(data) >= 5:
                tag, length = data[:1], struct.unpack(">i", data[1:5])[0]
                if len(data) < length + 1:
                    break
                body, data = data[5:length + 1], data[length + 1:]
                if tag == b"E":
                    raise SystemExit(f"the server says {body!r}")
                if tag == b"R" and body == b"\0\0\0\3":
                    self.say(b"p", self.password.encode() + b"\0")
                if tag == b"Z":
                    return

    def say(self, tag, body):
        self.connection.sendall(tag + struct.pack(">i", len(body) + 4) + body)

    def ask(self, query):
        """Asks, and leaves the answer."""
        self.say(b"Q", query.encode() + b"\0")
        self.until_ready()

    def leave(self):
        self.say(b"X", b"")
        self.connection.close()
