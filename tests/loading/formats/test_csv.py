from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ftetl import contract
from ftetl.contract import arrow_schema
from ftetl.loading import formats
from ftetl.loading.formats import SECONDS
from ftetl.loading.formats.csv import FORMULA

HEADER = b'"project","position","message","ratio","packing","created_at","price_usd"\r\n'
TIME = pa.timestamp("us", tz="UTC")


def formula(cell: str) -> bool:
    """Whether the writer's own pattern sees a formula."""
    return bool(pc.match_substring_regex(pa.scalar(cell), FORMULA).as_py())


def plain_text(cell: str | None) -> str | None:
    """The text behind a cell: the guard taken off."""
    return cell[1:] if cell is not None and formula(cell) else cell


def without_nul(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value.replace("\0", r"\x00") if isinstance(value, str) else value for key, value in row.items()}


def cells(column: pa.Array, written, *, raw: bool = False) -> list[str]:
    """What Python's csv module reads of a column beside a number (an empty line would be no row)."""
    table = pa.table({"n": range(len(column)), "value": column})
    text = written("csv", table.select(["n", "value"]), raw=raw).decode()
    return [row[1] for row in csv.reader(io.StringIO(text, newline=""))][1:]


PARSE: dict[str, Any] = {
    "position": int,
    "ratio": float,
    "packing": {"true": True, "false": False}.__getitem__,
    "created_at": datetime.fromisoformat,
    "price_usd": Decimal,
}


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_python_reads_back_what_was_written(data: st.DataObject, tables, written) -> None:
    table = data.draw(tables)
    reader = csv.DictReader(io.StringIO(written("csv", table).decode(), newline=""), strict=True)
    for expected, found in zip(map(without_nul, table.to_pylist()), reader, strict=True):
        for key, value in expected.items():
            if key in PARSE:
                assert (PARSE[key](found[key]) if found[key] else None) == value
            else:
                assert plain_text(found[key]) == (value or "")


@pytest.fixture(scope="module")
def duck(tmp_path_factory) -> Any:
    path = tmp_path_factory.mktemp("duck") / "table.csv"
    types = "'project': 'varchar', 'position': 'bigint', 'message': 'varchar', 'ratio': 'double', 'packing': 'bool'"
    types += ", 'created_at': 'timestamp', 'price_usd': 'decimal(18, 9)'"
    options = "header = true, delim = ',', quote = '\"', escape = '\"', new_line = '\\r\\n', allow_quoted_nulls = false"
    with duckdb.connect() as connection:

        def read(data: bytes) -> list[tuple[Any, ...]]:
            path.write_bytes(data)
            return connection.sql(f"from read_csv('{path}', columns = {{{types}}}, {options})").fetchall()

        yield read


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_duckdb_reads_back_what_was_written_and_tells_null_from_empty(
    data: st.DataObject, tables, written, duck
) -> None:
    table = data.draw(tables)
    rows = [tuple(without_nul(row).values()) for row in table.to_pylist()]
    found = [
        tuple(
            plain_text(value)
            if isinstance(value, str)
            else value.replace(tzinfo=UTC)
            if place == 5 and value
            else value
            for place, value in enumerate(row)
        )
        for row in duck(written("csv", table))
    ]
    assert found == rows


@pytest.mark.parametrize(
    ("value", "kind", "cell"),
    [
        (None, pa.string(), b""),
        ("", pa.string(), b'""'),
        ("a", pa.string(), b'"a"'),
        ('a "b", c', pa.string(), b'"a ""b"", c"'),
        ("a\rb\nc\r\nd", pa.string(), b'"a\rb\nc\r\nd"'),
        ("é😀", pa.string(), '"é😀"'.encode()),
        ("a\0b", pa.string(), rb'"a\x00b"'),
        ("=1+1", pa.string(), b'"\'=1+1"'),
        (None, pa.int64(), b""),
        (-1, pa.int64(), b"-1"),
        (9223372036854775807, pa.int64(), b"9223372036854775807"),
        (2e-05, pa.float64(), b"0.00002"),
        (1.0, pa.float64(), b"1.0"),
        (-0.0, pa.float64(), b"-0.0"),
        (1e20, pa.float64(), b"1e+20"),
        (None, pa.float64(), b""),
        ("\0", pa.string(), rb'"\x00"'),
        (True, pa.bool_(), b"true"),
        (False, pa.bool_(), b"false"),
        (None, pa.bool_(), b""),
        (datetime(2026, 7, 2, 8, 10, 14, 250_000, UTC), TIME, b'"2026-07-02T08:10:14.250000Z"'),
        (datetime(1, 1, 1, tzinfo=UTC), TIME, b'"0001-01-01T00:00:00.000000Z"'),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC), TIME, b'"9999-12-31T23:59:59.999999Z"'),
        (None, TIME, b""),
        (Decimal("0.000000000"), pa.decimal128(18, 9), b'"0.000000000"'),
        (Decimal("-0.000000001"), pa.decimal128(18, 9), b'"-0.000000001"'),
        (Decimal("-1.000000000"), pa.decimal128(18, 9), b'"-1.000000000"'),
        (None, pa.decimal128(18, 9), b""),
        (Decimal("-12"), pa.decimal128(18, 0), b'"-12"'),
    ],
)
def test_a_cell_is_written_so(value: object, kind: pa.DataType, cell: bytes, written) -> None:
    table = pa.table({"n": pa.array([0]), "value": pa.array([value], kind)})
    assert written("csv", table) == b'"n","value"\r\n0,' + cell + b"\r\n"


