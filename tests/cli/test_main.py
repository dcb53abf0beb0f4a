"""The contract with the shell: exit codes, one document or one line, nothing else, and never a traceback."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pyarrow.parquet as pq
import pytest
import zstandard

import ftetl
from ftetl import demo
from ftetl.cli import exit_handling, main
from ftetl.contract import frictionless, odcs, tables
from ftetl.errors import EXITS
from ftetl.errors.catalog import FAULTS
from ftetl.extract.archive import Archive
from ftetl.extract.details import fingerprints
from ftetl.store import manifest
from ftetl.store.target import Target
from tests.demo.generator import generate_jobs

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "data" / "samples" / "list_2026.json"
DAY = "2026-07-02T08:10:14Z"
DOCUMENTS = frictionless.FILE, odcs.FILE
PATIENCE = 60.0  # seconds until a program that hangs is given up
# One element that is no object, so that there is something to put aside.
ODD = {"data": [*json.loads(SAMPLE.read_text("utf-8"))["data"], 42, "x\x1b[2J"]}


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


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[Here]:
    """`run` without a process of its own, for what a process has no part in."""
    logger = logging.getLogger("ftetl")
    logging_before = logger.handlers, logger.level, logger.propagate
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(*given: object, stdin: bytes = b"", cwd: Path | None = None, env: dict[str, str] | None = None) -> Ended:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["ftetl", *map(str, given)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            patch.setattr(exit_handling, "State", type("State", (), {"voice": None, "target": None, "before": 0}))
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            if cwd:
                patch.chdir(cwd)
            capfdbinary.readouterr()
            with pytest.raises(SystemExit) as end:
                main.main()
            for number, handler in signals.items():
                signal.signal(number, handler)
        out, err = capfdbinary.readouterr()
        return ended(int(str(end.value.code)), out.decode(), err.decode())

    yield call
    logger.handlers, logger.propagate = logging_before[0], logging_before[2]
    logger.setLevel(logging_before[1])


def ended(code: int, out: str, err: str) -> Ended:
    """What holds of every end of the program."""
    assert code in {e.code for e in EXITS.values()}
    assert "Traceback" not in out + err
    if code:
        name = next(e.name for e in EXITS.values() if e.code == code)
        end = "" if code == EXITS["PARTIAL"].code else r" FTETL-[A-Z]\d\d"
        assert re.match(rf"ftetl: {name} \({code}\){end}: ", err.splitlines()[-1])
    return Ended(code, out, err)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target with one version. Not to be changed."""
    target = tmp_path_factory.mktemp("exported") / "target"
    ftetl.export(target, source=SAMPLE, observed_at=DAY)
    return target


@pytest.fixture
def target(exported: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(exported, tmp_path / "target", symlinks=True)
    return tmp_path / "target"


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """An answer with two elements for the quarantine."""
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(ODD), "utf-8")
    return file


@pytest.fixture(scope="module")
def api() -> Iterator[demo.Server]:
    with demo.serve(generate_jobs(count=5)) as server:
        yield server


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


class TestDemo:
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("demo")

    @pytest.fixture(scope="class")
    @classmethod
    def first(cls, folder: Path) -> Ended:
        return run("demo", cwd=folder)

    def test_it_needs_no_key_and_no_target(self, first: Ended, folder: Path) -> None:
        assert first.code == 0
        assert first.last.startswith("ftetl: OK (0): ftetl-demo: version 1 committed (360 new, 0 changed, 0 gone): ")
        names = {path.name for path in (folder / "ftetl-demo" / "current").iterdir()}
        assert names == {fingerprints.FILE, *DOCUMENTS, *(f"{table}.parquet" for table in tables())}
        written = ", ".join(f"{table}.parquet" for table in sorted(tables()))
        assert first.out.startswith(f"Written to ftetl-demo/current: {written}\n")

    def test_its_first_next_step_runs_in_duckdb(self, first: Ended, folder: Path, monkeypatch: Any) -> None:
        line = next(line for line in first.out.splitlines() if line.startswith("  duckdb"))
        program, option, query = shlex.split(line)
        monkeypatch.chdir(folder)
        rows = duckdb.sql(query).fetchall()

        assert (program, option) == ("duckdb", "-c")
        assert len(rows) == 5
        assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)

    def test_its_second_next_step_runs_in_python(self, first: Ended, folder: Path) -> None:
        line = next(line for line in first.out.splitlines() if line.startswith("  python"))
        program, *code = shlex.split(line)
        env = environment()
        done = subprocess.run([sys.executable, *code], cwd=folder, env=env, capture_output=True, text=True, check=True)

        assert program == "python"
        assert re.search(r"^completed +\d+\.\d+$", done.stdout, re.MULTILINE)
        assert done.stderr == ""

    def test_a_second_run_changes_nothing(self, first: Ended, folder: Path) -> None:
        before = state(folder / "ftetl-demo")
        again = run("demo", cwd=folder)

        assert again.code == 0
        assert "nothing changed, version 1 stands" in again.last
        assert again.out == first.out
        assert state(folder / "ftetl-demo") == before


def document() -> bytes:
    return SAMPLE.read_bytes()


def lines() -> bytes:
    return b"".join(json.dumps(job).encode() + b"\n" for job in json.loads(document())["data"])


