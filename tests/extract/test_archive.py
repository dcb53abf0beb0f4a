"""The archive keeps exact bytes under their own name, and says what each version was made from."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ftetl.errors import StorageError
from ftetl.extract import archive as room
from ftetl.extract.archive import Archive
from ftetl.raw.blob import File, Memory
from ftetl.store.filesystem import Folder, Fs
from ftetl.store.manifest import Manifest
from ftetl.store.target import Target


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with Target(tmp_path / "target") as opened:
        yield opened


@pytest.fixture
def archive(target: Target) -> Iterator[Archive]:
    with Archive(target) as opened:
        yield opened


def bodies(target: Target) -> list[Path]:
    return sorted((target.path / "_ftetl" / "archive").glob("*.zst"))


@pytest.mark.parametrize("size", [0, 1, 5000, room._CHUNK, room._CHUNK + 1])
def test_a_stored_body_is_read_back_unchanged(target: Target, archive: Archive, size: int, tmp_path: Path) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    plain = tmp_path / "plain"
    plain.write_bytes(data)

    name = archive.store(Memory(data))
    archive.sync()

    assert name == hashlib.sha256(data).hexdigest() == archive.store(File(plain))
    assert archive.read_body(name) == data
    (file,) = bodies(target)
    assert file.name == f"{name}.zst"
    assert zstandard.ZstdDecompressor().decompressobj().decompress(file.read_bytes()) == data
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_same_bytes_are_stored_once(target: Target, archive: Archive) -> None:
    for _ in range(3):
        archive.store(Memory(b"{}"))

    assert len(bodies(target)) == 1


@given(st.data())
def test_a_changed_byte_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    with Target(tmp_path_factory.mktemp("t") / "target") as target, Archive(target) as archive:
        name = archive.store(Memory(b'{"data":[{"id":"ft-1"},{"id":"ft-2"}]}'))
        (file,) = bodies(target)
        raw = bytearray(file.read_bytes())
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
        file.write_bytes(raw)

        # A few header bits may decode to the same content; what must never happen is other content without a word.
        try:
            found = archive.read_body(name)
        except StorageError:
            return
        assert found == b'{"data":[{"id":"ft-1"},{"id":"ft-2"}]}'


def test_a_missing_body_is_named(archive: Archive) -> None:
    with pytest.raises(StorageError, match=r"archive/0{64}\.zst is missing"):
        archive.read_body("0" * 64)


def test_entries_are_in_the_order_of_their_versions(target: Target, archive: Archive) -> None:
    for version in (10, 2, 1):
        archive.write_index(version, {"version": version})

    assert [entry["version"] for entry in archive.entries()] == [1, 2, 10]


@pytest.mark.parametrize(
    ("base", "owner", "following", "left"),
    [
        (None, "", 1, []),
        (1, "other", 2, []),
        (1, "mine", 2, [1]),
        (2, "mine", 3, [1, 2]),
        (2, "other", 3, [1]),
        (3, "mine", 4, [1, 2]),
        pytest.param(1, "mine", 3, [1, 2], id="the manifest of 2 is damaged"),
        pytest.param(None, "", 3, [1, 2], id="all manifests are damaged"),
    ],
)
def test_the_index_of_a_run_killed_before_its_commit_is_removed(
    target: Target, archive: Archive, base: int | None, owner: str, following: int, left: list[int]
) -> None:
    for version in (1, 2):
        archive.write_index(version, {"version": version})
    (target.path / "_ftetl" / "archive" / "index" / f".tmp-{target.run_id}-x").touch()
    run_id = target.run_id if owner == "mine" else "20260101T000000Z-00000000"

    archive.drop_unfinished(Manifest(base, run_id, None, "", (), {}) if base else None, following)

    assert [entry["version"] for entry in archive.entries()] == left
    assert len(list((target.path / "_ftetl" / "archive" / "index").iterdir())) == len(left)


@pytest.mark.parametrize("damage", [b"", b"torn"])
def test_an_incomplete_body_is_replaced_when_it_is_stored_again(
    target: Target, archive: Archive, damage: bytes
) -> None:
    name = archive.store(Memory(b"{}"))
    archive.sync()  # what comes later is another run's, as far as this is concerned
    (file,) = bodies(target)
    file.write_bytes(damage)

    assert archive.store(Memory(b"{}")) == name
    assert archive.read_body(name) == b"{}"


def test_a_damaged_index_is_named(target: Target, archive: Archive) -> None:
    archive.write_index(1, {"version": 1})
    (file,) = (target.path / "_ftetl" / "archive" / "index").iterdir()
    file.write_bytes(b"{")

    with pytest.raises(StorageError, match="is damaged"):
        list(archive.entries())


class OtherFileSystem(Fs):
    """The archive is mounted from another file system than the rest of the target: nothing is renamed into it."""

    def rename(self, folder: Folder, name: str, to: Folder, new: str) -> None:
        if ("archive" in folder.path.parts) != ("archive" in to.path.parts):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        super().rename(folder, name, to, new)


def test_the_archive_may_be_a_file_system_of_its_own(tmp_path: Path) -> None:
    with Target(tmp_path / "t", fs=OtherFileSystem()) as target, Archive(target) as archive:
        archive.write_index(1, {"version": 1})

        assert list(archive.entries()) == [{"version": 1}]


class Lying(Fs):
    """Says that it wrote bodies, and wrote a part."""

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, path: Path) -> None:
        super().write(descriptor, data[:-1] if path.suffix == ".zst" else data, path)


def test_an_incompletely_written_body_is_noticed_before_the_commit(tmp_path: Path) -> None:
    with Target(tmp_path / "t", fs=Lying()) as target, Archive(target) as archive:
        digest = archive.store(Memory(b"a body"))
        with pytest.raises(StorageError, match=f"{digest}.zst does not read back as it was written"):
            archive.sync()
