"""Which jobs of a list need their detail, and which of the fetched details are usable."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace

import msgspec

from ftetl.errors import FtetlError
from ftetl.extract.outcome import Outcome
from ftetl.extract.source import Detail
from ftetl.raw import index, strict_json
from ftetl.raw.element import RefusedElement, Scan
from ftetl.raw.findings import Anomaly
from ftetl.raw.response import Response
from ftetl.raw.secret_masking import mask_blob, mask_secrets
from ftetl.raw.spool import Spool


class _Events(msgspec.Struct):
    events: list[msgspec.Raw] | None = None


_events = msgspec.json.Decoder(_Events)
_encoder = msgspec.json.Encoder(order="deterministic")


def jobs_without_events(response: Response, scan: Scan) -> dict[str, bytes]:
    """The jobs of a list whose events are missing or empty there, in order, with the fingerprint of what was listed.

    A job that is listed twice has the fingerprint `b""`: which copy wins is not known yet.
    """
    jobs: dict[str, bytes] = {}
    for job_id, offset, length in zip(scan.ids, scan.offsets, scan.lengths, strict=True):
        raw = response.blob.read(offset, length)
        if job_id in jobs or not _has_events(raw):
            jobs[job_id] = b"" if job_id in jobs else document_digest(raw)
    return jobs


def document_digest(raw: bytes) -> bytes:
    """The SHA-256 of a document's canonical JSON, secrets masked; the order of keys does not change it."""
    raw = mask_secrets(raw)  # so that the archived document has the same digest
    try:
        text = _encoder.encode(msgspec.json.decode(raw))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        try:
            text = strict_json.compact_json(strict_json.parse(raw), canonical=True).encode()
        except strict_json.RefusedError:
            text = raw
    return hashlib.sha256(text).digest()


def _has_events(raw: bytes) -> bool:
    try:
        return bool(_events.decode(raw).events)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False  # a malformed job: its detail may be well-formed


@dataclass
class FetchedDetails:
    """The details that were received, and which were not. One that failed does not affect the others."""

    spool: Spool | None = None  # stores the bytes of details until they are decoded; without one they stay in memory
    responses: list[Response] = field(default_factory=list)
    scans: list[Scan] = field(default_factory=list)
    fetched: set[str] = field(default_factory=set)  # jobs with a usable detail
    failed: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    anomalies: list[Anomaly] = field(default_factory=list)

    def add(self, detail: Detail) -> tuple[Detail, bool]:
        """Add the detail of one job; it is returned with its secrets masked, and whether it is usable."""
        job_id, outcome = detail.job_id, detail.outcome
        if detail.response is not None:
            response = detail.response
            if (blob := mask_blob(response.blob)) is not response.blob:
                response = response.with_blob(blob)
                detail = replace(detail, response=response)
            if outcome is Outcome.HERE and not self._add_response(job_id, response):
                outcome = Outcome.FAILED
        match outcome:
            case Outcome.HERE:
                self.fetched.add(job_id)
            case Outcome.GONE:
                self.anomalies.append(Anomaly(job_id, "id", "deleted_meanwhile", None))
            case Outcome.FAILED:
                self.failed.add(job_id)
        self.outcomes[outcome.value] += 1
        return detail, outcome is Outcome.HERE

    def _add_response(self, job_id: str, response: Response) -> bool:
        """Whether the response is one job, and the requested one; any other is stored for the quarantine."""
        try:
            scan = index.scan_single_job(response, job_id) or index.scan_response(response)
        except FtetlError:
            scan = Scan()
        blob = self.spool.append(response.blob.read(0, response.blob.size)) if self.spool else response.blob
        self.responses.append(response.with_blob(blob))
        self.scans.append(scan)
        if scan.ids == [job_id]:
            return True
        # Elements that can be separated are quarantined one by one: none of them becomes another job's row.
        for other_id, offset, length, position in zip(
            scan.ids, scan.offsets, scan.lengths, scan.positions, strict=True
        ):
            scan.refused.append(RefusedElement(offset, length, "bad_id", position, other_id))
        if not scan.received:
            scan.refused.append(RefusedElement(0, response.blob.size, "broken_json", 0, job_id))
            scan.received = 1
        for refused in scan.refused:
            refused.job_id = refused.job_id or job_id
        scan.ids, scan.offsets, scan.lengths, scan.positions = [], [], [], []
        self.anomalies.append(Anomaly(job_id, "id", "detail_unusable", None))
        return False