class TestSaved:
    """Every kind of saved answer gives the same tables."""

    KINDS: ClassVar[dict[str, Callable[[], bytes]]] = {
        "answer.json": document,
        "array.json": lambda: json.dumps(json.loads(document())["data"]).encode(),
        "answer.ndjson": lines,
        "answer.json.gz": lambda: gzip.compress(document()),
        "answer.ndjson.gz": lambda: gzip.compress(lines()),
        "answer.json.zst": lambda: zstandard.compress(document()),
        "folder/answer.json": document,
        "-": document,
        "- with lines": lines,
        "- with gzip": lambda: gzip.compress(document()),
    }

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_is_exported(self, tmp_path: Path, exported: Path, kind: str, here: Here) -> None:
        data, stdin, source = self.KINDS[kind](), b"", "-"
        if kind.startswith("-"):
            stdin = data
        else:
            file = tmp_path / kind
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
            source = str(file.parent if "/" in kind else file)

        done = here("export", tmp_path / "target", "--from", source, "--observed-at", DAY, stdin=stdin)

        assert (done.code, done.out) == (0, "")
        assert "version 1 committed (5 new, 0 changed, 0 gone): 5 jobs" in done.last
        for name in tables():
            file = f"current/{name}.parquet"
            assert (tmp_path / "target" / file).read_bytes() == (exported / file).read_bytes()

    def test_csv_lies_beside_the_parquet_when_asked_for(self, tmp_path: Path, here: Here) -> None:
        done = here("export", tmp_path / "target", "--from", SAMPLE, "--format", "csv")

        assert done.code == 0
        names = {path.name for path in (tmp_path / "target" / "current").iterdir()}
        written = {f"{table}.{suffix}" for table in tables() for suffix in ("parquet", "csv")}
        assert names == {fingerprints.FILE, *DOCUMENTS, *written}


class TestApi:
    def test_all_jobs_and_their_details_come_over_http(self, api: demo.Server, tmp_path: Path) -> None:
        done = run("export", tmp_path / "target", "--json", env=settings_of(api))

        assert done.code == 0
        assert done.document["rows"]["jobs"] == len(api.jobs)
        assert done.document["rows"]["events"] == sum(len(job["events"] or []) for job in api.jobs)
        assert ("GET", "/v1/fine-tunes") in api.requests

    def test_the_address_and_the_key_file_may_be_options(self, api: demo.Server, tmp_path: Path, here: Here) -> None:
        (tmp_path / "key").write_text(f"{api.key}\n")
        (tmp_path / "key").chmod(0o600)
        url = api.url.removesuffix("/v1")
        done = here("export", tmp_path / "t", "--api-key-file", tmp_path / "key", "--base-url", url, "--events", "list")

        assert done.code == 0
        assert api.key not in done.out + done.err


class TestJson:
    SUMMARY = frozenset({"code", "exit_code", "exit", "committed", "retryable", "changed", "version"})

    def test_a_run_is_one_document_and_the_talk_stays_on_stderr(self, target: Path) -> None:
        done = run("export", target, "--from", SAMPLE, "--observed-at", DAY, "--json")

        assert done.document.keys() >= self.SUMMARY | {"rows", "drift", "anomalies", "files", "warnings", "run_id"}
        assert {key: done.document[key] for key in sorted(self.SUMMARY)} == {
            "changed": False,
            "code": None,
            "committed": True,
            "exit": "OK",
            "exit_code": 0,
            "retryable": False,
            "version": 1,
        }
        assert done.last.startswith("ftetl: OK (0): ")

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            (["export", "out", "--from", "nowhere.json"], 65),
            (["export", "out"], 78),
            (["export", "out", "--frobnicate"], 2),
            (["export"], 2),
            (["export", "out", "--observed-at", "yesterday"], 2),
            (["verify", "out"], 73),
            (["quarantine", "out"], 73),
            (["rebuild", "out"], 73),
            (["runs", "out"], 73),
            (["schema", "nothing"], 2),
        ],
    )
    def test_a_failure_is_one_document_too(self, tmp_path: Path, given: list[str], code: int, here: Here) -> None:
        done = here(*given, "--json", cwd=tmp_path)

        assert done.code == done.document["exit_code"] == code
        assert done.document.keys() == self.SUMMARY | {"message"}
        assert not done.document["committed"]
        assert not done.document["changed"]
        assert done.last.endswith(done.document["message"])

    def test_the_demo_prints_its_document_only(self, tmp_path: Path, here: Here) -> None:
        done = here("demo", tmp_path / "t", "--json", "--events", "list")

        assert done.document["exit"] == "OK"

    def test_the_other_commands_print_their_documents(self, exported: Path, here: Here) -> None:
        assert here("verify", exported, "--json").document["sound"] is True
        assert here("quarantine", exported, "--json").document == {"total": 0, "by_rule": {}, "rows": []}
        assert here("schema", "--json").document.keys() == {*tables()}
        assert here("runs", exported, "--json").document.keys() == {"runs", "damaged"}

    def test_a_rebuild_prints_its_document(self, target: Path, here: Here) -> None:
        done = here("rebuild", target, "--json")

        assert done.document.keys() >= self.SUMMARY | {"rebuilt", "rows", "warnings", "run_id"}
        assert (done.document["rebuilt"], done.document["version"], done.document["changed"]) == (1, 1, False)


