"""Manifests: any changed byte shows, the newest sound one is found, damaged files are named."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ftetl
from ftetl.errors import StorageError, TargetError
from ftetl.store.integrity import find_damage
from ftetl.store.manifest import (
    JSON,
    Manifest,
    StoredFile,
    canonical_json,
    decode_manifest,
    encode_manifest,
    list_versions,
    load_manifest,
    manifest_name,
    newest_manifest,
    snapshot_folder,
)

DATA = {"a": b"some bytes", "b.txt": b""}
FILES = tuple(StoredFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in DATA.items())


def a_manifest(version: int = 1) -> Manifest:
    return Manifest(
        version=version,
        run_id=f"20261123T042000Z-{version:08x}",
        base=version - 1 or None,
        committed_at="2026-11-23T04:20:00.000000Z",
        files=FILES,
        facts={"identity": {"project": "größe \ud800"}, "rows": {"jobs": 3}, "ratio": 1e300, "none": None},
    )


def write(target: Path, *manifests: Manifest) -> None:
    """Commit by hand."""
    for manifest in manifests:
        folder = snapshot_folder(target, manifest)
        folder.mkdir(parents=True)
        for name, data in DATA.items():
            (folder / name).write_bytes(data)
        manifest_path(target, manifest.version).parent.mkdir(parents=True, exist_ok=True)
        manifest_path(target, manifest.version).write_bytes(encode_manifest(manifest))


def manifest_path(target: Path, version: int) -> Path:
    return target / "_ftetl" / "manifests" / manifest_name(version)


def sealed(document: dict[str, JSON]) -> bytes:
    """The document with a right checksum, whatever it says."""
    checksum = hashlib.sha256(canonical_json(document)).hexdigest()
    return canonical_json({**document, "checksum": checksum}) + b"\n"


def test_a_manifest_comes_back_as_it_was() -> None:
    assert a_manifest(7) == decode_manifest(encode_manifest(a_manifest(7)), 7)


def test_every_flipped_bit_shows() -> None:
    raw = encode_manifest(a_manifest())
    accepted = []
    for position in range(len(raw)):
        for bit in range(8):
            flipped = bytearray(raw)
            flipped[position] ^= 1 << bit
            try:
                decode_manifest(bytes(flipped), 1)
            except ValueError:
                continue
            accepted.append((position, bit))

    assert accepted == []


def test_every_cut_shows() -> None:
    raw = encode_manifest(a_manifest())
    for end in range(len(raw)):
        with pytest.raises(ValueError, match=r"cut off|checksum"):
            decode_manifest(raw[:end], 1)


DOCUMENT = {key: value for key, value in json.loads(encode_manifest(a_manifest())).items() if key != "checksum"}
NO_OBJECT, CHANGED, NOT_OURS = (
    "empty, cut off or not a JSON object",
    "checksum is wrong",
    "ftetl cannot have written it",
)
NO_MANIFESTS = {
    "empty": (b"", NO_OBJECT),
    "not JSON": (b"\xff\x00", NO_OBJECT),
    "an array": (b"[]\n", NO_OBJECT),
    "deep": (b"[" * 100_000, NO_OBJECT),
    "not a number": (b'{"facts":NaN}\n', NO_OBJECT),
    "spaces": (encode_manifest(a_manifest()).replace(b",", b", "), CHANGED),
    "no newline": (encode_manifest(a_manifest()).rstrip(), CHANGED),
    "another version": (encode_manifest(a_manifest(2)), "it has version 2"),
    "no fields": (sealed({}), NOT_OURS),
    "files of no shape": (sealed({**DOCUMENT, "files": [1]}), NOT_OURS),
    "no time": (sealed({**DOCUMENT, "committed_at": "yesterday"}), NOT_OURS),
    "a run id that leads away": (sealed({**DOCUMENT, "run_id": "../../elsewhere"}), NOT_OURS),
    "a run id that is none": (sealed({**DOCUMENT, "run_id": 5}), NOT_OURS),
    "a name that leads away": (sealed({**DOCUMENT, "files": [{"name": "../x", "bytes": 1, "sha256": "0"}]}), NOT_OURS),
    "a hidden name": (sealed({**DOCUMENT, "files": [{"name": ".tmp-x", "bytes": 1, "sha256": "0"}]}), NOT_OURS),
}


@pytest.mark.parametrize(("raw", "reason"), NO_MANIFESTS.values(), ids=NO_MANIFESTS.keys())
def test_what_is_no_manifest_is_refused_and_passed_over(raw: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=reason):
        decode_manifest(raw, 1)

    write(tmp_path, a_manifest(0), a_manifest(1))
    manifest_path(tmp_path, 1).write_bytes(raw)
    said: list[str] = []

    assert newest_manifest(tmp_path, said) == a_manifest(0)
    assert len(said) == 1
    assert "version 1 is damaged" in said[0]
    assert reason in said[0]


def test_newest_is_the_greatest_version_not_the_latest_file(tmp_path: Path) -> None:
    write(tmp_path, a_manifest(10), a_manifest(9), a_manifest(2))

    assert newest_manifest(tmp_path) == a_manifest(10)
    assert list_versions(tmp_path) == [2, 9, 10]


def test_newest_skips_a_version_without_its_snapshot(tmp_path: Path) -> None:
    write(tmp_path, a_manifest(1), a_manifest(2))
    snapshot_folder(tmp_path, a_manifest(2)).rename(tmp_path / "away")
    said: list[str] = []

    assert newest_manifest(tmp_path, said) == a_manifest(1)
    assert said == [f"version 2 is skipped: its snapshot {a_manifest(2).run_id} is missing"]


@pytest.mark.parametrize("name", ["1.json", ".tmp-20261123T042000Z-00000009", f"{3:020d}.json.bak", "x" * 20 + ".json"])
def test_other_files_beside_manifests_are_not_looked_at(name: str, tmp_path: Path) -> None:
    write(tmp_path, a_manifest(1))
    (tmp_path / "_ftetl" / "manifests" / name).write_bytes(b"whatever")
    said: list[str] = []

    assert newest_manifest(tmp_path, said) == a_manifest(1)
    assert said == []
    assert list_versions(tmp_path) == [1]


def test_a_folder_in_place_of_a_manifest_is_damage(tmp_path: Path) -> None:
    write(tmp_path, a_manifest(1))
    manifest_path(tmp_path, 2).mkdir()
    said: list[str] = []

    assert newest_manifest(tmp_path, said) == a_manifest(1)
    assert "version 2" in said[0]


@pytest.mark.parametrize("there", [lambda path: None, Path.mkdir, Path.touch], ids=["nothing", "empty", "a file"])
def test_where_nothing_was_committed_there_is_no_newest(there: Callable[[Path], None], tmp_path: Path) -> None:
    there(tmp_path / "target")

    assert newest_manifest(tmp_path / "target") is None
    assert list_versions(tmp_path / "target") == []


def test_load_gives_the_version_asked_for(tmp_path: Path) -> None:
    write(tmp_path, a_manifest(1), a_manifest(2))

    assert load_manifest(tmp_path, 1) == a_manifest(1)


def test_load_says_that_a_version_is_missing_or_damaged(tmp_path: Path) -> None:
    write(tmp_path, a_manifest(1))
    manifest_path(tmp_path, 1).write_bytes(b"{}")

    with pytest.raises(StorageError, match="has no version 2"):
        load_manifest(tmp_path, 2)
    with pytest.raises(StorageError, match=r"version 1 in .* is damaged: its checksum is wrong"):
        load_manifest(tmp_path, 1)


def test_a_name_too_long_to_be_a_target_is_an_ftetl_error(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="the name is too long"):
        newest_manifest(tmp_path / ("x" * 300))


def test_an_intact_snapshot_has_no_damage(tmp_path: Path) -> None:
    write(tmp_path, a_manifest())

    assert find_damage(tmp_path, a_manifest()) == []


def link_elsewhere(path: Path) -> None:
    path.rename(path.parent / "elsewhere")
    path.symlink_to("elsewhere")


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "missing"),
    "longer": (lambda path: path.write_bytes(b"some bytes more"), "has 15 bytes, 10 were written"),
    "cut": (lambda path: path.write_bytes(b"some"), "has 4 bytes, 10 were written"),
    "one bit": (lambda path: path.write_bytes(b"some bytez"), "its SHA-256 is not that of what was written"),
    "a link": (link_elsewhere, "is not a regular file"),
    "a folder": (folder_instead, "is not a regular file"),
}


@pytest.mark.parametrize(("harm", "fault"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_names_the_file_and_the_fault(harm: Callable[[Path], object], fault: str, tmp_path: Path) -> None:
    write(tmp_path, a_manifest())
    harm(snapshot_folder(tmp_path, a_manifest()) / "a")

    assert find_damage(tmp_path, a_manifest()) == [f"snapshots/{a_manifest().run_id}/a: {fault}"]


def test_damage_finds_a_flip_of_any_bit(tmp_path: Path) -> None:
    write(tmp_path, a_manifest())
    path = snapshot_folder(tmp_path, a_manifest()) / "a"
    for position in range(len(DATA["a"])):
        for bit in range(8):
            flipped = bytearray(DATA["a"])
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            assert len(find_damage(tmp_path, a_manifest())) == 1


def test_reading_needs_neither_locks_nor_anything_heavy(tmp_path: Path) -> None:
    write(tmp_path, a_manifest())
    code = """
import sys
sys.modules["fcntl"] = None  # as on Windows
import pathlib, ftetl.store.manifest, ftetl.store.target
assert ftetl.store.manifest.newest_manifest(pathlib.Path(sys.argv[1])).version == 1
assert not {"pandas", "pyarrow", "requests"} & sys.modules.keys()
"""
    environment = {"PYTHONPATH": str(Path(ftetl.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code, tmp_path], env=environment, check=False)

    assert done.returncode == 0
