"""The table from the operating system's error numbers to ftetl's errors, each with its reason and what to do next."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from ftetl.errors import FtetlError, StorageError, TargetError

_REASONS: dict[int, tuple[type[FtetlError], str, str, str]] = {
    errno.ENOSPC: (StorageError, "S01", "the disk is full", "free some space and run again"),
    errno.EDQUOT: (StorageError, "S01", "the disk quota is used up", "free some space, or files, and run again"),
    errno.EIO: (StorageError, "S07", "the device reports an I/O error", "check the disk, then run again"),
    errno.EMFILE: (StorageError, "S22", "too many files are open", "raise the limit (ulimit -n) and run again"),
    errno.ENFILE: (StorageError, "S22", "too many files are open on this machine", "run again when it is less busy"),
    errno.EINTR: (StorageError, "D03", "a signal came in between", "run again"),
    errno.ENOENT: (StorageError, "D01", "it is not there", "look for another program that removes it, then run again"),
    errno.EROFS: (TargetError, "S02", "the file system is read-only", "choose a folder that can be written to"),
    errno.EACCES: (TargetError, "S03", "permission denied", "give this user the right to it, or choose another folder"),
    errno.EPERM: (TargetError, "S03", "the system does not allow it", "choose a folder of this user's own"),
    errno.EEXIST: (TargetError, "S18", "something of that name is in the way", "move it away and run again"),
    errno.EISDIR: (TargetError, "S18", "a folder is in the way", "move it away and run again"),
    errno.ENOTDIR: (TargetError, "S18", "a file or a symbolic link stands in its place", "move it away and run again"),
    errno.ELOOP: (TargetError, "S18", "a file or a symbolic link stands in its place", "move it away and run again"),
    errno.ENAMETOOLONG: (TargetError, "D02", "the name is too long", "choose a shorter one"),
}


def error_for_operation(error: OSError, operation: str, path: Path) -> FtetlError:
    """The error for an operation on a path, like `write`, that failed with an error of the operating system."""
    unknown = f"error {errno.errorcode.get(error.errno or 0, error.errno)}"
    kind, code, reason, advice = _REASONS.get(error.errno or 0, (StorageError, "D03", unknown, "run again"))
    if error.errno == errno.ENOSPC and _has_no_inodes(path.parent):
        code, reason, advice = "S23", "all inodes are in use, so no more files fit", "remove files and run again"
    elif error.errno == errno.ENOSPC:
        with contextlib.suppress(OSError):
            reason += f", {shutil.disk_usage(path.parent).free} bytes are free"
    return kind(code, f"cannot {operation} {path}: {reason}", next=advice)


def translate_os_errors(operation: str, path: Path) -> contextlib.AbstractContextManager[None]:
    """Raise an `OSError` of the block as the error of this operation on this path."""
    return _Translation(operation, path)


class _Translation(contextlib.AbstractContextManager[None]):
    # A class, since the generator of a function would take three times as long, and there are ten for each detail.
    __slots__ = ("_operation", "_path")

    def __init__(self, operation: str, path: Path) -> None:
        self._operation, self._path = operation, path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, FtetlError):  # some are both
            raise error_for_operation(error, self._operation, self._path) from error


def _has_no_inodes(folder: Path) -> bool:
    """Whether the file system of a folder counts its inodes, and none is left for this user."""
    try:
        facts = os.statvfs(folder)
    except (AttributeError, OSError):  # Windows has no such call
        return False
    return facts.f_files > 0 and facts.f_favail == 0


def error_elsewhere(error: OSError, where: str) -> FtetlError | None:
    """The error for one that was raised at a place in the code that expects none; None if its number is not known."""
    if error.errno not in _REASONS:
        return None
    kind, code, reason, advice = _REASONS[error.errno]
    what = error.filename if isinstance(error.filename, str) else "a file"
    return kind(code, f"cannot use {what}: {reason} ({where})", next=advice)
