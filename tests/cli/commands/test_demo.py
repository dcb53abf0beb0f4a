"""`ftetl demo` needs nothing, and its next steps run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ftetl.cli.commands import demo as demo_command
from ftetl.cli.output import Output
from ftetl.contract import frictionless, odcs, tables
from ftetl.extract.details import fingerprints
from tests.cli.program import (
    Ended,
    environment,
    run,
    state,
)

DOCUMENTS = frictionless.FILE, odcs.FILE


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

    def test_its_first_next_step_shows_jobs_that_failed(self, first: Ended, folder: Path) -> None:
        line = next(line for line in first.out.splitlines() if line.startswith("  ftetl"))
        program, *given = shlex.split(line)
        done = run(*given, cwd=folder)

        assert (program, done.code) == ("ftetl", 0)
        head, *rows = done.out.splitlines()
        place = head.split(",").index("status")
        assert len(rows) >= 10
        assert {row.split(",")[place] for row in rows} == {"error"}

    def test_its_second_next_step_runs_in_python(self, first: Ended, folder: Path) -> None:
        line = next(line for line in first.out.splitlines() if line.startswith("  python"))
        program, *code = shlex.split(line)
        env = environment()
        done = subprocess.run([sys.executable, *code], cwd=folder, env=env, capture_output=True, text=True, check=True)

        assert program == "python"
        assert re.search(r"^ *month jobs +token_count +charged_usd +refunded_usd +net_usd$", done.stdout, re.MULTILINE)
        assert re.search(r"^0 +20\d\d-\d\d +\d+ +[\d,]+ +\$[\d.,]+ ", done.stdout, re.MULTILINE)
        assert done.stderr == ""

    def test_a_second_run_changes_nothing(self, first: Ended, folder: Path) -> None:
        before = state(folder / "ftetl-demo")
        again = run("demo", cwd=folder)

        assert again.code == 0
        assert "nothing changed, version 1 is still the newest" in again.last
        assert again.out == first.out
        assert state(folder / "ftetl-demo") == before


@pytest.mark.parametrize("folder", ["out", "a b/out", "it's", 'say "hi"', "$HOME", "back\\slash", "`date`", "!x"])
def test_the_next_steps_are_words_that_a_shell_gives_back(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    demo_command.print_next_steps(Output(), Path(folder), ["b.parquet", "a.parquet"])
    lines = capsys.readouterr().out.splitlines()

    assert lines[0] == f"Written to {folder}/current: a.parquet, b.parquet"
    assert shlex.split(lines[-2]) == ["ftetl", "show", folder, "--status", "error"]
    assert shlex.split(lines[-1]) == ["python", "-c", demo_command.python_code(Path(folder))]
