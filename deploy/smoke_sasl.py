"""OAUTHBEARER in raw bytes: what libpq 18 says, without needing it."""

import socket
import ssl
import struct


class Client:
    """Speaks to the edge that `smoke` started."""

    def __init__(self, smoke):
        self.smoke = smoke

    def connect(self, user):
        """A connection over TLS that has said who it is."""
        host, port = self.smoke.ENV["WRIT_EDGE"].split(":")
        plain = socket.create_connection((host, int(port)), timeout=15)
        plain.sendall(struct.pack("!II", 8, 80877103))
        assert plain.recv(1) == b"S"
        context = ssl.create_default_context(cafile=self.smoke.ENV["WRIT_CA"])
        stream = context.wrap_socket(plain, server_hostname="localhost")
        body = struct.pack("!HH", 3, 0) + b"user\0" + user.encode() + b"\0database\0shop\0\0"
        stream.sendall(struct.pack("!I", 4 + len(body)) + body)
        return stream

    @staticmethod
    def exactly(stream, count):
        data = b""
        while len(data) < count:
            more = stream.recv(count - len(data))
            assert more, f"closed after {data!r}"
            data += more
        return data

    def message(self, stream):
        tag, length = struct.unpack("!cI", self.exactly(stream, 5))
        return tag, self.exactly(stream, length - 4)

    @staticmethod
    def answer(stream, body):
        stream.sendall(b"p" + struct.pack("!I", 4 + len(body)) + body)

    def oauth(self, user, auth):
        """All that the edge says to a client that sends `auth`, up to ReadyForQuery or an error."""
        with self.connect(user) as stream:
            said = [self.message(stream)]
            first = f"n,,\x01{auth}\x01\x01".encode()
            self.answer(stream, b"OAUTHBEARER\0" + struct.pack("!I", len(first)) + first)
            while said[-1][0] not in (b"Z", b"E"):
                said.append(self.message(stream))
                tag, body = said[-1]
                if tag == b"R" and body[:4] == b"\0\0\0\x0b":
                    self.answer(stream, b"\x01")
            return said
