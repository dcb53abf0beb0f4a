"""What the tests of this folder share: a warm process for their runs, two answers, and a target with the first one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import ftetl
from tests.faults.runs import Runs
from tests.faults.targets import FIRST, SECOND


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with Runs(tmp_path_factory.mktemp("runs")) as runs:
        yield runs


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two saved responses, the later of which has changed."""
    folder = tmp_path_factory.mktemp("answers")
    files = [folder / "first.json", folder / "second.json"]
    for day, (file, jobs) in enumerate(zip(files, (FIRST, SECOND), strict=True)):
        file.write_text(json.dumps({"data": jobs}), "utf-8")
        os.utime(file, (day * 86400, day * 86400))
    return files


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, answers: list[Path]) -> Path:
    target = tmp_path_factory.mktemp("exported") / "t"
    ftetl.export(target, source=answers[0])
    return target


@pytest.fixture
def target(exported: Path, tmp_path: Path) -> Path:
    """A target with the first answer."""
    shutil.copytree(exported, tmp_path / "t", symlinks=True)
    return tmp_path / "t"
