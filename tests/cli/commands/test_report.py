"""`ftetl report`: what it writes, what it says, and how it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ftetl
from ftetl import html_report
from ftetl.config import settings
from tests.cli.program import Here

ROOT = Path(__file__).parents[3]


def report(*given: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-m", "ftetl", "report", *map(str, given)]
    return subprocess.run(
        words, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), **env}, capture_output=True, check=False
    )


def test_the_page_lies_in_the_working_folder_and_is_private(demo_target: Path, tmp_path: Path, here: Here) -> None:
    done = here("report", demo_target, cwd=tmp_path)
    file = tmp_path / settings.PAGE

    assert (done.code, done.out) == (0, "")
    assert done.err.startswith(f"ftetl: OK (0): {settings.PAGE}: 360 jobs, ")
    assert file.read_text("utf-8") == html_report.build_page(ftetl.open(demo_target)).html
    assert file.stat().st_mode & 0o777 == settings.FILE_MODE


def test_json_says_the_figures_that_stand_on_the_page(demo_target: Path, tmp_path: Path, here: Here) -> None:
    done = here("report", demo_target, "--json", "-q", "-o", "a.html", "--file-mode", "0640", cwd=tmp_path)
    told = done.document
    html = (tmp_path / "a.html").read_text("utf-8")

    assert told["file"] == "a.html"
    assert told["jobs"] == 360
    assert told["bytes"] == (tmp_path / "a.html").stat().st_size
    assert f'value="{told["net_usd"]}"' in html
    assert f'value="{told["usd_per_million_tokens"]}"' in html
    assert (tmp_path / "a.html").stat().st_mode & 0o777 == 0o640
    assert done.err == ""


def test_a_dash_is_stdout_in_every_locale(demo_target: Path, tmp_path: Path) -> None:
    done = report(demo_target, "-o", "-", cwd=tmp_path, LC_ALL="C", PYTHONIOENCODING="ascii")

    assert done.stdout.decode("utf-8") == html_report.build_page(ftetl.open(demo_target)).html
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (["nowhere"], 73, "FTETL-T01: nowhere has no snapshot"),
        (["{demo}", "-o", "no/a.html"], 73, "FTETL-T06: cannot write no/a.html: there is no such folder"),
        (["{demo}", "-o", "."], 73, "FTETL-S18: cannot write .: "),
        (["{demo}", "-o", "-", "--json"], 2, "FTETL-P01: the page and --json"),
        (["{demo}", "{demo}"], 2, "FTETL-T04: "),
        ([], 2, "FTETL-P01: Missing argument 'TARGET...'"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    demo_target: Path, tmp_path: Path, given: list[str], code: int, said: str, here: Here
) -> None:
    done = here("report", *(word.format(demo=demo_target) for word in given), cwd=tmp_path)

    assert done.code == code
    assert said in done.last
    assert [*tmp_path.iterdir()] == []
