"""What surrounds the elements is read strictly: only a whole list, or one job, passes."""

from __future__ import annotations

import codecs
from datetime import UTC, datetime

import pytest

from ftetl.errors import DataError, FtetlError
from ftetl.raw import envelope, index
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response

NOW = datetime(2026, 7, 3, tzinfo=UTC)
JOB = b'{"id":"ft-1","status":"running"}'
BIG = b'"' + b'x},{"id":'.replace(b'"', b'\\"') * 200_000 + b'"'  # larger than what is read of an envelope at first


def response(body: bytes) -> Response:
    return Response("jobs.json", Memory(body), NOW)


LISTS: dict[str, tuple[bytes, list[str]]] = {
    "an array": (b"[" + JOB + b"]", ["ft-1"]),
    "an empty array": (b" [ ] ", []),
    "an envelope": (b'{"data":[' + JOB + b"]}", ["ft-1"]),
    "an empty envelope": (b'{"data":[]}', []),
    "a nil slice": (b'{"data":null}', []),
    "a nil slice with keys": (b'{"object":"list","data": null , "has_more":false}', []),
    "keys before": (b'{"object":"list","x":{"data":[1]},"data":[' + JOB + b"]}", ["ft-1"]),
    "keys behind": (b'{"data":[' + JOB + b'],"object":"list","x":[[1],[2],[3],[4],"]"]}', ["ft-1"]),
    "no more pages": (b'{"has_more":false,"data":[' + JOB + b'],"next_cursor":null,"next":"","cursor":null}', ["ft-1"]),
    "a key twice alike": (b'{"a":1,"a":1,"data":[' + JOB + b'],"x":[],"x":[],"a":1}', ["ft-1"]),
    "no error": (b'{"error":null,"data":[' + JOB + b"]}", ["ft-1"]),
    "white space": (b'\r\n {\t"data"\n:\r[ ' + JOB + b" \n] } \n\n", ["ft-1"]),
    "a byte order mark": (codecs.BOM_UTF8 + b'{"data":[' + JOB + b"]}", ["ft-1"]),
    "a key with escapes": (b'{"d\\u0061ta":[' + JOB + b"]}", ["ft-1"]),
    "a large key before": (b'{"x":' + BIG + b',"data":[' + JOB + b"]}", ["ft-1"]),
    "a large name before": (b"{" + BIG + b':1,"data":[' + JOB + b"]}", ["ft-1"]),
    "much white space": (b'{"x":1,' + b" " * (2 << 20) + b'"data":' + b" " * (2 << 20) + b"[" + JOB + b"]}", ["ft-1"]),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_whole_list_passes(name: str) -> None:
    body, ids = LISTS[name]

    found = index.scan_response(response(body))

    assert found.ids == ids
    assert found.is_list
    assert not found.is_detail


JOBS: dict[str, bytes] = {
    "one job": JOB,
    "one job, its id last": b'{"status":"running","events":[{"x":1},{"id":"e"}],"id":"ft-1"}',
    "a mark and white space": codecs.BOM_UTF8 + b" \n" + JOB + b"\n",
    "a large value before the id": b'{"x":' + BIG + b',"id":"ft-1"}',
    "a large value behind the id": b'{"id":"ft-1","x":' + BIG + b"}",
    "an error of its own": b'{"error":"x","id":"ft-1"}',
    "data inside": b'{"id":"ft-1","progress":{"data":[1]}}',
    "paging words": b'{"id":"ft-1","has_more":true}',
}


@pytest.mark.parametrize("name", JOBS)
def test_one_job_is_an_answer_of_its_own(name: str) -> None:
    found = index.scan_response(response(JOBS[name]))

    assert found.ids == ["ft-1"]
    assert not found.is_list
    assert found.is_detail == (b'"events":[' in JOBS[name])  # what does not tell its events may be a list's item


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b'{"id":"ft-1","x":1,"x":NaN}', "duplicate_keys"),
        (b'{"x":1,"x":2,"id":null}', "duplicate_keys"),
        (b'{"id":"\xff","x":1}', "broken_utf8"),
        (b'{"id":"ft-1","x":' + b"[" * 2000 + b"]" * 2000 + b"}", "too_deep"),
        (b'{"id":"ft-1"} {"id":"ft-2"}', "broken_json"),
        (b'{"id":"ft-1","x":1,}', "broken_json"),
        (b'{"id":null,"x":1}', "no_id"),
    ],
)
def test_one_job_that_no_table_can_take_is_put_aside(body: bytes, rule: str) -> None:
    found = index.scan_response(response(body))

    assert [(r.rule, r.offset, r.length) for r in found.refused] == [(rule, 0, len(body))]
    assert found.received == 1


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is empty"),
    "white space": (b" \r\n\t" * 3000, "is empty"),
    "a mark": (codecs.BOM_UTF8, "is empty"),
    "UTF-16": (codecs.BOM_UTF16_LE + "[]".encode("utf-16-le"), "is not UTF-8"),
    "UTF-16 without a mark": ('{"data":[]}'.encode("utf-16-be"), "is not UTF-8"),
    "UTF-32": ('{"data":[]}'.encode("utf-32"), "is not UTF-8"),
    "null": (b"null", "is not a JSON list or object"),
    "a number": (b"17", "is not a JSON list or object"),
    "a text": (b'"data"', "is not a JSON list or object"),
    "plain text": (b"upstream connect error", "is not a JSON list or object"),
    "an empty object": (b"{}", "has no `data`"),
    "no data": (b'{"object":"list","jobs":[]}', "has no `data` (keys seen: jobs, object)"),
    "an error": (b'{"error":{"message":"x","code":"y"}}', "is an error message"),
    "an error and nothing": (b'{"data":null,"error":{"message":"x"}}', "is an error message"),
    "an error and a list": (b'{"error":"x","data":[]}', "is an error message"),
    "an object": (b'{"data":{}}', "`data` of jobs.json is not a list"),
    "a text for data": (b'{"data":"[]"}', "`data` of jobs.json is not a list"),
    "half a null": (b'{"data":nul', "ends in the middle"),
    "nothing for data": (b'{"data":', "ends in the middle"),
    "half a key": (b'{"da', "ends in the middle"),
    "a brace": (b"{", "ends in the middle"),
    "a key and no value": (b'{"object":"list","x"', "ends in the middle"),
    "half a value before": (b'{"object":"li', "ends in the middle"),
    "data twice": (b'{"data":[],"data":[]}', "has a repeated key"),
    "data twice, one null": (b'{"data":null,"data":[{"id":"a"}]}', "has a repeated key"),
    "a key twice before": (b'{"object":1,"object":2,"data":[]}', "has a repeated key"),
    "a key twice around": (b'{"object":1,"data":[],"object":2}', "has a repeated key"),
    "a key twice behind": (b'{"data":[],"a":1,"a":2}', "is invalid after"),
    "a page before": (b'{"has_more":true,"data":[]}', "one page of several"),
    "a page behind": (b'{"data":[],"has_more":true}', "one page of several"),
    "a next page": (b'{"data":[],"next":"https://api.example/2"}', "one page of several"),
    "a cursor": (b'{"data":null,"cursor":"abc"}', "one page of several"),
    "a next cursor": (b'{"next_cursor":"abc","data":[]}', "one page of several"),
    "a next token": (b'{"data":[],"nextPageToken":"abc"}', "one page of several"),
    "junk behind an array": (b"[] x", "has more text after its list"),
    "two arrays": (b"[][]", "has more text after its list"),
    "an array and a job": (b"[" + JOB + b"]" + JOB, "has more text after its list"),
    "junk behind an envelope": (b'{"data":[]} x', "is invalid after its list"),
    "two envelopes": (b'{"data":[]}{"data":[]}', "is invalid after its list"),
    "no comma behind": (b'{"data":[] "has_more":true}', "is invalid after its list"),
    "a comma behind": (b'{"data":[],}', "is invalid after its list"),
    "two commas behind": (b'{"data":[],,"a":1}', "is invalid after its list"),
    "no end": (b'{"data":[]', "ends in the middle"),
    "no end behind": (b'{"data":[],"object":"li', "ends in the middle"),
    "a wrong end": (b'{"data":[]]', "is invalid after its list"),
    "too much behind": (b'{"data":[],"x":' + BIG + b"}", "too much text after its list"),
    "a broken value before": (b'{"x":tru,"data":[]}', "is invalid before its list"),
    "no value before": (b'{"x":,"data":[]}', "is invalid before its list"),
    "broken UTF-8 before": (b'{"\xff":1,"data":[]}', "is invalid before its list"),
    "broken UTF-8 behind": (b'{"data":[],"x":"\xff"}', "is invalid after its list"),
    "depth behind": (b'{"data":[],"x":' + b"[" * 1000 + b"]" * 1000 + b"}", "is invalid after its list"),
    "an array that does not end": (b"[" + JOB, "ends in the middle"),
    "an array cut in an element": (b"[" + JOB + b"," + JOB[:9], "ends in the middle"),
    "an array cut in a string": (b"[" + JOB + b',{"id":"},{', "ends in the middle"),
    "an array that ends with a brace": (b"[" + JOB + b"}", "invalid between two elements"),
    "an envelope's array that ends with a brace": (b'{"data":[' + JOB + b"}}", "invalid between two elements"),
    "a comma at the start": (b"[," + JOB + b"]", "invalid between two elements"),
    "a comma at the end": (b"[" + JOB + b",]", "invalid between two elements"),
    "two commas": (b"[" + JOB + b" , ," + JOB + b"]", "invalid between two elements"),
    "only a comma": (b'{"data":[,]}', "invalid between two elements"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_the_whole_list_is_refused(name: str) -> None:
    body, what = REFUSED[name]

    with pytest.raises(DataError) as error:
        index.scan_response(response(body))

    assert what in error.value.what
    assert error.value.what.count("jobs.json") == 1
    assert error.value.next


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><html>", codecs.BOM_UTF8 + b"\n <html>", b"<?xml version='1.0'?>"])
def test_a_web_page_is_named(body: bytes) -> None:
    with pytest.raises(DataError, match=r"jobs.json is a web page \(HTML\).*save the response again") as caught:
        index.scan_response(response(body))
    assert caught.value.code == "FTETL-H32"


# By the spelling of the sign, with a list of one job.
PAGE_SIGNS: dict[str, tuple[bytes, ...]] = {
    "has_more": (b"true", b'"true"', b"1"),
    "hasMore": (b"true",),
    "has_next_page": (b"true",),
    "nextPageToken": (b'"x"',),
    "next_cursor": (b'"x"', b"17"),
    "next_page": (b"2",),
    "nextLink": (b'"https://a/2"',),
    "@odata.nextLink": (b'"https://a/2"',),
    "_links": (b'{"self":{"href":"a"},"next":{"href":"b"}}',),
    "links": (b'{"next":"b"}',),
    "pageInfo": (b'{"hasNextPage":true,"endCursor":"x"}',),
    "paging": (b'{"next":"b"}',),
    "meta": (b'{"pagination":{"total":30}}', b'{"total_pages":3}'),
    "pagination": (b'{"page":2,"per_page":20}',),
    "page": (b"2", b'{"number":0,"totalElements":30}'),
    "total": (b"30", b'"30"'),
    "totalCount": (b"2",),
    "count": (b"2",),
    "total_pages": (b"2",),
    "last_page": (b"4",),
    "offset": (b"20",),
    "limit": (b"1",),
    "per_page": (b"1",),
    "cursor": (b'"x"',),
    "continuationToken": (b'"x"',),
    "truncated": (b"true",),
    "incomplete_results": (b"true",),
    "is_last": (b"false",),
    "filter": (b'"status=completed"', b'{"status":"completed"}'),
}
NO_PAGE_SIGNS: dict[str, tuple[bytes, ...]] = {
    "has_more": (b"false", b"null", b'"false"', b"0"),
    "next_cursor": (b"null", b'""', b"false"),
    "links": (b'{"self":"a","next":null,"last":"b"}',),
    "pageInfo": (b'{"hasNextPage":false,"endCursor":"x"}',),
    "first_id": (b'"ft-1"',),
    "last_id": (b'"ft-1"',),
    "page": (b"1", b'{"number":0,"totalElements":1,"totalPages":1}'),
    "total": (b"1", b"0", b"null", b'"many"', b'"' + b"9" * 5000 + b'"'),
    "offset": (b"0",),
    "limit": (b"100", b"null"),
    "cursor": (b"null", b'{"after":null}'),
    "is_last": (b"true",),
    "object": (b'"list"',),
    "filters": (b"{}", b"[]"),
}


@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in PAGE_SIGNS.items() for value in values])
def test_every_sign_of_a_page_refuses_the_list(key: str, value: bytes, is_before: bool) -> None:
    with pytest.raises(DataError, match="one page of several") as caught:
        index.scan_response(response(_beside(key, value, is_before)))
    assert caught.value.code == "FTETL-R46"