@pytest.mark.parametrize("name", contract.tables())
def test_duckdb_finds_the_header_of_a_table_without_rows(name: str, written, tmp_path: Path) -> None:
    """Of `epoch` it makes a date, and of the header a row: see findings/duckdb_takes_a_header_for_data.sh."""
    empty = arrow_schema.empty(contract.tables()[name])
    (tmp_path / "table.csv").write_bytes(written("csv", empty))

    assert duckdb.read_csv(str(tmp_path / "table.csv")).columns == empty.column_names


def test_the_header_is_the_same_with_and_without_rows(plain: pa.Table, written) -> None:
    assert written("csv", plain.slice(0, 0)) == HEADER
    assert written("csv", plain).startswith(HEADER)


@pytest.mark.parametrize("precision", [18, 20, 28])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_decimals_are_written_as_python_formats_them(precision: int, data: st.DataObject, written) -> None:
    most = 10**precision - 1
    near_zero = st.integers(-2 * 10**9, 2 * 10**9)
    units = data.draw(st.lists(st.integers(-most, most) | near_zero | st.sampled_from([most, -most]), min_size=1))
    values = [Decimal(f"{unit}E-9") for unit in units]
    column = pa.array(values, pa.decimal128(precision, 9))
    assert cells(column, written) == [format(value, "f") for value in values]


@settings(max_examples=100, deadline=None)
@given(moments=st.lists(st.datetimes(timezones=st.just(UTC)), min_size=1))
def test_times_have_six_digits_of_a_second_and_z(moments: list[datetime], written) -> None:
    expected = [moment.isoformat(timespec="microseconds").replace("+00:00", "Z") for moment in moments]
    assert cells(pa.array(moments, TIME), written) == expected


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_reals_are_written_so_that_they_come_back_exactly(values: list[float], written) -> None:
    assert [float(cell) for cell in cells(pa.array(values), written)] == values
    assert not [cell for cell in cells(pa.array(values), written) if re.fullmatch(r"-?\d+", cell)]


TRIGGERS = ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
BEFORE = ["", " ", "   ", '"', "'", "' \"", "\u00a0", "\u3000", "\ufeff"]


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("before", BEFORE)
def test_a_formula_gets_an_apostrophe_and_raw_leaves_it(before: str, trigger: str, written) -> None:
    text = f"{before}{trigger}1+1"
    assert cells(pa.array([text]), written) == [f"'{text}"]
    assert cells(pa.array([text]), written, raw=True) == [text]


@pytest.mark.parametrize(
    "text", ["", "a=1", "1-1", "it's", "'", '"', "'a", "ft-1a2b", "user@example.com", "a\tb", "\0=1"]
)
def test_a_harmless_text_stays_as_it_is(text: str, written) -> None:
    assert cells(pa.array([text]), written) == [text.replace("\0", r"\x00")]


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.text(st.sampled_from([*TRIGGERS, *"' \"a\ufeff"]), max_size=4), min_size=1, unique=True))
@example(texts=["=", "'=", "''=", "'", "''", "a"])
def test_no_cell_is_a_formula_and_the_guard_can_be_taken_off(texts: list[str], written) -> None:
    found = cells(pa.array(texts), written)
    assert [plain_text(cell) for cell in found] == texts
    assert not [cell for cell in found if re.match(r"[\s\"]*[=+\-@\uff1d\uff0b\uff0d\uff20]", cell)]


@pytest.mark.parametrize("value", [Decimal("-1.5"), -1, -1.5])
def test_a_negative_number_is_no_formula(value: object, written) -> None:
    kind = pa.decimal128(18, 9) if isinstance(value, Decimal) else None
    assert cells(pa.array([value], kind), written)[0].startswith("-1")


def test_times_of_columns_with_whole_seconds_have_no_fraction() -> None:
    moments = [datetime(2026, 7, 2, 8, 10, 14, tzinfo=UTC), None, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)]
    table = pa.table({name: pa.array(moments, pa.timestamp("us", "UTC")) for name in ("a", "b")})
    sink = io.BytesIO()
    writer = formats.load_format("csv").writer(sink, table.schema, metadata={SECONDS: "b"})
    writer.write(table)
    writer.close()
    assert sink.getvalue().decode().split("\r\n")[1:4] == [
        '"2026-07-02T08:10:14.000000Z","2026-07-02T08:10:14Z"',
        ",",
        '"1969-12-31T23:59:59.000000Z","1969-12-31T23:59:59Z"',
    ]
