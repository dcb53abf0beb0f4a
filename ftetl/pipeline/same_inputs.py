"""A run of saved responses whose inputs are those of a run before it: nothing is decoded, merged or written again.

What such a run makes depends on the newest version, on when its newest whole list was observed, on the responses, the
settings and the code, and as long as nothing lies in the future on nothing else. So a run that ends with the version
and the time it began with ends so again, and the facts of its report are stored with a key of its inputs. They are
stored too for the run that made the first version, if that was from one list with each job once: read again, the list
meets its own rows.

The facts do not count if there is a newer version or another newest list; if a file has another path, time or byte, or
there is one more or one less; if a setting that decides the tables or the report is another (an option, the formats,
`--pii` and its key); if a contract, a line of ftetl or a library is another, or was replaced while ftetl was running;
if the clock was set back; or if a file of the version is damaged. None are stored by a run that is partial, whose
responses or stored rows lie in the future, or that reads a service or stdin.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ftetl
from ftetl.clock import SKEW, iso, now, parse_iso
from ftetl.config.settings import Settings
from ftetl.contract import folder, tables
from ftetl.errors import FtetlError
from ftetl.loading import formats
from ftetl.pipeline import list_watermark
from ftetl.pipeline.progress import log_step
from ftetl.raw.response import file_stamp
from ftetl.run_report import Drift, Report
from ftetl.store.manifest import canonical_json

if TYPE_CHECKING:
    from ftetl.extract.source import Source
    from ftetl.extract.sources.files import SavedFiles
    from ftetl.store.target import Target

DOCUMENT = "inputs"  # it is stored in `_ftetl/inputs.json`
# Settings that decide neither the tables nor the report; the key of pseudonyms and the formats are told otherwise.
_WITHOUT_EFFECT = frozenset(
    {
        *("target", "api_key_file", "base_url", "concurrency", "deadline", "environ", "pii_key_file", "formats"),
        *("file_mode", "keep", "lock_timeout", "metrics_file", "publish", "load"),
    }
)
_LIBRARIES = ("ftetl", "pyarrow", "msgspec", "pandas", "pandera")
_FACTS = ("rows", "received", "anomalies", "refunds", "masked", "bytes_read")  # of a report, as they are
_CHECKSUM = "sha256"
_FORMAT = 1  # of the document
_TICK = 0.05  # seconds by which the times of files may be behind the clock

_log = logging.getLogger(__name__)

# Path, SHA-256 and time of observation of each file.
Files = Sequence[tuple[str, str, datetime]]


def inputs_key(settings: Settings, privacy: Mapping[str, str], files: Files) -> str | None:
    """A digest of all that the tables depend on besides the version before; None if this process may run older code.

    Args:
        settings: Of the run, with its formats.
        privacy: How people's data is treated (`Pseudonyms.identity`).
        files: The saved responses, in the order in which they are read.
    """
    code = code_digests()
    if code is None:
        return None
    chosen = {f.name: getattr(settings, f.name) for f in fields(settings) if f.name not in _WITHOUT_EFFECT}
    key = {
        "settings": chosen,
        "formats": sorted(formats.with_reference(settings.formats)),
        "privacy": dict(privacy),
        "files": [(path, sha256, iso(observed_at)) for path, sha256, observed_at in files],
        "contracts": {name: table.fingerprint for name, table in tables().items()},
        "code": code,
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()


def code_digests() -> dict[str, str] | None:
    """What decodes: the versions of libraries, and the SHA-256 of every module and contract, so that a checkout counts.

    None if one was replaced since this process loaded the package, so that it may run what was there before.
    """
    package = Path(ftetl.__file__).parent
    code = {"python": sys.version, **_libraries()}
    try:
        for top, suffix in ((str(package), ".py"), (str(folder()), ".toml")):
            for path in _files_below(top, suffix):
                changed = os.stat(path).st_ctime  # noqa: PTH116 - of hundreds of files `Path` takes twice the time
                if changed >= ftetl.LOADED_AT - _TICK:
                    return None
                code[path.removeprefix(f"{top}/")] = _unchanged_sha256(path, changed)
    except OSError:
        return None
    return code


def _files_below(folder: str, suffix: str) -> Iterator[str]:
    """The paths of the files of this suffix in a folder and all folders in it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files_below(entry.path, suffix)
            elif entry.name.endswith(suffix):
                yield entry.path


@cache
def _libraries() -> dict[str, str]:
    """The installed versions, which this process has loaded or will load."""
    found = {}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@cache
