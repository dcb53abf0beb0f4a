"""A large response is indexed while it is searched for secrets, and a secret in it gets into no index."""

from __future__ import annotations

import gzip
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ftetl.errors import DataError
from ftetl.extract.element_digests import digests_of
from ftetl.extract.masking_source import MaskingSource
from ftetl.extract.sources.files import SavedFiles
from ftetl.raw import index, secret_hints
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response, Shape
from ftetl.raw.secret_search import LARGE

DAY = datetime(2026, 8, 1, tzinfo=UTC)
JOB = b'{"id":"ft-%d","status":"completed"}'
SECRET = b'{"id":"ft-3","wandb_key":"s3cret-0123456789"}'
PLAIN = b"\n".join(JOB % number for number in range(5)) + b"\n"


def masked(path: Path) -> Response:
    [response] = MaskingSource(SavedFiles(path, scratch=lambda: path.parent), lambda: path.parent).responses()
    return response


def large(folder: Path, content: bytes) -> Path:
    """A file of the content behind so much white space that it lies in the last window that is searched."""
    path = folder / "jobs.ndjson"
    path.write_bytes(b" " * (LARGE + 100) + b"\n" + content)
    return path


def test_a_large_response_without_secrets_comes_with_its_index(tmp_path: Path) -> None:
    response = masked(large(tmp_path, PLAIN))

    assert response.scanned is not None
    assert index.scan_response(response) is response.scanned[1]
    assert index.scan_response(response) == index.scan_response(replace(response, scanned=None))


@pytest.mark.parametrize("content", [PLAIN + SECRET, SECRET + b"\n" + PLAIN])
def test_one_with_a_secret_is_masked_and_indexed_as_masked(tmp_path: Path, content: bytes) -> None:
    response = masked(large(tmp_path, content))
    scan = index.scan_response(response)

    assert b"s3cret" not in response.blob.read(0, response.blob.size)
    assert response.scanned is None
    assert len(scan.ids) == 6
    assert all(response.blob.read(at, 1) == b"{" for at in scan.offsets)


def test_other_bytes_are_never_read_by_an_index_of_the_first(tmp_path: Path) -> None:
    response = replace(masked(large(tmp_path, PLAIN)), blob=Memory(JOB % 7))

    assert index.scan_response(response).ids == ["ft-7"]


def test_what_is_wrong_with_a_response_is_said_where_it_is_read(tmp_path: Path) -> None:
    response = masked(large(tmp_path, b"no json\n" * 2))

    with pytest.raises(DataError, match="has no job on any"):
        index.scan_response(response)


def test_a_small_response_is_indexed_where_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "jobs.ndjson").write_bytes(PLAIN)

    assert masked(tmp_path / "jobs.ndjson").scanned is None


ELEMENTS = [b'{"id":"ft-%d","status":"completed","n":%d}' % (number, number) for number in range(9)]
HIDDEN = b'"wandb_api_key":"s3cret-0123456789"'


def with_secret(element: bytes) -> bytes:
    return element.replace(b'"status"', HIDDEN + b',"status"')