class TestQuiet:
    def test_success_is_silent(self, target: Path, tmp_path: Path, here: Here) -> None:
        for given in (
            ["export", target, "--from", SAMPLE, "--observed-at", DAY],
            ["demo", tmp_path / "demo", "--events", "list"],
            ["verify", target],
            ["rebuild", target],
        ):
            done = here(*given, "-q")
            assert (done.code, done.out, done.err) == (0, "", "")

    def test_failure_is_one_line(self, tmp_path: Path, here: Here) -> None:
        done = here("export", tmp_path / "out", "--from", tmp_path / "nowhere.json", "-q")

        assert (done.code, done.out, done.err.count("\n")) == (65, "", 1)

    def test_what_is_partial_is_silent_and_in_the_code(self, tmp_path: Path, odd: Path) -> None:
        done = subprocess.run(words("export", tmp_path / "t", "--from", odd, "-q"), env=environment(), check=False)

        assert done.returncode == 3


@pytest.mark.parametrize("level", ["-v", "-vv"])
def test_verbose_says_more_in_few_lines_and_the_same_last_one(target: Path, level: str, here: Here) -> None:
    done = here("export", target, "--from", SAMPLE, "--observed-at", DAY, "--billing-account", "org", level)

    assert done.code == 0
    assert done.last.startswith("ftetl: OK (0): ")
    assert len(done.err.splitlines()) <= 40
    stamped = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO |WARNING) ftetl\.[\w.]+ ")
    assert all(
        stamped.match(line) or line.startswith(("ftetl: ", "note: ", "warning: ")) for line in done.err.splitlines()
    )


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


HTML = Answer(body=b"<!doctype html><title>Welcome</title>", headers={"Content-Type": "text/html"})
WRONG_ANSWERS = {
    "a web page": (HTML, "H32", "web page"),
    "not found": (Answer(404, b'{"error":{"message":"no such route"}}'), "H04", "404"),
    "a redirect": (Answer(302, headers={"Location": "http://127.0.0.1/elsewhere"}), "H31", "302"),
    "nothing": (Answer(), "R02", "empty"),
    "no data": (Answer(body=b'{"object":"list"}'), "R07", "data"),
    "an error with status 200": (Answer(body=b'{"error":{"message":"oh","type":"x"}}'), "R01", "error"),
    "half a list": (Answer(body=document()[:-200]), "H19", ""),
    "another page to come": (Answer(body=b'{"data":[],"has_more":true}'), "R46", "has_more"),
    "refused": (Answer(401, b'{"error":{"message":"Invalid API key"}}'), "H01", "TOGETHER_API_KEY"),
    "no money": (Answer(402, b'{"error":{"message":"spend limit"}}'), "H02", "402"),
    "patience": (Answer(429, b"{}", {"Retry-After": "86400"}), "H09", "86400"),
}


@pytest.mark.parametrize("case", WRONG_ANSWERS)
def test_what_is_not_the_apis_answer_ends_with_its_own_code(target: Path, case: str, here: Here) -> None:
    answer, fault, said = WRONG_ANSWERS[case]
    before = state(target)
    with answering(answer) as url:
        env = {"TOGETHER_API_KEY": "key_0123456789abcdef"}
        done = here("export", target, "--base-url", url, "--deadline", "20", env=env)

    assert done.fault == fault
    assert said in done.last
    assert "key_0123456789abcdef" not in done.out + done.err
    assert done.out == ""
    kept = {name: data for name, data in state(target).items() if not name.startswith("_ftetl/failed/")}
    assert kept == before


def test_a_wrong_key_is_refused_by_the_demo_server(api: demo.Server, tmp_path: Path, here: Here) -> None:
    env = {**settings_of(api), "TOGETHER_API_KEY": "key_of_somebody_else"}
    done = here("export", tmp_path / "t", env=env)

    assert (done.code, done.fault) == (77, "H01")
    assert "key_of_somebody_else" not in done.err


def test_where_nobody_answers_it_is_worth_another_try(tmp_path: Path, here: Here) -> None:
    with answering(Answer()) as url:
        pass  # the port is free again
    env = {"TOGETHER_API_KEY": "key_0123456789abcdef"}
    done = here("export", tmp_path / "t", "--base-url", url, "--deadline", "1", "--json", env=env)

    assert (done.code, done.fault) == (69, "H14")
    assert done.document["retryable"]


