"""Files that are replaced as a whole or stay as they were, outside of a target."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from ftetl.errors import TargetError
from ftetl.errors.os_errors import error_for_operation


def write_text_atomically(file: Path, text: str, mode: int) -> None:
    """Put the text in the place of what the file held before, with this mode.

    A link is followed; what is no regular file, such as a pipe, is written to as it is.

    Raises:
        TargetError: The folder is not there, or may not be written to.
        StorageError: The disk is full, or fails.
    """
    place = Path(os.path.realpath(file))
    if not place.parent.is_dir():
        raise TargetError("T06", f"cannot write {file}: there is no such folder", next="make it, or choose another")
    try:
        if place.exists() and not stat.S_ISREG(place.stat().st_mode) and not place.is_dir():
            place.write_text(text, "utf-8", newline="\n")
        else:
            replace_file(place, text.encode(), mode)
    except OSError as error:
        raise error_for_operation(error, "write", file) from None


def replace_file(place: Path, data: bytes, mode: int) -> None:
    """Replace a file by a new one that is synced and has this mode.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    # Not named like the file, so that nobody who collects `*.prom` or `*.html` reads it half written.
    descriptor, temp = tempfile.mkstemp(prefix=".ftetl-", suffix=".tmp", dir=place.parent)
    try:
        with open(descriptor, "wb") as sink:
            sink.write(data)
            sink.flush()
            os.fsync(descriptor)
        Path(temp).chmod(mode)  # by name, since not every platform can by descriptor
        Path(temp).replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temp).unlink()
        raise
