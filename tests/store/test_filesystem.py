"""The layer under the store: errors in our words, never through links."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ftetl.errors import FtetlError, StorageError, TargetError
from ftetl.store.filesystem import Folder, Fs, Link

DATA = b"bytes of a file\n" * 100_000


class Failing(Fs):
    """Every operation fails with one error of the system."""

    def __init__(self, number: int) -> None:
        self.number = number

    @contextmanager
    def perform(self, operation: str, path: Path) -> Iterator[None]:
        with super().perform(operation, path):
            raise OSError(self.number, "text of the library", "/secret/path")
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with Fs().open_folder(None, tmp_path) as opened:
        yield opened


ERRORS = [
    (errno.ENOSPC, StorageError, "the disk is full, "),
    (errno.EDQUOT, StorageError, "the disk quota is used up; "),
    (errno.EIO, StorageError, "the device reports an I/O error; "),
    (errno.EMFILE, StorageError, "too many files are open; "),
    (errno.ENFILE, StorageError, "too many files are open on this machine; "),
    (errno.ENOENT, StorageError, "it is not there; "),
    (errno.ESTALE, StorageError, "error ESTALE; "),
    (errno.EROFS, TargetError, "the file system is read-only; "),
    (errno.EACCES, TargetError, "permission denied; "),
    (errno.EPERM, TargetError, "the system does not allow it; "),
    (errno.EEXIST, TargetError, "something of that name is in the way; "),
    (errno.ELOOP, TargetError, "a file or a symbolic link stands in its place; "),
    (errno.ENOTDIR, TargetError, "a file or a symbolic link stands in its place; "),
]


@pytest.mark.parametrize(("number", "kind", "reason"), ERRORS, ids=[errno.errorcode[number] for number, *_ in ERRORS])
def test_an_error_says_what_where_and_why_in_one_line(
    number: int, kind: type[FtetlError], reason: str, tmp_path: Path
) -> None:
    with Fs().open_folder(None, tmp_path) as opened, pytest.raises(kind) as caught:
        Failing(number).create(opened, "name")

    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"cannot create {tmp_path / 'name'}: {reason}")
    assert caught.value.next
    assert "\n" not in str(caught.value)
    assert "library" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_full_disk_says_how_much_was_to_be_written_and_how_much_is_free(folder: Folder) -> None:
    with pytest.raises(StorageError, match=r"^cannot write 12 bytes to .*: the disk is full, \d+ bytes are free; free"):
        Failing(errno.ENOSPC).write(-1, b"twelve bytes", folder.path / "name")


OPERATIONS: dict[str, Callable[[Fs, Folder], object]] = {
    "open_folder": lambda fs, folder: fs.open_folder(folder, "name"),
    "make_folder": lambda fs, folder: fs.make_folder(folder, "name"),
    "list_names": lambda fs, folder: fs.list_names(folder),
    "lstat": lambda fs, folder: fs.lstat(folder, "name"),
    "is_writable": lambda fs, folder: fs.is_writable(folder),
    "create": lambda fs, folder: fs.create(folder, "name"),
    "write": lambda fs, folder: fs.write(folder.descriptor, b"x", folder.path),
    "copy": lambda fs, folder: fs.copy(folder, "name", -1, folder.path),
    "chmod": lambda fs, folder: fs.chmod(folder.descriptor, 0o700, folder.path),
    "chmod_file": lambda fs, folder: fs.chmod_file(folder, "name", 0o600),
    "sync": lambda fs, folder: fs.sync(folder.descriptor, folder.path),
    "sync_file": lambda fs, folder: fs.sync_file(folder, "file"),
    "sync_folder": lambda fs, folder: fs.sync_folder(folder),
    "close": lambda fs, folder: fs.close(folder.descriptor, folder.path),
    "read_bytes": lambda fs, folder: fs.read_bytes(folder, "name"),
    "read_part": lambda fs, folder: fs.read_part(folder, "name", 0, 1),
    "digest": lambda fs, folder: fs.digest(folder, "name"),
    "rename": lambda fs, folder: fs.rename(folder, "name", folder, "new"),
    "link": lambda fs, folder: fs.link(folder, "name", folder, "new"),
    "symlink": lambda fs, folder: fs.symlink("text", folder, "name"),
    "link_text": lambda fs, folder: fs.link_text(folder, "name"),
    "unlink": lambda fs, folder: fs.unlink(folder, "name"),
    "remove_folder": lambda fs, folder: fs.remove_folder(folder, "name"),
    "try_lock": lambda fs, folder: fs.try_lock(folder, "name"),
}


def test_the_table_of_operations_is_complete() -> None:
    public = {name for name in vars(Fs) if not name.startswith("_")}

    assert public - {"perform"} == OPERATIONS.keys()


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_every_operation_passes_the_one_place(operation: Callable[[Fs, Folder], object], folder: Folder) -> None:
    with pytest.raises(StorageError, match=f"{folder.path}.*: the device reports an I/O error"):
        operation(Failing(errno.EIO), folder)


THROUGH_LINKS: dict[str, Callable[[Fs, Folder], object]] = {
    "open_folder": lambda fs, folder: fs.open_folder(folder, "link"),
    "create": lambda fs, folder: fs.create(folder, "link"),
    "read_bytes": lambda fs, folder: fs.read_bytes(folder, "link"),
    "read_part": lambda fs, folder: fs.read_part(folder, "link", 0, 1),
    "digest": lambda fs, folder: fs.digest(folder, "link"),
    "chmod_file": lambda fs, folder: fs.chmod_file(folder, "link", 0o666),
    "copy": lambda fs, folder: fs.copy(folder, "link", -1, folder.path),
    "try_lock": lambda fs, folder: fs.try_lock(folder, "link"),
}


@pytest.mark.parametrize("to", ["file", "folder", "nowhere"])
@pytest.mark.parametrize("operation", THROUGH_LINKS.values(), ids=THROUGH_LINKS.keys())
def test_a_link_is_not_followed(operation: Callable[[Fs, Folder], object], to: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(to)

    with Fs().open_folder(None, tmp_path) as folder, pytest.raises(TargetError):
        operation(Fs(), folder)

    assert (tmp_path / "file").read_bytes() == DATA
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert not (tmp_path / "nowhere").exists()


def test_removing_a_link_leaves_what_it_leads_to(folder: Folder) -> None:
    (folder.path / "file").write_bytes(DATA)
    Fs().symlink("file", folder, "link")
    assert Fs().link_text(folder, "link") == "file"

    Fs().unlink(folder, "link")

    assert Fs().list_names(folder) == ["file"]


def test_an_open_folder_stays_the_same_when_its_path_is_taken_by_another(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    with Fs().open_folder(None, tmp_path / "ours") as folder:
        (tmp_path / "ours").rename(tmp_path / "moved")
        (tmp_path / "ours").symlink_to(tmp_path)
        os.close(Fs().create(folder, "name"))

    assert (tmp_path / "moved" / "name").exists()
    assert not (tmp_path / "name").exists()


def test_what_is_written_is_what_is_digested(folder: Folder) -> None:
    fs = Fs()
    descriptor = fs.create(folder, "name")
    fs.write(descriptor, DATA, folder.path / "name")
    fs.sync(descriptor, folder.path / "name")
    fs.close(descriptor, folder.path / "name")

    assert fs.read_bytes(folder, "name") == DATA
    assert fs.digest(folder, "name") == (len(DATA), hashlib.sha256(DATA).hexdigest())


def _from_elsewhere(_from: int, _to: int, _count: int) -> int:
    raise OSError(errno.EXDEV, "another file system")


def _once(done: list[int]) -> Callable[[int, int, int], int]:
    def copy(source: int, sink: int, _count: int) -> int:
        done.append(0 if done else os.write(sink, os.read(source, 1000)))
        return done[-1]

    return copy


@pytest.mark.parametrize(
    "copies",
    [
        pytest.param(None, id="as the system does it"),
        pytest.param(_from_elsewhere, id="to another file system"),
        pytest.param(_once([]), id="a part only"),
        pytest.param(NotImplemented, id="not at all"),
    ],
)
def test_a_copy_is_whole_however_it_is_made(folder: Folder, monkeypatch: pytest.MonkeyPatch, copies: Any) -> None:
    fs = Fs()
    (folder.path / "old").write_bytes(DATA)
    if copies is NotImplemented:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    elif copies is not None:
        monkeypatch.setattr(os, "copy_file_range", copies, raising=False)
    descriptor = fs.create(folder, "new")
    fs.copy(folder, "old", descriptor, folder.path / "new")
    fs.close(descriptor, folder.path / "new")

    assert (folder.path / "new").read_bytes() == DATA


def test_writing_goes_on_after_a_short_write(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr("ftetl.store.filesystem.os.write", lambda descriptor, data: write(descriptor, data[:7]))
    descriptor = Fs().create(folder, "name")
    Fs().write(descriptor, bytearray(DATA[:1000]), folder.path / "name")
    os.close(descriptor)

    assert (folder.path / "name").read_bytes() == DATA[:1000]


def test_a_write_that_writes_nothing_is_an_error_and_no_endless_loop(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftetl.store.filesystem.os.write", lambda descriptor, data: 0)

    with pytest.raises(StorageError, match="I/O error"):
        Fs().write(-1, b"data", folder.path / "name")


def test_a_new_file_never_takes_the_place_of_one(folder: Folder) -> None:
    (folder.path / "name").write_bytes(DATA)

    with pytest.raises(TargetError, match="something of that name is in the way"):
        Fs().create(folder, "name")


def test_a_link_says_whether_it_was_made_or_the_name_was_taken(folder: Folder) -> None:
    (folder.path / "one").write_bytes(b"1")
    (folder.path / "two").write_bytes(b"2")

    assert Fs().link(folder, "one", folder, "new") is Link.MADE
    assert Fs().link(folder, "two", folder, "new") is Link.TAKEN
    assert (folder.path / "new").read_bytes() == b"1"


def test_a_folder_is_made_once_and_for_this_user_only(folder: Folder) -> None:
    before = os.umask(0)
    try:
        assert Fs().make_folder(folder, "new")
        assert not Fs().make_folder(folder, "new")
    finally:
        os.umask(before)

    assert (folder.path / "new").stat().st_mode & 0o777 == 0o700


def test_a_missing_name_has_no_status_and_no_content(folder: Folder) -> None:
    assert Fs().lstat(folder, "name") is None
    assert Fs().read_bytes(folder, "name") is None
    Fs().unlink(folder, "name")


def test_a_pipe_in_place_of_a_file_does_not_hold_us(folder: Folder) -> None:
    os.mkfifo(folder.path / "pipe")

    assert Fs().read_bytes(folder, "pipe") == b""


def test_a_lock_is_held_by_one(folder: Folder) -> None:
    first = Fs().try_lock(folder, "lock")
    assert first is not None
    assert Fs().try_lock(folder, "lock") is None

    os.close(first)

    second = Fs().try_lock(folder, "lock")
    assert second is not None
    os.close(second)


def test_the_group_that_new_files_inherit_survives_a_change_of_mode(folder: Folder) -> None:
    folder.path.chmod(0o2755)

    Fs().chmod(folder.descriptor, 0o750, folder.path)

    assert folder.path.stat().st_mode & 0o7777 == 0o2750
