"""A key and an address through everything that can go wrong: neither is said, logged or written where it should not be.

The search through all other tests is in `conftest`; here are the places that they do not come to.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import logging
import re
import resource
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.traceback import Traceback

import ftetl
from ftetl import demo
from ftetl.cli.main import cli
from ftetl.config.settings import Settings
from ftetl.errors import FtetlError
from ftetl.extract.together_api.client import Client
from ftetl.pipeline import export
from ftetl.pipeline.active_run import ActiveRun
from tests.demo.generator import generate_jobs
from tests.extract.together_api.test_client import BROKEN, SLOW, STATUSES, Start, answer
from tests.extract.together_api.test_client import serve as servers
from tests.integration.canary import (
    KEY,
    KEYS,
    MAIL,
    MAILS,
    contains,
    encodings,
    files,
    matching_indices,
    unpacked_contents,
)

ROOT = Path(__file__).parents[2]
serve = servers  # the fixture
LOUD = ("http.client", "urllib3", "requests", "")


def files_containing(folder: Path, pattern: str) -> list[str]:
    """The files below a folder that match the pattern, also decompressed."""
    parts = [(path, part) for path in files(folder) for part in unpacked_contents(path, path.read_bytes())]
    assert parts
    return sorted(
        {str(parts[n][0].relative_to(folder)) for n in matching_indices([part for _, part in parts], pattern)}
    )


def export_output(target: Path, *words: object, url: str, key: str = KEY) -> tuple[int, str]:
    """The exit code of an export, and all its output at the highest verbosity, with its error."""
    given = ["export", target, "--base-url", url, "-vv", *words]
    environ = {"TOGETHER_API_KEY": key}
    done = CliRunner().invoke(cli, [*map(str, given)], env=environ, standalone_mode=False)
    error = done.exception
    shown = f"{error}" if error else ""
    return (error.exit.code if isinstance(error, FtetlError) else int(done.return_value or 0)), done.output + shown


@pytest.fixture
def loud(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[io.StringIO]:
    """A program around us that logs all it can: everybody's debug level, http.client's own, urllib3 to a stream."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    before = {name: logging.getLogger(name).level for name in LOUD}
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger().addHandler(handler)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    yield stream
    logging.getLogger().removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
    out, err = capfd.readouterr()
    stream.write(out + err)
    assert not contains(stream.getvalue())


ECHO = json.dumps({"error": {"message": "Incorrect API key provided: {}", "type": "x"}})


class TestTheKey:
    @pytest.mark.parametrize("name", [*BROKEN, "silence", "body"])
    def test_no_broken_wire_makes_it_known(
        self, serve: Start, tmp_path: Path, loud: io.StringIO, quick_retries: None, name: str
    ) -> None:
        script = BROKEN[name][1] if name in BROKEN else SLOW[name]
        server = serve(script)

        deadline = "20" if name in BROKEN else "2"  # a slow answer is waited for until then
        code, told = export_output(tmp_path / "t", "--deadline", deadline, url=server.url)

        assert code in (65, 69, 76)
        assert server.requests
        assert all(f"Bearer {KEY}" == request.headers["authorization"] for request in server.requests)
        assert not contains(told)
        assert files_containing(tmp_path, KEYS) == []
        assert "urllib3" in str(logging.Logger.manager.loggerDict)

    @pytest.mark.parametrize("status", sorted({row[0] for row in STATUSES} | {200, 302} - {101, 103, 204, 205, 304}))
    def test_no_status_repeats_it(self, serve: Start, tmp_path: Path, loud: io.StringIO, status: int) -> None:
        echoes = "; ".join(encodings(KEY)).replace('"', "")
        body = ECHO.replace("{}", f"{KEY} or {echoes}").encode()
        ray = base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("=")
        headers = {"CF_RAY": ray, "Location": f"https://gateway.example/{KEY}"}
        if status == 200:
            headers = {"Content_Type": KEY}
        server = serve(answer(status, body, Retry_After="100", **headers))

        code, told = export_output(tmp_path / "t", "--deadline", "20", url=server.url)

        assert code in (65, 69, 75, 76, 77)
        assert len(server.requests) in (1, 2)
        assert not contains(told)
        assert files_containing(tmp_path, KEYS) == []

    def test_a_good_run_leaves_nothing_of_it(self, tmp_path: Path, loud: io.StringIO) -> None:
        with demo.serve(generate_jobs(count=4), key=KEY) as server:
            code, told = export_output(
                tmp_path / "t", "--metrics-file", tmp_path / "m", "--format", "csv", url=server.url
            )
            again, more = export_output(tmp_path / "t", "--log-format", "json", url=server.url)

        assert (code, again) == (0, 0)
        assert not contains(told + more)
        assert files_containing(tmp_path, KEYS) == []
        assert "fine-tunes" in loud.getvalue()  # so that it is known to be loud

    def test_the_core_of_a_crash_is_not_kept(self) -> None:
        code = "import resource, sys; from ftetl.cli import main as cli; sys.argv = ['ftetl', '--version']\n"
        code += "try: cli.main()\nfinally: print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
        most = resource.getrlimit(resource.RLIMIT_CORE)[1]
        first = f"import resource, sys; resource.setrlimit(resource.RLIMIT_CORE, ({most}, {most}))\n"
        given = [sys.executable, "-c", first + code]
        done = subprocess.run(given, cwd=ROOT, capture_output=True, text=True, check=True)

        assert done.stdout.splitlines()[-1] == "0"
        assert most == resource.getrlimit(resource.RLIMIT_CORE)[1]


