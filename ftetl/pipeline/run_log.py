"""The log of runs: one report per run in `_ftetl/runs/<run_id>.json`, of failed runs too.

It is written while the target is locked, and can be read at any time.
"""

from __future__ import annotations

import contextlib
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ftetl.clock import parse_iso
from ftetl.config.object_address import parse_address
from ftetl.errors import EXITS, TargetError
from ftetl.errors.os_errors import translate_os_errors
from ftetl.run_report import Report
from ftetl.store.manifest import CONTROL, RUN_ID

if TYPE_CHECKING:
    from ftetl.store.target import Target

MAX_RECORDS = 1_000  # the newest ones are kept
_FOLDER = "runs"
_FORMAT = "format"
_CODES = frozenset(e.code for e in EXITS.values())


def write_record(target: Target, report: Report) -> None:
    """Write the report of this run, and delete the oldest records beyond `MAX_RECORDS`.

    Raises:
        FtetlError: It cannot be written.
    """
    target.write_run_record(target.run_id, report.as_dict())
    with ExitStack() as stack:
        folder = target.open_part(_FOLDER, stack)
        names = [name for name in target.fs.list_names(folder) if _run_id(name)]
        if len(names) <= MAX_RECORDS:
            return
        ages = {name: status.st_mtime_ns for name in names if (status := target.fs.lstat(folder, name))}
        for name in sorted(ages, key=lambda name: (ages[name], name))[:-MAX_RECORDS]:
            target.fs.unlink(folder, name)


def read_records(target: str | os.PathLike[str], damaged: list[str]) -> list[Report]:
    """The reports of all runs of a target, the oldest first.

    Args:
        target: a folder, or an address in an object store.
        damaged: gets a line for each record that cannot be read.

    Raises:
        TargetError: This is not a target, or it may not be read.
        StorageError: The disk fails.
    """
    if address := parse_address(target):
        from ftetl.remote.reading import records_copy

        with records_copy(address, most=MAX_RECORDS) as copy:
            return read_records(copy, damaged)
    path = Path(target)
    require_target(path)
    folder = path / CONTROL / _FOLDER
    names: list[str] = []
    with translate_os_errors("read", folder), contextlib.suppress(FileNotFoundError):
        names = [path.name for path in folder.iterdir()]
    reports = []
    for name in sorted(filter(_run_id, names)):
        report = _read_record(folder / name)
        if report is None:
            damaged.append(f"{CONTROL}/{_FOLDER}/{name} is not a valid run record")
        else:
            reports.append(report)
    return sorted(reports, key=lambda report: parse_iso(report.started_at))


def require_target(path: Path) -> None:
    """Raise a `TargetError` if the folder is not a target, or may not be read."""
    with translate_os_errors("read", path):
        try:
            (path / CONTROL / _FORMAT).lstat()
        except (FileNotFoundError, NotADirectoryError):
            raise TargetError("T02", f"{path} is not a target of ftetl", next="run `ftetl export`") from None


def _run_id(name: str) -> str | None:
    stem, dot, suffix = name.partition(".")
    return stem if dot and suffix == "json" and RUN_ID.fullmatch(stem) else None


def _read_record(path: Path) -> Report | None:
    try:
        report = msgspec.convert(json.loads(path.read_bytes()), Report)
        parse_iso(report.started_at)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return report if report.exit_code in _CODES and report.run_id == _run_id(path.name) else None
