"""The faults that are put in on purpose still fit the code, and each turns the suite red."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

BUGS = runpy.run_path(str(Path(__file__).with_name("seeded.py")))["BUGS"]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_seeded_bug_still_fits_its_module(root: Path, bug: object) -> None:
    assert (root / "ftetl" / bug.module).read_text("utf-8").count(bug.right) == 1  # type: ignore[attr-defined]


@pytest.mark.slow
def test_every_seeded_bug_is_caught(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation.seeded"], cwd=root, capture_output=True, text=True, check=False
    )

    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