class PlannedError(Exception):
    """Raised where nobody expects it."""


class Breaking:
    """Raises at the n-th call of a function of ours, or at the first of the one of this name, in whatever thread."""

    def __init__(self, when: int | str) -> None:
        self.when = when
        self.calls = 0
        self.place = ""
        self._lock = threading.Lock()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        path = frame.f_code.co_filename
        if not path.startswith(OURS) or event != "call" or path.startswith(OPEN):
            return
        place = f"{path.removeprefix(OURS)}:{frame.f_code.co_name}"
        with self._lock:
            self.calls += 1
            if self.place or self.when not in (self.calls, place):
                return
            self.place = place
        raise PlannedError(f"at {self.place}")

    def __enter__(self) -> Breaking:
        threading.settrace(self)
        sys.settrace(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]


# Where the key is read, checked and put into its header; nothing of others is called there.
OURS = str(ROOT / "ftetl") + "/"
OPEN = (f"{OURS}config/credentials.py", f"{OURS}config/settings.py", f"{OURS}demo/")


def with_names(error: BaseException) -> str:
    """What the loudest of all programs would show of an error: every frame with its names, but for the test's own."""
    shown = []
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        found = todo.pop()
        if found is None or any(found is other for other in seen):
            continue
        seen.append(found)
        todo += [found.__cause__, found.__context__]
        frames = found.__traceback__
        while frames is not None and Path(frames.tb_frame.f_code.co_filename).name == Path(__file__).name:
            frames = frames.tb_next
        plain = traceback.TracebackException(type(found), found, frames, capture_locals=True)
        shown.append("".join(plain.format(chain=False)))
        console = Console(file=io.StringIO(), width=400)
        console.print(Traceback.from_exception(type(found), found, frames, show_locals=True, extra_lines=0))
        shown.append(console.file.getvalue())  # type: ignore[attr-defined]
    return "\n".join(shown)


def broken_at(when: int | str, server: demo.Server, target: Path) -> tuple[Breaking, str]:
    """A run that breaks there, and what can be shown of it, in all threads."""
    threads: list[str] = []
    hook = threading.excepthook
    threading.excepthook = lambda args: threads.append(with_names(args.exc_value) if args.exc_value else "")
    shown = ""
    settings = Settings.from_options(
        target, "api", {"environ": {"TOGETHER_API_KEY": KEY}, "base_url": server.url, "deadline": 20.0}
    )
    try:
        with Breaking(when) as breaking:
            export.run_export(ActiveRun(settings))
    except (FtetlError, PlannedError) as error:
        sys.settrace(None)
        shown = with_names(error) + str(error)
    finally:
        threading.excepthook = hook
    return breaking, shown + "\n".join(threads)