def _file(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    (folder / name).chmod(0o600)
    return folder / name


# What somebody does wrong: the words (in a folder of their own), the code, and what the last line must name.
MISTAKES: dict[str, tuple[Callable[[Path], list[object]], str, str]] = {
    "no key": (lambda _: ["export", "out"], "P07", "TOGETHER_API_KEY"),
    "a key file that is missing": (lambda _: ["export", "out", "--api-key-file", "key"], "P08", "--api-key-file"),
    "a key file that is empty": (
        lambda f: ["export", "out", "--api-key-file", _file(f, "key", b"\n")],
        "P07",
        "--api-key-file",
    ),
    "a key file with two lines": (
        lambda f: ["export", "out", "--api-key-file", _file(f, "key", b"key_01234567\nkey_89abcdef\n")],
        "X04",
        "--api-key-file",
    ),
    "an address without encryption": (lambda _: ["export", "out", "--base-url", "http://example.com"], "X06", "https"),
    "a missing file": (lambda _: ["export", "out", "--from", "nowhere.json"], "F01", "nowhere.json"),
    "a file of another kind": (lambda f: ["export", "out", "--from", _file(f, "a.txt", b"x")], "F03", "a.txt"),
    "an empty file": (lambda f: ["export", "out", "--from", _file(f, "a.json", b"")], "R02", "a.json"),
    "a truncated file": (lambda f: ["export", "out", "--from", _file(f, "a.json", document()[:-200])], "H19", "a.json"),
    "a truncated gzip": (
        lambda f: ["export", "out", "--from", _file(f, "a.json.gz", gzip.compress(document())[:-9])],
        "F09",
        "a.json.gz",
    ),
    "no JSON at all": (lambda f: ["export", "out", "--from", _file(f, "a.json", b"hello")], "R06", "a.json"),
    "a file without data": (lambda f: ["export", "out", "--from", _file(f, "a.json", b'{"a":1}')], "R07", "a.json"),
    "an empty folder": (lambda f: ["export", "out", "--from", f], "F07", "no saved answer"),
    "nothing on stdin": (lambda _: ["export", "out", "--from", "-"], "R02", "stdin"),
    "a target that is a file": (lambda f: ["export", _file(f, "out", b""), "--from", SAMPLE], "S18", "out"),
    "a target in a file": (lambda f: ["export", _file(f, "x", b"") / "out", "--from", SAMPLE], "S18", "x"),
    "somebody else's folder": (
        lambda f: ["export", _file(f, "mine.txt", b"").parent, "--from", SAMPLE],
        "S16",
        "not empty and not a target",
    ),
    "an unknown command": (lambda _: ["exprot", "out"], "P01", "Did you mean 'export'?"),
    "no command": (lambda _: [], "P01", "ftetl demo"),
    "an unknown option": (lambda _: ["export", "out", "--formats", "csv"], "P01", "--format"),
    "a key on the command line": (lambda _: ["export", "out", "--api-key", "key_01234567"], "X03", "--api-key-file"),
    "a source in a file": (lambda f: ["export", "out", "--from", _file(f, "x", b"") / "y.json"], "F01", "y.json"),
    "a compressed file that is too large": (
        lambda f: ["export", "out", "--max-bytes", "9", "--from", _file(f, "a.json.gz", gzip.compress(document()))],
        "H23",
        "--max-bytes",
    ),
    "UTF-16": (lambda f: ["export", "out", "--from", _file(f, "a.json", "{}".encode("utf-16"))], "R04", "a.json"),
    "data that is no list": (
        lambda f: ["export", "out", "--from", _file(f, "a.json", b'{"data":{}}')],
        "R09",
        "a.json",
    ),
    "two lists": (lambda f: ["export", "out", "--from", _file(f, "a.json", b'{"data":[],"data":[]}')], "R13", "a.json"),
    "two documents": (lambda f: ["export", "out", "--from", _file(f, "a.json", b"[] []")], "E02", "a.json"),
    "a broken end": (lambda f: ["export", "out", "--from", _file(f, "a.json", b'{"data":[]]')], "E01", "a.json"),
    "lines without a job": (lambda f: ["export", "out", "--from", _file(f, "a.ndjson", b"1\n2\n")], "E03", "a.ndjson"),
    "a saved page": (lambda f: ["export", "out", "--from", _file(f, "a.json", b"<html>")], "H32", "web page"),
    "no snapshots to keep": (lambda _: ["export", "out", "--keep", "0"], "P02", "keep"),
    "no target": (lambda _: ["export"], "P01", "TARGET"),
    "a target without a name": (lambda _: ["export", "", "--from", SAMPLE], "P01", "'TARGET': the name is empty"),
    "a source without a name": (lambda _: ["export", "out", "--from", ""], "P01", "'--from': the name is empty"),
    "a time that is none": (lambda _: ["export", "out", "--observed-at", "gestern"], "P02", "2026-07-02T08:10:14Z"),
    "a mode that is none": (lambda _: ["export", "out", "--file-mode", "rw"], "P01", "0640"),
    "a mode for everybody": (lambda _: ["export", "out", "--file-mode", "0666"], "P01", "0640"),
    "no patience at all": (lambda _: ["export", "out", "--deadline", "0"], "P02", "deadline"),
    "endless patience": (lambda _: ["export", "out", "--deadline", "inf"], "P01", "--deadline"),
    "a label that is none": (lambda _: ["export", "out", "--project", "a\u202eb"], "P02", "label"),
    "an unknown table": (lambda _: ["schema", "job"], "P04", "jobs, events"),
    "nothing to verify": (lambda _: ["verify", "out"], "T01", "no snapshot"),
    "no quarantine": (lambda _: ["quarantine", "out"], "T01", "no snapshot"),
    "nothing to rebuild": (lambda _: ["rebuild", "out"], "T02", "not a target"),
    "somebody else's folder to rebuild": (
        lambda f: ["rebuild", _file(f, "mine.txt", b"").parent],
        "T02",
        "not a target",
    ),
    "no runs": (lambda _: ["runs", "out"], "T02", "not a target"),
    "metrics without a name": (
        lambda _: ["export", "out", "--from", SAMPLE, "--metrics-file", ""],
        "P01",
        "'--metrics-file': the name is empty",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_ends_with_its_code_and_one_line_that_helps(tmp_path: Path, case: str, here: Here) -> None:
    make, fault, said = MISTAKES[case]
    before = {*tmp_path.iterdir()}
    given = make(tmp_path)
    given_files = {*tmp_path.iterdir()} - before
    done = here(*given, cwd=tmp_path)

    assert done.fault == fault
    assert said in done.last
    if given:
        assert (done.out, done.err.count("\n")) == ("", 1)
    assert not (tmp_path / "out" / "current").exists()
    assert all(path.exists() for path in given_files)


def test_a_locked_target_is_worth_another_try(target: Path) -> None:
    with Target(target):
        done = run("export", target, "--from", SAMPLE)

    assert (done.code, done.fault) == (75, "C01")


def test_a_target_of_another_project_is_refused(target: Path, here: Here) -> None:
    done = here("export", target, "--from", SAMPLE, "--project", "other")

    assert (done.code, done.fault) == (78, "S28")
    assert "'default'" in done.last


def test_a_target_that_may_only_be_read_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir(mode=0o555)
    # Root may write everywhere, unless that right is taken away.
    drop = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    if drop and (
        not shutil.which("setpriv") or subprocess.run([*drop, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("this is root, who cannot be kept from writing here")
    given = [*drop, *words("export", folder, "--from", SAMPLE)]
    done = subprocess.run(given, env=environment(), capture_output=True, timeout=PATIENCE, check=False)

    told = ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    assert (told.code, told.fault) == (73, "S03")
    assert str(folder) in told.last
    assert list(folder.iterdir()) == []


class TestSignals:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    @pytest.mark.parametrize("during", ["/v1/fine-tunes", "/v1/fine-tunes/"])
    def test_a_run_that_is_stopped_leaves_the_target_as_it_was(
        self, target: Path, number: signal.Signals, code: int, during: str
    ) -> None:
        reached, over = threading.Event(), threading.Event()

        def wait(path: str) -> None:
            if path.startswith(during):
                reached.set()
                over.wait(PATIENCE)

        before = state(target)
        with demo.serve(generate_jobs(count=3), fail=wait) as server:
            process = subprocess.Popen(
                words("export", target, "--json", "--allow-account-change", "--allow-shrink"),
                env=environment(**settings_of(server)),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                # Whoever started the tests in the background may have had this signal ignored.
                preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
            )
            assert reached.wait(PATIENCE)
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE)
            over.set()
        done = ended(process.returncode, out, err)

        assert done.code == done.document["exit_code"] == code
        assert done.document["code"] == "FTETL-S06"
        assert "nothing was committed" in done.last
        assert not done.document["committed"]
        assert done.document["retryable"]
        assert state(target) == before
        assert [path.name for path in target.rglob("*") if ".tmp-" in path.name] == []
        Target(target).close()  # and it is not locked
        record = sorted((target / "_ftetl" / "runs").iterdir())[-1]
        told = json.loads(record.read_text())
        assert (told["exit_code"], told["code"]) == (code, "FTETL-S06")

    @pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
    def test_a_run_that_is_stopped_after_the_commit_has_committed(self, tmp_path: Path, name: str) -> None:
        program = f"""
import os, signal
from ftetl.cli.main import main
from ftetl.store.target import Target

def stopped(target, run_id, document, record=Target.record):
    os.kill(os.getpid(), signal.{name})
    record(target, run_id, document)

Target.record = stopped
main()
"""
        given = [sys.executable, "-c", program, "export", tmp_path / "t", "--from", SAMPLE, "--json"]
        done = subprocess.run(given, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
        told = ended(done.returncode, done.stdout, done.stderr)

        assert told.code == 0
        assert (told.document["committed"], told.document["changed"], told.document["version"]) == (True, True, 1)
        assert "version 1" in told.last
        assert ftetl.open(tmp_path / "t").version == 1


@pytest.mark.parametrize("place", ["ftetl.store.target.Target.begin_transaction", "ftetl.cli.output.summary"])
@pytest.mark.parametrize("level", ["-q", "-vv"])
def test_a_fault_of_ours_is_told_by_kind_and_place_and_never_by_its_text(
    tmp_path: Path, place: str, level: str
) -> None:
    head, _, name = place.rpartition(".")
    program = f"""
import ftetl.cli.output, ftetl.store.target
from ftetl.cli.main import main

def broken(*_, **__):
    raise ValueError("the e-mail address of somebody")

{head}.{name} = broken
main()
"""
    given = [sys.executable, "-c", program, "export", tmp_path / "t", "--from", SAMPLE, level]
    done = subprocess.run(given, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    told = ended(done.returncode, done.stdout, done.stderr)

    assert (told.code, told.fault) == (70, "B01")
    assert "ValueError in " in told.last
    assert "e-mail" not in told.err
    assert (", in broken" in told.err) == (level == "-vv")


def with_stdout(stream: int, *given: object) -> Ended:
    done = subprocess.run(
        words(*given), stdout=stream, stderr=subprocess.PIPE, env=environment(), timeout=PATIENCE, check=False
    )
    return ended(done.returncode, "", done.stderr.decode())


class TestOutput:
    @pytest.mark.parametrize("given", [["schema"], ["schema", "--json"], ["--help"], ["export", "--help"], []])
    def test_nobody_reads_it(self, given: list[str]) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = with_stdout(writer, *given)
        finally:
            os.close(writer)

        assert done.code == (0 if given else 2)
        assert done.err.count("\n") == (0 if given else 1)

    def test_a_run_that_nobody_listens_to_has_committed_all_the_same(self, tmp_path: Path, odd: Path) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = with_stdout(writer, "export", tmp_path / "t", "--from", odd, "--json")
        finally:
            os.close(writer)

        assert done.code == 3
        assert ftetl.open(tmp_path / "t").version == 1

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    @pytest.mark.parametrize("given", [["schema"], ["schema", "--json"]])
    def test_it_cannot_be_written(self, given: list[str]) -> None:
        with Path("/dev/full").open("wb") as full:
            done = with_stdout(full.fileno(), *given)

        assert (done.code, done.fault) == (74, "P11")

    @pytest.mark.parametrize(("closed", "code"), [("1", 0), ("2", 0), ("0", 0)])
    def test_a_stream_is_closed(self, target: Path, closed: str, code: int) -> None:
        shell = ["sh", "-c", f'exec "$@" {closed}>&-', "sh"]
        given = words("export", target, "--from", SAMPLE, "--observed-at", DAY)
        done = subprocess.run([*shell, *given], env=environment(), capture_output=True, timeout=PATIENCE, check=False)

        assert ended(done.returncode, done.stdout.decode(), done.stderr.decode()).code == code

    @pytest.mark.parametrize("locale", ["C", "POSIX"])
    def test_a_poor_locale_is_enough(self, tmp_path: Path, locale: str) -> None:
        env = {"LC_ALL": locale, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
        target = tmp_path / "zi\u00eble"
        assert run("schema", env=env).code == 0
        assert run("export", target, "--from", SAMPLE, "--json", env=env).code == 0
        assert run("verify", target, env=env).code == 0


class TestOutside:
    """Text from outside moves no terminal."""

    RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

    @pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\nftetl: OK (0): b", "a\u202eb", "a\rb", "a\x9bb"])
    def test_names_of_files_are_escaped(self, tmp_path: Path, name: str, here: Here) -> None:
        missing = here("export", tmp_path / name, "--from", tmp_path / f"{name}.json")
        written = here("export", tmp_path / name, "--from", SAMPLE, "--project", "p")

        assert (missing.code, written.code) == (65, 0)
        for done in (missing, written):
            assert done.err.count("\n") == 1
            assert not self.RAW.search(done.err)

    def test_names_that_are_no_unicode_are_escaped(self, tmp_path: Path, here: Here) -> None:
        if sys.platform == "darwin":
            pytest.skip("such names cannot be made there")
        done = here("export", os.fsdecode(bytes(tmp_path) + b"/a\xffb"), "--from", SAMPLE, "--json")

        assert done.code == 0
        assert done.document["target"].endswith("a\udcffb")
        assert "a\\udcffb" in done.last

    def test_keys_of_an_answer_are_escaped(self, tmp_path: Path, here: Here) -> None:
        job = {"id": "ft-1", "status": "pending", "ev\x1b[31mil\u202e\nftetl: OK (0): ": 1}
        file = tmp_path / "a.json"
        file.write_text(json.dumps({"data": [job]}), "utf-8")
        done = here("export", tmp_path / "t", "--from", file)

        assert done.code == 0
        assert "ev\\x1b[31mil\\u202e\\nftetl" in done.err
        assert done.err.count("\n") == 2
        assert not self.RAW.search(done.err)

    def test_ids_of_an_answer_are_escaped_or_not_said(self, tmp_path: Path, here: Here) -> None:
        file = tmp_path / "a.json"
        file.write_text(json.dumps({"data": [{"id": "ft-\x1b[2J\u202e"}, {"id": "ft-1"}]}), "utf-8")
        done = here("export", tmp_path / "t", "--from", file)
        told = here("quarantine", tmp_path / "t")

        assert done.code == 3
        assert "bad_id" in told.out
        assert not self.RAW.search(done.err + told.out + told.err)


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


class TestTerminal:
    def test_there_are_a_bar_and_a_table_and_the_bar_is_gone_at_the_end(self, api: demo.Server, tmp_path: Path) -> None:
        code, seen = on_a_terminal("export", tmp_path / "t", env=settings_of(api))
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)

        assert code == 0
        assert "━" in seen
        for phase in ("receiving", "details", "jobs"):
            assert re.search(rf"{phase} +━+", plain)
        assert re.search(r"table +rows +Parquet", plain)
        assert re.search(rf"jobs +{len(api.jobs)} +\d+\.\d kB", plain)
        assert "━" not in plain[plain.index("Parquet") :]
        assert plain.rstrip().splitlines()[-1].startswith("ftetl: OK (0): ")

    @pytest.mark.parametrize("level", ["-q", "-v"])
    def test_there_is_no_bar_where_it_would_be_in_the_way(self, api: demo.Server, tmp_path: Path, level: str) -> None:
        code, seen = on_a_terminal("export", tmp_path / "t", level, env=settings_of(api))

        assert code == 0
        assert "━" not in seen
        if level == "-q":
            assert seen == ""

    def test_in_a_pipe_there_is_neither(self, api: demo.Server, tmp_path: Path) -> None:
        done = run("export", tmp_path / "t", env=settings_of(api))

        assert "\x1b" not in done.err
        assert "━" not in done.err
        assert "Parquet" not in done.err

    def test_the_dictionary_is_a_table_that_fits(self) -> None:
        code, seen = on_a_terminal("schema", "events", env={})
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)

        assert code == 0
        assert all(name in plain for name in tables()["events"].names)
        assert "| --- |" not in plain
        assert max(map(len, plain.splitlines())) <= 100


class TestVerify:
    def test_a_sound_target_is_said_to_be_sound(self, exported: Path, here: Here) -> None:
        done = here("verify", exported)

        assert (done.code, done.out) == (0, "")
        assert re.fullmatch(r"ftetl: OK \(0\): .*: version 1 is sound: 10 files, \d+ rows", done.last)

    def test_a_flipped_byte_is_found_and_its_file_named(self, target: Path, here: Here) -> None:
        file = ftetl.open(target).folder / "events.parquet"
        data = bytearray(file.read_bytes())
        data[len(data) // 3] ^= 0x10
        file.write_bytes(data)
        told, documented = here("verify", target), here("verify", target, "--json")

        assert (told.code, told.fault, documented.fault) == (74, "V08", "V08")
        assert re.fullmatch(r"damaged: snapshots/\S+/events\.parquet: its SHA-256 .*\n", told.out)
        assert "1 damage found" in told.last
        assert documented.document["sound"] is False
        assert (documented.document["exit_code"], documented.document["code"]) == (74, "FTETL-V08")
        assert [line for line in documented.document["damage"] if "events.parquet" in line]


class TestQuarantine:
    def test_what_is_put_aside_is_partial_once_and_shown(self, tmp_path: Path, odd: Path, here: Here) -> None:
        target = tmp_path / "t"
        first, again = here("export", target, "--from", odd), here("export", target, "--from", odd)
        told, documented = here("quarantine", target), here("quarantine", target, "--json")

        assert (first.code, again.code) == (3, 0)
        assert first.last.startswith("ftetl: PARTIAL (3): ")
        assert "2 newly in quarantine" in first.last
        assert told.out == "       2  not_an_object\n       2  in all\n"
        assert documented.document["by_rule"] == {"not_an_object": 2}
        assert documented.document["total"] == 2
        assert sorted(row["raw"] for row in documented.document["rows"]) == sorted(['"x\\u001b[2J"', "42"])
        assert all(row.keys() == {*tables()["quarantine"].names} for row in documented.document["rows"])

    @pytest.mark.parametrize(("word", "code"), [("ok", 0), ("fail", 65)])
    def test_its_meaning_can_be_chosen(self, tmp_path: Path, odd: Path, word: str, code: int, here: Here) -> None:
        done = here("export", tmp_path / "t", "--from", odd, "--quarantine", word)

        assert done.code == code
        assert (manifest.newest_manifest(tmp_path / "t") is None) == (word == "fail")


class TestRebuild:
    def test_what_is_there_is_made_again_and_nothing_changes(self, target: Path, here: Here) -> None:
        before = {path.name: path.read_bytes() for path in ftetl.open(target).folder.iterdir()}
        done = here("rebuild", target)

        assert (done.code, done.out) == (0, "")
        assert done.last == f"ftetl: OK (0): {target}: rebuilt 1 run: nothing changed"
        assert {path.name: path.read_bytes() for path in ftetl.open(target).folder.iterdir()} == before

    def test_what_the_contracts_now_give_is_a_new_version(self, target: Path, here: Here) -> None:
        before = pq.read_table(ftetl.open(target).folder / "jobs.parquet")
        with Target(target) as held, held.begin_transaction() as transaction:  # as if other contracts had made it
            assert held.base is not None
            for file in held.base.files:
                data = (ftetl.open(target).folder / file.name).read_bytes()
                with transaction.create_file(file.name) as sink:
                    sink.write(data if file.name != "anomalies.parquet" else data + b" ")
            note_as_before(target, held)
            transaction.commit(dict(held.base.facts))
        done = here("rebuild", target, "--file-mode", "0640", "--keep", "1", "--lock-timeout", "0.1")

        assert done.last == f"ftetl: OK (0): {target}: rebuilt 2 runs: version 3 committed"
        assert ftetl.open(target).arrow("jobs").equals(before)
        assert {path.stat().st_mode & 0o777 for path in ftetl.open(target).folder.iterdir()} == {0o640}

    def test_a_locked_target_is_worth_another_try(self, target: Path, here: Here) -> None:
        with Target(target):
            assert here("rebuild", target).code == 75

    def test_without_the_archive_it_says_so_and_touches_nothing(self, target: Path, here: Here) -> None:
        shutil.rmtree(target / "_ftetl" / "archive")
        done = here("rebuild", target)

        assert done.code == 65
        assert "_ftetl/archive" in done.last
        assert ftetl.open(target).version == 1


def note_as_before(target: Path, held: Target) -> None:
    """Say of the next version that it was made from what the last one was made from."""
    with Archive(held) as archive:
        (entry,) = archive.entries()
        archive.write_index(
            held.version, {**entry, "run_id": held.run_id, "version": held.version, "base": entry["version"]}
        )


class TestRuns:
    def test_each_run_is_a_line_the_newest_last(self, api: demo.Server, target: Path, tmp_path: Path) -> None:
        fresh = tmp_path / "fresh"
        codes = [
            run("export", fresh, env=settings_of(api)).code,
            run("export", fresh, env=settings_of(api)).code,
            run("export", fresh, env=settings_of(api) | {"TOGETHER_API_KEY": "wrong_0123456"}).code,
        ]
        done = run("runs", fresh)
        first, second, third = (re.split(" {2,}", line) for line in done.out.splitlines())

        assert (codes, done.code, done.err) == ([0, 0, 77], 0, "")
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line[0]) for line in (first, second, third))
        assert (first[2], first[4]) == ("6 requests", "5 new, 0 changed, 0 gone")
        assert re.fullmatch(r"[\d,]+ events", first[5])
        assert [part.lstrip("0123456789 ") for part in first[6:8]] == ["quarantined", "anomalies"]
        assert re.fullmatch(r"\d+ unknown keys?", first[8])
        assert first[9:] == ["version 1", "OK (0)"]
        assert second[9:] == ["unchanged", "OK (0)"]
        assert third[2] == "1 request"
        assert third[4:6] == ["nothing committed", "NOPERM (77) FTETL-H01"]

    def test_a_damaged_record_is_passed_over_with_a_note(self, target: Path, here: Here) -> None:
        (target / "_ftetl" / "runs" / "20200101T000000Z-00000001.json").write_text("{")
        told, documented = here("runs", target), here("runs", target, "--json").document

        assert (told.code, told.out.count("\n")) == (0, 1)
        assert told.err.startswith("note: _ftetl/runs/20200101T000000Z-00000001.json is no record of a run")
        assert [run["version"] for run in documented["runs"]] == [1]
        assert len(documented["damaged"]) == 1

    def test_a_target_without_runs_says_so(self, tmp_path: Path, here: Here) -> None:
        Target(tmp_path / "t").close()
        done = here("runs", tmp_path / "t")

        assert (done.code, done.out, done.err) == (0, "", f"{tmp_path / 't'} has no runs yet\n")
        assert here("runs", tmp_path / "t", "--json").document == {"runs": [], "damaged": []}

    def test_on_a_terminal_it_is_a_table_that_fits(self, target: Path) -> None:
        run("export", target, "--from", SAMPLE, "--project", "other")
        code, seen = on_a_terminal("runs", target, env={})
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)

        assert code == 0
        assert re.search(r"when +seconds +requests +new", plain)
        assert re.search(r"OK \(0\) +1 +\d", plain)
        assert re.search(r"CONFIG \(78\) +none", plain)
        assert "The last run: CONFIG (78) FTETL-S28: the target belongs to project 'default'" in plain
        assert "…" not in plain


class TestMetrics:
    def test_they_are_written_by_an_export_and_by_the_demo(self, tmp_path: Path, here: Here) -> None:
        for given in (["export", tmp_path / "t", "--from", SAMPLE], ["demo", tmp_path / "d", "--events", "list"]):
            assert here(*given, "--metrics-file", tmp_path / "m.prom").code == 0
            assert 'ftetl_exit_code{project="default"} 0' in (tmp_path / "m.prom").read_text().splitlines()
            (tmp_path / "m.prom").unlink()

    def test_a_run_that_is_terminated_says_so_in_them(self, tmp_path: Path) -> None:
        reached, over = threading.Event(), threading.Event()

        def wait(_: str) -> None:
            reached.set()
            over.wait(PATIENCE)

        with demo.serve(generate_jobs(count=3), fail=wait) as server:
            process = subprocess.Popen(
                words("export", tmp_path / "t", "--metrics-file", tmp_path / "m.prom"),
                env=environment(**settings_of(server)),
                stderr=subprocess.PIPE,
            )
            assert reached.wait(PATIENCE)
            process.terminate()
            process.communicate(timeout=PATIENCE)
            over.set()

        assert 'ftetl_exit_code{project="default"} 143' in (tmp_path / "m.prom").read_text().splitlines()

    def test_a_file_that_cannot_be_written_is_one_warning(self, tmp_path: Path, here: Here) -> None:
        metrics = tmp_path / "missing" / "m.prom"
        done = here("export", tmp_path / "t", "--from", SAMPLE, "--metrics-file", metrics, "--project", "p")
        failed = here("export", tmp_path / "t", "--from", "nowhere.json", "--metrics-file", metrics, "--project", "p")

        assert (done.code, failed.code) == (0, 65)
        assert done.err.splitlines()[0].startswith(f"warning: cannot write {metrics}: it is not there")
        assert failed.err.count("\n") == 2
        assert f"cannot write {metrics}" in failed.err.splitlines()[0]


class TestHelp:
    def test_the_exit_codes_are_those_of_the_table(self, here: Here) -> None:
        told = dict(re.findall(r"^ +(\d+) {2}(.*)$", here("--help").out, re.MULTILINE))

        assert told == {str(e.code): e.meaning + (" (try again)" if e.retryable else "") for e in EXITS.values()}

    def test_it_is_asked_for_in_two_ways(self, here: Here) -> None:
        assert here("-h").out == here("--help").out
        assert here("export", "-h").out.startswith("Usage: ftetl export [OPTIONS] TARGET")

    def test_without_a_command_it_is_the_help(self, here: Here) -> None:
        assert here().out == here("--help").out

    def test_it_fits_a_terminal_of_80_columns(self, here: Here) -> None:
        for command in ([], ["demo"], ["export"], ["schema"], ["verify"], ["quarantine"], ["rebuild"], ["runs"]):
            assert max(map(len, here(*command, "--help").out.splitlines())) <= 80

    def test_the_version_is_the_packages(self, here: Here) -> None:
        assert here("--version").out == f"ftetl, version {ftetl.__version__}\n"


def test_the_mode_of_the_files_is_the_one_asked_for(tmp_path: Path, here: Here) -> None:
    target = tmp_path / "t"
    assert here("export", target, "--from", SAMPLE, "--file-mode", "0640").code == 0

    assert {path.stat().st_mode & 0o777 for path in (target / "current").iterdir()} == {0o640}
    assert pq.read_metadata(target / "current" / "jobs.parquet").num_rows == 5
    assert time.time() - (target / "current" / "jobs.parquet").stat().st_mtime < 600


@pytest.mark.parametrize(("given", "glibc"), [(None, True), (None, False), ("mimalloc", True)])
def test_the_program_settles_its_process_and_leaves_to_the_user_what_the_user_has_set(
    given: str | None, glibc: bool
) -> None:
    names = "ARROW_DEFAULT_MEMORY_POOL", "OPENBLAS_NUM_THREADS"
    told = f"gc.get_threshold()[0], *map(os.environ.get, {names}), sys.modules['hypothesis']"
    code = (
        "import gc, os, sys; from ftetl.cli import main as cli; "
        f"cli._has_glibc = lambda: {glibc}; cli.cli.main = lambda **_: print({told}); cli.main()"
    )
    env = {k: v for k, v in os.environ.items() if k not in names}
    env |= {names[0]: given, names[1]: "3"} if given else {}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "1000000",
        given or ("system" if glibc else "None"),
        "3" if given else "1",
        "None",
    ]
