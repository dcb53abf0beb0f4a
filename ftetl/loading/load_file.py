"""The file of a destination that is one file, such as a database: made if it is missing, removed if that fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ftetl.config.local_path import require_local_path
from ftetl.config.settings import FILE_MODE
from ftetl.errors import TargetError, TryLaterError
from ftetl.errors.os_errors import translate_os_errors


@contextmanager
def destination_file(path: Path, *, dry_run: bool, companions: tuple[str, ...] = ()) -> Iterator[Path | None]:
    """The absolute path to open, with its folder checked; None where a dry run would make the file.

    It is absolute, since libraries give names such as `:memory:` and `md:x` a meaning.

    A new file gets the mode of ftetl's files, and is removed if the block fails; so are its companions, such as the
    `.wal` of a database.

    Raises:
        TargetError: The folder is missing, or the path is no regular file.
    """
    require_local_path(path)
    with translate_os_errors("look at", path):
        if not path.parent.is_dir():
            raise TargetError("L08", f"the folder {path.parent} is not there", next="make it, or correct the address")
        exists = path.exists()
        if exists and not path.is_file():
            raise TargetError("L08", f"{path} is not a regular file", next="name a file, or a new one")
        if exists and not os.access(path, os.R_OK | (0 if dry_run else os.W_OK)):
            raise TargetError("L08", f"{path} may not be written to", next="give this user the right to it")
    if exists or dry_run:
        yield path.absolute() if exists else None
        return
    try:
        yield path.absolute()
    except TryLaterError:  # it is of another program, which made it since
        raise
    except BaseException:
        for name in ("", *companions):
            with contextlib.suppress(OSError):
                path.with_name(path.name + name).unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # some file systems have no modes
        path.chmod(FILE_MODE)
