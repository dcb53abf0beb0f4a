"""Saved responses: which files count, what they are taken for, and that nothing is cut short in silence."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard

from ftetl.config import limits
from ftetl.errors import DataError, StorageError
from ftetl.extract.sources.files import SavedFiles
from ftetl.raw.blob import File
from ftetl.raw.response import Response, Shape

DOCUMENT, LINES = Shape.DOCUMENT, Shape.LINES
LIST = b'{"data":[' + b",".join(b'{"id":"ft-%d","status":"completed"}' % number for number in range(300)) + b"]}\n"
NDJSON = b"".join(b'{"id":"ft-%d"}\n' % number for number in range(300))
SEEN = datetime(2026, 7, 2, 8, 10, 14, tzinfo=UTC)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstd}


@pytest.fixture
def scratch(tmp_path: Path) -> Callable[[], Path]:
    def make() -> Path:
        folder = tmp_path / "scratch"
        folder.mkdir(exist_ok=True)
        return folder

    return make


def contents(response: Response) -> bytes:
    return response.blob.read(0, response.blob.size)


def unpacked(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "scratch").glob("*"))


# ------------------------------------------------------------------------------------------------- one file


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize(
    ("suffix", "data", "shape", "whole"),
    [
        (".json", LIST, DOCUMENT, True),
        (".json", b'[{"id":"x"}]', DOCUMENT, True),
        (".json", b"", DOCUMENT, True),
        (".JSON", LIST, DOCUMENT, True),
        (".ndjson", NDJSON, LINES, True),
        (".jsonl", NDJSON, LINES, True),
        (".export.jsonl", NDJSON, LINES, True),
        (".json", NDJSON, LINES, True),
    ],
)
def test_a_file_is_one_response_of_the_shape_that_its_name_or_its_lines_say(
    tmp_path: Path, scratch, suffix: str, data: bytes, shape: Shape, whole: bool, packing: str
) -> None:
    file = tmp_path / f"answer{suffix}{packing}"
    file.write_bytes(PACK[packing](data))
    os.utime(file, (SEEN.timestamp(), SEEN.timestamp()))
    source = SavedFiles(file, scratch=scratch)

    (response,) = source.responses()

    assert contents(response) == data
    assert (response.name, response.shape, response.whole, response.detail) == (file.name, shape, whole, False)
    assert response.observed_at == SEEN
    assert source.files == (file,)
    assert source.service is None
    assert list(source.details(["ft-1"])) == []
    source.close()
    source.close()


def test_a_plain_file_is_read_where_it_lies(tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    file.write_bytes(LIST)

    def scratch() -> Path:
        pytest.fail("nothing has to be unpacked")

    (response,) = SavedFiles(file, scratch=scratch, max_bytes=1).responses()

    assert isinstance(response.blob, File)
    assert response.blob.path == file


def test_a_given_time_goes_before_that_of_the_file(tmp_path: Path, scratch) -> None:
    file = tmp_path / "answer.json"
    file.write_bytes(LIST)

    (response,) = SavedFiles(str(file), scratch=scratch, observed_at=SEEN).responses()

    assert response.observed_at == SEEN


def test_what_was_unpacked_is_private_and_goes_with_the_source(
    tmp_path: Path, scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SMALL_FILE", 0)
    for name in ("a.json.gz", "b.json.zst"):
        (tmp_path / name).write_bytes(PACK[Path(name).suffix](LIST))
    source = SavedFiles(tmp_path, scratch=scratch)

    responses = list(source.responses())

    assert [contents(response) for response in responses] == [LIST, LIST]
    assert unpacked(tmp_path) == []  # it has no name
    source.close()
    with pytest.raises(OSError, match="descriptor"):
        responses[0].blob.read(0, 1)


# ------------------------------------------------------------------------------------------------- a folder


def test_a_folder_is_its_own_files_in_the_order_of_their_names(tmp_path: Path, scratch) -> None:
    folder = tmp_path / "dumps"
    (folder / "deeper.json").mkdir(parents=True)
    (folder / "deeper.json" / "no.json").write_bytes(LIST)
    for name in ("b.json", "a.ndjson.gz", "c.jsonl.zst", ".hidden.json", "readme.txt", "d.json.bz2", "e.gz", "json"):
        (folder / name).write_bytes(PACK.get(Path(name).suffix, bytes)(NDJSON))
    (folder / "link.json").symlink_to(folder / "b.json")
    (folder / "dangling.json").symlink_to(folder / "nothing")
    source = SavedFiles(folder, scratch=scratch)

    responses = list(source.responses())

    assert [(response.name, response.shape, response.whole) for response in responses] == [
        ("a.ndjson.gz", LINES, False),
        ("b.json", LINES, False),
        ("c.jsonl.zst", LINES, False),
        ("link.json", LINES, False),
    ]
    assert {contents(response) for response in responses} == {NDJSON}
    source.close()


@pytest.mark.parametrize("name", [None, "readme.txt", ".hidden.json", "answer.json.bz2"])
def test_a_folder_without_an_answer_is_refused_with_what_would_be_one(tmp_path: Path, scratch, name: str) -> None:
    folder = tmp_path / "dumps"
    folder.mkdir()
    if name:
        (folder / name).write_bytes(LIST)

    with pytest.raises(DataError, match=r"dumps.*\.json, \.ndjson, \.jsonl, each also with \.gz or \.zst"):
        SavedFiles(folder, scratch=scratch)


# ----------------------------------------------------------------------------------------- what is no source


@pytest.mark.parametrize("name", ["answer", "answer.csv", "answer.json.bz2", "answer.gz", "answer.zst", "json"])
def test_a_file_of_another_kind_is_refused_with_what_would_do(tmp_path: Path, scratch, name: str) -> None:
    (tmp_path / name).write_bytes(LIST)

    with pytest.raises(DataError, match=r"\.json, \.ndjson, \.jsonl"):
        SavedFiles(tmp_path / name, scratch=scratch)


@pytest.mark.parametrize("name", ["none.json", "none", "file.json/none.json"])
def test_a_missing_file_is_named(tmp_path: Path, scratch, name: str) -> None:
    (tmp_path / "file.json").write_bytes(LIST)

    with pytest.raises(DataError, match=r"there is no file or folder .*none.*--from"):
        SavedFiles(tmp_path / name, scratch=scratch)


def test_a_pipe_with_a_name_is_no_file(tmp_path: Path, scratch) -> None:
    os.mkfifo(tmp_path / "answer.json")

    with pytest.raises(DataError, match="stdin"):
        SavedFiles(tmp_path / "answer.json", scratch=scratch)


def test_a_file_that_goes_before_it_is_read_is_missing(tmp_path: Path, scratch) -> None:
    for packing in PACK:
        file = tmp_path / f"answer.json{packing}"
        file.write_bytes(LIST)
        source = SavedFiles(file, scratch=scratch)
        file.unlink()

        with pytest.raises(DataError, match="there is no file"):
            list(source.responses())


# ----------------------------------------------------------------------------------------------- compression


def cuts(packed: bytes) -> list[bytes]:
    places = [0, 1, 3, 4, 5, 10, len(packed) // 2, *range(len(packed) - 9, len(packed))]
    return [packed[:place] for place in places]


DAMAGED = {
    ".gz": [
        *cuts(gzip.compress(LIST)),
        gzip.compress(LIST) + b"junk",
        gzip.compress(LIST) + b"\0",
        gzip.compress(LIST) + gzip.compress(LIST)[:-1],
        gzip.compress(LIST)[:-8] + bytes(8),
        LIST,
    ],
    ".zst": [
        *cuts(zstd(LIST)),
        zstd(LIST) + b"junk",
        zstd(LIST) + b"\0",
        zstd(LIST) + zstd(LIST)[:-1],
        zstd(LIST)[:-4] + bytes(4),
        zstandard.ZstdCompressor(write_content_size=False).compress(LIST)[:-1],
        LIST,
    ],
}


@pytest.mark.parametrize(
    ("packing", "data"),
    [
        pytest.param(packing, data, id=f"{packing}-{number}")
        for packing, all_ in DAMAGED.items()
        for number, data in enumerate(all_)
    ],
)
def test_a_cut_or_damaged_file_is_refused_and_leaves_nothing(
    tmp_path: Path, scratch, packing: str, data: bytes
) -> None:
    file = tmp_path / f"answer.ndjson{packing}"
    file.write_bytes(data)

    with pytest.raises(DataError, match=r"answer\.ndjson.* is cut short or damaged"):
        list(SavedFiles(file, scratch=scratch).responses())

    assert unpacked(tmp_path) == []


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_a_compressed_file_without_its_suffix_is_refused_with_the_name_to_use(
    tmp_path: Path, scratch, packing: str
) -> None:
    file = tmp_path / "answer.json"
    file.write_bytes(PACK[packing](LIST))

    with pytest.raises(DataError, match=rf"answer\.json is compressed .*; name it answer\.json\{packing}"):
        list(SavedFiles(file, scratch=scratch).responses())


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_several_members_are_one_file(tmp_path: Path, scratch, packing: str) -> None:
    pack = PACK[packing]
    file = tmp_path / f"answer.ndjson{packing}"
    file.write_bytes(pack(NDJSON) + pack(b"") + pack(NDJSON))
    source = SavedFiles(file, scratch=scratch)

    (response,) = source.responses()

    assert contents(response) == NDJSON + NDJSON
    source.close()


def test_zstd_without_sizes_and_checksums_is_whole_as_well(tmp_path: Path, scratch) -> None:
    packer = zstandard.ZstdCompressor(write_content_size=False, write_checksum=False).compressobj()
    file = tmp_path / "answer.json.zst"
    file.write_bytes(packer.compress(LIST[:99]) + packer.flush(1) + packer.compress(LIST[99:]) + packer.flush())
    source = SavedFiles(file, scratch=scratch)

    assert [contents(response) for response in source.responses()] == [LIST]
    source.close()


@pytest.mark.parametrize("packing", [".gz", ".zst"])
@pytest.mark.parametrize(("limit", "fits"), [(1_000_000, True), (999_999, False), (10, False)])
def test_a_decompression_bomb_is_stopped_at_the_limit(
    tmp_path: Path, scratch, packing: str, limit: int, fits: bool
) -> None:
    file = tmp_path / f"answer.json{packing}"
    file.write_bytes(PACK[packing](bytes(1_000_000)))
    source = SavedFiles(file, scratch=scratch, max_bytes=limit)

    if fits:
        assert [response.blob.size for response in source.responses()] == [limit]
    else:
        with pytest.raises(DataError, match="--max-bytes"):
            list(source.responses())
    source.close()

    assert unpacked(tmp_path) == []


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_a_scratch_folder_that_cannot_be_used_is_a_fault_of_the_target(tmp_path: Path, packing: str) -> None:
    file = tmp_path / f"answer.json{packing}"
    file.write_bytes(PACK[packing](LIST))

    with pytest.raises(StorageError, match="cannot be written"):
        list(SavedFiles(file, scratch=lambda: tmp_path / "none").responses())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_is_a_fault_of_the_target(tmp_path: Path, scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "answer.json.gz"
    file.write_bytes(gzip.compress(LIST))
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Path("/dev/full").open("wb"))  # noqa: SIM115

    with pytest.raises(StorageError, match="cannot be written"):
        list(SavedFiles(file, scratch=scratch).responses())


# ----------------------------------------------------------------------------------------------------- stdin


class Trickle(io.RawIOBase):
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__()
        self._data, self._size = io.BytesIO(data), size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        piece = self._data.read(min(len(buffer), self._size))
        buffer[: len(piece)] = piece
        return len(piece)


STDIN = [
    (LIST, DOCUMENT),
    (LIST.strip(), DOCUMENT),
    (b"\n\n" + LIST + b"\n \n", DOCUMENT),
    (b"\xef\xbb\xbf" + LIST, DOCUMENT),
    (b'{\n  "data": [\n    {"id": "x"}\n  ]\n}\n', DOCUMENT),
    (b'[\n{"id": "x"}\n]\n', DOCUMENT),
    (b'[\n{"id": "x"},\n{"id": "y"}\n]\n', DOCUMENT),
    (b'{"data":\n[]}', DOCUMENT),
    (b'{"data":{"a":1}\n,"b":{}}', DOCUMENT),
    (b'{"id":\n{"a":1}\n}', DOCUMENT),
    (b'{"data":[{"id":"x"}\n,{"id":"y"}\n]}', DOCUMENT),
    (b"[" * 3000 + b"]" * 3000, DOCUMENT),
    (b"not JSON\nat all\n", DOCUMENT),
    (b"", DOCUMENT),
    (b" \n\n", DOCUMENT),
    (NDJSON, LINES),
    (NDJSON.strip(), LINES),
    (NDJSON.replace(b"\n", b"\r\n\r\n"), LINES),
    (b"\n \n" + NDJSON, LINES),
    (b"\xef\xbb\xbf" + NDJSON, LINES),
    (b'{"id":"\xff"}\n{"id":"y"}\n', LINES),
    (b'{"id":NaN}\n{"id":"y"}\n', LINES),
    (b'{"id":"x"}\nbroken\n', LINES),
    (b'{"id":"' + b"x" * 3_000_000 + b'"}\n{"id":"y"}\n', LINES),
]


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize(("data", "shape"), STDIN, ids=lambda value: repr(value)[:30])
def test_the_shape_of_stdin_is_detected(tmp_path: Path, scratch, data: bytes, shape: Shape, packing: str) -> None:
    stdin = io.BytesIO(PACK[packing](data))
    source = SavedFiles("-", scratch=scratch, stdin=stdin)
    before = datetime.now(UTC)

    (response,) = source.responses()

    assert contents(response) == data
    assert (response.name, response.shape, response.whole) == ("stdin", shape, True)
    assert before <= response.observed_at <= datetime.now(UTC)
    source.close()
    assert unpacked(tmp_path) == []


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("size", [1, 3])
def test_a_slow_pipe_is_read_to_its_end(scratch, packing: str, size: int) -> None:
    source = SavedFiles("-", scratch=scratch, stdin=Trickle(PACK[packing](NDJSON), size), observed_at=SEEN)

    (response,) = source.responses()

    assert (contents(response), response.shape, response.observed_at) == (NDJSON, LINES, SEEN)
    source.close()


@pytest.mark.parametrize(
    "data",
    [gzip.compress(LIST)[:-1], zstd(LIST)[:-1], b"\x1f\x8b", b"\x28\xb5\x2f\xfd"],
    ids=["gzip", "zstd", "gzip's magic", "zstd's magic"],
)
def test_a_truncated_compressed_pipe_is_refused(scratch, data: bytes) -> None:
    with pytest.raises(DataError, match="stdin is cut short or damaged"):
        list(SavedFiles("-", scratch=scratch, stdin=io.BytesIO(data)).responses())


@pytest.mark.parametrize("packing", PACK)
def test_stdin_has_a_limit_compressed_or_not(scratch, packing: str) -> None:
    with pytest.raises(DataError, match="--max-bytes"):
        list(SavedFiles("-", scratch=scratch, stdin=io.BytesIO(PACK[packing](LIST)), max_bytes=100).responses())


@pytest.mark.parametrize("packing", PACK)
def test_a_pipe_that_breaks_is_refused(scratch, packing: str) -> None:
    packed = PACK[packing](LIST)

    class Broken(Trickle):
        def readinto(self, buffer) -> int:
            if self._data.tell() >= 10:
                raise OSError
            return super().readinto(buffer)

    with pytest.raises(DataError, match="stdin cannot be read"):
        list(SavedFiles("-", scratch=scratch, stdin=Broken(packed, 10)).responses())


def test_the_process_own_stdin_is_the_default(scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LIST)))
    source = SavedFiles("-", scratch=scratch)

    assert [contents(response) for response in source.responses()] == [LIST]
    source.close()


def test_a_process_without_stdin_gives_an_error(scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(DataError, match="no stdin"):
        list(SavedFiles("-", scratch=scratch).responses())


def test_a_folder_may_hold_more_files_than_a_process_may_have_open(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.json").write_text(f'{{"id":"ft-{number}"}}')
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24));"
        "from ftetl.extract.sources.files import SavedFiles;"
        "print(len(list(SavedFiles(sys.argv[1], scratch=lambda: None).responses())))"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)

    assert ran.stdout == "40\n"
