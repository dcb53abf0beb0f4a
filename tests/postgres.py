"""A PostgreSQL server of our own: on a socket in a folder of its own and on a free port, with passwords on the port."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAMS = "initdb", "pg_ctl", "psql"
_PLACES = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.get_exec_path())]
BIN = next((place for place in _PLACES if all((place / program).exists() for program in PROGRAMS)), None)
USER = "ftetl"  # a superuser, who needs no password on the socket
_ACCESS = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
_CELLS = ["-X", "-q", "-A", "-t", "-F", "\x1f", "-R", "\x1e", "-P", "null=\x1d", "-v", "ON_ERROR_STOP=1"]

Rows = list[tuple[str | None, ...]]


class RefusedError(Exception):
    """The server did not take a statement."""


@dataclass
class Server:
    """A running server, whose folder is readable for its own user only."""

    folder: Path
    port: int
    given: dict[str, Any]  # how its programs are started
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def ask(self, sql: str, database: str = "postgres") -> Rows:
        """What psql answers, every cell as text.

        Raises:
            RefusedError: The server refused a statement, or warned.
        """
        assert BIN is not None
        form = ["-h", self.folder, "-p", str(self.port), "-U", USER, "-d", database, *_CELLS, "-f", "-"]
        quiet = {**os.environ, "PGOPTIONS": "-c client_min_messages=warning"}
        done = subprocess.run([BIN / "psql", *form], input=sql, capture_output=True, text=True, env=quiet, check=False)
        if done.returncode or done.stderr:
            raise RefusedError(done.stderr)
        lines = done.stdout.rstrip("\n").split("\x1e") if done.stdout.strip("\n") else []
        return [tuple(None if cell == "\x1d" else cell for cell in line.split("\x1f")) for line in lines]

    @contextlib.contextmanager
    def database(self, template: str = "template1") -> Iterator[Database]:
        """A new database, empty or a copy of another one."""
        name = f"test_{next(self.numbers)}"
        self.ask(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield Database(self, name)
        self.ask(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self, mode: str) -> None:
        """Shut it down: `smart`, `fast` or `immediate`."""
        assert BIN is not None
        subprocess.run([BIN / "pg_ctl", "-D", self.folder / "data", "-m", mode, "-w", "stop"], **self.given)

    def start(self) -> None:
        """Start it, again after a `stop`."""
        assert BIN is not None
        where = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories='{self.folder}' -p {self.port}"
        options = f"{where} -c fsync=off -c max_connections=40"
        start = [BIN / "pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start"]
        subprocess.run(start, **self.given)


@dataclass(frozen=True)
class Database:
    """One database of the server."""

    server: Server
    name: str

    def ask(self, sql: str) -> Rows:
        """As `Server.ask`."""
        return self.server.ask(sql, self.name)

    @property
    def url(self) -> str:
        """Its address on the socket, where no password is asked for."""
        return f"postgresql://{USER}@/{self.name}?host={self.server.folder}&port={self.server.port}"

    def url_of(self, user: str) -> str:
        """Its address on the port, where the user needs a password."""
        return f"postgresql://{user}@127.0.0.1:{self.server.port}/{self.name}"


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server for as long as the block lasts; its clock is that of Tokyo, so that times without a zone show."""
    assert BIN is not None
    folder = Path(tempfile.mkdtemp(prefix="ftetl-pg-"))  # the way to pytest's own folders is closed to other users
    drop = _unprivileged()
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"}
    given = {"cwd": folder, "env": env, "check": True, "capture_output": True, **drop}
    server = Server(folder, _free_port(), given)
    try:
        if drop:
            shutil.chown(folder, **drop)
        subprocess.run([BIN / "initdb", "-D", folder / "data", "-U", USER, "-A", "trust", "--no-sync"], **given)
        (folder / "data" / "pg_hba.conf").write_text(_ACCESS)
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):  # a test may have stopped it
                server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> dict[str, str]:
    """PostgreSQL does not run as root."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return {"user": next(name for name in ("postgres", "nobody") if name in names)} if os.geteuid() == 0 else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
