"""The file operations of the store: relative to open folders, never through links, with errors as `FtetlError`.

All changes inside a locked target go through here, so a test can record every operation, or let it fail, by overriding
`Fs.perform`. Needs a Unix.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
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
    """An open folder; its entries are reached through the descriptor, so nobody can swap the path meanwhile."""

    path: Path
    descriptor: int

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


class Link(Enum):
    """The outcome of making a hard link."""

    MADE = "made"
    TAKEN = "taken"  # the name exists; nothing was changed
    UNSUPPORTED = "unsupported"  # the file system has no hard links, or no more of them


class Fs:
    """File operations. Every method raises `TargetError` or `StorageError`, nothing else.

    A parent of None is the current folder; names in an open folder are plain names.
    """

    def perform(self, operation: str, path: Path, call: Callable[[], T]) -> T:
        """The result of `call`, its `OSError` translated. Every operation passes here."""
        try:
            return call()
        except OSError as error:
            raise error_for_operation(error, operation, path) from error

    def _perform_in(
        self, operation: str, parent: Folder | None, name: str | Path, call: Callable[[int | None], T]
    ) -> T:
        """Perform an operation on a name; `call` gets the parent's descriptor."""
        path = Path(name) if parent is None else parent.path / name
        return self.perform(operation, path, lambda: call(parent.descriptor if parent else None))

    def open_folder(self, parent: Folder | None, name: str | Path) -> Folder:
        """Open a folder; a link in its place is an error."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = self._perform_in("open", parent, name, lambda at: os.open(name, flags, dir_fd=at))
        return Folder(Path(name) if parent is None else parent.path / name, descriptor)

    def make_folder(self, parent: Folder | None, name: str | Path) -> bool:
        """Make a folder for this user alone (0700); False where the name exists."""

        def make(at: int | None) -> bool:
            try:
                os.mkdir(name, 0o700, dir_fd=at)
            except FileExistsError:
                return False
            return True

        return self._perform_in("make", parent, name, make)

    def list_names(self, folder: Folder) -> list[str]:
        """The names in a folder, sorted."""
        call = lambda: sorted(os.listdir(folder.descriptor))  # noqa: E731, PTH208 - pathlib has no descriptors
        return self.perform("list", folder.path, call)

    def lstat(self, parent: Folder | None, name: str | Path) -> os.stat_result | None:
        """The status of a name, links not followed; None where it does not exist."""

        def lstat(at: int | None) -> os.stat_result | None:
            with contextlib.suppress(FileNotFoundError):
                return os.stat(name, dir_fd=at, follow_symlinks=False)
            return None

        return self._perform_in("look at", parent, name, lstat)

    def is_writable(self, folder: Folder) -> bool:
        """Whether this user may make and remove names in the folder."""
        call = lambda: os.access(".", os.W_OK | os.X_OK, dir_fd=folder.descriptor)  # noqa: E731
        return self.perform("look at", folder.path, call)

    def create(self, folder: Folder, name: str) -> int:
        """The descriptor of a new file, 0600; an error where the name exists, be it a dangling link."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return self._perform_in("create", folder, name, lambda at: os.open(name, flags, PRIVATE, dir_fd=at))

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, path: Path) -> None:
        """Write all of it, in as many calls as that takes."""
        self.perform(f"write {len(data)} bytes to", path, lambda: _write_all(descriptor, data))

    def copy(self, folder: Folder, name: str, descriptor: int, path: Path) -> None:
        """Copy a file to another that is open; they share blocks where the file system can do that."""

        def copy() -> None:
            with _open_to_read(name, folder.descriptor) as source:
                with contextlib.suppress(AttributeError, OSError):  # not on macOS, not between all file systems
                    while os.copy_file_range(source, descriptor, _BLOCK):
                        pass
                while block := os.read(source, _BLOCK):
                    _write_all(descriptor, block)

        self.perform("copy to", path, copy)

    def chmod(self, descriptor: int, mode: int, path: Path) -> None:
        """Set the permissions of an open file or folder, whatever the umask; a set-group-id bit stays."""
        call = lambda: os.fchmod(descriptor, os.fstat(descriptor).st_mode & stat.S_ISGID | mode)  # noqa: E731
        self.perform("set the mode of", path, call)

    def chmod_file(self, folder: Folder, name: str, mode: int) -> None:
        """Set the permissions of a file, unless it has them."""

        def chmod(at: int | None) -> None:
            with _open_to_read(name, at) as descriptor:
                if os.fstat(descriptor).st_mode & 0o777 != mode:
                    os.fchmod(descriptor, mode)

        self._perform_in("set the mode of", folder, name, chmod)

    def sync(self, descriptor: int, path: Path) -> None:
        """Make a file's bytes durable. After an error the bytes are lost: never try again."""
        self.perform("sync", path, lambda: os.fsync(descriptor))

    def sync_file(self, folder: Folder, name: str) -> None:
        """Make the bytes of a closed file durable."""

        def sync(at: int | None) -> None:
            with _open_to_read(name, at) as descriptor:
                os.fsync(descriptor)

        self._perform_in("sync", folder, name, sync)

    def sync_folder(self, folder: Folder) -> None:
        """Make the names in a folder durable, where its file system supports that."""

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
        """The content of a small file; None where it does not exist."""

        def read(at: int | None) -> bytes | None:
            opened = _open_to_read(name, at)
            with contextlib.suppress(FileNotFoundError), opened as source, open(source, "rb", closefd=False) as file:
                return file.read()
            return None

        return self._perform_in("read", folder, name, read)

    def digest(self, folder: Folder, name: str) -> tuple[int, str]:
        """The length of a file in bytes and its SHA-256, as read now."""

        def read(at: int | None) -> tuple[int, str]:
            with _open_to_read(name, at) as descriptor, open(descriptor, "rb", buffering=0, closefd=False) as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                return file.tell(), sha256

        return self._perform_in("read", folder, name, read)

    def rename(self, folder: Folder, name: str, to: Folder, new: str) -> None:
        """Move a file, folder or link to another name; a file of that name is replaced."""
        source = folder.descriptor
        self._perform_in("rename to", to, new, lambda at: os.rename(name, new, src_dir_fd=source, dst_dir_fd=at))

    def link(self, folder: Folder, name: str, to: Folder, new: str) -> Link:
        """Give a file a second name, never one that exists."""

        def link(at: int | None) -> Link:
            try:
                os.link(name, new, src_dir_fd=folder.descriptor, dst_dir_fd=at, follow_symlinks=False)
            except FileExistsError:
                return Link.TAKEN
            except OSError as error:
                if error.errno in _NO_LINKS:
                    return Link.UNSUPPORTED
                raise
            return Link.MADE

        return self._perform_in("link", to, new, link)

    def symlink(self, text: str, folder: Folder, name: str) -> None:
        """Make a symbolic link with this text."""
        self._perform_in("make the link", folder, name, lambda at: os.symlink(text, name, dir_fd=at))

    def link_text(self, folder: Folder, name: str) -> str:
        """The text of a symbolic link."""
        return self._perform_in("read the link", folder, name, lambda at: os.readlink(name, dir_fd=at))

    def unlink(self, folder: Folder, name: str) -> None:
        """Remove a file or a link; it may be gone already."""

        def unlink(at: int | None) -> None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=at)

        self._perform_in("remove", folder, name, unlink)

    def remove_folder(self, folder: Folder, name: str) -> None:
        """Remove an empty folder."""
        self._perform_in("remove", folder, name, lambda at: os.rmdir(name, dir_fd=at))

    def try_lock(self, folder: Folder, name: str) -> int | None:
        """The descriptor of a file that this process has locked, made if missing; None while another one holds it."""
        import fcntl  # not on Windows, where this module can still be imported

        def lock(at: int | None) -> int | None:
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

        return self._perform_in("lock", folder, name, lock)


def _write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        written = os.write(descriptor, rest)
        if written <= 0:
            raise OSError(errno.EIO, "nothing was written")
        rest = rest[written:]


@contextlib.contextmanager
def _open_to_read(name: str, at: int | None) -> Iterator[int]:
    # O_NONBLOCK: opening a planted pipe must not block
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
