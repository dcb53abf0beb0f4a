"""What a version is made from, in the archive: its responses, the outcome of each detail, and the settings that count.

A rebuild repeats every run from it.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol

from ftetl.clock import iso, now
from ftetl.config.settings import Settings
from ftetl.extract.archive import Archive
from ftetl.extract.details import fingerprints
from ftetl.extract.details.cache import DetailCache
from ftetl.extract.endpoints import EndpointAnswer, EndpointRequest
from ftetl.extract.extract import DetailStore, Extraction
from ftetl.pipeline import list_watermark
from ftetl.pipeline.same_inputs import Files
from ftetl.raw.response import Response, Shape, changed_error, file_stamp
from ftetl.raw.secret_masking import mask_blob
from ftetl.snapshot.table_reader import open_tables
from ftetl.store.target import Target

# The others do not decide what the tables hold.
SETTINGS = (
    *("events", "project", "billing_account", "billing_account_name"),
    *("quarantine", "allow_drift", "csv_raw", "formats"),
)
_HASHED = 2 << 20  # bytes at once; each time costs Python's lock, for which other threads of a run wait too


class Provenance(Protocol):
    """What a run knows about details before it fetches any, and where it writes what its version is made from."""

    is_replay: bool  # whether the run repeats one of the archive, with everything that it decoded

    def detail_store(self, extraction: Extraction) -> DetailStore:
        """The details that are known, as of the responses of the source."""

    def endpoint_requests(self, planned: list[EndpointRequest]) -> list[EndpointRequest]:
        """The requests to other endpoints: those planned, or in a replay those of the past run."""

    def write_index(self, extraction: Extraction, service: str | None) -> None:
        """Write what the version that is about to be committed is made from."""

    def saved_files(self, extraction: Extraction) -> Files:
        """The saved responses that were read; none if there were other responses too."""


class ArchivedProvenance:
    """The provenance of a run in the archive of its target; close it before the target.

    The SHA-256 of saved responses is computed in a thread beside the run.
    """

    is_replay = False

    def __init__(self, target: Target, settings: Settings) -> None:
        self._target, self._settings = target, settings
        self._hashes: dict[Path, Future[str]] = {}
        with ExitStack() as stack:
            self._archive = stack.enter_context(Archive(target))
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="ftetl-digest")
            stack.callback(self._pool.shutdown, cancel_futures=True)
            self._stack = stack.pop_all()
        self._cache: DetailCache | None = None

    def detail_store(self, extraction: Extraction) -> DetailCache:
        """The details that earlier runs have fetched; begins to compute the hashes of saved responses."""
        paths = {response.path for response in extraction.responses} - {None}
        self._hashes = {path: self._pool.submit(file_sha256, path) for path in paths if path}
        self._archive.drop_unfinished(self._target.base, self._target.version)
        stored = open_tables(self._target.path, self._target.base)
        newest = max((response.observed_at for response in extraction.responses), default=now())
        # Where details are asked for rarely, a job is asked about once more after its refund may have come.
        before = list_watermark.details_at(self._target) or list_watermark.newest_whole_at(self._target)
        known = fingerprints.read_fingerprints(stored.folder)
        finished = fingerprints.finished_jobs(stored, known, min(newest, before or newest))
        self._cache = self._stack.enter_context(closing(DetailCache(self._target, self._archive, finished)))
        return self._cache

    def endpoint_requests(self, planned: list[EndpointRequest]) -> list[EndpointRequest]:
        """Those planned."""
        return planned

    def write_index(self, extraction: Extraction, service: str | None) -> None:
        """Store the responses and write the index entry of the version that is about to be committed, durably."""
        target, settings = self._target, self._settings
        responses = [self._entry(response) for response in extraction.received]
        details = self._cache.entries if self._cache else []
        if settings.observed_at:
            for entry in details:
                entry["observed_at"] = iso(settings.observed_at)
        endpoints = [self._endpoint_entry(answer) for answer in extraction.endpoints.answers]
        self._archive.sync()
        whole_at = list_watermark.newest_whole_at(target)  # also from runs that changed nothing, which have no entry
        self._archive.write_index(
            target.version,
            {
                "run_id": target.run_id,
                "version": target.version,
                "base": target.base.version if target.base else None,
                "base_run": target.base.run_id if target.base else None,
                "whole_at": iso(whole_at) if whole_at else None,
                "service": service,
                "settings": {name: getattr(settings, name) for name in SETTINGS},
                "answers": responses,
                "details": details,
                **({"endpoints": endpoints} if endpoints else {}),
            },
        )

    def saved_files(self, extraction: Extraction) -> Files:
        """The saved responses that were read; none if there were other responses too."""
        pairs = [(response, response.path) for response in extraction.received]
        files = [(str(path), self._hashes[path].result(), r.observed_at) for r, path in pairs if path in self._hashes]
        return files if len(files) == len(pairs) else []

    def clean_up(self, *, fetched_details: bool) -> None:
        """After the commit, remove the entry of a version that was not made, and the cache of fetched details."""
        self._archive.drop_unfinished(self._target.base, self._target.version)
        if fetched_details and self._cache:
            self._cache.clear()

    def _entry(self, response: Response) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "name": response.name,
            "observed_at": iso(response.observed_at),
            "shape": response.shape.value,
            "whole": response.whole,
            "is_dated": response.is_dated,
        }
        path = response.path
        if path is None:  # from the network, or through stdin: there is no other copy
            sha256 = self._archive.store(mask_blob(response.blob, lines=response.shape is Shape.LINES))
            return {**entry, "sha256": sha256, "bytes": response.blob.size}
        try:
            sha256 = self._hashes[path].result()
            entry |= {"path": str(path.resolve()), "sha256": sha256, "bytes": path.stat().st_size}
            is_same = response.stamp == file_stamp(path)
        except OSError:
            is_same = False
        if not is_same:
            raise changed_error(str(path))
        return entry

    def _endpoint_entry(self, answer: EndpointAnswer) -> dict[str, Any]:
        request, response = answer.request, answer.response
        entry = {"endpoint": request.endpoint.value, "parameter": request.parameter, "final": request.final}
        entry |= {"outcome": answer.outcome.value}
        if response is not None:
            sha256 = self._archive.store(response.blob)
            entry |= {"name": response.name, "observed_at": iso(response.observed_at), "sha256": sha256}
        return entry

    def __enter__(self) -> ArchivedProvenance:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a saved response as its owner has it, compressed or not."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(_HASHED))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()
