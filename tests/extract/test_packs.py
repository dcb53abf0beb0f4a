"""Packs keep exact bytes, whole blocks of a killed run included, and never return others without a word."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ftetl.errors import FtetlError, StorageError
from ftetl.extract.archive import _CHUNK, Archive
from ftetl.extract.packs import Packs
from ftetl.raw.blob import Memory
from ftetl.store.filesystem import Folder, Fs
from ftetl.store.target import Target

RUN = "20260101T000000Z-00000000"
GROUPS = st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=6), min_size=1, max_size=6)


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def packed(folder: Path, groups: Sequence[Sequence[bytes]], fs: Fs | None = None) -> Path:
    """A pack of these bodies, group after group."""
    fs = fs or Fs()
    with fs.open_folder(None, folder) as opened:
        packs = Packs(fs, opened, RUN, 0o640)
        for group in groups:
            packs.append([sha256(body) for body in group], group)
        packs.sync(packs.own)
        packs.close()
        return folder / packs.own


def readable(pack: Path) -> list[bytes]:
    """The bodies that another run finds in a pack, in their order; each is what its digest says."""
    fs = Fs()
    with fs.open_folder(None, pack.parent) as opened:
        packs = Packs(fs, opened, "20260101T000001Z-00000000", 0o600)
        found = [(digest, packs.read(place)) for digest, place in packs._scan(pack.name)]
    assert [sha256(body) for _, body in found] == [digest for digest, _ in found]
    return [body for _, body in found]


@given(GROUPS)
def test_what_was_packed_is_read_back_in_its_order(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[bytes]]
) -> None:
    bodies = [body for group in groups for body in group]
    pack = packed(tmp_path_factory.mktemp("p"), groups)

    assert readable(pack) == bodies
    assert pack.stat().st_mode & 0o777 == 0o640
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(pack.read_bytes()), read_across_frames=True)
    assert reader.read() == b"".join(bodies)  # as `zstd -dc` prints them


@given(GROUPS, st.data())
def test_a_pack_that_was_cut_has_its_whole_blocks(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[bytes]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("p")
    ends = [0]
    for number in range(len(groups)):
        pack = packed(folder, groups[: number + 1])
        ends.append(pack.stat().st_size)
        whole = pack.read_bytes()
        pack.unlink()
    cut = data.draw(st.integers(0, len(whole)))
    pack.write_bytes(whole[:cut])

    blocks = max(number for number, end in enumerate(ends) if end <= cut)
    assert readable(pack) == [body for group in groups[:blocks] for body in group]


@given(GROUPS, st.data())
def test_a_changed_byte_is_found(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[bytes]], data: st.DataObject
) -> None:
    with Target(tmp_path_factory.mktemp("t") / "target") as target:
        with Archive(target) as archive:
            stored = [pair for group in groups for pair in archive.store_together(group)]
        pack = target.path / "_ftetl" / "archive" / stored[0][1]
        raw = bytearray(pack.read_bytes())
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
        pack.write_bytes(raw)
        with Archive(target) as archive:
            for digest, name in stored:
                try:
                    assert sha256(archive.read_body(digest, name)) == digest
                except StorageError as error:
                    assert error.code == "FTETL-A02"  # noqa: PT017 - or there is none


class Half(Fs):
    """The disk is full in the middle of the second block."""

    blocks = 0

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, path: Path) -> None:
        self.blocks += 1
        super().write(descriptor, data[: len(data) // 2] if self.blocks == 2 else data, path)
        if self.blocks == 2:
            raise StorageError("S01", "full", next="free some space")


def test_nothing_is_added_after_half_a_block(tmp_path: Path) -> None:
    fs = Half()
    with fs.open_folder(None, tmp_path) as opened:
        packs = Packs(fs, opened, RUN, 0o600)
        packs.append([sha256(b"one")], [b"one"])
        for body in (b"two", b"three"):
            with pytest.raises(StorageError):
                packs.append([sha256(body)], [body])
        assert packs.places(packs.own).keys() == {sha256(b"one")}
        packs.close()

    assert readable(tmp_path / packs.own) == [b"one"]


class Lying(Fs):
    """Says that it wrote a pack, and wrote something else."""

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, path: Path) -> None:
        super().write(descriptor, bytes(data[:-1]) + b"\0" if path.name.startswith("details-") else data, path)


def test_a_pack_that_does_not_read_back_is_noticed_before_the_commit(tmp_path: Path) -> None:
    with Target(tmp_path / "t", fs=Lying()) as target, Archive(target) as archive:
        [(_, pack)] = archive.store_together([b"a body"])
        with pytest.raises(StorageError, match=f"{pack} does not read back as it was written"):
            archive.sync()


class TestArchive:
    """Bodies that come together are stored once, wherever they are already."""

    @pytest.fixture(autouse=True)
    def _target(self, tmp_path: Path) -> None:
        self.path = tmp_path / "target"

    def store(self, *groups: Sequence[bytes], single: Sequence[bytes] = ()) -> list[tuple[str, str]]:
        """A run that stores these."""
        with Target(self.path) as target, Archive(target) as archive:
            for body in single:
                archive.store(Memory(body))
            stored = [pair for group in groups for pair in archive.store_together(group)]
            archive.sync()
            for (digest, pack), body in zip(stored, [b for group in groups for b in group], strict=True):
                assert archive.read_body(digest, pack) == body
            return stored

    def names(self) -> set[str]:
        return {path.name for path in (self.path / "_ftetl" / "archive").glob("*.zst")}

    def test_the_same_bytes_are_packed_once(self) -> None:
        first = self.store([b"one", b"two", b"one"], [b"two", b"three"])
        before = self.names()
        again = self.store([b"three", b"one"])

        assert {pack for _, pack in first + again} == self.names() == before
        assert len(readable(self.path / "_ftetl" / "archive" / first[0][1])) == 3

    def test_what_has_a_file_of_its_own_or_is_large_is_not_packed(self) -> None:
        large = bytes(_CHUNK + 1)
        stored = self.store([b"one", large, b"two"], single=[b"one"])

        assert [bool(pack) for _, pack in stored] == [False, False, True]
        assert len(self.names()) == 3

    @pytest.mark.parametrize(("damage", "again"), [(0, [True, True]), (-1, [False, True])])
    def test_a_damaged_body_is_packed_again(self, damage: int, again: list[bool]) -> None:
        [(_, pack), _] = self.store([b"one", b"two"])
        file = self.path / "_ftetl" / "archive" / pack
        raw = bytearray(file.read_bytes())
        raw[damage] ^= 255
        file.write_bytes(raw)

        assert [other != pack for _, other in self.store([b"one", b"two"])] == again

    def test_a_missing_pack_is_named(self) -> None:
        [(digest, pack)] = self.store([b"one"])
        (self.path / "_ftetl" / "archive" / pack).unlink()

        with Target(self.path) as target, Archive(target) as archive:
            with pytest.raises(FtetlError, match=f"{pack} is missing") as caught:
                archive.read_body(digest, pack)
            assert caught.value.code == "FTETL-A01"

    def test_an_earlier_pack_that_is_used_again_is_made_durable_before_the_commit(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        [(_, pack)] = self.store([b"one"])  # perhaps of a run that was killed before it was durable
        synced: list[str] = []

        def sync_file(self: Fs, folder: Folder, name: str) -> None:
            synced.append(name)

        monkeypatch.setattr(Fs, "sync_file", sync_file)
        self.store([b"one"])

        assert synced == [pack]
