"""`delta:FOLDER`: a folder of Delta Lake tables, one for each table. Needs the extra `delta`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ftetl.config.local_path import require_local_path
from ftetl.errors import ConfigError, FtetlError, StorageError, TargetError, TryLaterError
from ftetl.errors.os_errors import error_for_operation, translate_os_errors
from ftetl.load_result import Outcome
from ftetl.loading import delta_lake, lake_loader
from ftetl.loading.destinations import LoadOptions, path_in
from ftetl.loading.load_record import LOADS
from ftetl.loading.load_source import LoadSource

ADDRESS = "delta:FOLDER"
# Found by trial with deltalake 1.6.6, which makes a table and then looks for it elsewhere, panics, or finds no history.
_UNUSABLE: Final = re.compile(r"[\x00-\x1f#%?\[\\\]^|]")
_OS_ERROR: Final = re.compile(r"(?:os error |Os \{ code: )(\d+)")  # Rust's words for an error of the operating system


def load(address: str, source: LoadSource, options: LoadOptions) -> Outcome:
    """Load into a folder of Delta tables, which is made if it is missing."""
    try:
        import deltalake  # noqa: F401
    except ModuleNotFoundError:
        advice = "install it with `pip install 'ftetl[delta]'`"
        raise ConfigError("L02", "deltalake is not installed", next=advice) from None
    require_local_path(path_in(address))
    folder = Path(os.path.realpath(path_in(address)))
    with translate_os_errors("look at", folder):
        _require_usable(folder, dry_run=options.dry_run)
    with translate_os_errors("write to", folder), _translated(folder):
        return lake_loader.load(delta_lake.lake(folder), source, options)


def _require_usable(folder: Path, *, dry_run: bool) -> None:
    if _UNUSABLE.search(str(folder)):
        what = f"deltalake cannot use {folder}: its path has a control character, or one of # % ? [ \\ ] ^ |"
        raise TargetError("L08", what, next="choose a folder without them")
    if not folder.parent.is_dir():
        raise TargetError("L08", f"the folder {folder.parent} is not there", next="make it, or correct the address")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise TargetError("L08", f"{folder} is not a folder", next="name a folder, or a new one")
    if any(folder.iterdir()) and not (folder / LOADS).is_dir():
        what = f"{folder} is not empty, and ftetl has not loaded into it"
        raise TargetError("L05", what, next="name an empty folder, or a new one")
    if not dry_run and not os.access(folder, os.W_OK):
        raise TargetError("L08", f"{folder} may not be written to", next="give this user the right to it")


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """Raise deltalake's errors as ftetl's. Their text is not shown: it may hold values of the data."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError:
        raise TryLaterError("L09", f"another program wrote to {folder} meanwhile", next="load again") from None
    except FtetlError:
        raise
    except (DeltaError, OSError) as error:
        if found := _OS_ERROR.search(str(error)):
            raise error_for_operation(OSError(int(found[1]), ""), "write to", folder) from None
        if isinstance(error, OSError) and error.errno:
            raise
        what = f"deltalake cannot load into {folder} ({type(error).__name__})"
        raise StorageError(
            "L10", what, next="look at the tables with deltalake; the next load completes this one"
        ) from None
