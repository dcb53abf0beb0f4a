"""A table whose rows are those of the version before keeps its files, byte for byte and without being written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftetl.contract import tables
from ftetl.loading.formats import parquet
from ftetl.loading.table_writers import TableWriters
from ftetl.loading.unchanged_rows import UnchangedRows
from ftetl.snapshot.table_reader import TableReader, open_tables
from ftetl.store.filesystem import Folder, Fs, Link
from ftetl.store.target import Target
from tests.loading.test_table_writers import rows


def export(path: Path, *numbers: int, fs: Fs | None = None, suffixes: tuple[str, ...] = ("csv",)) -> list[str]:
    """Commit a version whose quarantine has these rows, written in steps; the tables whose files were kept."""
    with Target(path, fs=fs or Fs()) as target, target.begin_transaction() as transaction:
        writers = TableWriters(transaction, suffixes, csv_raw=False)
        writers.keep_unchanged(open_tables(path, target.base), tables())
        for number in numbers:
            writers.write_rows("quarantine", rows(number))
        writers.close()
        writers.validate()
        transaction.commit({"rows": writers.rows, "formats": list(suffixes)})
        return sorted(writers._kept)


def inodes(path: Path) -> dict[str, int]:
    return {file.name: file.stat().st_ino for file in (path / "current").iterdir()}


def quarantine(path: Path) -> list[str]:
    with Target(path) as target:
        return open_tables(path, target.base).read_table("quarantine").column("raw_sha256").to_pylist()


@pytest.mark.parametrize("before", [(), (1,), (1, 2, 3)])
def test_the_same_rows_keep_every_file(tmp_path: Path, before: tuple[int, ...]) -> None:
    assert export(tmp_path / "t", *before) == []
    first = inodes(tmp_path / "t")

    assert export(tmp_path / "t", *before) == sorted(tables())

    assert inodes(tmp_path / "t") == first


@pytest.mark.parametrize(
    ("before", "after"),
    [((1, 2, 3), (1, 2, 4)), ((1, 2, 3), (1, 2)), ((1, 2), (1, 2, 3)), ((1,), (2,)), ((), (1,)), ((1,), ())],
)
def test_other_rows_are_written_whole(tmp_path: Path, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    export(tmp_path / "t", *before)
    first = inodes(tmp_path / "t")

    kept = export(tmp_path / "t", *after)

    assert kept == sorted({*tables()} - {"quarantine"})
    assert quarantine(tmp_path / "t") == [f"{number:064x}" for number in after]
    second = inodes(tmp_path / "t")
    assert [name for name in first if first[name] != second[name]] != []
    assert {name.partition(".")[0] for name in first if first[name] != second[name]} == {"quarantine"}


def test_a_format_that_was_not_there_is_written(tmp_path: Path) -> None:
    export(tmp_path / "t", 1, suffixes=())
    assert export(tmp_path / "t", 1) == []
    assert (tmp_path / "t" / "current" / "quarantine.csv").exists()


class WithoutLinks(Fs):
    """A file system on which a hard link is not possible."""

    def link(self, folder: Folder, name: str, to: Folder, new: str) -> Link:
        return Link.UNSUPPORTED


def test_files_are_written_where_there_are_no_hard_links(tmp_path: Path) -> None:
    export(tmp_path / "t", 1, fs=WithoutLinks())
    assert export(tmp_path / "t", 1, 2, fs=WithoutLinks()) == []
    assert quarantine(tmp_path / "t") == [f"{number:064x}" for number in (1, 2)]


@settings(max_examples=settings.default.max_examples // 4)
@given(
    before=st.lists(st.integers(0, 9), max_size=12, unique=True).map(sorted),
    after=st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=5),
    group=st.integers(1, 5),
)
def test_rows_are_taken_as_long_as_they_are_the_same_however_they_are_cut(
    before: list[int], after: list[list[int]], group: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("stored")
    whole = rows(*before)
    with parquet.pq.ParquetWriter(folder / "quarantine.parquet", whole.schema, write_page_checksum=True) as file:
        for at in range(0, len(before), group):
            file.write_table(whole.slice(at, group))
    unchanged = UnchangedRows(TableReader(folder), "quarantine")
    taken: list[int] = []
    for piece in after:
        is_same = [*taken, *piece] == before[: len(taken) + len(piece)]
        assert unchanged.take(rows(*piece)) == is_same
        if not is_same:
            break
        taken += piece
    assert unchanged.count == len(taken)
    assert unchanged.are_all() == (taken == before)
    assert pa.concat_tables([whole.slice(0, 0), *unchanged.rows()]).equals(whole.slice(0, len(taken)))


def test_a_damaged_file_is_written_again(tmp_path: Path) -> None:
    export(tmp_path / "t", 1)
    damaged = tmp_path / "t" / "current" / "quarantine.csv"
    damaged.chmod(0o600)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")

    assert export(tmp_path / "t", 1) == sorted({*tables()} - {"quarantine"})

    assert damaged.read_bytes().endswith(b"\n")
