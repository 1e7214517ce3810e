"""A connection for each query, as clients without a pool have it: logs in, asks, leaves, without TLS, with a full handshake each time,
and with sessions resumed. Used by loadtest/connects: DATABASE SECONDS ROUNDS, and NAME PID PORT USER PASSWORD of each server, which
are measured in turn; the last one's figures are compared with the first one's. Prints Markdown."""

import os
import ssl
import statistics
import sys
import time

from wire import Client

DATABASE, SECONDS, ROUNDS = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
SERVERS = [tuple(sys.argv[at:at + 5]) for at in range(4, len(sys.argv), 5)]
KINDS = ("plaintext", "TLS 1.3", "TLS 1.3, resumed")
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        user, system = stat.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / CLOCK_TICKS


def run(kind, server):
    """Connections in a second, and what one takes of the server's CPU, in microseconds."""
    _, pid, port, user, password = server
    tls = None
    if kind != KINDS[0]:
        # Who the server is, is not what is measured.
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
    ticket, resumed, count = None, 0, 0
    began, cpu = time.monotonic(), cpu_seconds(pid)
    while time.monotonic() < began + SECONDS:
        client = Client(int(port), user, password, DATABASE, tls, ticket)
        client.ask("SELECT 1")
        if tls:
            resumed += client.connection.session_reused
            ticket = client.connection.session if kind == KINDS[2] else None
        client.leave()
        count += 1
    wanted = count - 1 if kind == KINDS[2] else 0
    assert resumed == wanted, f"{server[0]}, {kind}: {resumed} of {count} sessions were resumed"
    return count / (time.monotonic() - began), (cpu_seconds(pid) - cpu) * 1e6 / count


def three(values):
    return f"{min(values):.2f} / {statistics.median(values):.2f} / {max(values):.2f}"


print("| connections | server | per second | to peer | CPU µs each | CPU to peer |\n|---|---|---|---|---|---|")
for kind in KINDS:
    rounds = [[run(kind, server) for server in SERVERS] for _ in range(ROUNDS)]
    for number, server in enumerate(SERVERS):
        rates, costs = ([r[number][figure] for r in rounds] for figure in (0, 1))
        ratios = ["–", "–"]
        if number:
            ratios = [three([r[number][figure] / r[0][figure] for r in rounds]) for figure in (0, 1)]
        print(f"| {kind} | {server[0]} | {statistics.median(rates):.0f} | {ratios[0]} | {statistics.median(costs):.0f} | {ratios[1]} |", flush=True)
