"""What the formats' tests share: a schema with every type that occurs, and rows of it, odd ones first of all."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import strategies as st

from ftetl.loading import formats

SCHEMA = pa.schema(
    [
        pa.field("project", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("message", pa.string()),
        pa.field("ratio", pa.float64()),
        pa.field("packing", pa.bool_()),
        pa.field("created_at", pa.timestamp("us", tz="UTC")),
        pa.field("price_usd", pa.decimal128(18, 9)),
    ]
)
METADATA = {"ftetl.key": "project,position", "ftetl.contract": "1-0a1b2c3d"}
ODD = [
    "",
    '"',
    "'",
    ",",
    "\r",
    "\n",
    "\r\n",
    "\0",
    "=",
    "\uff0b",
    "@",
    "\t",
    " ",
    "\ufeff",
    "é",
    "😀",
    "a",
    "NULL",
    r"\x00",
]

texts = st.lists(st.sampled_from(ODD), max_size=5).map("".join) | st.text(st.characters(codec="utf-8"), max_size=20)
rows = st.fixed_dictionaries(
    {
        "project": texts,
        "position": st.integers(-(2**63), 2**63 - 1),
        "message": st.none() | texts,
        "ratio": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "packing": st.none() | st.booleans(),
        "created_at": st.none() | st.datetimes(timezones=st.just(UTC)),
        "price_usd": st.none() | st.integers(-(10**18) + 1, 10**18 - 1).map(lambda n: Decimal(n).scaleb(-9)),
    }
)

PLAIN = [
    ("default", 0, "Job started", 2e-05, True, datetime(2026, 7, 2, 8, 10, 14, 250_000, UTC), Decimal("0.052306560")),
    ("default", 1, 'a "quoted", é\r\n😀', -1.5, False, datetime(2026, 7, 2, tzinfo=UTC), Decimal("0E-9")),
    ("default", 2, None, None, None, None, None),
    ("default", 3, "00123", 1.0, True, datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC), Decimal("-0.000000001")),
    ("default", 4, "it is = 1", 0.0, False, datetime(2026, 7, 2, tzinfo=UTC), Decimal("999999999.999999999")),
]


@pytest.fixture(scope="session")
def schema() -> pa.Schema:
    return SCHEMA


@pytest.fixture(scope="session")
def metadata() -> dict[str, str]:
    return METADATA


@pytest.fixture(scope="session")
def plain() -> pa.Table:
    """Rows that every reader reads alike: no empty text, no formula, no NUL."""
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in PLAIN], SCHEMA)


@pytest.fixture(scope="session")
def tables() -> st.SearchStrategy[pa.Table]:
    return st.lists(rows, max_size=12).map(lambda found: pa.Table.from_pylist(found, SCHEMA))


@pytest.fixture(scope="session")
def written() -> Callable[..., bytes]:
    """The bytes of a table in a format, written piece by piece if pieces are given."""

    def write(name: str, *pieces: pa.Table, raw: bool = False) -> bytes:
        sink = io.BytesIO()
        writer = formats.load_format(name).writer(sink, pieces[0].schema, metadata=METADATA, raw=raw)
        for piece in pieces:
            writer.write(piece)
        writer.close()
        return sink.getvalue()

    return write