# On the way of the key to its header and of the answer back.
ON_ITS_WAY = (
    "extract/sources/__init__.py:open_source",
    "extract/sources/api.py:open_api",
    "extract/together_api/client.py:__init__",
    "extract/together_api/transport.py:__init__",
    "extract/together_api/client.py:_request",
    "extract/together_api/transport.py:_exchange",
    "extract/together_api/connections.py:__call__",
    "extract/together_api/connections.py:register",
    "extract/together_api/transport.py:_read_chunks",
    "extract/together_api/response_check.py:classify_response",
    "pipeline/run.py:_load",
)


@pytest.mark.parametrize("place", ON_ITS_WAY)
def test_wherever_a_run_fails_no_frame_shows_the_key(
    tmp_path: Path, place: str, quick_retries: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "ask_owner", lambda _: None)  # which comes first, and whose failures cost nothing
    with demo.serve(generate_jobs(count=2), key=KEY) as server:
        breaking, shown = broken_at(place, server, tmp_path / "t")

    assert breaking.place == place
    assert " = " in shown
    assert not contains(shown)
    assert not (tmp_path / "t").exists() or files_containing(tmp_path, KEYS) == []


@pytest.mark.parametrize("place", [place for place in ON_ITS_WAY if "/connections.py" in place or "_read" in place])
def test_a_failure_while_the_owner_is_asked_for_fails_no_run_and_shows_no_key(
    tmp_path: Path, place: str, quick_retries: None, loud: io.StringIO
) -> None:
    with demo.serve(generate_jobs(count=2), key=KEY) as server:
        breaking, shown = broken_at(place, server, tmp_path / "t")

    assert (breaking.place, shown) == (place, "")
    assert "/v1/fine-tunes" in {path for _, path in server.requests}
    assert not contains(loud.getvalue())
    assert files_containing(tmp_path, KEYS) == []