@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in NO_PAGE_SIGNS.items() for value in values])
def test_what_only_looks_like_the_sign_of_a_page_passes(key: str, value: bytes, is_before: bool) -> None:
    assert index.scan_response(response(_beside(key, value, is_before))).ids == ["ft-1"]


def _beside(key: str, value: bytes, is_before: bool) -> bytes:
    member = b'"%s":%s' % (key.encode(), value)
    return b"{%s,%s}" % ((member, b'"data":[%s]' % JOB) if is_before else (b'"data":[%s]' % JOB, member))


@pytest.mark.parametrize("part", range(20))
def test_a_list_cut_anywhere_is_refused(part: int) -> None:
    body = (
        b'{"object":"list","data":[' + b",".join(b'{"id":"ft-%d","m":"a,{]}"}' % n for n in range(50)) + b'],"x":[1]}'
    )

    with pytest.raises(FtetlError):
        index.scan_response(response(body[: len(body) * part // 20]))


def test_messages_hold_no_values() -> None:
    for body, _ in REFUSED.values():
        with pytest.raises(FtetlError) as error:
            index.scan_response(response(body.replace(b"ft-1", b"VALUE").replace(b'"x"', b'"VALUE"')))
        assert "VALUE" not in str(error.value)


def test_an_opening_tells_where_the_list_starts() -> None:
    assert envelope.read_opening(response(b" [1]")) == envelope.Opening(2, bare=True)
    assert envelope.read_opening(response(b'{"a":1,"data":[]}')) == envelope.Opening(15, keys={"a": b"1"})
    assert envelope.read_opening(response(b'\n{"id":1}')) == envelope.Opening(1, single=True)
    assert envelope.read_opening(response(b'{"data":null}')) == envelope.Opening(8, empty=True)