def _unchanged_sha256(path: str, _changed: float) -> str:
    """The SHA-256 of a file that was last changed at that time, before this process began."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.sha256(file.read()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def store_facts(
    target: Target,
    keys: tuple[str | None, str | None],
    report: Report,
    warnings: Mapping[str, Sequence[str]],
    newest: datetime,
) -> None:
    """Store the facts of a run of which a repetition would change nothing.

    Args:
        target: The target after the run.
        keys: The digest of its inputs, and of how its files look from outside.
        report: The report of the run.
        warnings: Those of a repetition, before and after the source's own: `first` and `last`.
        newest: The newest observation in the tables and the responses.
    """
    key, looks = keys
    if target.base is None or key is None or looks is None:
        return
    whole_at, facts = list_watermark.newest_whole_at(target), asdict(report)
    document: dict[str, Any] = {
        "format": _FORMAT,
        "run_id": target.base.run_id,
        "key": key,
        "looks": looks,
        list_watermark.FACT: iso(whole_at) if whole_at else None,
        "newest": iso(newest),
        "report": json.dumps({name: facts[name] for name in (*_FACTS, "drift")}),  # as text it keeps its order
        "warnings": {name: list(lines) for name, lines in warnings.items()},
    }
    with contextlib.suppress(FtetlError):  # committed: without it the next run takes longer
        target.write_document(DOCUMENT, {**document, _CHECKSUM: _checksum(document)})


def unchanged_report(target: Target, settings: Settings, source: Source) -> Report | None:
    """The report of a run whose inputs are the stored ones, all of whose work is done then; None of any other run.

    Raises:
        FtetlError: As a run that changes nothing.
    """
    started = time.monotonic()
    document = None
    with contextlib.suppress(FtetlError, KeyError, TypeError, ValueError):  # another ftetl may store other facts
        document = _stored_facts(target) if source.service is None else None
    if document is None or target.base is None:
        return None
    from ftetl.extract.sources.files import SavedFiles

    if not isinstance(source, SavedFiles) or not source.files:
        return None
    if document["looks"] != looks_of(source.files, settings):
        return None
    files = _files(settings, source)
    if files is None or any(observed_at > now() + SKEW for _, _, observed_at in files):
        return None
    from ftetl.extract.privacy.pseudonyms import read_pseudonyms

    pseudonyms = read_pseudonyms(settings)
    if document["key"] != inputs_key(settings, pseudonyms.identity if pseudonyms else {}, files):
        return None
    if not target.confirm_base():
        return None
    from ftetl.extract.archive import Archive
    from ftetl.extract.details.cache import DetailCache

    with Archive(target) as archive, contextlib.closing(DetailCache(target, archive, {})):
        archive.drop_unfinished(target.base, target.version)
    with contextlib.suppress(FtetlError):
        times = list_watermark.newest_whole_at(target), list_watermark.details_at(target)
        list_watermark.write_newest_whole_at(target, target.base.run_id, *times)
    report = replace(_report(target, settings, source, document), seconds=round(time.monotonic() - started, 3))
    if report.masked:
        _log.info("masked secrets: %s", ", ".join(f"{k} ({n})" for k, n in report.masked.items()))
    log_step(_log, "committed", changed=False, version=report.version, seconds=report.seconds)
    return report


def _report(target: Target, settings: Settings, source: SavedFiles, document: Mapping[str, Any]) -> Report:
    assert target.base is not None
    facts = json.loads(document["report"])
    drift = facts["drift"]
    return Report(
        target=str(target.path),
        source=settings.source,
        project=settings.label,
        run_id=target.run_id,
        version=target.base.version,
        changed=False,
        drift=Drift(**{**drift, "unseen": tuple(drift["unseen"])}),
        files={file.name: file.bytes for file in target.base.files},
        warnings=(*target.warnings, *document["warnings"]["first"], *source.notes, *document["warnings"]["last"]),
        **{name: facts[name] for name in _FACTS},
    )


def _stored_facts(target: Target) -> dict[str, Any] | None:
    """The stored facts, if they are about the newest version and its newest list, and nothing lies in the future."""
    document = target.read_document(DOCUMENT)
    if target.base is None or document.pop(_CHECKSUM, None) != _checksum(document):
        return None
    whole_at = list_watermark.newest_whole_at(target)
    is_same = document.get("run_id") == target.base.run_id
    is_same = is_same and document[list_watermark.FACT] == (iso(whole_at) if whole_at else None)
    is_same = is_same and document["format"] == _FORMAT and parse_iso(document["newest"]) <= now() + SKEW
    return document if is_same else None


def _checksum(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(document)).hexdigest()


def looks_of(paths: Iterable[Path], settings: Settings) -> str | None:
    """A digest of the names, sizes and times of files, which tells most changed ones without reading them."""
    try:
        looks = [(str(path), status.st_size, status.st_mtime_ns) for path in paths if (status := path.stat())]
    except OSError:
        return None
    if settings.observed_at:  # then the time of a file does not count
        looks = [(path, size, 0) for path, size, _ in looks]
    return hashlib.sha256(json.dumps(looks).encode()).hexdigest()


def _files(settings: Settings, source: SavedFiles) -> Files | None:
    """The source's files as they are; None if one cannot be read, or was changed meanwhile."""
    found = []
    try:
        for path in source.files:
            stamp, modified = file_stamp(path), datetime.fromtimestamp(path.stat().st_mtime, UTC)
            sha256 = _sha256(path)
            if file_stamp(path) != stamp:
                return None
            found.append((str(path), sha256, settings.observed_at or modified))
    except OSError:
        return None
    return found
