"""The live list of jobs, with all its pages joined to one list; pages that cannot be all of it are refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ftetl.clock import now
from ftetl.errors import PREFIX, DataError
from ftetl.extract.together_api.client import Client, JobList
from ftetl.extract.together_api.transport import too_large
from ftetl.raw import pages, paging
from ftetl.raw.blob import Memory
from ftetl.raw.pages import Page
from ftetl.raw.response import Response

_NAME = "GET /fine-tunes"
_NO_LIST = frozenset(f"{PREFIX}{fault}" for fault in ("R06", "R07", "R09"))


def fetch_list(client: Client) -> JobList:
    """The list of all jobs, dated by its first response.

    Where a response names a next page, that is requested with `?after=`, and so on to the last one: a list is complete,
    or there is an error.

    Raises:
        FtetlError: As `Client.list_jobs`.
        DataError: The response is one page of several, and the others cannot be requested, or do not fit together.
    """
    joined = _Pages(client.host, client.limits.max_bytes)
    first = page = client.list_jobs()
    while True:
        try:
            cursor = joined.add(page)
        except DataError as error:
            error.evidence = client.without_key(page.body)
            raise
        if cursor is None:
            return replace(first, body=joined.body(), total=joined.total, pages=joined.number)
        page = client.list_jobs(after=cursor)


@dataclass
class _Pages:
    """The pages of one list, added in their order; a list in one page stays as it was received."""

    host: str
    max_bytes: int  # of all pages together
    number: int = 0  # of pages so far
    total: int | None = None  # how many jobs there are, by the headers of the newest page that says so
    _first: bytes = field(default=b"", repr=False)
    _jobs: list[bytes] = field(default_factory=list, repr=False)
    _size: int = 0
    _received: int = 0
    _ids: set[str] = field(default_factory=set, repr=False)
    _cursors: set[str] = field(default_factory=set, repr=False)

    def add(self, response: JobList) -> str | None:
        """Add a page; the cursor of the next one, None after the last page.

        Raises:
            DataError: The page repeats a cursor or jobs, or has no list; the last one says that there are more jobs; or
                the pages are larger than `max_bytes` together.
        """
        self.number += 1
        self.total = self.total if response.total is None else response.total
        cursor = self._add_body(response.body)
        if cursor is None and response.page_header is not None:
            raise paging.page_error(_NAME, f"the header `{response.page_header}` is set")
        return cursor

    def body(self) -> bytes:
        """The list: the one page as it was received, or the jobs of all pages as they were received."""
        return self._first if self.number == 1 else b'{"data":[' + b",\n".join(self._jobs) + b"]}"

    def _add_body(self, body: bytes) -> str | None:
        if self.number == 1:
            self._first = body
            if not pages.may_have_cursor(body):
                return None
        self._size += len(body)
        if self._size > self.max_bytes:
            raise too_large(self.host, self.max_bytes).error(1)
        page = self._read(body)
        if page is None or (self.number == 1 and page.cursor is None):
            return None  # a list in one page, which the extract step checks
        new_ids = set(page.ids) - self._ids
        if page.ids and not new_ids:
            raise self._refused("repeats jobs of the pages before it")
        self._ids |= new_ids
        self._received += page.received - len(page.ids) + len(new_ids)
        if page.received:
            self._jobs.append(page.jobs)
        if page.cursor is None:
            self._require_all(page)
        elif not page.received:
            raise self._refused("names a next page but has no job")
        elif page.cursor in self._cursors:
            raise self._refused("repeats the cursor of a page before it")
        else:
            self._cursors.add(page.cursor)
        return page.cursor

    def _read(self, body: bytes) -> Page | None:
        name = _NAME if self.number == 1 else f"page {self.number} of {_NAME}"
        try:
            page = pages.read_page(Response(name, Memory(body), now()))
        except DataError as error:
            if self.number == 1:
                return None
            if error.code not in _NO_LIST:
                raise
            page = None
        if page is None and self.number > 1:
            raise self._refused("has no list of jobs")
        return page

    def _require_all(self, page: Page) -> None:
        sign = paging.sign_in_keys(page.keys, self._received, self.number)
        if sign is not None:
            raise self._refused(f"is the last one, but `{sign}` tells of more jobs")
        if self.total is not None and self.total > self._received:
            raise self._refused(f"is the last one, but the headers tell of {self.total:,} jobs, not {self._received:,}")

    def _refused(self, why: str) -> DataError:
        what = f"page {self.number} of {_NAME} {why}: the list is not complete, and nothing was committed"
        return DataError("R46", what, next="run again; if that does not help, the API pages in a way unknown to ftetl")
