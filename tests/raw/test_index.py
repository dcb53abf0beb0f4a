"""The first pass: every element where it lies, in windows of any size, in lists of any making."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ftetl.errors import DataError
from ftetl.raw import index
from ftetl.raw.blob import File, Memory
from ftetl.raw.response import Response, Shape

NOW = datetime(2026, 7, 3, tzinfo=UTC)
WINDOWS = (16, 64, 100, 512, 8 << 20)


def response(body: bytes, shape: Shape = Shape.DOCUMENT) -> Response:
    return Response("jobs", Memory(body), NOW, shape)


def elements(a: Response) -> list[bytes]:
    """The bytes of every element in order, refused ones among them."""
    found = index.scan_response(a)
    spots = [*zip(found.positions, found.offsets, found.lengths, strict=True)]
    spots += [(r.position, r.offset, r.length) for r in found.refused]
    assert [position for position, _, _ in sorted(spots)] == list(range(found.received))
    return [a.blob.read(offset, length) for _, offset, length in sorted(spots)]


NASTY = [
    b'{"id":"plain"}',
    b'{"id":"long","m":"' + b"x" * 3000 + b'"}',
    b'{"id":"list-like","m":"},{\\"id\\":\\"fake\\"},{\\"id\\":"}',
    b'{"id":"escapes","m":"\\\\","n":"\\\\\\"","o":"]}"}',
    b'{"id":"nested","events":[{"id":"fake-1"},{"id":"fake-2"},{"id":"fake-3","x":{"id":"fake-4"}}]}',
    b'{"status":"other key first","id":"other"}',
    b'{ "id" : "spaced" , "events" : [ {"id":"fake"} , {"id":"fake"} ] }',
    b'{"\\u0069d":"escaped"}',
    b'{"id":"odd","x":NaN}',
    b'{"id":"deep","x":' + b"[" * 1500 + b"]" * 1500 + b"}",
    b'{"id":"bytes","m":"\xff"}',
    b'{"id":"twice","id":"again"}',
    b'{"id":"\xff"}',
    b"null",
    b"[[],{}]",
    b'"},{"',
    b'{"id":"last"}',
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("gap", [b"", b" ", b"\n", b"\r\n\t "])
@pytest.mark.parametrize("start", range(3))
def test_every_element_is_found_in_windows_of_any_size(
    monkeypatch: pytest.MonkeyPatch, window: int, gap: bytes, start: int
) -> None:
    monkeypatch.setattr(index, "WINDOW", window)
    expected = NASTY[start:] + NASTY[:start]
    listed = b"[" + gap + (gap + b"," + gap).join(expected) + gap + b"]"

    assert elements(response(listed)) == expected
    assert elements(response(b'{"object":"list","data":' + listed + b',"next":null}')) == expected


@pytest.mark.parametrize("window", WINDOWS)
def test_a_clean_list_needs_no_python_reader(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(index, "WINDOW", window)
    texts = [json.dumps({"id": f"ft-{n:03}", "events": [{"id": "x"}] * (n % 5)}).encode() for n in range(100)]

    found = index.scan_response(response(b"[" + b", ".join(texts) + b"]"))

    assert found.ids == [f"ft-{n:03}" for n in range(100)]
    assert found.irregular == set()
    assert found.refused == []
    assert found.received == 100


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("at", [0, 7, 19])
def test_one_bad_id_puts_only_its_own_element_aside(monkeypatch: pytest.MonkeyPatch, window: int, at: int) -> None:
    monkeypatch.setattr(index, "WINDOW", window)
    texts = [b'{"id":"ft-%02d"}' % n for n in range(20)]
    texts[at] = b'{"id":"../%02d"}' % at

    found = index.scan_response(response(b"[" + b",".join(texts) + b"]"))

    assert found.ids == [f"ft-{n:02}" for n in range(20) if n != at]
    assert [(r.position, r.rule, r.job_id) for r in found.refused] == [(at, "bad_id", None)]


PLAIN = [b'{"id":"ft-%04d","message":"%s"}' % (n, b"m" * 60) for n in range(1000)]
WALKED: dict[str, tuple[list[bytes], float]] = {
    # the elements, and how much of the body the tolerant splitter may see, in windows
    "clean": (PLAIN, 0),
    "one odd element": ([*PLAIN[:500], b'{"id":"odd","x":NaN}', *PLAIN[500:]], 1),
    "three odd elements": ([b'{"id":"o1","x":NaN}', *PLAIN[:500], b'{"id":"o2","x":NaN}', *PLAIN[500:]], 4),
    "nested objects that look like jobs": ([b'{"id":"a","x":[' + b",".join(PLAIN[:20]) + b"]}"] * 50, 0),
    "one very large element": (
        [*PLAIN[:9], b'{"id":"big","x":[' + b",".join([b"[1]"] * 100_000) + b"]}", *PLAIN[9:]],
        80,
    ),
    "one very large odd element": ([*PLAIN[:9], b'{"id":"big","x":[NaN' + b",[1]" * 100_000 + b"]}", *PLAIN[9:]], 300),
}


@pytest.mark.parametrize("name", WALKED)
def test_only_what_is_odd_is_walked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The splitter is slow; the cost of odd elements must not grow beyond their own windows."""
    monkeypatch.setattr(index, "WINDOW", 4096)
    listed, windows = WALKED[name]
    seen: list[int] = []
    split_elements = index.split_elements
    monkeypatch.setattr(index, "split_elements", lambda window: seen.append(len(window)) or split_elements(window))

    found = index.scan_response(response(b"[" + b",".join(listed) + b"]"))

    assert found.received == len(listed)
    assert sum(seen) <= windows * 4096


