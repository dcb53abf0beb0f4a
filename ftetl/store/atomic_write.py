"""The page on the disk: whole, or as it was before; private, since it holds people's data.

Knows files, and not what is in them.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from ftetl.errors import TargetError
from ftetl.errors.os_errors import explained


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
            _put(place, text, mode)
    except OSError as error:
        raise explained(error, "write", file) from None


def _put(place: Path, text: str, mode: int) -> None:
    descriptor, temp = tempfile.mkstemp(prefix=".ftetl-", suffix=".tmp", dir=place.parent)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as sink:
            sink.write(text)
            sink.flush()
            os.fsync(descriptor)
        Path(temp).chmod(mode)  # by name, since not every platform can by descriptor
        Path(temp).replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temp).unlink()
        raise
