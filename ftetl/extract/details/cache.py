"""What a run knows about details before it asks for any, and what it keeps of those that come.

A detail that arrives goes to the archive at once, and a line about it into `_ftetl/details/`, so that a run that dies
leaves what it had for the next one. A kept detail counts only while the document that was listed is the same. Knows
digests and bytes, not what is in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from ftetl.clock import iso, parse_iso
from ftetl.errors import StorageError
from ftetl.extract.archive import Archive
from ftetl.extract.details.fingerprints import UnchangedDetails
from ftetl.extract.source import Detail, Outcome
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.store.manifest import RUN_ID
from ftetl.store.target import Target

FOLDER = "details"
SUFFIX = ".jsonl"


@dataclass(frozen=True)
class _Kept:
    sha256: str
    name: str
    observed_at: str


class DetailCache:
    """The memory of one run; leave it before the target is closed."""

    def __init__(self, target: Target, archive: Archive, settled: UnchangedDetails) -> None:
        self._fs, self._archive, self._settled = target.fs, archive, settled
        self._stack = ExitStack()
        self._folder = target.open_part(FOLDER, self._stack)
        self._mode = target.file_mode
        self._own = f"{target.run_id}{SUFFIX}"
        self._done = f"{target.base.run_id}{SUFFIX}" if target.base else ""  # of a run that died behind its commit
        self._descriptor = -1
        self._kept = dict(self._read())
        self.entries: list[dict[str, Any]] = []  # what came of each detail, for the archive's index

    def close(self) -> None:
        """Give back what was opened; safe to call twice."""
        if self._descriptor >= 0:
            self._fs.close(self._descriptor, self._folder.path / self._own)
            self._descriptor = -1
        self._stack.close()

    def __enter__(self) -> DetailCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def is_unchanged(self, job_id: str, listed: bytes) -> bool:
        """Whether the job is settled, and listed as it was when its detail was had."""
        return not self._settled.needs_fetch(job_id, listed)

    def needs_fetch(self, job_id: str, listed: bytes) -> bool:  # noqa: ARG002 - every other one
        """Whether this job's detail is wanted in this run."""
        return True

    def get(self, job_id: str, listed: bytes) -> Detail | None:
        """The detail that a run which died had for this very listed document."""
        kept = self._kept.get((job_id, listed.hex()))
        if kept is None:
            return None
        try:
            body = self._archive.read_body(kept.sha256)
        except StorageError:
            return None  # it was being written when the run died; it is asked for again
        response = Response(kept.name, Memory(body), parse_iso(kept.observed_at), detail=True)
        return Detail(job_id, Outcome.HERE, response)

    def put(self, detail: Detail, listed: bytes, *, usable: bool) -> None:
        """Keep a detail that has come, or that none came; one that cannot be used is asked for again."""
        entry: dict[str, Any] = {"job_id": detail.job_id, "outcome": detail.outcome.value}
        if detail.response is not None:
            entry["sha256"] = self._archive.store(detail.response.blob)
            entry |= {"name": detail.response.name, "observed_at": iso(detail.response.observed_at)}
        self.entries.append(entry)
        if usable and (detail.job_id, listed.hex()) not in self._kept:
            self._append(json.dumps({**entry, "listed": listed.hex()}).encode() + b"\n")

    def clear(self) -> None:
        """Remove the lines of this and of earlier runs; call when a run has come to its end."""
        for name in self._names():
            self._fs.unlink(self._folder, name)

    def _append(self, line: bytes) -> None:
        path = self._folder.path / self._own
        if self._descriptor < 0:
            self._descriptor = self._fs.create(self._folder, self._own)
            self._fs.chmod(self._descriptor, self._mode, path)
        self._fs.write(self._descriptor, line, path)

    def _names(self) -> list[str]:
        return [
            n for n in self._fs.list_names(self._folder) if n.endswith(SUFFIX) and RUN_ID.fullmatch(n[: -len(SUFFIX)])
        ]

    def _read(self) -> Iterator[tuple[tuple[str, str], _Kept]]:
        for name in sorted(set(self._names()) - {self._done}):
            for line in (self._fs.read_bytes(self._folder, name) or b"").splitlines():
                entry = _entry(line)
                if entry is not None:
                    yield (
                        (entry["job_id"], entry["listed"]),
                        _Kept(entry["sha256"], entry["name"], entry["observed_at"]),
                    )


def _entry(line: bytes) -> Mapping[str, Any] | None:
    """One line, if it is whole: the last one of a run that died may be cut."""
    try:
        entry = json.loads(line)
        parse_iso(entry["observed_at"])
        whole = all(isinstance(entry[key], str) for key in ("job_id", "listed", "sha256", "name"))
    except (ValueError, KeyError, TypeError):
        return None
    return entry if whole else None