@pytest.mark.slow
def test_a_failure_at_any_call_of_a_run_shows_no_key_in_a_frame(tmp_path: Path, quick_retries: None) -> None:
    points, places = 60, set()
    with demo.serve(generate_jobs(count=2), key=KEY) as server:
        whole, nothing = broken_at(0, server, tmp_path / "t0")
        assert (whole.place, nothing) == ("", "")
        for n in range(points):
            breaking, shown = broken_at(8 + (n * n * whole.calls) // (2 * points**2), server, tmp_path / f"t{n + 1}")
            places.add(breaking.place)
            assert not contains(shown), breaking.place

    assert len(places) >= points // 2
    assert files_containing(tmp_path, KEYS) == []


# ------------------------------------------------------------------------------------------- personal data

VALUES: tuple[Any, ...] = (MAIL, [MAIL], {MAIL: MAIL}, {"user": MAIL}, f"1{MAIL}", f"\n{MAIL}\x1b[2J")
# Where data belongs: the tables, and the texts that were received.
DATA = re.compile(r"snapshots/[^/]+/\w+\.(parquet|csv)|_ftetl/(archive|details|failed)/.*")


def odd_jobs() -> list[Any]:
    """Jobs in which every known key, and many an unknown one, holds somebody's address in a way that it should not."""
    whole = json.loads((ROOT / "tests/data/samples/detail_completed_2026.json").read_text("utf-8"))
    odd: list[Any] = [
        {"id": MAIL},
        {"id": f"a/{MAIL}"},
        {"id": [MAIL]},
        {MAIL: 1},
        MAIL,
        [MAIL],
        {"id": "x", MAIL: {MAIL: 1}},
    ]
    for number, key in enumerate(sorted(set(whole) - {"id"})):
        odd.append({**whole, "id": f"ft-{number}", key: VALUES[number % len(VALUES)], f"{key} of {MAIL}": MAIL})
        if isinstance(whole[key], dict):
            odd += [{**whole, "id": f"ft-{number}-{k}", key: {**whole[key], k: MAIL}} for k in whole[key]]
    for number, key in enumerate(sorted({k for event in whole["events"] for k in event})):
        event = {**whole["events"][0], key: VALUES[number % len(VALUES)], MAIL: number}
        odd.append({**whole, "id": f"ft-e{number}", "events": [event, MAIL, {MAIL: MAIL}]})
    return odd


def body() -> bytes:
    good = json.dumps({"data": odd_jobs()}).encode()[:-2]
    mail = MAIL.encode()
    raw = b',{"id":"d","%s":1,"%s":2},{"id":"u","x":"\xff%s"},{"id":"n","learning_rate":NaN,"user_id":"%s"}'
    return good + (raw + b',{"%s" 1},[1 "%s"]]}').replace(b"%s", mail)


# Answers that break the contract as a whole, with an address where they break.
REFUSED = {
    "no list": b'{"data":"%s"}',
    "no object": b'"%s"',
    "a key twice": b'{"%s":1,"%s":2,"data":[]}',
    "data twice": b'{"data":[{"id":"%s"}],"data":[]}',
    "cut": b'{"data":[{"id":"x"}],"to":"%s',
    "more behind": b'{"data":[]} %s',
    "more before": b'%s {"data":[]}',
    "an error": b'{"error":{"message":"%s is not known","to":"%s"}}',
    "a page": b"<html>%s</html>",
    "no text": b"\xff\xfe%s",
    "broken before": b'{"to":%s,"data":[]}',
    "only a name": b'{"%s":[]}',
}


def elsewhere(folder: Path) -> list[str]:
    """Where an address is that should be in data only."""
    return [name for name in files_containing(folder, MAILS) if not DATA.fullmatch(name.partition("/")[2])]


@pytest.fixture(params=["text", "json"])
def form(request: pytest.FixtureRequest) -> tuple[str, str]:
    return "--log-format", request.param


def run_cli(*words: object, code: int | None = None) -> str:
    """All that a command says, and what of its error a host would log."""
    done = CliRunner().invoke(cli, [*map(str, words)], standalone_mode=False)
    error = done.exception
    assert error is None or isinstance(error, FtetlError)
    found = error.exit.code if error else int(done.return_value or 0)
    assert code is None or found == code, done.output
    return done.output + ("".join(traceback.format_exception(error)) if error else "")


class TestAnAddress:
    def test_it_is_in_data_and_nowhere_else(self, tmp_path: Path, form: tuple[str, str], caplog: Any) -> None:
        (answer := tmp_path.parent / f"{tmp_path.name}.json").write_bytes(body())
        target = tmp_path / "t"
        shown = run_cli(
            "export", target, "--from", answer, "-vv", "--metrics-file", tmp_path / "m", "--json", *form, code=3
        )
        shown += run_cli("export", target, "--from", answer, "-vv", "--quarantine", "fail", "--format", "csv", *form)
        shown += (
            run_cli("verify", target, "-vv", *form, code=0)
            + run_cli("runs", target, "--json")
            + run_cli("runs", target)
        )
        shown += run_cli("quarantine", target) + run_cli("doctor", target) + run_cli("rebuild", target, "-vv", *form)

        assert ftetl.open(target).arrow("anomalies").num_rows > 50
        assert contains(repr(ftetl.open(target).arrow("anomalies").to_pylist()), MAILS)
        assert not contains(shown + caplog.text, MAILS)
        assert elsewhere(tmp_path) == []
        assert "keys that no column reads" in shown
        assert "of *** " in shown

    def test_dropped_it_is_nowhere(self, tmp_path: Path, form: tuple[str, str]) -> None:
        (answer := tmp_path.parent / f"{tmp_path.name}.json").write_bytes(body())
        target = tmp_path / "t"
        shown = run_cli("export", target, "--from", answer, "-vv", "--pii", "drop", "--format", "csv", *form, code=3)
        shown += run_cli("quarantine", target, "--json")

        assert not contains(shown, MAILS)
        assert files_containing(tmp_path, MAILS) == []

    @pytest.mark.parametrize("name", REFUSED)
    def test_no_refusal_repeats_it(self, serve: Start, tmp_path: Path, name: str) -> None:
        data = REFUSED[name].replace(b"%s", MAIL.encode())
        (answer_file := tmp_path.parent / f"{tmp_path.name}.json").write_bytes(data)
        server = serve(answer(200, data))
        shown = run_cli("export", tmp_path / "a", "--from", answer_file, "-vv")
        shown += export_output(tmp_path / "b", url=server.url)[1]

        assert server.requests
        assert not contains(shown, MAILS)
        assert elsewhere(tmp_path) == []

    def test_a_gate_that_fails_names_no_value(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is written breaks its contract, by a fault of ours that this test puts in."""
        (answer := tmp_path.parent / f"{tmp_path.name}.json").write_bytes(body())
        for name, broken in BROKEN_GATES.items():
            with monkeypatch.context() as patch:
                patch.setattr("ftetl.validate.table_checks.TableValidator.check_rows", broken)
                shown = run_cli("export", tmp_path / name, "--from", answer, "-vv", code=70)
            assert not contains(shown, MAILS)
        assert elsewhere(tmp_path) == []


def _pandera(self: Any, group: Any) -> None:
    import pandera.pandas as pandera

    frame = group.to_pandas()
    column = {frame.columns[-1]: pandera.Column(int, pandera.Check.isin([1]))}
    try:
        pandera.DataFrameSchema(column).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        raise self._worded(errors) from None


def _arrow(self: Any, group: Any) -> None:
    group.set_column(0, "x", [[MAIL] * group.num_rows]).column(0).cast("int64")


def _unexpected(self: Any, group: Any) -> None:
    raise KeyError(MAIL)


BROKEN_GATES = {"pandera": _pandera, "arrow": _arrow, "unexpected": _unexpected}


# ------------------------------------------------------------------------------------------- nothing else runs

AUDIT = """
import json, os, sys
told = set()
RUNS = ("os.exec", "os.fork", "os.posix", "os.spawn", "os.system")
def hook(event, arguments):
    # trio, which hypothesis brings up where both are installed, asks ldconfig for a library
    if (event in ("subprocess.Popen", "pty.spawn") or event.startswith(RUNS)) and "ldconfig" not in str(arguments):
        told.add("runs " + event)
    if event in ("socket.connect", "socket.sendto"):
        told.add("talks to " + repr(arguments[1][:2]))
    if event == "socket.getaddrinfo":
        told.add("asks for " + repr(arguments[0]))
sys.addaudithook(hook)
from ftetl.cli import main as cli
try:
    cli.main()
finally:
    print(json.dumps(sorted(told)), file=sys.stderr)
"""


def test_no_program_is_started_and_one_host_is_contacted(tmp_path: Path) -> None:
    """As `faults/test_storage` says of the system's calls, for where there is no strace; and of a failing run."""
    with demo.serve(generate_jobs(count=3), key=KEY) as server:
        env = {"PYTHONPATH": str(ROOT), "TOGETHER_API_KEY": KEY, "TOGETHER_BASE_URL": server.url, "CANARY": MAIL}
        for more in ([], ["--max-bytes", "10"]):
            given = [sys.executable, "-c", AUDIT, "export", str(tmp_path / "t"), "-vv", *more]
            done = subprocess.run(given, env=env, capture_output=True, text=True, check=False)
            said = done.stderr.splitlines()[-1]
            assert done.returncode == (65 if more else 0), done.stderr
            assert set(json.loads(said)) == {f"talks to ('127.0.0.1', {server.server_port})", "asks for '127.0.0.1'"}
            assert not contains(done.stderr, MAILS)  # nor is the environment told
    assert files_containing(tmp_path, f"{MAILS}|{KEYS}") == []


ESCAPES = '\x1b]0;owned\x07\n{"level": "INFO", "event": "run_done"}\r\u202e\x9b2J'


def test_no_external_text_moves_the_cursor_or_adds_a_line(tmp_path: Path) -> None:
    jobs = [
        {"id": f"{ESCAPES}{n}", "status": ESCAPES, "model": ESCAPES, ESCAPES: 1, "events": [{"type": ESCAPES}]}
        for n in range(3)
    ]
    folder = tmp_path / ESCAPES.replace("/", "")
    folder.mkdir()
    (folder / f"a{ESCAPES}.json").write_text(json.dumps({"data": [*jobs, ESCAPES]}), "utf-8")
    (folder / f"no{ESCAPES}.txt").touch()
    target = folder / "t"
    commands = [["export", target, "--from", folder, "-vv"], ["export", target, "--from", folder / "no", "-vv"]]
    commands += [[name, target] for name in ("verify", "runs", "quarantine", "doctor")]
    commands += [[*command, "--log-format", "json"] for command in commands] + [
        [*command, "--json"] for command in commands
    ]
    for command in commands:
        done = CliRunner().invoke(cli, [*map(str, command)], standalone_mode=False)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", done.output), command
        assert not re.search(r'^{"level": "INFO", "event": "run_done"}', done.output, re.MULTILINE), command
