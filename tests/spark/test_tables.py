"""The tables that a real cluster of two workers makes are those of an export of the same files, cell by cell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftetl.contract import tables as contracts
from ftetl.contract.arrow_schema import empty, schema
from ftetl.errors import FtetlError
from tests.spark.archives import assert_same, demo_jobs, exported, put

pyspark = pytest.importorskip("pyspark", reason="the extra `spark` is not installed")


def arrow(made: Any) -> dict[str, pa.Table]:
    """The tables as Spark gives them; of one without rows the columns do, which takes no job of Spark."""
    from ftetl.spark.schemas import table_schema

    assert {name: made[name].schema for name in made} == {name: table_schema(name) for name in contracts()}
    return {name: made[name].toArrow() if rows else empty(contracts()[name]) for name, rows in made.rows.items()}


def test_the_tables_are_those_of_an_export(spark: Any, archive: Path, expected: dict[str, pa.Table]) -> None:
    import ftetl.spark

    with ftetl.spark.tables(spark, archive, part_bytes=500_000) as made:
        found = arrow(made)

    assert_same(found, expected)
    assert dict(made.rows) == {name: rows.num_rows for name, rows in expected.items()}
    links = found["jobs"].column("restart_link").to_pylist()
    assert {"guess", "message"} <= {*links}
    assert min(made.rows[name] for name in ("quarantine", "anomalies", "stages", "job_history", "focus_costs")) > 0


def test_projects_are_kept_apart_and_written_side_by_side(spark: Any, archive: Path, tmp_path: Path) -> None:
    import ftetl.spark

    sources = {"007": [archive / "day2.json", archive / "day1.json.gz"], "b": archive / "day0.json"}
    both = tmp_path / "both"
    both.mkdir()
    for source in sources["007"]:
        put(both, source.name, b"").unlink()
        (both / source.name).hardlink_to(source)
    out = tmp_path / "out"

    with ftetl.spark.tables(spark, sources) as made:
        ftetl.spark.write(made, str(out), by_project=True)
        with pytest.raises(FtetlError, match="is not an empty folder"):
            ftetl.spark.write(made, str(out))

    for label, source in (("007", both), ("b", archive / "day0.json")):
        expected = exported(tmp_path / label, source, project=label)
        assert_same(read(out, label), expected)
    marker = json.loads((out / "_ftetl.json").read_text())
    assert marker["rows"] == dict(made.rows)


def read(out: Path, label: str) -> dict[str, pa.Table]:
    """The tables of a project as they lie on disk, with the types that they have there."""
    found = {}
    for name in contracts():
        files = sorted((out / name / f"project={label}").glob("*.parquet")) or sorted((out / name).glob("*.parquet"))
        rows = pa.concat_tables([pq.ParquetFile(file).read() for file in files]) if files else None
        wanted = pa.schema([field.with_nullable(True) for field in schema(contracts()[name])])
        if rows is None:
            rows = wanted.empty_table()
        elif "project" in wanted.names and "project" not in rows.column_names:
            rows = rows.add_column(0, "project", pa.repeat(label, rows.num_rows))
        found[name] = rows.replace_schema_metadata(None)
    return found


@pytest.mark.parametrize(
    ("bodies", "code"),
    [
        ({"a.json": b'{"data":[{"id":"ft-1"'}, "FTETL-H19"),
        ({"a.json": {"data": [job | {"total_price": "much"} for job in demo_jobs()[:20]]}}, "FTETL-R51"),
    ],
)
def test_what_an_export_refuses_is_refused_in_the_same_words(
    spark: Any, tmp_path: Path, bodies: dict[str, bytes | object], code: str
) -> None:
    import ftetl.spark

    source = tmp_path / "source"
    for name, body in bodies.items():
        put(source, name, body)
    put(source, "good.json", {"data": demo_jobs()[20:22]})
    with pytest.raises(FtetlError) as expected:
        exported(tmp_path / "target", source)

    with pytest.raises(FtetlError) as found:
        ftetl.spark.tables(spark, source)

    assert found.value.code == code
    assert (type(found.value), str(found.value)) == (type(expected.value), str(expected.value))


def test_a_broken_file_can_be_left_out(spark: Any, tmp_path: Path) -> None:
    import ftetl.spark

    put(tmp_path / "source", "a.json", b"<html>")
    put(tmp_path / "source", "b.json", {"data": []})

    with ftetl.spark.tables(spark, tmp_path / "source", skip_broken=True) as made:
        assert made.skipped == ("a.json is a web page (HTML), not a response of the Together API",)
        assert not any(made.rows.values())
        assert made["jobs"].isEmpty()
