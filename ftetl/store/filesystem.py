"""The file operations of the store: relative to open folders, never through links, with errors as `FtetlError`.

All changes inside a locked target go through here, so a test can record every operation, or let it fail, by overriding
`Fs.perform`. Needs a Unix.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import stat
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ftetl.errors.os_errors import translate_os_errors

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

    def perform(self, operation: str, path: Path) -> contextlib.AbstractContextManager[None]:
        """Translate the `OSError` of an operation. Every operation runs in here."""
        return translate_os_errors(operation, path)

    def open_folder(self, parent: Folder | None, name: str | Path) -> Folder:
        """Open a folder; a link in its place is an error."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        path, at = _locate(parent, name)
        with self.perform("open", path):
            return Folder(path, os.open(name, flags, dir_fd=at))

    def make_folder(self, parent: Folder | None, name: str | Path) -> bool:
        """Make a folder for this user alone (0700); False where the name exists."""
        path, at = _locate(parent, name)
        with self.perform("make", path):
            try:
                os.mkdir(name, 0o700, dir_fd=at)
            except FileExistsError:
                return False
            return True

    def list_names(self, folder: Folder) -> list[str]:
        """The names in a folder, sorted."""
        with self.perform("list", folder.path):
            return sorted(os.listdir(folder.descriptor))  # noqa: PTH208 - pathlib has no descriptors

    def lstat(self, parent: Folder | None, name: str | Path) -> os.stat_result | None:
        """The status of a name, links not followed; None where it does not exist."""
        path, at = _locate(parent, name)
        with self.perform("look at", path), contextlib.suppress(FileNotFoundError):
            return os.stat(name, dir_fd=at, follow_symlinks=False)
        return None

    def is_writable(self, folder: Folder) -> bool:
        """Whether this user may make and remove names in the folder."""
        with self.perform("look at", folder.path):
            return os.access(".", os.W_OK | os.X_OK, dir_fd=folder.descriptor)

    def create(self, folder: Folder, name: str) -> int:
        """The descriptor of a new file, 0600; an error where the name exists, be it a dangling link."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with self.perform("create", folder.path / name):
            return os.open(name, flags, PRIVATE, dir_fd=folder.descriptor)

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, path: Path) -> None:
        """Write all of it, in as many calls as that takes."""
        with self.perform(f"write {len(data)} bytes to", path):
            _write_all(descriptor, data)

    def copy(self, folder: Folder, name: str, descriptor: int, path: Path) -> None:
        """Copy a file to another that is open; they share blocks where the file system can do that."""
        with self.perform("copy to", path), _open_to_read(folder, name) as source:
            with contextlib.suppress(AttributeError, OSError):  # not on macOS, not between all file systems
                while os.copy_file_range(source.fileno(), descriptor, _BLOCK):
                    pass
            while block := source.read(_BLOCK):
                _write_all(descriptor, block)

    def chmod(self, descriptor: int, mode: int, path: Path) -> None:
        """Set the permissions of an open file or folder, whatever the umask; a set-group-id bit stays."""
        with self.perform("set the mode of", path):
            os.fchmod(descriptor, os.fstat(descriptor).st_mode & stat.S_ISGID | mode)

    def chmod_file(self, folder: Folder, name: str, mode: int) -> None:
        """Set the permissions of a file, unless it has them."""
        with self.perform("set the mode of", folder.path / name), _open_to_read(folder, name) as file:
            if os.fstat(file.fileno()).st_mode & 0o777 != mode:
                os.fchmod(file.fileno(), mode)

    def sync(self, descriptor: int, path: Path) -> None:
        """Make a file's bytes durable. After an error the bytes are lost: never try again."""
        with self.perform("sync", path):
            os.fsync(descriptor)

    def sync_file(self, folder: Folder, name: str) -> None:
        """Make the bytes of a closed file durable."""
        with self.perform("sync", folder.path / name), _open_to_read(folder, name) as file:
            os.fsync(file.fileno())

    def sync_folder(self, folder: Folder) -> None:
        """Make the names in a folder durable, where its file system supports that."""
        with self.perform("sync", folder.path):
            try:
                os.fsync(folder.descriptor)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # SMB and some FUSE have no such thing
                    raise

    def close(self, descriptor: int, path: Path) -> None:
        """Close a file; network file systems report lost writes here."""
        with self.perform("close", path):
            os.close(descriptor)

    def read_bytes(self, folder: Folder, name: str) -> bytes | None:
        """The content of a small file; None where it does not exist."""
        with self.perform("read", folder.path / name):
            try:
                with _open_to_read(folder, name) as file:
                    return file.read()
            except FileNotFoundError:
                return None

    def read_part(self, folder: Folder, name: str, offset: int, length: int) -> bytes:
        """The bytes of a file from `offset`, `length` of them or as many as there are."""
        with self.perform("read", folder.path / name), _open_to_read(folder, name) as file:
            return os.pread(file.fileno(), length, offset)

    def digest(self, folder: Folder, name: str) -> tuple[int, str]:
        """The length of a file in bytes and its SHA-256, as read now."""
        with self.perform("read", folder.path / name), _open_to_read(folder, name) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), sha256

    def rename(self, folder: Folder, name: str, to: Folder, new: str) -> None:
        """Move a file, folder or link to another name; a file of that name is replaced."""
        with self.perform("rename to", to.path / new):
            os.rename(name, new, src_dir_fd=folder.descriptor, dst_dir_fd=to.descriptor)

    def link(self, folder: Folder, name: str, to: Folder, new: str) -> Link:
        """Give a file a second name, never one that exists."""
        with self.perform("link", to.path / new):
            try:
                os.link(name, new, src_dir_fd=folder.descriptor, dst_dir_fd=to.descriptor, follow_symlinks=False)
            except FileExistsError:
                return Link.TAKEN
            except OSError as error:
                if error.errno in _NO_LINKS:
                    return Link.UNSUPPORTED
                raise
            return Link.MADE

    def symlink(self, text: str, folder: Folder, name: str) -> None:
        """Make a symbolic link with this text."""
        with self.perform("make the link", folder.path / name):
            os.symlink(text, name, dir_fd=folder.descriptor)

    def link_text(self, folder: Folder, name: str) -> str:
        """The text of a symbolic link."""
        with self.perform("read the link", folder.path / name):
            return os.readlink(name, dir_fd=folder.descriptor)

    def unlink(self, folder: Folder, name: str) -> None:
        """Remove a file or a link; it may be gone already."""
        with self.perform("remove", folder.path / name), contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder.descriptor)

    def remove_folder(self, folder: Folder, name: str) -> None:
        """Remove an empty folder."""
        with self.perform("remove", folder.path / name):
            os.rmdir(name, dir_fd=folder.descriptor)

    def try_lock(self, folder: Folder, name: str) -> int | None:
        """The descriptor of a file that this process has locked, made if missing; None while another one holds it."""
        import fcntl  # not on Windows, where this module can still be imported

        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with self.perform("lock", folder.path / name):
            descriptor = os.open(name, flags, PRIVATE, dir_fd=folder.descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                if isinstance(error, BlockingIOError):
                    return None
                raise
            return descriptor


def _locate(parent: Folder | None, name: str | Path) -> tuple[Path, int | None]:
    """The path of a name in a folder, and the folder's descriptor."""
    return (Path(name), None) if parent is None else (parent.path / name, parent.descriptor)


def _write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        written = os.write(descriptor, rest)
        if written <= 0:
            raise OSError(errno.EIO, "nothing was written")
        rest = rest[written:]


def _open_to_read(folder: Folder, name: str) -> io.FileIO:
    def open_in_folder(name: str, flags: int) -> int:
        # O_NONBLOCK: opening a planted pipe must not block
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder.descriptor)

    return io.FileIO(name, opener=open_in_folder)
