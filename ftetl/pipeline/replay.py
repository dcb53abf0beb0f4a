"""A past run as its source and its provenance: the archive's bytes, at the times at which they came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ftetl.clock import parse_iso
from ftetl.errors import DataError
from ftetl.extract.archive import Archive
from ftetl.extract.details import fingerprints
from ftetl.extract.endpoints import Endpoint, EndpointAnswer, EndpointRequest
from ftetl.extract.extract import Extraction
from ftetl.extract.key_owner import KeyOwner
from ftetl.extract.outcome import Outcome
from ftetl.extract.privacy.pseudonyms import Pseudonyms
from ftetl.extract.privacy.redacting_source import RedactingSource
from ftetl.extract.source import Detail, Source, SourceStats
from ftetl.extract.sources.files import SavedFiles
from ftetl.pipeline.provenance import file_sha256
from ftetl.pipeline.same_inputs import Files
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response, Shape
from ftetl.store.manifest import snapshot_folder
from ftetl.store.target import Target

_ADVICE = "put it back to rebuild from it"
_TOGETHER = 16  # details that are looked at together


class ReplayedSource:
    """A source that returns what the sources of a past run returned.

    `entry` is the run's entry in the archive's index; `pseudonyms` replace personal data in saved responses, which are
    read once more.
    """

    owner: KeyOwner | None = None  # rebuilt tables keep the identity of the target
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    stats = SourceStats()

    def __init__(
        self, archive: Archive, entry: dict[str, Any], scratch: Path, pseudonyms: Pseudonyms | None = None
    ) -> None:
        self._archive, self._entry, self._scratch, self._pseudonyms = archive, entry, scratch, pseudonyms
        self.service: str | None = entry["service"]
        self.detail_entries = {d["job_id"]: d for d in entry["details"]}
        self._stack = ExitStack()

    def responses(self) -> Iterator[Response]:
        """The responses of that run.

        Raises:
            DataError: A saved response is gone, or another one.
        """
        for entry in self._entry["answers"]:
            blob = self._saved(entry).blob if "path" in entry else Memory(self._archive.read_body(entry["sha256"]))
            observed_at = parse_iso(entry["observed_at"])
            is_dated = entry.get("is_dated", False)  # an older ftetl did not store it
            yield Response(
                entry["name"], blob, observed_at, Shape(entry["shape"]), whole=entry["whole"], is_dated=is_dated
            )

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The outcomes of the detail requests of that run."""
        for left, job_id in zip(reversed(range(len(job_ids))), job_ids, strict=True):
            entry = self.detail_entries[job_id]
            response = None
            if "sha256" in entry:
                blob = Memory(self._archive.read_body(entry["sha256"], entry.get("pack", "")))
                response = Response(entry["name"], blob, parse_iso(entry["observed_at"]), detail=True)
            yield Detail(job_id, Outcome(entry["outcome"]), response, is_followed=left % _TOGETHER > 0)

    @property
    def endpoint_requests(self) -> list[EndpointRequest]:
        """What that run asked other endpoints for."""
        return [_request(entry) for entry in self._entry.get("endpoints", ())]  # an older ftetl asked none

    def endpoints(self, requests: Sequence[EndpointRequest]) -> Iterator[EndpointAnswer]:  # noqa: ARG002 - all of that run
        """The answers of other endpoints in that run."""
        for entry in self._entry.get("endpoints", ()):
            response = None
            if "sha256" in entry:
                blob = Memory(self._archive.read_body(entry["sha256"]))
                response = Response(entry["name"], blob, parse_iso(entry["observed_at"]))
            yield EndpointAnswer(_request(entry), Outcome(entry["outcome"]), response)

    def close(self) -> None:
        """Close the saved files; safe to call twice."""
        self._stack.close()

    def _saved(self, entry: dict[str, Any]) -> Response:
        path = Path(entry["path"])
        if not path.is_file():
            raise DataError("A04", f"the saved response {path} is gone", next=_ADVICE)
        if path.stat().st_size != entry["bytes"] or file_sha256(path) != entry["sha256"]:
            raise DataError("A05", f"the saved response {path} is not the one that was exported", next=_ADVICE)
        source: Source = SavedFiles(path, scratch=lambda: self._scratch)
        if self._pseudonyms:  # what is in the archive was already redacted
            source = RedactingSource(source, self._pseudonyms, lambda: self._scratch)
        self._stack.callback(source.close)
        return next(iter(source.responses()))


def _request(entry: dict[str, Any]) -> EndpointRequest:
    return EndpointRequest(Endpoint(entry["endpoint"]), entry["parameter"], final=entry["final"])


class ReplayedProvenance:
    """Fetches the details that the past run fetched, whatever the rule is now, and writes nothing."""

    is_replay = True

    def __init__(self, source: ReplayedSource, target: Target) -> None:
        self._source = source
        self._fetched = source.detail_entries
        folder = snapshot_folder(target.path, target.base) if target.base else None
        self._fingerprints = fingerprints.read_fingerprints(folder)

    def detail_store(self, extraction: Extraction) -> ReplayedProvenance:  # noqa: ARG002
        """Itself: it is the store of details as well."""
        return self

    def endpoint_requests(self, planned: list[EndpointRequest]) -> list[EndpointRequest]:  # noqa: ARG002
        """Those of that run."""
        return self._source.endpoint_requests

    def write_index(self, extraction: Extraction, service: str | None) -> None:
        """Do nothing: the archive has the entry."""

    def saved_files(self, extraction: Extraction) -> Files:  # noqa: ARG002
        """None: a rebuild is not repeated."""
        return ()

    def is_unchanged(self, job_id: str, listed: bytes) -> bool:
        """Whether it was unchanged then; a job that the current contracts are the first to accept was not."""
        return job_id not in self._fetched and self._fingerprints.get(job_id) == listed

    def needs_fetch(self, job_id: str, listed: bytes) -> bool:  # noqa: ARG002
        """Whether this job's detail was requested."""
        return job_id in self._fetched

    def expect(self, count: int) -> None:
        """Do nothing: nothing is stored."""

    def get(self, job_id: str, listed: bytes) -> Detail | None:  # noqa: ARG002
        """None: what an earlier run had fetched is among the details of that run."""
        return None

    def put(self, detail: Detail, listed: bytes, *, usable: bool) -> None:
        """Do nothing: the archive has the detail."""
