"""Replaces a file as a whole: readers see the old content or the new, also after a crash."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from ftetl.errors import TargetError
from ftetl.errors.os_errors import translate_os_errors


def write_text_atomically(file: Path, text: str, mode: int) -> None:
    """Replace the content of a file that a user named, and give it this mode.

    A link is followed; what is not a regular file, such as a pipe, is written to directly.

    Raises:
        TargetError: The folder does not exist, or is not writable.
        StorageError: The disk is full, or fails.
    """
    real = Path(os.path.realpath(file))
    if not real.parent.is_dir():
        raise TargetError("T06", f"cannot write {file}: there is no such folder", next="make it, or choose another")
    with translate_os_errors("write", file):
        if real.exists() and not stat.S_ISREG(real.stat().st_mode) and not real.is_dir():
            real.write_text(text, "utf-8", newline="\n")
        else:
            replace_file(real, text.encode(), mode)


def replace_file(file: Path, data: bytes, mode: int) -> None:
    """Write a temporary file beside it, make that durable, and rename it over the file.

    Raises:
        OSError: The temporary file is removed.
    """
    # Not named like the file, so that nobody who collects `*.prom` or `*.html` reads it half written.
    descriptor, temp = tempfile.mkstemp(prefix=".ftetl-", suffix=".tmp", dir=file.parent)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            Path(temp).chmod(mode)  # by name, since not every platform can by descriptor
            os.fsync(descriptor)
        Path(temp).replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temp).unlink()
        raise
