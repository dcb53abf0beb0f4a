"""What the demo API answers: what its resources hold, which may be set while it runs, and their responses.

`Api` knows nothing of HTTP but statuses; `server.py` sends what it answers.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ftetl.demo import queries
from ftetl.demo.billing import GRANULARITIES, billing_windows
from ftetl.demo.checkpoints import job_checkpoints
from ftetl.demo.files import job_files
from ftetl.demo.metrics import job_metrics
from ftetl.demo.responses import SECOND_WHOAMI, error_body, flat_whoami, list_item, organization_of

Job = dict[str, Any]
SECOND_KEY = "key_a9b8c7d6e5f40312"


class Lazy(Mapping[str, Any]):
    """A mapping whose values are made from these sources when they are first asked for."""

    def __init__(self, sources: Mapping[str, Any], make: Callable[[Any], Any]) -> None:
        self._sources = sources
        self._make = make
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._make(self._sources[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


class Api:
    """The resources of the demo API. All but the jobs may be None: then their endpoints answer 404.

    Attributes:
        key: The API key that requests must carry.
        second_key: The key of a second account, which reads the same but has an organisation of its own that is not
            enabled for `GET /billing/usage`; None: there is no second account.
        list_body: The body of the list; it is made anew when `jobs` is set.
        page_size: How many jobs a response of the list has at most, and how many windows one of the bill; None, as of
            the real API: all jobs, whatever is asked for, and as many windows as were asked for.
        whoami: Whose the key is, as `GET /v3/whoami` returns it.
        files: The files as `GET /files` returns them.
        billing: By granularity (`day`, `hour`) the windows of all months, as `GET /billing/usage` returns them.
        metrics: By job id its entries as `GET /fine-tunes/{id}/metrics` returns them; of jobs that are not there, null.
        checkpoints: By job id its checkpoints as `GET /fine-tunes/{id}/checkpoints` returns them; none of others.
    """

    def __init__(self, jobs: Sequence[Job], key: str, whoami: Mapping[str, Any] | None) -> None:
        self.jobs = jobs
        self.key = key
        self.second_key: str | None = None
        self.page_size: int | None = None
        self.whoami = whoami
        self.files: Sequence[Mapping[str, Any]] | None = None
        self.billing: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
        self.metrics: Mapping[str, Sequence[Mapping[str, Any]] | None] | None = None
        self.checkpoints: Mapping[str, Sequence[Mapping[str, Any]]] | None = None

    @property
    def jobs(self) -> Sequence[Job]:
        """The jobs as `GET /fine-tunes/{id}` returns them."""
        return self._jobs

    @jobs.setter
    def jobs(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._by_id = {job["id"]: job for job in jobs if "id" in job}
        # The newest first; the API promises no order.
        self.list_body = to_json({"data": [list_item(job) for job in reversed(jobs)]})

    def add_endpoints(self) -> None:
        """Sets files, billing, metrics and checkpoints to invented data that fits the jobs, if they are whole."""
        jobs = self.jobs
        self.files = job_files(jobs)
        self.billing = Lazy({name: name for name in GRANULARITIES}, lambda name: billing_windows(jobs, name))
        self.metrics = Lazy(self._by_id, job_metrics)
        self.checkpoints = Lazy(self._by_id, job_checkpoints)

    def answer(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        """The status and the body for a path with its query and the value of the header Authorization."""
        is_second = self.second_key is not None and _is_key(authorization, self.second_key)
        if not is_second and not _is_key(authorization, self.key):
            return HTTPStatus.UNAUTHORIZED, error_body(HTTPStatus.UNAUTHORIZED)
        parts = urlsplit(path)
        try:
            body = self._body(parts.path, dict(parse_qsl(parts.query)), SECOND_WHOAMI if is_second else self.whoami)
        except queries.RefusedError as error:
            return error.status, error_body(error.status, str(error))
        if body is None:
            return HTTPStatus.NOT_FOUND, error_body(HTTPStatus.NOT_FOUND)
        return HTTPStatus.OK, body if isinstance(body, bytes) else to_json(body)

    def _body(self, path: str, query: dict[str, str], whoami: Mapping[str, Any] | None) -> Any:
        """The body of a resource, as bytes or as what its JSON holds; None if there is no such resource."""
        match path.split("/")[1:]:
            case ["v3", "whoami"] if whoami is not None:
                return dict(whoami)
            case ["v1", "whoami"] if whoami is not None:
                return flat_whoami(whoami)
            case ["v1", "files"] if self.files is not None:
                return {"data": self.files}
            case ["v1", "billing", "usage"] if self.billing is not None:
                if whoami is SECOND_WHOAMI:
                    raise queries.RefusedError(HTTPStatus.NOT_FOUND, queries.NOT_ENABLED)
                return queries.usage_report(self.billing, query, organization_of(whoami), self.page_size)
            case ["v1", "fine-tunes"]:
                return self.list_body if self.page_size is None else self._page(self.page_size, query.get("after"))
            case ["v1", "fine-tunes", job_id, *rest] if unquote(job_id) in self._by_id:
                return self._of_job(unquote(job_id), rest, query)
        return None

    def _of_job(self, job_id: str, rest: list[str], query: dict[str, str]) -> Any:
        match rest:
            case []:
                return self._by_id[job_id]
            case ["events"]:
                return {"data": self._by_id[job_id].get("events") or []}
            case ["metrics"] if self.metrics is not None:
                entries = self.metrics.get(job_id)
                return {"metrics": None if entries is None else queries.filtered(entries, query)}
            case ["checkpoints"] if self.checkpoints is not None:
                return {"data": self.checkpoints.get(job_id) or []}
        return None

    def _page(self, size: int, after: str | None) -> dict[str, Any]:
        """The list's page of `size` jobs after the job with this id; without one, the first page."""
        ids = [str(job["id"]) for job in reversed(self.jobs)]
        if after is not None and after not in ids:
            raise queries.RefusedError(HTTPStatus.BAD_REQUEST)
        start = 0 if after is None else ids.index(after) + 1
        shown = ids[start : start + size]
        cursor = shown[-1] if start + size < len(ids) else None
        return {"data": [list_item(self._by_id[job_id]) for job_id in shown], "next_cursor": cursor}


def _is_key(authorization: str | None, key: str) -> bool:
    return hmac.compare_digest((authorization or "").encode(), f"Bearer {key}".encode())


def to_json(value: Any) -> bytes:
    """A value as compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
