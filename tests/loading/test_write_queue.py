"""Rows that are written in a thread make the same files, and what goes wrong there is not lost."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest

from ftetl.loading import formats
from ftetl.loading.write_queue import WriteQueue

SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("text", pa.string())])
SIZES = [3, 40_000, 1, 70_000, 0, 30_000, 2, 90_000] * 2  # some go to the thread, some do not


def batches() -> list[pa.Table]:
    starts = [sum(SIZES[:place]) for place in range(len(SIZES))]
    ids = [range(start, start + size) for start, size in zip(starts, SIZES, strict=True)]
    return [pa.table([pa.array(i, pa.int64()), pa.array(map(str, i), pa.string())], schema=SCHEMA) for i in ids]


def write_all(queue: WriteQueue, writer: formats.Writer, tables: list[pa.Table]) -> None:
    for rows in tables:
        queue.write(writer, rows)
    queue.finish()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ftetl-write")]


@pytest.mark.parametrize("form", formats.names())
def test_the_files_are_those_that_the_caller_would_write(tmp_path: Path, form: str) -> None:
    queue = WriteQueue()
    with (tmp_path / "queued").open("wb") as queued, (tmp_path / "direct").open("wb") as direct:
        in_thread, here = (formats.load_format(form).writer(f, SCHEMA, metadata={}) for f in (queued, direct))
        write_all(queue, in_thread, batches())
        for rows in batches():
            here.write(rows)
        in_thread.close()
        here.close()

    assert (tmp_path / "queued").read_bytes() == (tmp_path / "direct").read_bytes()
    assert threads() == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full is one of Linux's devices")
@pytest.mark.parametrize("count", [1, 30])
def test_an_error_of_the_disk_reaches_the_caller(count: int) -> None:
    queue = WriteQueue()
    with Path("/dev/full").open("wb", buffering=0) as full, Path("/dev/null").open("wb") as header:
        writer = formats.load_format("csv").writer(header, SCHEMA, metadata={})
        writer._sink = full  # type: ignore[attr-defined]
        with pytest.raises(OSError, match="No space"):
            write_all(queue, writer, batches()[3:4] * count)
        queue.abandon()

    assert threads() == []


def test_after_it_was_abandoned_nothing_is_written_any_more(tmp_path: Path) -> None:
    queue = WriteQueue()
    with (tmp_path / "rows").open("wb") as file:
        writer = formats.load_format("csv").writer(file, SCHEMA, metadata={})
        for rows in batches():
            queue.write(writer, rows)
        queue.abandon()
        written = file.tell()

        assert threads() == []
        assert file.tell() == written
