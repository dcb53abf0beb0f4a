"""Columns may be added; one that is there keeps its name, its type and its place among the others.

`data/columns.json` is what dashboards and queries may have been built on. After a release that brought new columns,

    python tests/architecture/test_schema_compatibility.py

writes it anew; a change of a line that is there already breaks somebody's query.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftetl.contract import tables

FILE = Path(__file__).parents[1] / "data" / "columns.json"
FROZEN: dict[str, dict[str, str]] = json.loads(FILE.read_text()) if FILE.exists() else {}


def present() -> dict[str, dict[str, str]]:
    return {name: {c.name: c.type for c in table.columns} for name, table in tables().items()}


def test_there_is_something_to_keep() -> None:
    assert len(FROZEN) >= 5
    assert len(FROZEN["jobs"]) > 100


@pytest.mark.parametrize("name", FROZEN)
def test_a_column_that_is_known_stays_what_it_is(name: str) -> None:
    found = present()[name]

    assert {column: found.get(column) for column in FROZEN[name]} == FROZEN[name]
    assert [column for column in found if column in FROZEN[name]] == [*FROZEN[name]]


if __name__ == "__main__":
    FILE.write_text(json.dumps(present(), indent=1) + "\n")
