"""Several targets, one a project, read as one."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import ftetl
from ftetl.contract import arrow_schema, tables
from ftetl.errors import TargetError, UsageError
from ftetl.snapshot.snapshot import Snapshot

DAY = "2026-07-02T00:00:00Z"
PROJECTS = ("b", "Ä", "a")  # not in their order


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A target of each project, with rows in every table; the last has two versions. Not to be changed."""
    folder = tmp_path_factory.mktemp("projects")
    jobs = [
        {"id": f"ft-{n}", "n_evals": "x", "created_at": DAY, "total_price": n}
        | {"events": [{"message": f"m{n}", "type": "JOB_START"}] * n}
        for n in (2, 1)
    ]
    for project in PROJECTS:
        answer = folder / f"{project}.json"
        answer.write_text(json.dumps({"data": [*jobs, project]}), "utf-8")
        ftetl.export(folder / project, source=answer, observed_at=DAY, project=project)
    answer.write_text(json.dumps({"data": [*jobs, {"id": "ft-0"}]}), "utf-8")
    ftetl.export(folder / project, source=answer, observed_at="2026-07-03T00:00:00Z", project=project)
    return [folder / project for project in PROJECTS]


@pytest.mark.parametrize("name", tables())
def test_a_table_holds_all_projects_rows_in_the_order_of_its_key(targets: list[Path], name: str) -> None:
    whole = ftetl.open(*targets).arrow(name)
    rows = [row for target in targets for row in ftetl.open(target).arrow(name).to_pylist()]
    key = tables()[name].sorted_by

    assert whole.schema.equals(arrow_schema.schema(tables()[name]))
    assert whole.to_pylist() == sorted(
        rows, key=lambda row: [*(row[column] for column in key), row.get("SubAccountId")]
    )
    assert whole.equals(whole.sort_by([(column, "ascending") for column in key]))
    is_filled = not (tables()[name].endpoint or name == "endpoint_anomalies")  # by a saved list
    assert {row["project" if "project" in row else "SubAccountId"] for row in rows} == {*(PROJECTS * is_filled)}


def test_the_frames_are_those_of_one_target(targets: list[Path]) -> None:
    snapshots = ftetl.open(*targets)

    assert isinstance(snapshots.jobs, pd.DataFrame)
    assert [dtype.pyarrow_dtype for dtype in snapshots.jobs.dtypes] == snapshots.arrow("jobs").schema.types
    assert snapshots.jobs.groupby("project").size().to_dict() == {"a": 3, "b": 2, "Ä": 2}
    assert len(snapshots.frame("events")) == 9


def test_it_says_what_it_holds(targets: list[Path]) -> None:
    snapshots = ftetl.open(*targets)

    assert snapshots.projects == ("a", "b", "Ä")
    assert dict(snapshots.versions) == {"a": 2, "b": 1, "Ä": 1}
    assert snapshots.tables == (*tables(),)
    assert {*tables(), "versions"} <= {*dir(snapshots)}
    assert repr(snapshots) == "<ftetl.Snapshots of a, b, Ä>"
    assert "<tr><th>project</th><th>target</th><th>version</th><th>jobs</th></tr>" in snapshots._repr_html_()
    assert snapshots._repr_html_().count("<tr><td>") == 3


@pytest.mark.parametrize("name", ["version", "project", "target", "run_id", "committed_at", "folder"])
def test_what_only_one_target_has_is_said_to_be_missing(targets: list[Path], name: str) -> None:
    with pytest.raises(AttributeError, match=f"no common '{name}'; see `versions`"):
        getattr(ftetl.open(*targets), name)
    assert not hasattr(ftetl.open(*targets), "job")


def test_one_target_is_a_snapshot_as_ever(targets: list[Path]) -> None:
    assert type(ftetl.open(targets[0])) is Snapshot
    assert ftetl.open(target=str(targets[2])).version == 2


def test_two_targets_of_one_project_are_refused_by_name(targets: list[Path]) -> None:
    with pytest.raises(UsageError) as caught:
        ftetl.open(targets[0], targets[1], str(targets[0]))
    assert str(caught.value).startswith(f"{targets[0]} and {targets[0]} both hold the project 'b'")


def test_a_target_without_a_snapshot_is_named(targets: list[Path], tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="none has no snapshot"):
        ftetl.open(targets[0], tmp_path / "none")


def test_an_unknown_table_is_a_usage_error(targets: list[Path]) -> None:
    with pytest.raises(UsageError, match="there is no table 'job'"):
        ftetl.open(*targets).arrow("job")
