"""The contract for others says what ours says, in YAML that parses; the standard's own program agrees."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import ftetl
from ftetl.contract import Column, Table, odcs, tables
from ftetl.contract.arrow_schema import schema

DATACONTRACT = os.environ.get("FTETL_DATACONTRACT") or shutil.which("datacontract")
EVERY_COLUMN = [pytest.param(t, c, id=f"{t.name}.{c.name}") for t in tables().values() for c in t.columns]
BOTH = ("parquet", "csv")
DOCUMENT = odcs.document("p", BOTH, csv_raw=False)


EXACT = {"decimal": "number"}


def told(table: Table) -> dict[str, Any]:
    return next(part for part in DOCUMENT["schema"] if part["name"] == table.name)


@pytest.mark.parametrize(("table", "column"), EVERY_COLUMN)
def test_every_column_is_told_as_the_contract_has_it(table: Table, column: Column) -> None:
    said = told(table)["properties"][table.names.index(column.name)]
    options = said.get("logicalTypeOptions", {})

    assert said["name"] == column.name
    assert said["logicalType"] == {**EXACT, "datetime": "timestamp"}.get(column.type, column.type)
    assert said["description"].startswith(column.description)
    assert said["required"] == column.required
    assert options.get("minimum") == column.minimum
    assert ("pattern" in options) == (column.pattern is not None)
    assert [p["value"] for p in said.get("customProperties", [])] == ([column.unit] if column.unit else [])
    closed = column.enum and not column.open
    assert [rule["arguments"]["validValues"] for rule in said.get("quality", [])] == (
        [[*column.enum]] if closed else []
    )
    if column.type in EXACT:
        kind = schema(table).field(column.name).type
        assert said["physicalType"] == f"decimal({kind.precision},{kind.scale})"


@pytest.mark.parametrize("table", tables().values(), ids=lambda table: table.name)
def test_every_key_is_told(table: Table) -> None:
    key = [p for p in told(table)["properties"] if p.get("primaryKey")]

    assert [p["name"] for p in sorted(key, key=lambda p: p["primaryKeyPosition"])] == list(table.key)
    assert [p["primaryKeyPosition"] for p in sorted(key, key=lambda p: p["primaryKeyPosition"])] == [
        *range(1, len(table.key) + 1)
    ]
    references = {pair for r in told(table).get("relationships", []) for pair in zip(r["from"], r["to"], strict=True)}
    assert references >= {(f"{table.name}.{c.name}", ".".join(c.references)) for c in table.columns if c.references}


@pytest.mark.parametrize("formats", [("parquet",), BOTH])
def test_its_servers_are_the_files_that_are_there(tmp_path: Path, formats: tuple[str, ...]) -> None:
    (tmp_path / "list.json").write_text('{"data": []}')
    ftetl.export(tmp_path / "t", source=tmp_path / "list.json", formats=formats)
    document = yaml.safe_load((tmp_path / "t" / "current" / odcs.FILE).read_bytes())

    assert [server["format"] for server in document["servers"]] == [*formats]
    for server in document["servers"]:
        paths = [server["path"].format(model=part["name"]) for part in document["schema"]]
        assert paths == [f"{name}.{server['format']}" for name in tables()]
        assert all((tmp_path / "t" / "current" / path).is_file() for path in paths)


@pytest.mark.parametrize("project", ["default", 'a: "b" #c\\', "ü😀", "- x", "{}"])
def test_it_is_yaml_that_says_the_same(project: str) -> None:
    written = odcs.bytes_of(project, BOTH, csv_raw=False)

    assert yaml.safe_load(written) == odcs.document(project, BOTH, csv_raw=False)
    assert written == odcs.bytes_of(project, BOTH, csv_raw=False)


def test_its_version_is_that_of_the_contracts_meaning() -> None:
    assert re.fullmatch(r"1-[0-9a-f]{12}", DOCUMENT["version"])
    assert odcs.document("q", ("parquet",), csv_raw=True)["version"] == DOCUMENT["version"]


@pytest.mark.skipif(not DATACONTRACT, reason="datacontract is not here; FTETL_DATACONTRACT may name it")
class TestDatacontract:
    def answer(self, folder: Path, server: str, out: Path) -> dict[str, Any]:
        given = [DATACONTRACT, "test", odcs.FILE, "--server", server, "--output", out, "--output-format", "json"]
        done = subprocess.run(given, cwd=folder, capture_output=True, check=False)
        return {"code": done.returncode, **json.loads(out.read_bytes())}

    @pytest.mark.parametrize(
        ("name", "server"),
        [
            ("demo_target", "parquet"),
            ("demo_target", "csv"),
            pytest.param("odd_target", "parquet", marks=pytest.mark.slow),
            pytest.param("odd_target", "csv", marks=pytest.mark.slow),
            pytest.param("empty_target", "parquet", marks=pytest.mark.slow),
            pytest.param("empty_target", "csv", marks=pytest.mark.slow),
        ],
    )
    def test_it_accepts_what_ftetl_writes(
        self, name: str, server: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        result = self.answer(request.getfixturevalue(name) / "current", server, tmp_path / "result.json")

        assert (result["code"], result["server"]) == (0, server)
        # It says of each column of a Parquet file that it cannot check the type there; of all else that it holds.
        rest = [(check["type"], check["result"]) for check in result["checks"] if check["result"] != "passed"]
        assert {*rest} <= ({("field_type", "warning")} if server == "parquet" else set())
        checked = {check["type"] for check in result["checks"]}
        assert checked >= {"field_is_present", "field_required", "field_regex", "field_minimum", "field_invalid_values"}
        assert checked >= {"primary_key_unique", "field_relationships"}

    def test_it_refuses_what_breaks_a_contract(self, spoiled_files: Path, tmp_path: Path) -> None:
        """Else its word would be worth nothing."""
        result = self.answer(spoiled_files, "csv", tmp_path / "result.json")

        assert result["code"] == 1
        assert {(check["model"], check["type"]) for check in result["checks"] if check["result"] == "failed"} == {
            ("jobs", "primary_key_unique"),
            ("events", "field_relationships"),
            ("stages", "field_relationships"),
            ("anomalies", "field_invalid_values"),
        }
