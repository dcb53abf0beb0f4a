"""An export cut into parts: every table is that of one export of the same files, however the jobs are divided."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ftetl.config.settings import Settings
from ftetl.contract import tables
from ftetl.contract.arrow_schema import empty
from ftetl.errors import DataError, FtetlError
from ftetl.pipeline.partitioned import elements
from ftetl.pipeline.partitioned.build_part import build_part
from ftetl.pipeline.partitioned.index_file import FileToIndex, index_file
from ftetl.pipeline.partitioned.part_notes import PartNotes
from ftetl.raw.response import file_stamp
from ftetl.transform.derive.restart_links import COLUMNS
from tests.spark.archives import assert_same, changed, demo_jobs, exported, make_archive, put


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_archive(tmp_path_factory.mktemp("parts") / "archive")


@pytest.fixture(scope="module")
def expected(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pa.Table]:
    return exported(tmp_path_factory.mktemp("parts") / "target", archive)


def settings(**options: Any) -> Settings:
    return Settings.from_options("unused", "unused", {"environ": {}, **options})


def index(source: Path, chosen: Settings, *, carry: bool = False) -> pa.Table:
    paths = sorted(source.iterdir()) if source.is_dir() else [source]
    stamps = [elements.shared_stamp(file_stamp(path)) for path in paths]
    places = enumerate(zip(paths, stamps, strict=True))
    files = [FileToIndex(chosen.label, n, str(path), source.is_dir(), stamp) for n, (path, stamp) in places]
    batches = [batch for file in files for batch in index_file(file, chosen, None, carry=carry)]
    return pa.Table.from_batches(batches, elements.SCHEMA)


def elements_in(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.is_valid(rows.column("key")))


def divided(rows: pa.Table, count: int) -> list[list[pa.RecordBatch]]:
    """The elements in parts by their keys, each part's in another order than it was read."""
    rows = elements_in(rows)
    parts = [int(hashlib.sha256(key.encode()).hexdigest(), 16) % count for key in rows.column("key").to_pylist()]
    places = [[place for place, of in enumerate(parts) if of == part] for part in range(count)]
    return [rows.take(pa.array(some[::-1], pa.int64())).to_batches(max_chunksize=50) for some in places]


def build(
    parts: Iterable[list[pa.RecordBatch]], chosen: Settings, scratch: Path
) -> tuple[dict[str, pa.Table], list[PartNotes]]:
    found: dict[str, list[pa.Table]] = {name: [empty(table)] for name, table in tables().items()}
    notes = []
    for part in parts:
        for built in build_part(part, chosen, scratch):
            if built.table is None:
                assert built.notes is not None
                notes.append(PartNotes.from_text(built.notes.text()))
            else:
                found[built.table].append(built.rows)
    return {name: pa.concat_tables(rows) for name, rows in found.items()}, notes


def without_links(found: dict[str, pa.Table]) -> dict[str, pa.Table]:
    return found | {"jobs": found["jobs"].drop_columns(list(COLUMNS))}


@pytest.mark.parametrize("carry", [False, True], ids=["bytes in the files", "bytes carried"])
def test_one_part_is_an_export(archive: Path, expected: dict[str, pa.Table], tmp_path: Path, carry: bool) -> None:
    rows = index(archive, settings(), carry=carry)

    found, [notes] = build(divided(rows, 1), settings(), tmp_path)

    assert_same(found, expected)
    assert notes.elements == elements_in(rows).num_rows
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("count", [2, 7])
def test_several_parts_have_the_rows_of_an_export(
    archive: Path, expected: dict[str, pa.Table], tmp_path: Path, count: int
) -> None:
    rows = index(archive, settings())

    found, notes = build(divided(rows, count), settings(), tmp_path)

    assert_same(without_links(found), without_links(expected))
    assert sum(part.elements for part in notes) == elements_in(rows).num_rows


def test_only_elements_that_are_not_in_a_file_as_they_are_carry_their_bytes(archive: Path) -> None:
    found = index(archive, settings()).to_pylist()

    carrying = {row["name"].split(",")[0] for row in found if row["raw"] and not row["rule"]}
    assert carrying == {"day1.json.gz", "day1-again.json.zst", "more lines.jsonl.gz", "day2.json"}
    assert sum(row["name"] == "day2.json" and bool(row["raw"]) and not row["rule"] for row in found) == 2  # masked


def test_no_secret_is_in_the_index(archive: Path) -> None:
    raws = [raw for raw in index(archive, settings(), carry=True).column("raw").to_pylist() if raw]

    assert not [raw for raw in raws if b"hf_abcdef" in raw or b"hf_secret" in raw or b"0123456789abcdef" in raw]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.json", b'{"data":[{"id":"ft-1"'),
        ("a.json", b"<html>"),
        ("a.json", b'{"data":[{"id":"ft-1"}],"has_more":true}'),
        ("a.json", b""),
        ("a.json.gz", b"\x1f\x8b"),
        ("a.json", b'{"error":{"message":"no"}}'),
    ],
)
@pytest.mark.parametrize("alone", [True, False], ids=["one file", "one of several"])
def test_a_broken_file_has_the_error_of_an_export(tmp_path: Path, name: str, body: bytes, alone: bool) -> None:
    path = tmp_path / "source" / name
    put(path.parent, name.removesuffix(".gz"), body).rename(path)
    source = path
    if not alone:
        put(path.parent, "b.json", {"data": demo_jobs()[:2]})
        source = path.parent
    with pytest.raises(FtetlError) as expected:
        exported(tmp_path / "target", source)

    [text] = [text for text in index(source, settings()).column("error").to_pylist() if text]

    found = elements.error_from(text)
    assert (type(found), found.code, str(found)) == (type(expected.value), expected.value.code, str(expected.value))


def test_a_broken_file_can_be_left_out(tmp_path: Path) -> None:
    put(tmp_path, "a.json", {"data": demo_jobs()[:2]})
    put(tmp_path, "b.json", b'{"data":[')

    rows = index(tmp_path, settings(skip_broken=True))

    assert rows.column("skipped").to_pylist()[2:] == ["b.json ends in the middle of its list, after 0 elements"]
    assert rows.num_rows == 3


@pytest.mark.parametrize("becomes", ["changed", "gone"])
def test_a_file_that_is_not_any_more_as_it_was_indexed_is_refused(tmp_path: Path, becomes: str) -> None:
    path = put(tmp_path / "source", "a.json", {"data": demo_jobs()[:5]})
    rows = index(path, settings())
    if becomes == "gone":
        path.unlink()
    else:
        put(path.parent, path.name, {"data": [changed(job) for job in demo_jobs()[:5]]}, 1)

    with pytest.raises(FtetlError) as error:
        build(divided(rows, 1), settings(), tmp_path)

    assert error.value.code == {"changed": "FTETL-F08", "gone": "FTETL-F12"}[becomes]
    [again] = index_file(FileToIndex("default", 0, str(path), False, "another stamp"), settings(), None)
    assert elements.error_from(again.column("error")[0].as_py()).code in ("FTETL-F08", "FTETL-F01")


def test_an_error_in_the_index_is_raised_where_a_part_is_built(tmp_path: Path) -> None:
    put(tmp_path, "a.json", {"data": demo_jobs()[:2]})
    put(tmp_path, "b.json", b"<html>")

    with pytest.raises(DataError, match="is a web page"):
        list(build_part(index(tmp_path, settings()).to_batches(), settings(), None))
