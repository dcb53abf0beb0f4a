"""Runs that are told to stop, at the places where it matters, once and twice, and as the first process of all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import ftetl
from ftetl import demo
from ftetl.errors import EXITS
from tests.demo.generator import generate_jobs
from tests.faults.runs import ROOT, Runs
from tests.faults.targets import AT_CLOSE, tables, temps

CODES = {signal.SIGINT: EXITS["SIGINT"].code, signal.SIGTERM: EXITS["SIGTERM"].code}
PATIENCE = 60


@pytest.mark.parametrize(
    ("place", "numbers"),
    [
        (AT_CLOSE, [signal.SIGTERM]),
        ("ftetl.loading.table_writers:TableWriters.validate", [signal.SIGINT]),
        ("ftetl.store.transaction:Transaction.commit", [signal.SIGTERM, signal.SIGTERM]),
        ("ftetl.store.transaction:commit_manifest", [signal.SIGTERM]),
    ],
)
def test_before_the_commit_nothing_is_changed(
    place: str, numbers: list[signal.Signals], target: Path, answers: list[Path], runs: Runs
) -> None:
    before = tables(target)
    ended = runs.run("export", target, "--from", answers[1], place=place, signals=numbers)

    assert ended.reached
    assert ended.status == CODES[numbers[0]], ended.err
    assert ended.last.startswith(f"ftetl: {numbers[0].name} ({ended.status})")
    assert tables(target) == before
    assert ftetl.export(target, source=answers[1]).version == 2
    assert temps(target) == []


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("ftetl.store.cleanup:update_current_link", signal.SIGTERM),
        ("ftetl.pipeline.list_watermark:write_newest_whole_at", signal.SIGINT),
        ("ftetl.pipeline.run_log:write_record", signal.SIGTERM),
    ],
)
def test_after_the_commit_it_is_a_success(
    place: str, number: signal.Signals, target: Path, answers: list[Path], runs: Runs
) -> None:
    ended = runs.run("export", target, "--from", answers[1], place=place, signals=[number])

    assert ended.reached
    assert ended.status == EXITS["OK"].code, ended.err
    assert ended.last.startswith("ftetl: OK (0)")
    assert ftetl.open(target).version == 2
    assert not ftetl.export(target, source=answers[1]).changed
    assert temps(target) == []


def waiting(tmp_path: Path, stop: Callable[[subprocess.Popen[str]], None], *prefix: str) -> tuple[int, str]:
    """The end of a run that is stopped while it waits for an answer: its code, what it said."""
    reached, over = threading.Event(), threading.Event()

    def wait(_: str) -> None:
        reached.set()
        over.wait(PATIENCE)

    with demo.serve(generate_jobs(count=3), fail=wait) as server:
        env = {"PYTHONPATH": str(ROOT), "TOGETHER_API_KEY": server.key, "TOGETHER_BASE_URL": server.url}
        given = [*prefix, sys.executable, "-m", "ftetl", "export", str(tmp_path / "t")]
        with subprocess.Popen(given, env=env | {"PATH": os.environ["PATH"]}, stderr=-1, text=True) as process:
            assert reached.wait(PATIENCE)
            stop(process)
            err = process.communicate(timeout=PATIENCE)[1]
            over.set()
    return process.returncode, err


def test_as_the_first_process_of_a_container_it_stops(tmp_path: Path) -> None:
    """There a signal that nobody handles does nothing at all."""
    prefix = ["unshare", "--pid", "--fork", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no process can be the first here")

    def stop(process: subprocess.Popen[str]) -> None:
        first = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(first[0]), signal.SIGTERM)

    code, err = waiting(tmp_path, stop, *prefix)

    assert code == CODES[signal.SIGTERM], err
    assert err.startswith("ftetl: SIGTERM (143)")
    assert tables(tmp_path / "t") is None
    assert temps(tmp_path / "t") == []


def test_told_again_it_stops_at_once(tmp_path: Path) -> None:
    def stop(process: subprocess.Popen[str]) -> None:
        for _ in range(20):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.002)

    code, err = waiting(tmp_path, stop)

    assert code in (CODES[signal.SIGTERM], -signal.SIGTERM), err
    assert "Traceback" not in err
    assert tables(tmp_path / "t") is None
