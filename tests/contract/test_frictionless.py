"""The Data Package says what the files hold, and the standard's own program agrees with every row."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl.contract import Column, Table, frictionless, tables
from ftetl.contract.arrow_schema import schema

FRICTIONLESS = os.environ.get("FTETL_FRICTIONLESS") or shutil.which("frictionless")
EVERY_COLUMN = [pytest.param(t, c, id=f"{t.name}.{c.name}") for t in tables().values() for c in t.columns]
BOTH = ("parquet", "csv")


def resource(table: Table, formats: tuple[str, ...] = BOTH, *, csv_raw: bool = False) -> dict[str, Any]:
    package = frictionless.package("p", formats, csv_raw=csv_raw)
    return next(r for r in package["resources"] if r["name"] == table.name)


EXACT = {"decimal": "number"}


def described(target: Path) -> dict[str, Any]:
    return json.loads((target / "current" / frictionless.FILE).read_bytes())


@pytest.mark.parametrize(("table", "column"), EVERY_COLUMN)
def test_every_column_is_told_as_the_contract_has_it(table: Table, column: Column) -> None:
    field = resource(table)["schema"]["fields"][table.names.index(column.name)]
    constraints = field["constraints"]

    assert field["name"] == column.name
    assert field["type"] == EXACT.get(column.type, column.type)
    assert field["description"].startswith(column.description)
    assert field.get("unit") == column.unit
    assert constraints["required"] == column.required
    assert constraints.get("minimum") == column.minimum
    assert constraints.get("enum") == (list(column.enum) if column.enum and not column.open else None)
    assert ("pattern" in constraints) == (column.pattern is not None)
    if column.type in EXACT:
        kind = schema(table).field(column.name).type
        assert (field["precision"], field["scale"]) == (kind.precision, kind.scale)


@pytest.mark.parametrize("table", tables().values(), ids=lambda table: table.name)
def test_every_key_is_told(table: Table) -> None:
    told = resource(table)["schema"]

    assert told["primaryKey"] == list(table.key)
    references = {
        (inner, outer)
        for key in told.get("foreignKeys", [])
        for inner, outer in zip(
            key["fields"], (f"{key['reference']['resource']}.{f}" for f in key["reference"]["fields"]), strict=True
        )
    }
    assert references >= {(c.name, ".".join(c.references)) for c in table.columns if c.references}


def test_an_open_enumeration_forbids_nothing() -> None:
    status = resource(tables()["jobs"])["schema"]["fields"][2]

    assert status["name"] == "status"
    assert "enum" not in status["constraints"]
    assert "`completed`" in status["description"]


@pytest.mark.parametrize(("formats", "suffix"), [(BOTH, "csv"), (("parquet",), "parquet")])
def test_it_describes_files_that_are_there(tmp_path: Path, formats: tuple[str, ...], suffix: str) -> None:
    (tmp_path / "list.json").write_text('{"data": []}')
    ftetl.export(tmp_path / "t", source=tmp_path / "list.json", formats=formats)
    package = described(tmp_path / "t")

    assert [r["path"] for r in package["resources"]] == [f"{name}.{suffix}" for name in tables()]
    assert all((tmp_path / "t" / "current" / r["path"]).is_file() for r in package["resources"])
    assert {r["format"] for r in package["resources"]} == {suffix}
    assert all(("dialect" in r) == (suffix == "csv") for r in package["resources"])


@pytest.mark.parametrize(
    ("csv_raw", "formats", "matches"),
    [(False, BOTH, True), (True, BOTH, False), (False, ("parquet",), False)],
)
def test_a_pattern_allows_for_the_guard_where_there_is_one(
    csv_raw: bool, formats: tuple[str, ...], matches: bool
) -> None:
    told = resource(tables()["jobs"], formats, csv_raw=csv_raw)["schema"]["fields"][1]["constraints"]["pattern"]

    assert re.fullmatch(told, "ft-1")
    assert not re.fullmatch(told, "ft 1")
    assert bool(re.fullmatch(told, "'-1")) == matches


def test_the_dialect_is_that_of_the_files(odd_target: Path) -> None:
    for told in described(odd_target)["resources"]:
        raw = (odd_target / "current" / told["path"]).read_bytes()
        dialect = told["dialect"]
        lines = raw.decode(told["encoding"]).split(dialect["lineTerminator"])
        header = next(csv.reader(lines[:1], delimiter=dialect["delimiter"], quotechar=dialect["quoteChar"]))

        assert header == [field["name"] for field in told["schema"]["fields"]]
        assert raw.endswith(dialect["lineTerminator"].encode())


def test_the_same_contracts_give_the_same_bytes(tmp_path: Path, demo_target: Path, odd_target: Path) -> None:
    said = {(target / "current" / frictionless.FILE).read_bytes() for target in (demo_target, odd_target)}

    assert said == {frictionless.bytes_of("default", BOTH, csv_raw=False)}
    assert "ü😀".encode() in frictionless.bytes_of("ü😀", BOTH, csv_raw=False)


@pytest.mark.skipif(not FRICTIONLESS, reason="frictionless is not here; FTETL_FRICTIONLESS may name it")
class TestFrictionless:
    def validated(self, folder: Path) -> dict[str, Any]:
        given = [FRICTIONLESS, "validate", "--json", frictionless.FILE]
        done = subprocess.run(given, cwd=folder, capture_output=True, text=True, check=False)
        report: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode == 0) == report["valid"]
        return report

    @pytest.mark.parametrize("name", ["demo_target", "odd_target", "empty_target"])
    def test_it_accepts_what_ftetl_writes(self, name: str, request: pytest.FixtureRequest) -> None:
        target: Path = request.getfixturevalue(name)
        report = self.validated(target / "current")

        assert [(task["name"], task["errors"]) for task in report["tasks"]] == [(table, []) for table in tables()]
        rows = {task["name"]: task["stats"].get("rows", 0) for task in report["tasks"]}
        snapshot = ftetl.open(target)
        assert rows == {table: snapshot.arrow(table).num_rows for table in tables()}

    def test_it_refuses_what_breaks_a_contract(self, spoiled_files: Path) -> None:
        """Else its word would be worth nothing."""
        report = self.validated(spoiled_files)
        found = {(task["name"], error["type"]) for task in report["tasks"] for error in task["errors"]}

        assert found == {("jobs", "primary-key"), ("events", "foreign-key"), ("anomalies", "constraint-error")}
