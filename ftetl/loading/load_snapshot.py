"""`ftetl.load`: loads a committed version into a destination, offline and any number of times."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ftetl.errors import TargetError
from ftetl.load_result import LoadResult
from ftetl.loading import destinations
from ftetl.loading.destinations import SCHEMA, LoadOptions
from ftetl.loading.load_source import LoadSource
from ftetl.snapshot.snapshot import open as open_snapshot
from ftetl.store.manifest import CONTROL, SNAPSHOTS


def load(  # noqa: PLR0913 - an editor completes what is in the signature
    target: str | os.PathLike[str],
    destination: str,
    *,
    schema: str = SCHEMA,
    dry_run: bool = False,
    replace: bool = False,
    version: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> LoadResult:
    """Load the tables of a committed version into a destination, all of them in one transaction.

    Afterwards the destination's rows of the target's project are those of the version: new rows are inserted, changed
    ones updated, vanished ones deleted. Rows of other projects stay. The same version again changes nothing. Nothing
    is requested from the API, and the target is only read.

    Args:
        target: The folder of an export.
        destination: The address of the destination, such as `duckdb:FILE` or `postgresql://USER@HOST/DATABASE`.
        schema: The schema of the tables, in systems that have schemas.
        dry_run: Find out what would change, and change nothing.
        replace: Load also if the destination has a newer version of the project, or jobs of another project or target
            under the same label.
        version: Another version than the newest.
        environ: The environment to read passwords from; else this process's.

    Raises:
        FtetlError: Nothing was loaded, and the destination is as it was.
    """
    destination = os.fspath(destination)
    module = destinations.find(destination)
    options = LoadOptions(schema, dry_run, replace, os.environ if environ is None else environ)
    _require_apart(destination, target)
    source = LoadSource(open_snapshot(target, version=version))
    outcome = module.load(destination, source, options)
    return LoadResult(
        destination=destinations.shown(destination),
        project=source.project,
        version=source.version,
        run_id=source.run_id,
        changed=outcome.changed,
        tables=outcome.tables,
        dry_run=dry_run,
        notes=outcome.notes,
    )


def _require_apart(destination: str, target: str | os.PathLike[str]) -> None:
    """Check that a destination's path is not in the target's own folders, which ftetl empties."""
    path = Path(os.path.realpath(destination.partition(":")[2]))
    if any(path.is_relative_to(os.path.realpath(Path(target, name))) for name in (CONTROL, SNAPSHOTS)):
        what = f"{destinations.shown(destination)} is in a folder of {os.fspath(target)} that only ftetl writes to"
        raise TargetError("L08", what, next="load into another place")
