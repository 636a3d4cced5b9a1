"""Where the time of an operation goes, by the part of the program that spends it."""

import cProfile
import pstats
from collections import Counter
from typing import Any

from flask import Flask

from portal.bench.operations import Operation, told

REQUESTS = 150
_PARTS = {
    "/sqlalchemy/": "SQLAlchemy",
    "/werkzeug/": "Flask and Werkzeug",
    "/flask/": "Flask and Werkzeug",
    "/flask_login/": "flask-login",
    "/flask_wtf/": "forms and CSRF",
    "/wtforms/": "forms and CSRF",
    "/itsdangerous/": "itsdangerous",
    "/jinja2/": "templates",
    "/templates/": "templates",
    "/babel/": "Babel",
    "/pydantic": "pydantic",
    "/psycopg": "PostgreSQL and its driver",
    "/logging/": "log line",
    "/portal/": "portal",
}


def shares(app: Flask, operation: Operation) -> list[tuple[str, int]]:
    """The parts that take at least 3 % of an operation's time, largest first, in percent."""
    operation.reset()
    profile, client = cProfile.Profile(), app.test_client(use_cookies=False)
    for request in operation.requests[:REQUESTS]:
        sent = told(request)
        profile.enable()
        client.open(**sent)
        profile.disable()
    spent = _by_part(pstats.Stats(profile).stats)  # type: ignore[attr-defined]
    del spent["test client"]
    total = sum(spent.values()) or 1
    return [(part, round(100 * time / total)) for part, time in spent.most_common() if time / total >= 0.03]


def _by_part(stats: Any) -> Counter[str]:
    """Own time by part; the time of a function written in C belongs to whoever called it."""
    spent: Counter[str] = Counter()
    for (file, _line, name), (_calls, _primitive, own, _total, callers) in stats.items():
        if file == "~" and "sqlite3" in name:
            spent["SQLite"] += own
        elif file in ("~", "") or file.startswith("<"):
            for (caller, _, _), (_c, _p, time, _t) in callers.items():
                spent[_part(caller)] += time
        else:
            spent[_part(file)] += own
    return spent


def _part(file: str) -> str:
    if file.endswith(("werkzeug/test.py", "flask/testing.py")):
        return "test client"
    return next((part for mark, part in _PARTS.items() if mark in file), "Python's library")
