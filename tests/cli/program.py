"""The program as the tests run it: in a process of its own or in this one, on a terminal, against odd servers."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click

from ftetl import demo
from ftetl.cli.main import COMMANDS, cli
from ftetl.errors import EXITS
from tests.errors.catalog import FAULTS

ROOT = Path(__file__).parents[2]


SAMPLE = ROOT / "tests" / "data" / "samples" / "list_2026.json"


DAY = "2026-07-02T08:10:14Z"


PATIENCE = 60.0  # seconds until a program that hangs is given up


def _command(name: str) -> click.Command:
    command = cli.resolve_command(click.Context(cli), [name])[1]
    assert command is not None
    return command


# Every command of the program, by its name.
CLI_COMMANDS = {name: _command(name) for name in COMMANDS}


@dataclass
class Ended:
    """How a run of the program ended."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        return self.err.splitlines()[-1]

    @property
    def fault(self) -> str:
        """The code in the last line, whose exit is that of the program."""
        found = re.match(r"ftetl: \w+ \(\d+\) FTETL-(\w+): ", self.last)
        assert found
        assert self.code in {EXITS[name].code for name in FAULTS[found[1]].exits}
        return found[1]

    @property
    def document(self) -> Any:
        assert self.out.count("\n") == 1, "one document, on one line"
        return json.loads(self.out)


def words(*given: object) -> list[str]:
    return [sys.executable, "-m", "ftetl", *map(str, given)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def run(*given: object, stdin: bytes = b"", cwd: Path | None = None, **more: Any) -> Ended:
    env = environment(**more.pop("env", {}))
    done = subprocess.run(words(*given), input=stdin, cwd=cwd, env=env, capture_output=True, timeout=PATIENCE, **more)
    return ended(done.returncode, done.stdout.decode(), done.stderr.decode())


Here = Callable[..., Ended]


def ended(code: int, out: str, err: str) -> Ended:
    """What holds of every end of the program."""
    assert code in {e.code for e in EXITS.values()}
    assert "Traceback" not in out + err
    if code:
        name = next(e.name for e in EXITS.values() if e.code == code)
        end = "" if code == EXITS["PARTIAL"].code else r" FTETL-[A-Z]\d\d"
        assert re.match(rf"ftetl: {name} \({code}\){end}: ", err.splitlines()[-1])
    return Ended(code, out, err)


def settings_of(server: demo.Server) -> dict[str, str]:
    return {"TOGETHER_API_KEY": server.key, "TOGETHER_BASE_URL": server.url}


def state(target: Path) -> dict[str, bytes]:
    """Every file of a target but for what runs tell of themselves, and the link."""
    kept = [p for p in sorted(target.rglob("*")) if p.is_file() and not p.is_symlink()]
    return {
        str(p.relative_to(target)): p.read_bytes()
        for p in kept
        if p.name != "lock" and "runs" not in p.parts and "current" not in p.parts
    }


def on_a_terminal(*given: object, env: dict[str, str]) -> tuple[int, str]:
    """The exit code, and all that came to a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    size = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    process = subprocess.Popen(
        words(*given), stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**env, **size)
    )
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 65536):
            seen += piece
    except OSError:  # the way in which Linux tells that the other side is gone
        pass
    finally:
        os.close(ours)
    return process.wait(PATIENCE), seen.decode()


@dataclass
class Answer:
    """What a server that is not the API says, to everything."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sample() -> bytes:
    return SAMPLE.read_bytes()


def sample_lines() -> bytes:
    return b"".join(json.dumps(job).encode() + b"\n" for job in json.loads(sample())["data"])