@pytest.mark.parametrize("form", ["lines", "array", "document"])
@pytest.mark.parametrize(
    "changed",
    [
        *([number] for number in range(9)),
        [3, 4],
        ["before"],
        ["after"],
        ["refused first"],
        ["refused last"],
        ["refused 4"],
        [],
    ],
    ids=str,
)
def test_only_what_was_not_searched_before_is_searched_and_no_secret_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, changed: list[Any]
) -> None:
    monkeypatch.setattr("ftetl.extract.masking_source.LARGE", 0)
    monkeypatch.setattr("ftetl.raw.secret_search._WINDOW", 100)
    before = Response("before", Memory(b"\n".join(ELEMENTS)), DAY, Shape.LINES)
    known = digests_of([before], [index.scan_response(before)])
    elements = [with_secret(element) if number in changed else element for number, element in enumerate(ELEMENTS)]
    for word, place in (("refused first", 0), ("refused 4", 4), ("refused last", 9)):
        if word in changed:
            elements.insert(place, b'{"status":1,' + HIDDEN + b"}")
    beside = b",".join(HIDDEN for _ in "x")
    opening, closing = (b"{" + beside + b"," if "before" in changed else b"{"), b"}"
    if "after" in changed:
        closing = b"," + beside + b"}"
    if form == "document":
        path, content = tmp_path / "jobs.json", opening + b'"data": [' + b" ,\n ".join(elements) + b"]" + closing
    elif form == "array":
        path, content = tmp_path / "jobs.json", b"[" + b",".join(elements) + b"]"
    else:
        path, content = tmp_path / "jobs.ndjson", b"\n".join(elements) + b"\n"
    path.write_bytes(content)
    source = MaskingSource(SavedFiles(path, scratch=lambda: tmp_path), lambda: tmp_path)
    source.searched = known

    [response] = source.responses()

    is_hidden = b"s3cret" in content
    assert is_hidden == bool(changed and (form == "document" or changed[0] not in ("before", "after")))
    assert b"s3cret" not in response.blob.read(0, response.blob.size)
    assert (sum(source.masked.values()) > 0) == is_hidden


def test_what_was_searched_before_is_not_searched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftetl.extract.masking_source.LARGE", 0)
    searched: list[bytes] = []
    look = secret_hints.may_hold_secrets

    def noted(raws: list[bytes]) -> list[bool]:
        searched.extend(bytes(raw) for raw in raws)
        return look(raws)

    monkeypatch.setattr(secret_hints, "may_hold_secrets", noted)
    before = Response("before", Memory(b"\n".join(ELEMENTS)), DAY, Shape.LINES)
    path = tmp_path / "jobs.ndjson"
    path.write_bytes(b"\n".join([*ELEMENTS[:4], ELEMENTS[4].replace(b"completed", b"error"), *ELEMENTS[5:]]))
    source = MaskingSource(SavedFiles(path, scratch=lambda: tmp_path), lambda: tmp_path)
    source.searched = digests_of([before], [index.scan_response(before)])

    list(source.responses())

    assert b"".join(searched).split() == [ELEMENTS[4].replace(b"completed", b"error")]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ftetl-secrets")]


def source_ahead(path: Path) -> SavedFiles:
    source = SavedFiles(path, scratch=lambda: path if path.is_dir() else path.parent)
    source.search_ahead()
    return source


@pytest.mark.parametrize("secret", [b"", SECRET])
def test_a_search_that_began_before_the_file_was_asked_for_finds_the_same(tmp_path: Path, secret: bytes) -> None:
    path = large(tmp_path, PLAIN + secret)
    source = source_ahead(path)
    assert threads()

    [response] = MaskingSource(source, lambda: tmp_path).responses()

    assert index.scan_response(response) == index.scan_response(masked(path))
    assert b"s3cret" not in response.blob.read(0, response.blob.size)
    assert threads() == []


@pytest.mark.parametrize("replaced", [True, False])
def test_a_file_that_was_changed_after_its_search_began_is_searched_again(tmp_path: Path, replaced: bool) -> None:
    path = large(tmp_path, PLAIN)
    source = source_ahead(path)
    if replaced:
        path.unlink()
    large(tmp_path, PLAIN + SECRET)

    [response] = MaskingSource(source, lambda: tmp_path).responses()

    assert len(index.scan_response(response).ids) == 6
    assert b"s3cret" not in response.blob.read(0, response.blob.size)


def test_nothing_is_searched_ahead_of_other_files_and_closing_ends_a_search(tmp_path: Path) -> None:
    path = large(tmp_path, PLAIN)
    source_ahead(path).close()
    (tmp_path / "small.ndjson").write_bytes(PLAIN)
    (tmp_path / "packed.ndjson.gz").write_bytes(gzip.compress(path.read_bytes()))
    for other in (tmp_path, tmp_path / "small.ndjson", tmp_path / "packed.ndjson.gz"):
        source_ahead(other)

    assert threads() == []
