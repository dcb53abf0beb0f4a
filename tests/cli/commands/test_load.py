"""`ftetl load` prints by table what changed in a destination, or would change."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import ftetl
from tests.cli.program import Here


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'jobs.sqlite'}"


class TestLoad:
    def test_it_says_what_changed_and_the_second_time_that_nothing_did(
        self, exported: Path, here: Here, address: str
    ) -> None:
        rows = ftetl.open(exported).rows
        first, second = here("load", exported, address), here("load", exported, address)

        assert (first.code, second.code, second.out) == (0, 0, "")
        assert f"jobs: {rows['jobs']:,} inserted, 0 unchanged\n" in first.out
        assert len(first.out.splitlines()) == sum(number > 0 for number in rows.values())
        project = ftetl.open(exported).project
        loaded = f"version 1 of project {project}"
        assert first.last.endswith(f"{address}: {loaded} loaded ({sum(rows.values()):,} rows changed)")
        assert second.last.endswith(f"{address}: nothing changed, {loaded} is loaded already")

    def test_a_dry_run_says_what_would_change_and_changes_nothing(
        self, exported: Path, here: Here, address: str, tmp_path: Path
    ) -> None:
        planned = here("load", exported, address, "--dry-run")

        assert planned.code == 0
        assert "would be loaded (" in planned.last
        assert not (tmp_path / "jobs.sqlite").exists()
        assert planned.out == here("load", exported, address).out

    def test_as_json_it_is_one_document(self, exported: Path, here: Here, address: str) -> None:
        document = here("load", exported, address, "--json").document

        assert document["tables"]["jobs"] == {
            "inserted": ftetl.open(exported).rows["jobs"],
            "updated": 0,
            "deleted": 0,
            "unchanged": 0,
        }
        assert (document["changed"], document["version"], document["exit_code"]) == (True, 1, 0)
        assert document["run_id"] == ftetl.open(exported).run_id

    def test_its_record_can_be_read_in_the_destination(self, exported: Path, here: Here, address: str) -> None:
        for _ in range(2):
            here("load", exported, address)
        with closing(sqlite3.connect(address.partition(":")[2])) as connection:
            loads = connection.execute("SELECT load, project, version, run_id FROM _ftetl_loads").fetchall()

        snapshot = ftetl.open(exported)
        assert loads == [(1, snapshot.project, 1, snapshot.run_id)]

    @pytest.mark.parametrize(
        ("arguments", "code", "fault"),
        [
            (["oracle:x"], 78, "L01"),
            (["sqlite:none/x.db"], 73, "L08"),
            (["sqlite:x.db", "--schema", "a b"], 78, "L07"),
            (["sqlite:///x.db"], 78, "L01"),
        ],
    )
    def test_what_cannot_be_done_is_one_line(
        self, exported: Path, here: Here, arguments: list[str], code: int, fault: str
    ) -> None:
        done = here("load", exported, *arguments)

        assert (done.code, done.fault, len(done.err.splitlines())) == (code, fault, 1)
