"""How the program ends when it is stopped, or breaks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

import ftetl
from ftetl import demo
from ftetl.store.target import Target
from tests.cli.program import (
    PATIENCE,
    SAMPLE,
    ended,
    environment,
    settings_of,
    state,
    words,
)
from tests.demo.generator import generate_jobs


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

        before, records_before = state(target), set((target / "_ftetl" / "runs").iterdir())
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
        (record,) = set((target / "_ftetl" / "runs").iterdir()) - records_before  # names of one second are in no order
        told = json.loads(record.read_text())
        assert (told["exit_code"], told["code"]) == (code, "FTETL-S06")

    @pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
    def test_a_run_that_is_stopped_after_the_commit_has_committed(self, tmp_path: Path, name: str) -> None:
        program = f"""
import os, signal
from ftetl.cli.main import main
from ftetl.store.target import Target

def stopped(target, run_id, document, record=Target.write_run_record):
    os.kill(os.getpid(), signal.{name})
    record(target, run_id, document)

Target.write_run_record = stopped
main()
"""
        given = [sys.executable, "-c", program, "export", tmp_path / "t", "--from", SAMPLE, "--json"]
        done = subprocess.run(given, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
        told = ended(done.returncode, done.stdout, done.stderr)

        assert told.code == 0
        assert (told.document["committed"], told.document["changed"], told.document["version"]) == (True, True, 1)
        assert "version 1" in told.last
        assert ftetl.open(tmp_path / "t").version == 1

    @pytest.mark.parametrize("option", ["--load", "--publish"])
    def test_a_run_that_is_stopped_while_it_loads_or_publishes_is_partial(self, tmp_path: Path, option: str) -> None:
        program = """
import os, signal
from ftetl.cli.main import main
from ftetl.loading import load_snapshot, publish

def stopped(*given, **named):
    os.kill(os.getpid(), signal.SIGTERM)

load_snapshot.load = publish.PublishFolder.publish = stopped
main()
"""
        place = {"--load": f"sqlite:{tmp_path / 'jobs.sqlite'}", "--publish": tmp_path / "published"}[option]
        given = [sys.executable, "-c", program, "export", tmp_path / "t", "--from", SAMPLE, "--json", option, place]
        done = subprocess.run(given, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
        told = ended(done.returncode, done.stdout, done.stderr)
        (record,) = (tmp_path / "t" / "_ftetl" / "runs").iterdir()

        assert (told.code, told.document["committed"], told.document["version"]) == (3, True, 1)
        assert "perhaps not published or loaded" in told.last
        assert json.loads(record.read_text())["exit_code"] == 3

    @pytest.mark.parametrize("after", [False, True])
    def test_a_load_that_is_stopped_does_not_say_that_nothing_was_loaded(self, tmp_path: Path, after: bool) -> None:
        program = f"""
import os, signal
from ftetl.cli.main import main
from ftetl.loading.destinations import sqlite

def stopped(*given, load=sqlite.load):
    {"load(*given)" if after else ""}
    os.kill(os.getpid(), signal.SIGTERM)

sqlite.load = stopped
main()
"""
        ftetl.export(tmp_path / "t", source=SAMPLE)
        file = tmp_path / "jobs.sqlite"
        given = [sys.executable, "-c", program, "load", tmp_path / "t", f"sqlite:{file}", "--json"]
        done = subprocess.run(given, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
        told = ended(done.returncode, done.stdout, done.stderr)

        assert (told.code, told.document["code"]) == (143, "FTETL-S06")
        assert "whether the tables were loaded is unknown: load again" in told.last
        assert file.exists() == after
        assert ftetl.load(tmp_path / "t", f"sqlite:{file}").changed != after


@pytest.mark.parametrize(
    ("place", "caller"),
    [
        ("ftetl.store.target.Target.begin_transaction", "pipeline/run.py"),
        ("ftetl.cli.commands.export.print_summary", "cli/commands/export.py"),
    ],
)
@pytest.mark.parametrize("level", ["-q", "-vv"])
def test_an_internal_error_is_reported_by_type_and_place_and_never_by_its_text(
    tmp_path: Path, place: str, caller: str, level: str
) -> None:
    head, _, name = place.rpartition(".")
    program = f"""
import ftetl.cli.commands.export, ftetl.store.target
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
    assert f"ValueError in {caller}:" in told.last  # the program itself is no part of the package
    assert "e-mail" not in told.err
    assert (", in broken" in told.err) == (level == "-vv")
