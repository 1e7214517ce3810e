"""What the Python programs of the driver matrix share: the cells' texts, and one JSON line for each cell."""

import hashlib
import json
import os
import sys
from urllib.parse import parse_qs, unquote, urlsplit

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cells.json"), encoding="utf-8") as file:
    CELLS = json.load(file)
URL = sys.argv[1]
BIG = "x漢" * (CELLS["big"] // 4)


def parts():
    """The URL in pieces, for drivers that take no URL."""
    url = urlsplit(URL)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    return {"host": url.hostname, "port": url.port, "dbname": url.path[1:], "user": unquote(url.username),
            "password": unquote(url.password), **query}


def text_of(value):
    """A value in words that are the same in every run."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes " + bytes(value).hex()
    if isinstance(value, (list, tuple)):
        return [text_of(v) for v in value]
    if isinstance(value, dict):
        return {str(k): text_of(v) for k, v in value.items()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return f"{type(value).__name__} {value!r}"


def digest(text):
    return f"{len(text)} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def put(group, cell, result):
    print(json.dumps({"group": group, "cell": cell, "result": result}, ensure_ascii=False), flush=True)


def unsupported(group, cell, why="not supported by the driver"):
    print(json.dumps({"group": group, "cell": cell, "unsupported": why}, ensure_ascii=False), flush=True)


def attempt(f, describe):
    """What a call gives, or the error that it ends with."""
    try:
        return text_of(f())
    except Exception as error:  # an error is a result like any other
        return describe(error)


def cell(group, name, f, describe):
    put(group, name, attempt(f, describe))
