"""Logs so many clients in, lets each ask once, and tells what the server's process holds for them. Used by loadtest/idle."""

import sys
import time

from wire import Client

NAME, PID, PORT, USER, PASSWORD, DATABASE, CLIENTS = sys.argv[1:]


def resident_kb():
    with open(f"/proc/{PID}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def client():
    new = Client(int(PORT), USER, PASSWORD, DATABASE)
    new.ask("SELECT 1")
    return new


warm = [client() for _ in range(50)]
time.sleep(1)
before = resident_kb()
idle = [client() for _ in range(int(CLIENTS))]
time.sleep(1)
after = resident_kb()
print(f"| {len(idle)} | {NAME} | {before / 1024:.0f} MB | {after / 1024:.0f} MB | {(after - before) / len(idle):.1f} |")
