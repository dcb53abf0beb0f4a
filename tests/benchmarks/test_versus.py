"""`python -m tests.benchmarks.versus`: the other revision is what runs, the table's figures, the bars."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import versus
from tests.benchmarks.cases import Result
from tests.benchmarks.measure import ROOT, Facts, Run, said

in_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git checkout: there is no other revision")
WORKS = [
    versus.IMPORTS,
    versus.SMALL_FIRST,
    versus.SMALL_SAME,
    versus.FIRST,
    versus.UNCHANGED,
    versus.CHANGED,
    versus.CSV,
    versus.LIVE,
]


def result(**seconds: float) -> Result:
    """One run of each work: one second, half a CPU second and 100 MB, unless said otherwise."""
    taken = {name: seconds.get(f"at_{place}", 1.0) for place, name in enumerate(WORKS)}
    return Result(Facts(0, 0, 0, 0), {name: [Run(one, one / 2, 100_000_000)] for name, one in taken.items()}, {})


@in_git
def test_another_revision_runs_from_its_own_environment_with_the_libraries_of_this_one(tmp_path: Path) -> None:
    commit = versus.archived("HEAD", tmp_path / "revision")
    assert commit == said(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]).strip()
    program = versus.install(tmp_path / "revision", tmp_path / "before")
    listing = "import ftetl, ftetl.cli.main, pyarrow; print(ftetl.__file__, pyarrow.__file__)"
    ours, arrow = said([*program[:2], "-c", listing]).split()
    assert Path(ours).is_relative_to(tmp_path / "before")
    assert arrow == said([sys.executable, "-c", "import pyarrow; print(pyarrow.__file__)"]).strip()
    assert "export" in said([*program, "--help"])


@in_git
def test_an_unknown_revision_is_one_line() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.versus", "no-such-revision"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"versus: git knows no revision 'no-such-revision' in {ROOT}\n"


def test_the_table_has_both_sides_of_every_work_and_their_ratio() -> None:
    lines = versus.table(result(at_3=8.0), result(at_3=4.0), "abc1234").splitlines()
    assert len(lines) == 2 + len(WORKS)
    assert lines[0].count("abc1234") == lines[0].count("here") == 3
    row = next(line for line in lines if line.startswith(f"| {versus.FIRST} |"))
    assert row == f"| {versus.FIRST} | 8.00 | 4.00 | 0.50 | 4.00 | 2.00 | 0.50 | 100 | 100 | 1.00 |"


BEYOND = f"{versus.SMALL_FIRST}: time beyond the bare imports"


@pytest.mark.parametrize(
    ("before", "here", "held"),
    [
        ({}, {}, {BEYOND, versus.CSV}),
        ({"at_2": 2.3}, {}, {BEYOND, versus.CSV, versus.SMALL_SAME}),
        ({"at_3": 1.6}, {}, {BEYOND, versus.CSV, f"{versus.FIRST}: time"}),
        ({"at_4": 4.1, "at_7": 1.7}, {"at_1": 1.2}, {versus.CSV, versus.UNCHANGED, versus.LIVE}),
        ({}, {"at_5": 0.5, "at_6": 1.6}, {BEYOND, versus.CHANGED}),
    ],
)
def test_a_bar_is_held_where_the_figures_are_within_it(
    before: dict[str, float], here: dict[str, float], held: set[str]
) -> None:
    bars = versus.bars(result(**before), result(**here))
    assert len(bars) == 9
    for bar in bars:
        assert bar.held == bar.what.startswith(tuple(held)), bar


@in_git
@pytest.mark.slow
def test_the_whole_comparison_runs_at_a_small_scale() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.versus", "HEAD", "--scale", "0.002", "--runs", "1"]
    lines = said(command).splitlines()
    for work in WORKS:
        assert any(line.startswith(f"| {work} |") for line in lines)
    assert sum(line.endswith(("| held |", "| MISSED |")) for line in lines) == 9 + 1 + 2 * len(versus.ENGINES)
