"""A snapshot is one version of all tables, whatever happens to the target meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import ftetl
from ftetl.contract import arrow_schema, tables
from ftetl.errors import StorageError, TargetError, UsageError
from tests.snapshot.two_versions import SAMPLES, flip_bit, manifest_file


class TestOpen:
    def test_it_is_the_newest_version_and_says_so(self, two_versions: Path) -> None:
        snapshot = ftetl.open(two_versions)

        assert (snapshot.version, snapshot.project) == (2, "default")
        assert repr(snapshot) == f"<ftetl.Snapshot version 2 of {two_versions}>"
        page = snapshot._repr_html_()
        assert f"<p>ftetl.Snapshot version 2 of {two_versions}, committed 20" in page
        assert (
            f"<tr><td>jobs</td><td>{snapshot.rows['jobs']:,}</td><td>{len(tables()['jobs'].columns)}</td></tr>" in page
        )
        assert snapshot.rows == {name: snapshot.arrow(name).num_rows for name in tables()}
        assert snapshot.folder == (two_versions / "current").resolve()

    def test_a_path_may_be_a_text(self, two_versions: Path) -> None:
        assert ftetl.open(str(two_versions)).version == 2

    @pytest.mark.parametrize("name", tables())
    def test_every_table_has_the_types_of_its_contract(self, two_versions: Path, name: str) -> None:
        snapshot = ftetl.open(two_versions)
        arrow, frame = snapshot.arrow(name), getattr(snapshot, name)

        assert arrow.schema.equals(arrow_schema.schema(tables()[name]))
        assert isinstance(frame, pd.DataFrame)
        assert [dtype.pyarrow_dtype for dtype in frame.dtypes] == arrow.schema.types
        assert len(frame) == arrow.num_rows

    def test_its_tables_can_be_listed_and_completed(self, two_versions: Path) -> None:
        snapshot = ftetl.open(two_versions)

        assert snapshot.tables == (*tables(),)
        assert {*tables()} <= {*dir(snapshot)}

    def test_money_times_two_stays_exact(self, two_versions: Path) -> None:
        price = ftetl.open(two_versions).jobs.total_price_usd

        assert list((price * 2).dropna()) == [2 * amount for amount in price.dropna()]

    @pytest.mark.parametrize("name", ["job", "_private", "Jobs"])
    def test_what_is_no_table_is_no_attribute(self, two_versions: Path, name: str) -> None:
        with pytest.raises(AttributeError, match=r"its tables are jobs, events"):
            getattr(ftetl.open(two_versions), name)

    @pytest.mark.parametrize("way", ["arrow", "frame"])
    @pytest.mark.parametrize(
        ("name", "advice"), [("job", "did you mean jobs\\?"), ("xyz", "choose one of: jobs, events")]
    )
    def test_what_is_no_table_is_refused_with_those_that_are(
        self, two_versions: Path, way: str, name: str, advice: str
    ) -> None:
        with pytest.raises(UsageError, match=f"there is no table '{name}'; {advice}"):
            getattr(ftetl.open(two_versions), way)(name)

    def test_it_stays_what_it_was_while_a_later_run_commits(self, target: Path) -> None:
        before = ftetl.open(target)
        ftetl.export(target, source=SAMPLES / "list_2026.json", observed_at="2026-07-04T00:00:00Z")

        assert ftetl.open(target).version == 3
        assert "cancelled" in before.jobs.status.tolist()
        assert before.jobs.status.tolist() != ftetl.open(target).jobs.status.tolist()

    def test_a_table_whose_file_is_gone_is_not_an_empty_one(self, target: Path) -> None:
        snapshot = ftetl.open(target)
        (snapshot.folder / "jobs.parquet").unlink()

        with pytest.raises(StorageError, match=r"jobs\.parquet cannot be read back"):
            snapshot.arrow("jobs")

    def test_a_damaged_page_is_not_read(self, target: Path) -> None:
        snapshot = ftetl.open(target)
        file = snapshot.folder / "jobs.parquet"
        chunk = pq.read_metadata(file).row_group(0).column(1)
        flip_bit(file, chunk.data_page_offset + chunk.total_compressed_size - 1)

        with pytest.raises(StorageError, match=r"jobs\.parquet cannot be read back"):
            snapshot.arrow("jobs")

    @pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
    def test_where_there_is_no_snapshot_it_says_so(self, tmp_path: Path, make: Callable[[Path], Any]) -> None:
        path = tmp_path / "nothing"
        make(path)

        with pytest.raises(TargetError, match=r"nothing has no snapshot; run `ftetl export`"):
            ftetl.open(path)

    def test_a_damaged_manifest_is_skipped(self, target: Path) -> None:
        flip_bit(manifest_file(target, 2))

        assert ftetl.open(target).version == 1

    def test_a_version_without_its_folder_is_skipped(self, target: Path) -> None:
        shutil.rmtree((target / "current").resolve())

        assert ftetl.open(target).version == 1

    def test_it_needs_neither_the_link_nor_the_right_to_write(self, target: Path) -> None:
        (target / "current").unlink()

        assert ftetl.open(target).version == 2


@pytest.mark.parametrize("version", ["1", 1.0, 0, -1, True])
def test_what_is_no_number_of_a_version_is_refused(two_versions: Path, version: Any) -> None:
    with pytest.raises(UsageError, match="is not a version number"):
        ftetl.open(two_versions, version=version)