# --- lines


LINES: dict[str, tuple[bytes, list[bytes]]] = {
    "plain": (b'{"id":"a"}\n{"id":"b"}\n', [b'{"id":"a"}', b'{"id":"b"}']),
    "no end": (b'{"id":"a"}\n{"id":"b"}', [b'{"id":"a"}', b'{"id":"b"}']),
    "CRLF": (b'{"id":"a"}\r\n{"id":"b"}\r\n', [b'{"id":"a"}', b'{"id":"b"}']),
    "blank lines": (b'\n\n{"id":"a"}\n \t\n\r\n{"id":"b"}\n\n', [b'{"id":"a"}', b'{"id":"b"}']),
    "indented": (b'  {"id":"a"} \n\t{"id":"b"}\t', [b'{"id":"a"}', b'{"id":"b"}']),
    "a mark": (b'\xef\xbb\xbf{"id":"a"}\n{"id":"b"}', [b'{"id":"a"}', b'{"id":"b"}']),
    "a mark in a later line": (b'{"id":"a"}\n\xef\xbb\xbf{"id":"b"}', [b'{"id":"a"}', b'\xef\xbb\xbf{"id":"b"}']),
    "null first": (b'null\n{"id":"b"}', [b"null", b'{"id":"b"}']),
    "two on one line": (b'{"id":"a"}{"id":"b"}\n{"id":"c"}', [b'{"id":"a"}{"id":"b"}', b'{"id":"c"}']),
    "one on two lines": (b'{"id":\n"a"}\n{"id":"c"}', [b'{"id":', b'"a"}', b'{"id":"c"}']),
    "two and a half": (b'{"id":"a"}{"id":"b"}\n\n{"id":"c"}', [b'{"id":"a"}{"id":"b"}', b'{"id":"c"}']),
    "cut": (b'{"id":"a"}\n{"id":"b","x', [b'{"id":"a"}', b'{"id":"b","x']),
    "braces in texts": (b'{"id":"a","m":"}\\n{"}\n{"id":"b"}', [b'{"id":"a","m":"}\\n{"}', b'{"id":"b"}']),
    "other white space": (b'{"id":"a"}\x0c\n{"id":"b\xc2\x85"}', [b'{"id":"a"}', b'{"id":"b\xc2\x85"}']),
    "an array": (b'[{"id":"a"}]\n{"id":"b"}', [b'[{"id":"a"}]', b'{"id":"b"}']),
}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", LINES)
def test_every_line_is_an_element(monkeypatch: pytest.MonkeyPatch, name: str, window: int) -> None:
    monkeypatch.setattr(index, "WINDOW", window)
    body, expected = LINES[name]

    assert elements(response(body, Shape.LINES)) == expected


@pytest.mark.parametrize("window", WINDOWS)
def test_every_nasty_line_is_found(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(index, "WINDOW", window)

    assert elements(response(b"\n".join(NASTY), Shape.LINES)) == NASTY
    assert elements(response(b" \r\n".join(NASTY) + b"\r\n", Shape.LINES)) == NASTY


@pytest.mark.parametrize("body", [b"[1,\n2]", b"null\n", b"plain\ntext", b'{\n  "data": [\n', b"\x00\x01\n\x02" * 3])
def test_lines_that_hold_no_job_at_all_are_no_answer(body: bytes) -> None:
    with pytest.raises(DataError):
        index.scan_response(response(body, Shape.LINES))


def test_lines_are_never_a_whole_list() -> None:
    found = index.scan_response(response(b'{"id":"a"}\n{"id":"b"}', Shape.LINES))

    assert not found.is_list
    assert not found.is_detail


# --- size


@pytest.mark.parametrize("shape", list(Shape))
def test_a_file_is_never_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Shape) -> None:
    monkeypatch.setattr(index, "WINDOW", 1 << 16)
    path = tmp_path / "jobs"
    text = json.dumps({"id": "ft-0", "message": "x" * 4000})
    lines = shape is Shape.LINES
    with path.open("w") as file:
        file.write("" if lines else '{"data":[')
        for n in range(4000):
            file.write(("\n" if lines else ",") if n else "")
            file.write(text)
        file.write("" if lines else "]}")
    a = Response("jobs", File(path), NOW, shape)
    tracemalloc.start()

    found = index.scan_response(a)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.received == 4000
    assert path.stat().st_size > 16_000_000
    assert peak < 4_000_000


class Shrinking(Memory):
    """A file that somebody cuts while it is read."""

    def read(self, offset: int, length: int) -> bytes:
        found = super().read(offset, length)
        self.data = self.data[:10]
        return found


@pytest.mark.parametrize("shape", [Shape.LINES, Shape.DOCUMENT])
@pytest.mark.parametrize("cut", [0, 1])
def test_an_answer_that_becomes_shorter_is_refused(monkeypatch: pytest.MonkeyPatch, shape: Shape, cut: int) -> None:
    monkeypatch.setattr(index, "WINDOW", 50)
    jobs = [b'{"id":"ft-%d"}' % n for n in range(100)]
    body = b"\n".join(jobs) if shape is Shape.LINES else b"[" + b",".join(jobs) + b"]"
    blob = Shrinking(body)
    blob.data = blob.data[:30] if cut else blob.data

    with pytest.raises(DataError, match="saved was changed while it was read"):
        index.scan_response(Response("saved", blob, NOW, shape))
