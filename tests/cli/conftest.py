"""Targets, answers and servers for the tests of the command line."""

from __future__ import annotations

import io
import json
import logging
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ftetl
from ftetl import demo
from ftetl.cli import main
from tests.cli.program import (
    DAY,
    SAMPLE,
    Ended,
    Here,
    ended,
)
from tests.demo.generator import generate_jobs

# One element that is no object, so that there is something to put aside.
ODD = {"data": [*json.loads(SAMPLE.read_text("utf-8"))["data"], 42, "x\x1b[2J"]}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    """`run` without a process of its own, for what a process has no part in."""
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(*given: object, stdin: bytes = b"", cwd: Path | None = None, env: dict[str, str] | None = None) -> Ended:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["ftetl", *map(str, given)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
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

    return call


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


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """An `Output` sets up logging for its process, which all tests share."""
    logger = logging.getLogger("ftetl")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])
