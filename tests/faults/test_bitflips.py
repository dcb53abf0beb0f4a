"""One bit that is not as it was written: it is found, named, and never carried on as if it were data."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl.errors import EXITS, FtetlError, StorageError, UsageError
from ftetl.pipeline.export import rebuild
from ftetl.store.integrity import find_damage
from ftetl.store.manifest import encode_manifest, load_manifest, manifest_name
from ftetl.validate.verify import verify_snapshot

Flips = Callable[[int], Iterator[tuple[int, int]]]  # of a file's length: the places and bits to try


def job(number: int, status: str) -> dict[str, Any]:
    at = "2026-07-01T00:00:00Z"
    events = [{"type": "JOB_START", "created_at": at, "message": f"{status} {number}"}]
    return {
        "id": f"ft-{number}",
        "status": status,
        "created_at": at,
        "updated_at": at,
        "events": events,
        "n_evals": "x",
    }


def export(target: Path, status: str, day: int) -> ftetl.Report:
    source = target.parent / f"{status}.json"
    source.write_text(json.dumps({"data": [job(1, status), job(2, status), 7]}))
    return ftetl.export(target, source=source, observed_at=f"2026-07-{day:02}T00:00:00Z")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("made") / "target"
    export(target, "running", 2)
    export(target, "completed", 3)
    return target


@pytest.fixture
def target(made: Path, tmp_path: Path) -> Path:
    """A copy of a target with two versions that may be broken; files shared between them are shared no more."""
    shutil.copytree(made, tmp_path / "target", symlinks=True)
    for name in ("running", "completed"):
        shutil.copy(made.parent / f"{name}.json", tmp_path)
    return tmp_path / "target"


def manifest_file(target: Path, version: int) -> Path:
    return target / "_ftetl" / "manifests" / manifest_name(version)


def newest_files(target: Path) -> list[Path]:
    return sorted((target / "current").resolve().iterdir())


def flipped(file: Path, flips: Flips) -> Iterator[str]:
    """The file with one bit after the other the other way round, and at last as it was."""
    data = file.read_bytes()
    for place, bit in flips(len(data)):
        with file.open("r+b") as stream:
            stream.seek(place)
            stream.write(bytes([data[place] ^ (1 << bit)]))
        yield f"byte {place}, bit {bit}"
        with file.open("r+b") as stream:
            stream.seek(place)
            stream.write(data[place : place + 1])
    assert file.read_bytes() == data


def some(size: int) -> Iterator[tuple[int, int]]:
    """Both ends, where formats keep their marks, and some places between."""
    rng = random.Random(size)
    places = {*range(min(12, size)), *range(max(0, size - 12), size), *(rng.randrange(size) for _ in range(40))}
    return ((place, rng.randrange(8)) for place in sorted(places))


def every_byte(size: int) -> Iterator[tuple[int, int]]:
    rng = random.Random(size)
    return ((place, rng.randrange(8)) for place in range(size))


def every_bit(size: int) -> Iterator[tuple[int, int]]:
    return ((place, bit) for place in range(size) for bit in range(8))


def judged(target: Path, *, contents: bool = True) -> tuple[int, str]:
    """The exit code of `verify`, and what it names."""
    try:
        verdict = verify_snapshot(target, contents=contents)
    except FtetlError as error:
        return error.exit.code, str(error)
    return EXITS["OK" if verdict.is_intact else "IOERR"].code, "\n".join(verdict.damage)


def sweep(target: Path, files: list[Path], flips: Flips, also: Callable[[], None] = lambda: None) -> int:
    count = 0
    assert verify_snapshot(target).is_intact
    for file in files:
        for what in flipped(file, flips):
            code, said = judged(target, contents=False)
            assert (code, file.name in said) == (74, True), f"{file.name}, {what}: {code} {said}"
            also()
            count += 1
    assert verify_snapshot(target).is_intact
    print(f"{count} bits of {len(files)} files, all found")
    return count


@pytest.mark.parametrize("flips", [some, pytest.param(every_byte, marks=pytest.mark.slow)])
def test_every_bit_of_the_newest_snapshot_is_found_and_the_version_before_can_be_read(
    flips: Flips, target: Path
) -> None:
    def before_is_intact() -> None:
        assert find_damage(target, load_manifest(target, 1)) == []

    count = sweep(target, newest_files(target), flips, before_is_intact)

    assert count >= 300
    assert ftetl.open(target, version=1).jobs.status.tolist() == ["running"] * 2


@pytest.mark.parametrize("flips", [some, pytest.param(every_bit, marks=pytest.mark.slow)])
def test_every_bit_of_the_manifests_and_of_the_format_file_is_found(flips: Flips, target: Path) -> None:
    files = [manifest_file(target, 1), manifest_file(target, 2), target / "_ftetl" / "format"]

    def one_can_be_read() -> None:
        assert ftetl.open(target).version in (1, 2)

    assert sweep(target, files, flips, one_can_be_read) >= 100


def test_with_the_newest_manifest_damaged_the_version_before_is_what_is_read(target: Path) -> None:
    for what in flipped(manifest_file(target, 2), some):
        assert ftetl.open(target).version == 1, what


@pytest.mark.parametrize("flips", [some, pytest.param(every_bit, marks=pytest.mark.slow)])
def test_every_bit_of_the_only_manifest_is_found(flips: Flips, tmp_path: Path) -> None:
    target = tmp_path / "target"
    export(target, "running", 2)

    assert sweep(target, [manifest_file(target, 1)], flips) >= 60


def test_the_bits_of_the_version_field_are_found_in_the_only_manifest_as_well(tmp_path: Path) -> None:
    target = tmp_path / "target"
    export(target, "running", 2)
    data = manifest_file(target, 1).read_bytes()
    field = data.index(b'"version":1')
    places = range(field, field + len(b'"version":1'))

    assert sweep(target, [manifest_file(target, 1)], lambda _: ((p, b) for p in places for b in range(8))) == 88


@pytest.mark.parametrize("only", [False, True])
def test_an_intact_manifest_under_another_version_is_damage(only: bool, target: Path) -> None:
    if only:
        manifest_file(target, 1).unlink()
    manifest_file(target, 2).rename(manifest_file(target, 3))

    code, said = judged(target)

    assert (code, manifest_name(3) in said) == (74, True)
    assert "it has version 2" in said
    if not only:
        assert ftetl.open(target).version == 1


def test_a_manifest_that_says_another_version_is_damage_though_its_checksum_is_right(target: Path) -> None:
    manifest_file(target, 2).write_bytes(encode_manifest(replace(load_manifest(target, 2), version=7)))

    code, said = judged(target)

    assert (code, "it has version 7" in said, manifest_name(2) in said) == (74, True, True)


def lag(target: Path) -> None:
    (target / "current").unlink()
    (target / "current").symlink_to(f"snapshots/{load_manifest(target, 1).run_id}")


def loop(target: Path) -> None:
    (target / "current").unlink()
    (target / "current").symlink_to("current")


def leave(target: Path) -> None:
    run_id = "20260703T000000Z-0123abcd"
    (target / "snapshots" / f".tmp-{run_id}").mkdir()
    (target / "snapshots" / f".tmp-{run_id}" / "jobs.parquet").write_bytes(b"PAR1 half")
    (target / "snapshots" / run_id).mkdir()  # placed, and killed before the commit
    manifest_file(target, 2).with_name(f".tmp-{run_id}").write_bytes(b"half a manifest")
    (target / "_ftetl" / f".tmp-scratch-{run_id}").mkdir()
    (target / "_ftetl" / "lock").write_bytes(b"999999\n")


@pytest.mark.parametrize("what", [lag, loop, leave])
def test_what_lags_or_was_left_over_is_no_damage(what: Callable[[Path], None], target: Path) -> None:
    what(target)

    assert judged(target) == (0, "")
    assert len(verify_snapshot(target).notes) == (what is not leave)


@pytest.mark.parametrize("harm", [b"", b'{"format":1,"tool":"ftetl"}', None], ids=["empty", "cut", "gone"])
def test_a_damaged_format_file_is_named(harm: bytes | None, target: Path) -> None:
    file = target / "_ftetl" / "format"
    file.unlink() if harm is None else file.write_bytes(harm)

    code, said = judged(target)

    assert (code, said.startswith("_ftetl/format: ")) == (74, True)


def test_no_run_builds_on_a_damaged_file(target: Path) -> None:
    for file in newest_files(target):
        size = file.stat().st_size
        ends = [(4, 0), (size // 2, 3), (size - 9, 6)]  # data, then what a page's checksum does not cover: the footer
        for what in flipped(file, lambda _, places=ends: iter(places)):
            with pytest.raises(StorageError) as caught:
                export(target, "cancelled", 4)
            assert file.name in str(caught.value), what
            assert "the newest intact version is 1" in str(caught.value)
            assert ftetl.open(target).version == 2
    assert export(target, "cancelled", 4).version == 3


def test_after_the_damage_a_rebuild_makes_an_intact_version(target: Path) -> None:
    file = (target / "current").resolve() / "jobs.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    os.utime(target.parent / "running.json", ns=(0, 0))
    before = ftetl.open(target, version=1).jobs

    report = rebuild(target)

    assert (report.changed, report.version) == (True, 3)
    assert verify_snapshot(target).is_intact
    assert ftetl.open(target).jobs.status.tolist() == ["completed"] * 2
    assert ftetl.open(target, version=1).jobs.equals(before)


def test_a_version_that_is_not_there_is_an_error(target: Path) -> None:
    with pytest.raises(StorageError, match="has no version 9"):
        ftetl.open(target, version=9)
    with pytest.raises(UsageError, match="several targets have no common version"):
        ftetl.open(target, target, version=1)
