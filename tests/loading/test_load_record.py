"""Which loads a destination's record forbids, and what it holds of a load."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ftetl
from ftetl.errors import ConfigError
from ftetl.loading import load_record
from ftetl.loading.load_record import LoadRecord
from ftetl.loading.load_source import LoadSource

ORGANISATION = {"organization_id": "org-1", "project_id": "p-1", "service": "api"}


def source(version: int, run_id: str, **identity: str) -> Any:
    """A version of a target that still knows its version 5, by a run `r5` unless the version itself is of another."""
    by = run_id if version == 5 else "r5" if run_id != "stranger" else "s5"
    named = {"project": "p", "target": Path("exports"), "identity": identity}
    return SimpleNamespace(version=version, made=lambda number, run: (number, run) == (5, by), **named)


LAST = LoadRecord(5, "r5", ORGANISATION)


@pytest.mark.parametrize(
    ("version", "run_id", "identity"),
    [(5, "r5", ORGANISATION), (6, "r6", ORGANISATION), (6, "r6", {}), (6, "r6", {"organization_id": "org-1"})],
)
def test_these_may_follow_version_5(version: int, run_id: str, identity: dict[str, str]) -> None:
    load_record.require_allowed(source(version, run_id, **identity), LAST)


@pytest.mark.parametrize(
    ("version", "run_id", "identity", "code"),
    [
        (4, "r4", ORGANISATION, "FTETL-L03"),
        (5, "other", ORGANISATION, "FTETL-L04"),
        (6, "stranger", ORGANISATION, "FTETL-L04"),
        (6, "r6", {**ORGANISATION, "project_id": "p-2"}, "FTETL-L04"),
        (6, "r6", {**ORGANISATION, "organization_id": "org-2"}, "FTETL-L04"),
        (6, "r6", {"service": "demo"}, "FTETL-L04"),
    ],
)
def test_these_may_not(version: int, run_id: str, identity: dict[str, str], code: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_record.require_allowed(source(version, run_id, **identity), LAST)

    assert refused.value.code == code


def test_anything_may_be_the_first() -> None:
    load_record.require_allowed(source(1, "r1"), None)


def test_some_row_has_to_be_known() -> None:
    load_record.require_common_rows(source(2, "r2"), known=0, common=0)
    load_record.require_common_rows(source(2, "r2"), known=9, common=1)
    with pytest.raises(ConfigError, match="shares no row with the 9 that") as refused:
        load_record.require_common_rows(source(2, "r2"), known=9, common=0)

    assert refused.value.code == "FTETL-L04"


def test_a_row_says_which_version_of_which_run_was_loaded(demo_target: Path) -> None:
    snapshot = ftetl.open(demo_target)
    (row,) = load_record.row(LoadSource(snapshot), 7).to_pylist()

    assert (row["load"], row["project"], row["version"]) == (7, snapshot.project, 1)
    assert row["run_id"] == snapshot.run_id
    assert row["committed_at"] < row["loaded_at"]
    assert json.loads(row["tables"]) == snapshot.rows
    assert json.loads(row["identity"])["project"] == snapshot.project
