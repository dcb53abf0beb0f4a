"""A target with two versions, for tests that read one and tests that damage one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.snapshot.two_versions import make_two_versions


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target with two versions, not to be changed."""
    return make_two_versions(tmp_path_factory.mktemp("two") / "target")


@pytest.fixture
def target(two_versions: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    copy = tmp_path / "target"
    shutil.copytree(two_versions, copy, symlinks=True)
    return copy
