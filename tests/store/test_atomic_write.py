"""The page on the disk: whole, or as it was before."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ftetl.errors import FtetlError, TargetError
from ftetl.store.atomic_write import write_text_atomically


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_the_file_has_the_text_and_the_mode(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "a.html"
    file.write_text("before")
    file.chmod(0o644)
    write_text_atomically(file, "tëxt\n", mode)
    assert file.read_bytes() == "tëxt\n".encode()
    assert file.stat().st_mode & 0o777 == mode
    assert [*tmp_path.iterdir()] == [file]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.html").symlink_to("real.html")
    write_text_atomically(tmp_path / "link.html", "text", 0o600)
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text() == "text"


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_text_atomically(pipe, "text", 0o600)
    reader.join()
    assert read == ["text"]
    assert pipe.is_fifo()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no such folder") as refused:
        write_text_atomically(tmp_path / "no" / "a.html", "text", 0o600)
    assert refused.value.code == "FTETL-T06"


def test_a_folder_in_the_place_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "a.html").mkdir()
    with pytest.raises(TargetError, match="a folder is in the way"):
        write_text_atomically(tmp_path / "a.html", "text", 0o600)
    assert [*tmp_path.iterdir()] == [tmp_path / "a.html"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error() -> None:
    with pytest.raises(FtetlError, match="the disk is full") as refused:
        write_text_atomically(Path("/dev/full"), "text", 0o600)
    assert refused.value.exit.code == 74
