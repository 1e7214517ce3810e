"""The start of connections through a real edge, in raw bytes: versions, encryption, and keys for cancelling."""

import socket
import ssl
import struct
import time

SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSSENC_REQUEST = struct.pack("!II", 8, 80877104)


def packet(major, minor, body):
    return struct.pack("!IHH", 8 + len(body), major, minor) + body


def add(step, smoke):
    """Adds this file's steps."""

    def tcp():
        host, port = smoke.ENV["WRIT_EDGE"].split(":")
        return socket.create_connection((host, int(port)), timeout=15)

    def shake_hands(plain, alpn=()):
        context = ssl.create_default_context(cafile=smoke.ENV["WRIT_CA"])
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context.wrap_socket(plain, server_hostname="localhost")

    def tls(alpn=()):
        plain = tcp()
        plain.sendall(SSL_REQUEST)
        assert plain.recv(1) == b"S"
        return shake_hands(plain, alpn)

    def startup(major, minor, options=b""):
        return packet(major, minor, b"user\0dana\0database\0shop\0" + options + b"\0")

    def exactly(stream, count):
        data = b""
        while len(data) < count:
            more = stream.recv(count - len(data))
            assert more, f"closed after {data!r}"
            data += more
        return data

    def message(stream):
        tag, length = struct.unpack("!cI", exactly(stream, 5))
        return tag, exactly(stream, length - 4)

    def sqlstate(body):
        return next(field[1:] for field in body.split(b"\0") if field.startswith(b"C")).decode()

    def to_the_end(stream):
        data = b""
        try:
            while more := stream.recv(4096):
                data += more
        except (ConnectionError, ssl.SSLError):
            pass
        return data

    def log_in(minor, stream=None, options=b""):
        """Logs in; returns the stream, what was negotiated, and the key for cancelling as it came."""
        stream = stream or tls()
        stream.sendall(startup(3, minor, options))
        negotiated, key = None, None
        while True:
            tag, body = message(stream)
            if tag == b"v":
                negotiated = body
            elif tag == b"R" and body == b"\0\0\0\x03":
                token = smoke.ENV["WRIT_TOKEN_DEVELOPER"].encode() + b"\0"
                stream.sendall(b"p" + struct.pack("!I", 4 + len(token)) + token)
            elif tag == b"K":
                key = body
            elif tag == b"Z":
                return stream, negotiated, key
            assert tag != b"E", body

    def cancel(key, over=tcp):
        with over() as stream:
            stream.sendall(packet(1234, 5678, key))
            assert to_the_end(stream) == b"", "a cancel request is not answered"

    def asleep():
        return int(smoke.psql("DIRECT", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))

    @step
    def every_version_of_the_protocol_starts_and_cancels():
        newest = struct.pack("!HHI", 3, 2, 0)
        for minor, told, length in [(0, None, 4), (1, None, 4), (2, None, 32), (9, newest, 32)]:
            stream, negotiated, key = log_in(minor)
            assert (negotiated, len(key)) == (told, 4 + length), (minor, negotiated, key)
            query = b"SELECT pg_sleep(60)\0"
            stream.sendall(b"Q" + struct.pack("!I", 4 + len(query)) + query)
            smoke.until("the statement to run", lambda: asleep() == 1)
            other = key[:-1] + bytes([key[-1] ^ 1])
            for wrong in [key[:8] if length > 4 else key[:7], other, key + b"\0"]:
                cancel(wrong)
            time.sleep(0.5)
            assert asleep() == 1, "a wrong key cancelled"
            cancel(key, over=tls if minor else tcp)
            began = time.monotonic()
            seen = []
            while not seen or seen[-1][0] != b"Z":
                seen.append(message(stream))
            assert time.monotonic() - began < 10
            assert [sqlstate(body) for tag, body in seen if tag == b"E"] == ["57014"], seen
            stream.close()
        stream, negotiated, _ = log_in(0, options=b"_pq_.unknown\0on\0")
        assert negotiated == struct.pack("!HHI", 3, 0, 1) + b"_pq_.unknown\0", negotiated
        stream.close()

    @step
    def what_is_no_start_up_is_refused():
        for bytes_, code in [(startup(4, 0), "0A000"), (startup(2, 0), "0A000"), (SSL_REQUEST, "0A000"),
                             (packet(3, 0, b"user\0dana"), "08P01"), (packet(3, 0, b"x" * 20_000), "08P01")]:
            with tls() as stream:
                stream.sendall(bytes_)
                tag, body = message(stream)
                assert (tag, sqlstate(body)) == (b"E", code), body
                assert to_the_end(stream) == b""
        with tcp() as stream:
            stream.sendall(GSSENC_REQUEST)
            assert exactly(stream, 1) == b"N"
            stream.sendall(SSL_REQUEST)
            assert exactly(stream, 1) == b"S"
            stream, negotiated, _ = log_in(0, shake_hands(stream))
            stream.close()
        # What came before TLS is not taken for what came over it: no answer but to the request for TLS, and its alert.
        with tcp() as stream:
            stream.sendall(SSL_REQUEST + startup(3, 0))
            answer = to_the_end(stream)
            assert answer[:1] in (b"", b"S") and b"R\0\0\0" not in answer, answer

    @step
    def tls_at_once_needs_the_protocols_name():
        log_in(2, shake_hands(tcp(), ["postgresql"]))[0].close()
        with shake_hands(tcp()) as stream:
            try:
                stream.sendall(startup(3, 0))
            except (ConnectionError, ssl.SSLError):
                pass  # the edge has closed it already
            assert to_the_end(stream) == b""
        for start in [lambda: shake_hands(tcp(), ["h2"]), lambda: tls(["h2"])]:
            try:
                start()
                raise AssertionError("a protocol was agreed on")
            except ssl.SSLError as error:
                assert "no application protocol" in str(error).replace("_", " ").lower(), error
        log_in(0, tls(["postgresql"]))[0].close()
