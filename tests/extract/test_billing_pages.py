"""The bill of a month in pages: all of it in one document, or an error; every request is counted at the server."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest

from ftetl.errors import DataError, FtetlError
from ftetl.extract import billing_pages
from tests.extract.test_list_pages import CURSORS, Pages, Reply, Serve, serve

__all__ = ["serve"]

QUERY = "month=2026-07&granularity=day&limit=1000"


def window(day: int, *lines: dict[str, Any]) -> dict[str, Any]:
    start, end = f"2026-07-{day:02}T00:00:00Z", f"2026-07-{day + 1:02}T00:00:00Z"
    return {"date": start[:10], "start_time": start, "end_time": end, "line_items": list(lines)}


def page(*windows: dict[str, Any], cursor: str | None = None, **keys: Any) -> bytes:
    around = {"object": "list", "organization_id": "org-1", "billing_period": "2026-07", "currency": "USD", **keys}
    return json.dumps({**around, "data": list(windows), "next_cursor": cursor}).encode()


FIRST, LAST = page(window(1), window(2), cursor="c1"), page(window(3, {"cost": "0.10"}))


def fetch(server: Pages, organization_id: str | None = None, max_bytes: int = 10**7) -> bytes | None:
    with closing(server.client()) as client:
        return billing_pages.fetch_month(
            lambda path: client.get_optional(path, "data"), "2026-07", organization_id, max_bytes
        )


def paths(server: Pages) -> list[str]:
    return [path.removeprefix("/v1/billing/usage?") for path in server.paths]


@pytest.mark.parametrize(
    "body",
    [
        page(window(1, {"cost": "1"})),
        page(),
        b'{"data":null,"earliest_window_start":null}',
        b' {"next_cursor" : null, "data":[ {"date":"2026-07-01", "cost": 1.50} ]}\n',
    ],
)
def test_a_bill_in_one_page_stays_as_it_was_received(serve: Serve, body: bytes) -> None:
    server = serve({None: body})

    assert (fetch(server), paths(server)) == (body, [QUERY])


def test_the_organisation_is_sent_where_it_is_known(serve: Serve) -> None:
    name = {"organization_id": "org/1 &"}
    server = serve({None: page(window(1), cursor="c1", **name), "c1": page(window(2), **name)})

    fetch(server, "org/1 &")

    assert paths(server) == [
        f"{QUERY}&organization_id=org%2F1%20%26",
        f"{QUERY}&organization_id=org%2F1%20%26&after=c1",
    ]


@pytest.mark.parametrize(
    "pages", [{None: LAST}, {None: page(window(1), cursor="c1", organization_id=None), "c1": LAST}]
)
def test_the_bill_of_another_organisation_than_was_asked_for_is_refused(
    serve: Serve, pages: dict[str | None, bytes]
) -> None:
    with pytest.raises(DataError, match="is that of another organisation"):
        fetch(serve(pages), "org-2")


@pytest.mark.parametrize("asked", [None, "org-1"])
def test_a_bill_that_names_no_organisation_or_the_one_asked_for_is_taken(serve: Serve, asked: str | None) -> None:
    nameless = page(window(1), organization_id=None)

    assert fetch(serve({None: nameless}), asked) == nameless
    assert fetch(serve({None: LAST}), asked) == LAST


def test_windows_keep_their_bytes(serve: Serve) -> None:
    first = (
        b'{"next_cursor":"c1","currency":"USD","data":[ {"date" : "2026-07-01","x":1.50e3} ,\n{"date":"2026-07-02"}]}'
    )
    last = b'{"data":[{ "date":"2026-07-03","line_items":[{"cost":01}] }],"currency":"EUR"}'

    body = fetch(serve({None: first, "c1": last}))

    windows = b'{"date" : "2026-07-01","x":1.50e3} ,\n{"date":"2026-07-02"}'
    windows += b',\n{ "date":"2026-07-03","line_items":[{"cost":01}] }'
    assert body == b'{"data":[' + windows + b'],"currency":"USD"}'


@pytest.mark.parametrize("cursor", CURSORS)
def test_a_cursor_is_sent_back_exactly(serve: Serve, cursor: str) -> None:
    server = serve({None: page(window(1), cursor=cursor), cursor: LAST})

    document = json.loads(fetch(server) or b"")

    assert [w["date"] for w in document["data"]] == ["2026-07-01", "2026-07-03"]
    assert document["organization_id"] == "org-1"
    assert len(server.paths) == 2


# What comes after the first page, and what the error says.
REFUSED: dict[str, tuple[bytes, str]] = {
    "the cursor again": (page(window(3), cursor="c1"), "repeats the cursor"),
    "the first page again": (FIRST, "repeats a window"),
    "the first page with another cursor": (page(window(1), window(2), cursor="c2"), "repeats a window"),
    "a window that changed meanwhile": (page(window(2, {"cost": "9"})), "repeats a window"),
    "an empty page and a cursor": (page(cursor="c2"), "no window"),
    "more windows without a cursor": (page(window(3), has_more=True), "`has_more`"),
    "a number as a cursor": (b'{"data":[{"date":"2026-07-03"}],"next_cursor":7}', "`next_cursor`"),
    "null and a cursor": (b'{"data":null,"next_cursor":"c2"}', "`next_cursor` is set"),
}


@pytest.mark.parametrize(("second", "says"), REFUSED.values(), ids=[*REFUSED])
def test_pages_that_cannot_be_the_bill_are_refused(serve: Serve, second: bytes, says: str) -> None:
    server = serve({None: FIRST, "c1": second})

    with pytest.raises(DataError) as caught:
        fetch(server)

    assert (caught.value.code, len(server.paths)) == ("FTETL-R46", 2)
    assert says in caught.value.what


def test_cursors_that_go_in_a_circle_end(serve: Serve) -> None:
    server = serve({None: FIRST, "c1": page(window(3), cursor="c2"), "c2": page(window(4), cursor="c1")})

    with pytest.raises(DataError):
        fetch(server)

    assert len(server.paths) == 3


BROKEN: dict[str, tuple[bytes | Reply, str]] = {
    "a server error": ((500, b"{}", {}), "FTETL-H12"),
    "an error message": (b'{"error":{"message":"no"}}', "FTETL-R01"),
    "half a page": (b'{"data":[{"date":"2026-07-03"}', "FTETL-H19"),
    "no JSON": (b'{"data":[{"date":"2026-07-03"},]}', "FTETL-E01"),
    "no list": (b'{"object":"list"}', "FTETL-R07"),
    "an array": (b'[{"date":"2026-07-03"}]', "FTETL-R07"),
}


@pytest.mark.parametrize(("body", "code"), BROKEN.values(), ids=[*BROKEN])
@pytest.mark.parametrize("cursor", [None, "c1"])
def test_what_is_no_bill_is_an_error(serve: Serve, body: bytes | Reply, code: str, cursor: str | None) -> None:
    server = serve({None: FIRST, cursor: body})

    with pytest.raises(FtetlError) as caught:
        fetch(server)

    assert caught.value.code == code


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_bill_that_is_not_shown_is_none(serve: Serve, status: int) -> None:
    server = serve({None: (status, b"{}", {})})

    assert (fetch(server), len(server.paths)) == (None, 1)


def test_a_next_page_that_is_not_there_is_an_error(serve: Serve) -> None:
    with pytest.raises(DataError, match="page 1"):
        fetch(serve({None: FIRST, "c1": (404, b"{}", {})}))


def test_the_pages_together_are_bounded(serve: Serve) -> None:
    server = serve({None: FIRST, "c1": LAST})

    with pytest.raises(DataError, match="exceeds"):
        fetch(server, max_bytes=len(FIRST) + len(LAST) - 1)
    assert fetch(server, max_bytes=len(FIRST) + len(LAST)) is not None
