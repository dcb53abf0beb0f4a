"""`verify` names every damage to a target, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ftetl
from ftetl.contract import arrow_schema, tables
from ftetl.errors import TargetError
from ftetl.store import manifest
from ftetl.store.target import Target
from ftetl.validate.verify import verify_snapshot
from tests.snapshot.two_versions import flip_bit, manifest_file


def test_a_fresh_target_is_intact(two_versions: Path) -> None:
    result = verify_snapshot(two_versions)

    assert result.is_intact
    assert (result.version, result.files, result.damage, result.notes) == (
        2,
        len(tables()) + 3,  # the memory of what was listed, and two documents
        (),
        (),
    )  # with the memory
    assert result.rows == {name: ftetl.open(two_versions).arrow(name).num_rows for name in tables()}


def test_the_result_is_a_json_document(two_versions: Path) -> None:
    document = json.loads(json.dumps(verify_snapshot(two_versions).as_dict()))

    assert document.keys() == {"version", "sound", "rows", "files", "damage", "notes"}


@pytest.mark.parametrize("name", [f"{table}.parquet" for table in tables()])
@pytest.mark.parametrize("harm", ["flip", "cut", "grow", "remove", "link"])
def test_harm_to_any_file_is_named(target: Path, name: str, harm: str) -> None:
    file = ftetl.open(target).folder / name
    HARM[harm](file)

    damage = verify_snapshot(target).damage

    assert len(damage) == 1
    assert damage[0].startswith(f"{file.relative_to(target)}: ")


@pytest.mark.parametrize("version", [1, 2])
def test_a_damaged_manifest_is_named(target: Path, version: int) -> None:
    flip_bit(manifest_file(target, version))

    result = verify_snapshot(target)

    assert result.version == 3 - version
    assert [f"version {version}" in line for line in result.damage] == [True]


def test_a_newest_version_without_its_folder_is_damage(target: Path) -> None:
    shutil.rmtree((target / "current").resolve())

    result = verify_snapshot(target)

    assert result.version == 1
    assert any("version 2 is skipped: its snapshot" in line for line in result.damage)


@pytest.mark.parametrize("aim", [None, "snapshots/20200101T000000Z-00000000", "older"])
def test_a_current_link_to_elsewhere_is_a_note(target: Path, aim: str | None) -> None:
    (target / "current").unlink()
    if aim:
        older = f"snapshots/{manifest.load_manifest(target, 1).run_id}"
        (target / "current").symlink_to(older if aim == "older" else aim)

    result = verify_snapshot(target)

    assert result.is_intact
    assert result.notes == ("`current` does not point to version 2; the next run repairs it",)
    Target(target).close()
    assert verify_snapshot(target).notes == ()


def copied_with_its_links_followed(target: Path) -> None:
    folder = (target / "current").resolve()
    (target / "current").unlink()
    shutil.copytree(folder, target / "current")


def absolute_link(target: Path) -> None:
    folder = (target / "current").resolve()
    (target / "current").unlink()
    (target / "current").symlink_to(folder)


def link_to_all_snapshots(target: Path) -> None:
    (target / "current").unlink()
    (target / "current").symlink_to("snapshots")


@pytest.mark.parametrize("change", [copied_with_its_links_followed, absolute_link, link_to_all_snapshots])
def test_a_current_that_an_export_would_refuse_is_a_note_that_says_so(
    change: Callable[[Path], None], target: Path
) -> None:
    change(target)

    result = verify_snapshot(target)

    assert result.is_intact
    assert "an export would refuse the target; move it away, and the next run makes the link" in result.notes[0]
    with pytest.raises(TargetError, match="current is not the link that ftetl makes"):
        Target(target)
    (target / "current").rename(target.parent / "away")
    Target(target).close()
    assert verify_snapshot(target).notes == ()


def test_rows_that_break_their_contract_are_damage_also_where_every_byte_is_as_written(target: Path) -> None:
    """A bug of ftetl, then, that the validation of the run did not see."""
    rewrite(target, "events", arrow_schema.empty(tables()["events"]), rows=7)

    assert any("table events breaks its contract (count)" in line for line in verify_snapshot(target).damage)


def test_a_reference_to_nothing_is_damage(target: Path) -> None:
    rewrite(target, "jobs", arrow_schema.empty(tables()["jobs"]), rows=0)

    assert any("(references): job_id names rows that do not exist" in line for line in verify_snapshot(target).damage)


def test_of_tables_of_another_contract_only_the_bytes_are_checked(target: Path) -> None:
    rewrite(target, "quarantine", pa.table({"old": ["x"]}), rows=1, contract="1-0000")

    result = verify_snapshot(target)

    assert result.is_intact
    assert result.notes == ("made with other contracts, so only the bytes were checked: quarantine",)


def test_nothing_to_verify_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="has no snapshot"):
        verify_snapshot(tmp_path)


def test_it_writes_nothing(target: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.lstat().st_mtime_ns, p.lstat().st_ino) for p in [target, *target.rglob("*")]}

    before = state()
    verify_snapshot(target)

    assert state() == before


def link(file: Path) -> None:
    """The same bytes, but elsewhere."""
    file.rename(file.with_suffix(".away"))
    file.symlink_to(file.with_suffix(".away"))


HARM: dict[str, Callable[[Path], Any]] = {
    "flip": flip_bit,
    "cut": lambda file: os.truncate(file, file.stat().st_size - 1),
    "grow": lambda file: file.write_bytes(file.read_bytes() + b"\0"),
    "remove": Path.unlink,
    "link": link,
}


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
