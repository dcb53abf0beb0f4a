"""A large response is indexed while it is searched for secrets, and a secret in it gets into no index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ftetl.errors import DataError
from ftetl.extract.masking_source import MaskingSource
from ftetl.extract.sources.files import SavedFiles
from ftetl.raw import index
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.raw.secret_search import LARGE

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
