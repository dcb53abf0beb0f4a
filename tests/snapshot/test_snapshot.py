"""Reading back: one version of all tables, and whether it is as it was written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ftetl
from ftetl.contract import arrow_schema, tables
from ftetl.errors import StorageError, TargetError, UsageError
from ftetl.snapshot.snapshot import verify
from ftetl.store import manifest

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
DAY = "2026-07-02T00:00:00Z"


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target with two versions: the published sample, then the one of 2026. Not to be changed."""
    target = tmp_path_factory.mktemp("two") / "target"
    ftetl.export(target, source=SAMPLES / "list_2026.json", observed_at=DAY)
    document = json.loads((SAMPLES / "list_2026.json").read_text("utf-8"))
    document["data"][0]["status"] = "cancelled"
    later = target.parent / "later.json"
    later.write_text(json.dumps(document), "utf-8")
    ftetl.export(target, source=later, observed_at="2026-07-03T00:00:00Z")
    return target


@pytest.fixture
def target(two_versions: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    copy = tmp_path / "target"
    shutil.copytree(two_versions, copy, symlinks=True)
    return copy


class TestOpen:
    def test_it_is_the_newest_version_and_says_so(self, two_versions: Path) -> None:
        snapshot = ftetl.open(two_versions)

        assert (snapshot.version, snapshot.project) == (2, "default")
        assert repr(snapshot) == f"<ftetl.Snapshot version 2 of {two_versions}>"
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
    def test_what_is_no_table_is_refused_with_those_that_are(self, two_versions: Path, way: str) -> None:
        with pytest.raises(UsageError, match="there is no table 'job'; choose one of: jobs, events"):
            getattr(ftetl.open(two_versions), way)("job")

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
        flip(file, chunk.data_page_offset + chunk.total_compressed_size - 1)

        with pytest.raises(StorageError, match=r"jobs\.parquet cannot be read back"):
            snapshot.arrow("jobs")

    @pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
    def test_where_there_is_no_snapshot_it_says_so(self, tmp_path: Path, make: Callable[[Path], Any]) -> None:
        path = tmp_path / "nothing"
        make(path)

        with pytest.raises(TargetError, match=r"nothing has no snapshot; run `ftetl export`"):
            ftetl.open(path)

    def test_a_damaged_manifest_is_passed_over(self, target: Path) -> None:
        flip(manifest_file(target, 2))

        assert ftetl.open(target).version == 1

    def test_a_version_without_its_folder_is_passed_over(self, target: Path) -> None:
        shutil.rmtree((target / "current").resolve())

        assert ftetl.open(target).version == 1

    def test_it_needs_neither_the_link_nor_the_right_to_write(self, target: Path) -> None:
        (target / "current").unlink()

        assert ftetl.open(target).version == 2


class TestVerify:
    def test_a_fresh_target_is_sound(self, two_versions: Path) -> None:
        verdict = verify(two_versions)

        assert verdict.sound
        assert (verdict.version, verdict.files, verdict.damage, verdict.notes) == (
            2,
            len(tables()) + 3,  # the memory of what was listed, and two documents
            (),
            (),
        )  # with the memory
        assert verdict.rows == {name: ftetl.open(two_versions).arrow(name).num_rows for name in tables()}

    def test_the_verdict_is_a_json_document(self, two_versions: Path) -> None:
        document = json.loads(json.dumps(verify(two_versions).as_dict()))

        assert document.keys() == {"version", "sound", "rows", "files", "damage", "notes"}

    @pytest.mark.parametrize("name", [f"{table}.parquet" for table in tables()])
    @pytest.mark.parametrize("harm", ["flip", "cut", "grow", "remove", "link"])
    def test_harm_to_any_file_is_named(self, target: Path, name: str, harm: str) -> None:
        file = ftetl.open(target).folder / name
        HARM[harm](file)

        damage = verify(target).damage

        assert len(damage) == 1
        assert damage[0].startswith(f"{file.relative_to(target)}: ")

    @pytest.mark.parametrize("version", [1, 2])
    def test_a_damaged_manifest_is_named(self, target: Path, version: int) -> None:
        flip(manifest_file(target, version))

        verdict = verify(target)

        assert verdict.version == 3 - version
        assert [f"version {version}" in line for line in verdict.damage] == [True]

    def test_a_newest_version_without_its_folder_is_damage(self, target: Path) -> None:
        shutil.rmtree((target / "current").resolve())

        verdict = verify(target)

        assert verdict.version == 1
        assert any("version 2 is passed over: its snapshot" in line for line in verdict.damage)

    @pytest.mark.parametrize("aim", [None, "snapshots/20200101T000000Z-00000000", "snapshots", "older"])
    def test_a_link_that_leads_elsewhere_is_worth_a_note(self, target: Path, aim: str | None) -> None:
        (target / "current").unlink()
        if aim:
            older = f"snapshots/{manifest.load_manifest(target, 1).run_id}"
            (target / "current").symlink_to(older if aim == "older" else aim)

        verdict = verify(target)

        assert verdict.sound
        assert verdict.notes == ("`current` does not lead to version 2; the next run mends it",)

    def test_rows_that_break_their_contract_are_damage_also_where_every_byte_is_as_written(self, target: Path) -> None:
        """A fault of ours, then, that the gate had let through."""
        rewrite(target, "events", arrow_schema.empty(tables()["events"]), rows=7)

        assert any("table events breaks its contract (count)" in line for line in verify(target).damage)

    def test_a_reference_to_nothing_is_damage(self, target: Path) -> None:
        rewrite(target, "jobs", arrow_schema.empty(tables()["jobs"]), rows=0)

        assert any("(references): job_id names rows that do not exist" in line for line in verify(target).damage)

    def test_what_another_contract_made_is_judged_by_its_bytes(self, target: Path) -> None:
        rewrite(target, "quarantine", pa.table({"old": ["x"]}), rows=1, contract="1-0000")

        verdict = verify(target)

        assert verdict.sound
        assert verdict.notes == ("made by other contracts than today's, so only the bytes were checked: quarantine",)

    def test_nothing_to_verify_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(TargetError, match="has no snapshot"):
            verify(tmp_path)

    def test_it_writes_nothing(self, target: Path) -> None:
        def state() -> dict[str, tuple[int, int]]:
            return {str(p): (p.lstat().st_mtime_ns, p.lstat().st_ino) for p in [target, *target.rglob("*")]}

        before = state()
        verify(target)

        assert state() == before


def flip(file: Path, place: int | None = None) -> None:
    """One bit of one byte, by default in the middle."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2 if place is None else place] ^= 1
    file.write_bytes(data)


def link(file: Path) -> None:
    """The same bytes, but elsewhere."""
    file.rename(file.with_suffix(".away"))
    file.symlink_to(file.with_suffix(".away"))


HARM: dict[str, Callable[[Path], Any]] = {
    "flip": flip,
    "cut": lambda file: os.truncate(file, file.stat().st_size - 1),
    "grow": lambda file: file.write_bytes(file.read_bytes() + b"\0"),
    "remove": Path.unlink,
    "link": link,
}


def manifest_file(target: Path, version: int) -> Path:
    return target / manifest.CONTROL / manifest.MANIFESTS / manifest.manifest_name(version)


def rewrite(target: Path, name: str, table: pa.Table, *, rows: int, contract: str | None = None) -> None:
    """Another table in place of one, with a manifest that vouches for it."""
    old = manifest.load_manifest(target, 2)
    file = manifest.snapshot_folder(target, old) / f"{name}.parquet"
    file.unlink()
    pq.write_table(table, file)
    data = file.read_bytes()
    stored = manifest.StoredFile(file.name, len(data), hashlib.sha256(data).hexdigest())
    facts = {**old.facts, "rows": {**old.facts["rows"], name: rows}}
    if contract:
        facts["contracts"] = {**old.facts["contracts"], name: contract}
    files = tuple(stored if f.name == stored.name else f for f in old.files)
    manifest_file(target, 2).write_bytes(manifest.encode_manifest(replace(old, files=files, facts=facts)))


@pytest.mark.parametrize("version", ["1", 1.0, 0, -1, True])
def test_what_is_no_number_of_a_version_is_refused(two_versions: Path, version: Any) -> None:
    with pytest.raises(UsageError, match="no number of a version"):
        ftetl.open(two_versions, version=version)
