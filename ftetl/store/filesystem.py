"""The file operations that the store is made of: in open folders, never through links, errors in our words.

The store touches the disk here and nowhere else, so a test can stand a recording or a failing `Fs` in this place:
`perform` sees every operation. Nothing here knows what a file means. Needs a Unix.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar

from ftetl.errors.os_errors import error_for_operation

T = TypeVar("T")

PRIVATE = 0o600  # the permissions that a file is made with
_BLOCK = 1 << 20
_NO_LINKS = {getattr(errno, name, None) for name in ("EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EXDEV")}


@dataclass(frozen=True)
class Folder:
    """An open folder: what is in it is reached through the descriptor, so nobody can swap the path meanwhile."""

    path: Path
    descriptor: int

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


class Link(Enum):
    """What came of a hard link."""

    MADE = "made"
    TAKEN = "taken"  # the name exists; nothing was changed
    UNSUPPORTED = "unsupported"  # the file system has no hard links, or no more of them


class Fs:
    """Files as the operating system has them. Every method raises `TargetError` or `StorageError`, nothing else.

    A parent of None stands for the current folder; names in an open folder are plain names.
    """

    def perform(self, operation: str, path: Path, call: Callable[[], T]) -> T:
        """What `call` gives, its `OSError` translated; the one place that a test overrides to record or to fail."""
        try:
            return call()
        except OSError as error:
            raise error_for_operation(error, operation, path) from error

    def open_folder(self, parent: Folder | None, name: str | Path) -> Folder:
        """The folder, open; a link in its place is an error."""
        path, at = _place(parent, name)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        return Folder(path, self.perform("open", path, lambda: os.open(name, flags, dir_fd=at)))

    def make_folder(self, parent: Folder | None, name: str | Path) -> bool:
        """Make a folder for this user alone (0700); False where something has the name already."""
        path, at = _place(parent, name)

        def make() -> bool:
            try:
                os.mkdir(name, 0o700, dir_fd=at)
            except FileExistsError:
                return False
            return True

        return self.perform("make", path, make)

    def list_names(self, folder: Folder) -> list[str]:
        """The names in a folder, sorted."""
        call = lambda: sorted(os.listdir(folder.descriptor))  # noqa: E731, PTH208 - pathlib has no descriptors
        return self.perform("list", folder.path, call)

    def lstat(self, parent: Folder | None, name: str | Path) -> os.stat_result | None:
        """What stands at the name itself, links not followed; None where nothing does."""
        path, at = _place(parent, name)

        def look() -> os.stat_result | None:
            try:
                return os.stat(name, dir_fd=at, follow_symlinks=False)
            except FileNotFoundError:
                return None

        return self.perform("look at", path, look)

    def is_writable(self, folder: Folder) -> bool:
        """Whether this user may make and remove names in the folder."""
        call = lambda: os.access(".", os.W_OK | os.X_OK, dir_fd=folder.descriptor)  # noqa: E731
        return self.perform("look at", folder.path, call)

    def create(self, folder: Folder, name: str) -> int:
        """The descriptor of a new file, 0600; an error where something has the name, be it a dangling link."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        path, at = _place(folder, name)
        return self.perform("create", path, lambda: os.open(name, flags, PRIVATE, dir_fd=at))

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, path: Path) -> None:
        """Write all of it, however many calls that takes."""
        self.perform(f"write {len(data)} bytes to", path, lambda: _write_all(descriptor, data))

    def copy(self, folder: Folder, name: str, descriptor: int, path: Path) -> None:
        """Write all of a file to another that is open; their blocks are shared where the file system can do that."""

        def copy() -> None:
            with open(_open_to_read(name, folder.descriptor), "rb", buffering=0) as source:
                with contextlib.suppress(AttributeError, OSError):  # not on macOS, not between all file systems
                    while os.copy_file_range(source.fileno(), descriptor, _BLOCK):
                        pass
                while block := source.read(_BLOCK):
                    _write_all(descriptor, block)

        self.perform("copy to", path, copy)

    def chmod(self, descriptor: int, mode: int, path: Path) -> None:
        """Set the permissions of an open file or folder, whatever the umask; a set-group-id bit stays."""
        call = lambda: os.fchmod(descriptor, os.fstat(descriptor).st_mode & stat.S_ISGID | mode)  # noqa: E731
        self.perform("set the mode of", path, call)

    def chmod_file(self, folder: Folder, name: str, mode: int) -> None:
        """Set the permissions of a file, unless it has them."""
        path, at = _place(folder, name)

        def chmod() -> None:
            descriptor = _open_to_read(name, at)
            try:
                if os.fstat(descriptor).st_mode & 0o777 != mode:
                    os.fchmod(descriptor, mode)
            finally:
                os.close(descriptor)

        self.perform("set the mode of", path, chmod)

    def sync(self, descriptor: int, path: Path) -> None:
        """Make a file's bytes durable. After an error the bytes are lost: never try again."""
        self.perform("sync", path, lambda: os.fsync(descriptor))

    def sync_file(self, folder: Folder, name: str) -> None:
        """Make the bytes of a closed file durable."""
        path, at = _place(folder, name)

        def sync() -> None:
            descriptor = _open_to_read(name, at)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

        self.perform("sync", path, sync)

    def sync_folder(self, folder: Folder) -> None:
        """Make the names in a folder durable, where its file system knows how to."""

        def sync() -> None:
            try:
                os.fsync(folder.descriptor)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # SMB and some FUSE have no such thing
                    raise

        self.perform("sync", folder.path, sync)

    def close(self, descriptor: int, path: Path) -> None:
        """Close a file; network file systems report lost writes here."""
        self.perform("close", path, lambda: os.close(descriptor))

    def read_bytes(self, folder: Folder, name: str) -> bytes | None:
        """All of a small file; None where there is none."""
        path, at = _place(folder, name)

        def read() -> bytes | None:
            try:
                with open(_open_to_read(name, at), "rb") as file:
                    return file.read()
            except FileNotFoundError:
                return None

        return self.perform("read", path, read)

    def digest(self, folder: Folder, name: str) -> tuple[int, str]:
        """How many bytes are in a file, and their SHA-256, as read now."""
        path, at = _place(folder, name)

        def read() -> tuple[int, str]:
            with open(_open_to_read(name, at), "rb", buffering=0) as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                return file.tell(), sha256

        return self.perform("read", path, read)

    def rename(self, folder: Folder, name: str, to: Folder, new: str) -> None:
        """Move a file, folder or link to another name; a file of that name is replaced."""
        path, at = _place(to, new)
        self.perform("rename to", path, lambda: os.rename(name, new, src_dir_fd=folder.descriptor, dst_dir_fd=at))

    def link(self, folder: Folder, name: str, to: Folder, new: str) -> Link:
        """A second name for a file, never one that exists."""
        path, at = _place(to, new)

        def link() -> Link:
            try:
                os.link(name, new, src_dir_fd=folder.descriptor, dst_dir_fd=at, follow_symlinks=False)
            except FileExistsError:
                return Link.TAKEN
            except OSError as error:
                if error.errno in _NO_LINKS:
                    return Link.UNSUPPORTED
                raise
            return Link.MADE

        return self.perform("link", path, link)

    def symlink(self, text: str, folder: Folder, name: str) -> None:
        """A symbolic link with this text."""
        path, at = _place(folder, name)
        self.perform("make the link", path, lambda: os.symlink(text, name, dir_fd=at))

    def link_text(self, folder: Folder, name: str) -> str:
        """What a symbolic link says."""
        path, at = _place(folder, name)
        return self.perform("read the link", path, lambda: os.readlink(name, dir_fd=at))

    def unlink(self, folder: Folder, name: str) -> None:
        """Remove a file or a link; it may be gone already."""
        path, at = _place(folder, name)

        def unlink() -> None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=at)

        self.perform("remove", path, unlink)

    def remove_folder(self, folder: Folder, name: str) -> None:
        """Remove an empty folder."""
        path, at = _place(folder, name)
        self.perform("remove", path, lambda: os.rmdir(name, dir_fd=at))

    def try_lock(self, folder: Folder, name: str) -> int | None:
        """The descriptor of a file that only we hold, made where it is missing; None while another process holds it."""
        import fcntl  # not on Windows, where this module can still be imported

        path, at = _place(folder, name)

        def take() -> int | None:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, PRIVATE, dir_fd=at)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                if isinstance(error, BlockingIOError):
                    return None
                raise
            return descriptor

        return self.perform("lock", path, take)


def _place(parent: Folder | None, name: str | Path) -> tuple[Path, int | None]:
    return (Path(name), None) if parent is None else (parent.path / name, parent.descriptor)


def _write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        written = os.write(descriptor, rest)
        if written <= 0:
            raise OSError(errno.EIO, "nothing was written")
        rest = rest[written:]


def _open_to_read(name: str, at: int | None) -> int:
    # O_NONBLOCK: a planted pipe must not hold us for ever
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
