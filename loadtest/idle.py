"""Logs so many clients in, lets each ask once, and tells what the server's process holds for them. Used by loadtest/idle."""

import socket
import struct
import sys
import time

NAME, PID, PORT, USER, PASSWORD, DATABASE, CLIENTS = sys.argv[1:]


def resident_kb():
    with open(f"/proc/{PID}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def until_ready(connection):
    """Reads to ReadyForQuery; answers a request for a password."""
    data = b""
    while True:
        data += connection.recv(65536)
        while len(data) >= 5:
            tag, length = data[:1], struct.unpack(">i", data[1:5])[0]
            if len(data) < length + 1:
                break
            body, data = data[5:length + 1], data[length + 1:]
            if tag == b"E":
                raise SystemExit(f"{NAME}: {body!r}")
            if tag == b"R" and body == b"\0\0\0\3":
                password = PASSWORD.encode() + b"\0"
                connection.sendall(b"p" + struct.pack(">i", len(password) + 4) + password)
            if tag == b"Z":
                return


def client():
    connection = socket.create_connection(("127.0.0.1", int(PORT)))
    parameters = b"".join(text.encode() + b"\0" for text in ("user", USER, "database", DATABASE)) + b"\0"
    connection.sendall(struct.pack(">ii", len(parameters) + 8, 3 << 16) + parameters)
    until_ready(connection)
    query = b"SELECT 1\0"
    connection.sendall(b"Q" + struct.pack(">i", len(query) + 4) + query)
    until_ready(connection)
    return connection


warm = [client() for _ in range(50)]
time.sleep(1)
before = resident_kb()
idle = [client() for _ in range(int(CLIENTS))]
time.sleep(1)
after = resident_kb()
print(f"| {len(idle)} | {NAME} | {before / 1024:.0f} MB | {after / 1024:.0f} MB | {(after - before) / len(idle):.1f} |")
