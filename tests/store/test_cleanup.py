"""What the next run puts in order: leftovers, `current`, old snapshots; and what it leaves alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ftetl.clock import iso
from ftetl.errors import TargetError
from ftetl.store.cleanup import versions_to_retain
from ftetl.store.integrity import find_damage
from ftetl.store.manifest import (
    encode_manifest,
    list_versions,
    load_manifest,
    manifest_name,
    newest_manifest,
    snapshot_folder,
)
from ftetl.store.target import Commit, Target

DEAD = "20200101T000000Z-deadbeef"


def commit(path: Path, data: bytes, keep: int = 10) -> Commit:
    with Target(path, keep=keep) as target, target.begin_transaction() as transaction:
        for name in ("a", "same"):
            with transaction.create_file(name) as file:
                file.write(data if name == "a" else b"same")
        return transaction.commit({})


@pytest.fixture
def target(tmp_path: Path) -> Path:
    commit(tmp_path / "target", b"first")
    return tmp_path / "target"


def tree(path: Path) -> set[str]:
    return {str(p.relative_to(path)) for p in path.rglob("*")}


FOLDERS = ["", "_ftetl", "snapshots", "_ftetl/manifests", "_ftetl/runs", "_ftetl/failed", "_ftetl/archive"]


def plant_file(path: Path) -> None:
    path.write_bytes(b"x")


def plant_folder(path: Path) -> None:
    (path / "deep" / "deeper").mkdir(parents=True)
    (path / "deep" / "file").write_bytes(b"x")
    (path / "deep" / "link").symlink_to("/")


def plant_link(path: Path) -> None:
    path.symlink_to("../outside" if path.parent.name == "target" else "../../outside")


def plant_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [plant_file, plant_folder, plant_link, plant_pipe])
@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", [f".tmp-{DEAD}", ".tmp-anything"])
def test_leftovers_are_removed_also_where_nothing_changed(
    folder: str, plant: Callable[[Path], None], name: str, target: Path
) -> None:
    outside = target.parent / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"x")
    (target / folder).mkdir(exist_ok=True)
    before = tree(target)
    plant(target / folder / name)
    assert tree(target) != before

    assert commit(target, b"first").changed is False

    assert tree(target) == before
    assert (outside / "file").exists()


FOREIGN = [
    "notes.txt",
    ".hidden",
    ".tmp",
    "tmp-x",
    "snapshots/notes.txt",
    "snapshots/.keep",
    f"snapshots/{DEAD}",
    f"snapshots/{DEAD}.bak",
    "_ftetl/notes",
    "_ftetl/manifests/notes",
    f"_ftetl/manifests/{7:020d}.json.bak",
    "_ftetl/runs/x.json",
    "_ftetl/failed/x",
    "_ftetl/archive/.keep",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_others_are_not_removed(name: str, target: Path) -> None:
    (target / name).parent.mkdir(exist_ok=True)
    (target / name).mkdir()
    (target / name / "file").write_bytes(b"x")

    done = commit(target, b"second", keep=1)

    assert done.warnings == []
    assert (target / name / "file").read_bytes() == b"x"


def test_the_snapshot_of_a_run_that_died_before_its_link_is_removed(target: Path) -> None:
    (target / "snapshots" / DEAD).mkdir()
    (target / "snapshots" / DEAD / "a").write_bytes(b"x")
    (target / "_ftetl" / "manifests" / f".tmp-{DEAD}").write_bytes(b"whatever it says")
    commit(target, b"first")

    assert [path.name for path in (target / "snapshots").iterdir()] == [(target / "current").readlink().name]
    assert len(list((target / "_ftetl" / "manifests").iterdir())) == 1


@pytest.mark.parametrize("how", [os.link, lambda old, new: new.write_bytes(old.read_bytes())], ids=["link", "copy"])
def test_the_snapshot_of_a_run_that_died_after_its_link_stays(how: Callable[[Path, Path], None], target: Path) -> None:
    manifest = newest_manifest(target)
    assert manifest is not None
    manifests = target / "_ftetl" / "manifests"
    how(manifests / manifest_name(1), manifests / f".tmp-{manifest.run_id}")
    commit(target, b"second")

    assert find_damage(target, manifest) == []
    assert sorted(path.name for path in manifests.iterdir()) == [manifest_name(1), manifest_name(2)]


def test_even_if_its_manifest_was_damaged_since(target: Path) -> None:
    manifest = newest_manifest(target)
    assert manifest is not None
    manifests = target / "_ftetl" / "manifests"
    os.link(manifests / manifest_name(1), manifests / f".tmp-{manifest.run_id}")
    (manifests / manifest_name(1)).write_bytes(b"damaged")
    commit(target, b"second")

    assert find_damage(target, manifest) == []


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(f"snapshots/{DEAD}")


@pytest.mark.parametrize("harm", [Path.unlink, dangling])
def test_current_is_repaired(harm: Callable[[Path], None], target: Path) -> None:
    harm(target / "current")
    with Target(target) as opened:
        assert opened.warnings == []

    assert (target / "current" / "a").read_bytes() == b"first"


def file_instead(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"x")


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").write_bytes(b"x")


def link_elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("/somewhere/else")


def link_to_a_neighbour(path: Path) -> None:
    path.unlink()
    path.symlink_to(f"snapshots/../{DEAD}")


@pytest.mark.parametrize("plant", [file_instead, folder_instead, link_elsewhere, link_to_a_neighbour])
def test_a_current_that_ftetl_did_not_make_is_refused(plant: Callable[[Path], None], target: Path) -> None:
    plant(target / "current")
    before = tree(target)

    with pytest.raises(TargetError, match="current is not the link that ftetl makes; move it away and run again"):
        Target(target)

    assert tree(target) == before


def test_a_current_replaced_during_the_run_is_not_touched(target: Path) -> None:
    with Target(target) as opened, opened.begin_transaction() as transaction:
        file_instead(target / "current")
        with transaction.create_file("a") as file:
            file.write(b"second")
        done = transaction.commit({})

    assert done.changed
    assert len(done.warnings) == 1
    assert "current is not the link that ftetl makes" in done.warnings[0]
    assert (target / "current").read_bytes() == b"x"


def age(path: Path, version: int, days: float) -> None:
    aged = replace(load_manifest(path, version), committed_at=iso(datetime.now(UTC) - timedelta(days=days)))
    (path / "_ftetl" / "manifests" / manifest_name(version)).write_bytes(encode_manifest(aged))


def test_old_snapshots_go_with_their_manifests_and_shared_files_stay(target: Path) -> None:
    for n in range(2, 7):
        commit(target, b"%d" % n)
        age(target, n - 1, 30)
    age(target, 6, 30)

    done = commit(target, b"seventh", keep=3)

    assert done.warnings == []
    assert list_versions(target) == [5, 6, 7]
    assert {path.name for path in (target / "snapshots").iterdir()} == {
        load_manifest(target, n).run_id for n in (5, 6, 7)
    }
    for version in (5, 6, 7):
        assert find_damage(target, load_manifest(target, version)) == []
    assert (snapshot_folder(target, done.manifest) / "same").stat().st_nlink == 3
    assert commit(target, b"eighth").manifest.version == 8


def test_the_snapshots_of_today_stay_whatever_keep_says(target: Path) -> None:
    for n in range(2, 6):
        commit(target, b"%d" % n, keep=1)

    assert list_versions(target) == [1, 2, 3, 4, 5]


def test_a_damaged_manifest_and_its_snapshot_are_not_collected(target: Path) -> None:
    commit(target, b"second")
    (target / "_ftetl" / "manifests" / manifest_name(1)).write_bytes(b"damaged")
    for n in range(3, 6):
        commit(target, b"%d" % n)
        age(target, n - 1, 30)

    commit(target, b"last", keep=2)

    assert list_versions(target) == [1, 5, 6]
    assert len(list((target / "snapshots").iterdir())) == 3


NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def aged(*hours: float) -> list[tuple[int, datetime]]:
    """Versions 1, 2, …, committed so many hours ago."""
    return [(version, NOW - timedelta(hours=ago)) for version, ago in enumerate(hours, start=1)]


OLD = 24 * 30.0

RETAINED = {
    "none": ([], 10, set()),
    "one, however old": (aged(OLD), 10, {1}),
    "the newest N": (aged(*[OLD] * 5), 3, {3, 4, 5}),
    "never the newest two": (aged(*[OLD] * 5), 1, {4, 5}),
    "all of the last 24 hours": (aged(OLD, 23.9, 20, 10, 1), 1, {2, 3, 4, 5}),
    "24 hours are over at 24 hours": (aged(OLD, 24, 23.99, 1, 1), 1, {3, 4, 5}),
    "the last of each day for 7 days": (aged(100, 99, 98, 75, 74, 50, 49, 0, 0), 1, {3, 5, 7, 8, 9}),
    "the 8th day is over": (aged(24 * 7 + 0.1, 24 * 7 - 0.1, 0, 0), 1, {2, 3, 4}),
    "a clock that went back": (aged(0, OLD, OLD, OLD), 2, {1, 3, 4}),
    "a clock that ran ahead": (aged(-OLD, OLD, OLD, OLD), 2, {3, 4}),
    "a clock that ran ahead yesterday": (aged(OLD, -OLD, 20, 1, 1), 2, {2, 3, 4, 5}),
    "a clock that was right again just now": (aged(OLD, -OLD, -OLD), 2, {2, 3}),
    "greater version wins within a day, not the later time": (aged(50, 51, 0, 0), 1, {2, 3, 4}),
    "all within N": (aged(OLD, 100, 1), 10, {1, 2, 3}),
}


@pytest.mark.parametrize(("committed", "keep", "expected"), RETAINED.values(), ids=RETAINED.keys())
def test_the_versions_that_are_retained(committed: list[tuple[int, datetime]], keep: int, expected: set[int]) -> None:
    assert expected == versions_to_retain(committed, keep=keep, now=NOW)
    assert expected == versions_to_retain(reversed(committed), keep=keep, now=NOW)


def test_about_30_snapshots_of_a_month_of_hourly_runs_are_retained_with_n_10() -> None:
    stay = versions_to_retain(aged(*range(24 * 30, -1, -1)), keep=10, now=NOW)

    assert 24 + 6 <= len(stay) <= 24 + 8
