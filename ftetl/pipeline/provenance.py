"""What a version was made from, for the archive: the answers, what came of each detail, and the settings that count.

With it a rebuild can repeat every run. Knows the archive and what was received, no tables.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ftetl.clock import iso
from ftetl.config.settings import Settings
from ftetl.extract.archive import Archive
from ftetl.extract.details.cache import DetailCache
from ftetl.extract.extract import Extraction
from ftetl.extract.source import Source
from ftetl.pipeline import list_watermark
from ftetl.raw.response import Response, Shape, changed_error, file_stamp
from ftetl.raw.secret_masking import mask_blob
from ftetl.store.target import Target

# The others do not decide what the tables hold.
SETTINGS = ("events", "project", "billing_account", "billing_account_name", "quarantine", "csv_raw", "formats")


class Digests:
    """The SHA-256 of the saved answers, made beside everything else; leave it at the end of the run."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ftetl-digest")
        self._found: dict[Path, Future[str]] = {}

    def begin(self, responses: Iterable[Response]) -> None:
        """Begin with the answers that are files."""
        self._found |= {a.path: self._pool.submit(digest, a.path) for a in responses if a.path is not None}

    def of(self, path: Path) -> str:
        """The SHA-256 of one of them.

        Raises:
            OSError: It could not be read.
        """
        return self._found[path].result()

    def __enter__(self) -> Digests:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


def note(
    archive: Archive,
    settings: Settings,
    source: Source,
    given: Extraction,
    recall: DetailCache,
    target: Target,
    digests: Digests,
) -> None:
    """Keep the answers and say what the version that is about to be committed was made from, durably."""
    responses = [_response(archive, a, digests) for a in given.responses if not a.detail]
    if settings.observed_at:
        for entry in recall.entries:
            entry["observed_at"] = iso(settings.observed_at)
    archive.sync()
    whole_at = list_watermark.newest_whole_at(target)  # also from runs that changed nothing, which have no entry
    archive.write_index(
        target.version,
        {
            "run_id": target.run_id,
            "version": target.version,
            "base": target.base.version if target.base else None,
            "whole_at": iso(whole_at) if whole_at else None,
            "service": source.service,
            "settings": {name: getattr(settings, name) for name in SETTINGS},
            "answers": responses,
            "details": recall.entries,
        },
    )


def _response(archive: Archive, response: Response, digests: Digests) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": response.name,
        "observed_at": iso(response.observed_at),
        "shape": response.shape.value,
        "whole": response.whole,
    }
    path = response.path
    if path is None:  # from the network, or through stdin: there is no other copy
        kept = archive.store(mask_blob(response.blob, lines=response.shape is Shape.LINES))
        return {**entry, "sha256": kept, "bytes": response.blob.size}
    try:
        told = {**entry, "path": str(path.resolve()), "sha256": digests.of(path), "bytes": path.stat().st_size}
        same = response.stamp == file_stamp(path)
    except OSError:
        same = False
    if not same:
        raise changed_error(str(path))
    return told


def digest(path: Path) -> str:
    """The SHA-256 of a saved answer as its owner has it, packed or not."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
