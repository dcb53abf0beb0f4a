"""What every test may rely on: no real settings of this machine, hypothesis without a clock, paths of the project."""

from __future__ import annotations

import ast
import gc
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, settings

import ftetl
from ftetl.errors import FtetlError
from ftetl.extract.together_api.retry import RetryPolicy
from tests import postgres
from tests.integration import canary

ROOT = Path(__file__).parents[1]

if sys.version_info < (3, 11, 8):
    # python/cpython#106905: until 3.11.8 all threads share the count of a parse's depth, and whatever the garbage
    # collector runs in the middle of one may let another thread in: SystemError, out of hypothesis as well.
    _parse, _one_at_a_time = ast.parse, threading.RLock()

    def _parse_undisturbed(*args: Any, **named: Any) -> Any:
        with _one_at_a_time:
            collects = gc.isenabled()
            gc.disable()
            try:
                return _parse(*args, **named)
            finally:
                if collects:
                    gc.enable()

    ast.parse = _parse_undisturbed

# No deadlines: speed lives in the benchmarks, and a slow machine must not turn the suite red. The default run takes the
# same examples each time, so that it is red for a reason that came with a change; the long one looks for others.
TIMELESS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", TIMELESS, max_examples=60, derandomize=True)
settings.register_profile("long", TIMELESS, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thirteen thousand tests are a million objects that stay: the garbage collector does not look at them again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no proxy and no login of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("TOGETHER_") or name.lower().endswith("_proxy") or name == "REQUESTS_CA_BUNDLE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(ROOT / "no-netrc"))  # not in `tmp_path`: most tests need no folder of their own


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed request is sent again at once, so that its test needs no deadline, which a busy machine would miss."""
    assert RetryPolicy.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(RetryPolicy.__init__.__kwdefaults__, "rng", lambda *_: 0.0)


# What a test writes itself: files from which a key is read; and our own code, in which the demo's key stands.
KEY_FILES = ("key", "netrc", "*.py", "*.pyc", "*.whl", "*.tar.gz", "*.zip")
SEARCHED: pytest.StashKey[Counter[str]] = pytest.StashKey()


@pytest.fixture(scope="session", autouse=True)
def no_key_is_said_or_written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Whatever any test made the program say or write, no key is in it; and no error says an address."""
    search = canary.Search()
    begin, invoke = FtetlError.__init__, CliRunner.invoke
    read, communicate = pytest.CaptureFixture.readouterr, subprocess.Popen.communicate

    def begun(self: FtetlError, *args: Any, **named: Any) -> None:
        begin(self, *args, **named)
        search.add_error(str(self))

    def invoked(self: CliRunner, *args: Any, **named: Any) -> Any:
        result = invoke(self, *args, **named)
        search.add_text(result.output_bytes)
        return result

    def captured(self: pytest.CaptureFixture[Any]) -> Any:
        said = read(self)
        for text in said:
            search.add_text(text)
        return said

    def communicated(self: subprocess.Popen[Any], *args: Any, **named: Any) -> tuple[Any, Any]:
        said = communicate(self, *args, **named)
        for text in said:
            search.add_text(text)
        return said

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FtetlError, "__init__", begun)
        patch.setattr(CliRunner, "invoke", invoked)
        patch.setattr(pytest.CaptureFixture, "readouterr", captured)
        patch.setattr(subprocess.Popen, "communicate", communicated)
        yield
    search.search_now()
    search.search_folder(tmp_path_factory.getbasetemp(), KEY_FILES)
    request.config.stash[SEARCHED] = Counter(search.counts)
    assert search.matches == []


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells what it has searched through."""
    if hasattr(session.config, "workeroutput") and SEARCHED in session.config.stash:
        session.config.workeroutput["searched"] = dict(session.config.stash[SEARCHED])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What the workers have searched through, added up."""
    searched = node.config.stash.setdefault(SEARCHED, Counter())
    searched.update(getattr(node, "workeroutput", {}).get("searched", {}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line about the search."""
    if counts := config.stash.get(SEARCHED, None):
        terminalreporter.write_line("searched for keys: " + ", ".join(f"{n:,} {what}" for what, n in counts.items()))


@pytest.fixture
def root() -> Path:
    """The folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def demo_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as Parquet and CSV; nobody may change it."""
    target = tmp_path_factory.mktemp("others") / "demo"
    ftetl.export(target, source="demo", formats=("csv",))
    return target


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server for all tests of a worker."""
    if postgres.BIN is None:
        pytest.skip("PostgreSQL is not installed here")
    with postgres.running() as server:
        yield server


@pytest.fixture
def postgres_database(postgres_server: postgres.Server) -> Iterator[postgres.Database]:
    """An empty database for one test."""
    with postgres_server.database() as database:
        yield database


def _odd_job(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "status": "completed", "created_at": "2026-07-02T08:10:14Z"} | more


# What other programs stumble over: breaks and quotes in texts, formulas, NUL, numbers at their ends; and no jobs.
_ODD_JOBS: list[Any] = [
    _odd_job("-1", model="=1+1", suffix="a\r\nb\n\nc", events=[{"type": "JOB_START", "message": 'x"y",z\r\n""'}]),
    _odd_job(":2", model="@x\ty", user_id="", events=[{"type": "odd", "message": "\0nul\0"}, {"message": "'=quoted"}]),
    _odd_job("ft-3", learning_rate=1e-300, total_price=-5, token_count=2**63 - 1, suffix="\u2028\x85x\x1f", n_epochs=0),
    _odd_job("ft-4", model="'" * 5 + '"', training_file="ü😀" * 200, events=[{"message": "m" * 200_000}]),
    _odd_job("ft-5", learning_rate=1, n_evals="x", total_price=10**18 - 1, new={"a": 1}),
    _odd_job("ft-6", total_price=0.5, token_count=-3, events=[{"type": 7, "level": "weird"}]),
    *(7, None, "text", {"no": "id"}, {"id": "a/b"}, "=cmd()", "\r\n", ""),
]
_ODD_BYTES = b',{"id":"ft-7","a":1,"a":2},{"id":"ft-8","b":"\xff\x00"},{"id":"ft-9","b":"\\ud800"}]}'


@pytest.fixture(scope="session")
def odd_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Jobs that are odd in every way that a file format could mind, as Parquet and CSV; nobody may change it."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "odd.json").write_bytes(json.dumps({"data": _ODD_JOBS}).encode()[:-2] + _ODD_BYTES)
    ftetl.export(folder / "odd", source=folder / "odd.json", formats=("csv",))
    return folder / "odd"


@pytest.fixture(scope="session")
def empty_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without jobs, as Parquet and CSV; nobody may change it."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "empty.json").write_text('{"data": []}')
    ftetl.export(folder / "empty", source=folder / "empty.json", formats=("csv",))
    return folder / "empty"


@pytest.fixture(scope="session")
def spoiled_files(tmp_path_factory: pytest.TempPathFactory, odd_target: Path) -> Path:
    """Files of a snapshot in which a job stands twice, an event has no job, and a text is in no enumeration."""
    folder = tmp_path_factory.mktemp("spoiled") / "files"
    shutil.copytree((odd_target / "current").resolve(), folder)
    jobs, events, anomalies = (folder / f"{name}.csv" for name in ("jobs", "events", "anomalies"))
    jobs.write_bytes(jobs.read_bytes() + jobs.read_bytes().split(b"\r\n")[-2] + b"\r\n")
    commas = b"," * (events.read_bytes().split(b"\r\n")[0].count(b",") - 2)
    events.write_bytes(events.read_bytes() + b'"default","nowhere",0' + commas + b"\r\n")
    anomalies.write_bytes(anomalies.read_bytes() + b'"default","ft-3","p","unheard_of",,1\r\n')
    return folder
