"""Which version a run has committed is read from the disk, and only while the run holds the target."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ftetl
from ftetl.cli import exit_handling
from ftetl.config.settings import Settings
from ftetl.pipeline.active_run import ActiveRun
from ftetl.store.manifest import list_versions
from ftetl.store.target import Target


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A target with one version."""
    file = tmp_path / "list.json"
    file.write_text(json.dumps({"data": [{"id": "ft-1"}]}))
    ftetl.export(tmp_path / "t", source=file)
    return tmp_path / "t"


def commit_version(target: Path, held: Target) -> None:
    with held.begin_transaction() as transaction:
        with transaction.create_file("new.txt") as file:
            file.write(b"new")
        transaction.commit({"identity": {}})
    assert max(list_versions(target)) == 2


def test_a_run_that_commits_has_committed_its_version(target: Path) -> None:
    active = ActiveRun(Settings(target))
    with Target(target) as held:
        active.set_target(held)
        assert active.committed_version() is None
        commit_version(target, held)
        assert active.committed_version() == 2
    assert active.committed_version() == 2


def test_a_run_that_waits_for_the_target_has_not_committed_what_another_one_did(
    target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = ActiveRun(Settings(target))
    with Target(target) as held:
        commit_version(target, held)
    state = exit_handling.CommandState(run=waiting)

    assert waiting.committed_version() is None
    assert exit_handling.exit_code_for(KeyboardInterrupt(), state) == 130
    assert capsys.readouterr().err == "ftetl: SIGINT (130) FTETL-S06: interrupted; nothing was committed\n"
