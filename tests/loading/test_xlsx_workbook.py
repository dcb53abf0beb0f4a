"""A workbook as openpyxl, another library, reads it: every cell, whatever is in the tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.errors import SoftwareError
from ftetl.loading.xlsx_workbook import LOADS, Sheet, write_workbook
from tests.loading.xlsx_reader import read

MADE = datetime(2026, 7, 2, 8, 10, 14, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        pa.field("project", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("ratio", pa.float64()),
        pa.field("packing", pa.bool_()),
        pa.field("created_at", pa.timestamp("us", tz="UTC")),
        pa.field("price_usd", pa.decimal128(18, 9)),
    ]
)
ODD = [
    "\0",
    "\r",
    "\r\n",
    "\t",
    " ",
    "=",
    "+",
    "-",
    "@",
    "'",
    '"',
    "<r>",
    "</r>",
    "&",
    "]]>",
    "_x0041_",
    "\ufffe",
    "1e5",
]
texts = st.lists(st.sampled_from(ODD), max_size=5).map("".join) | st.text(st.characters(codec="utf-8"), max_size=20)
rows = st.tuples(
    texts,
    st.integers(-(2**63), 2**63 - 1) | st.integers(-1000, 10**16),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.booleans(),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.none() | st.integers(-(10**18) + 1, 10**18 - 1).map(lambda n: Decimal(n).scaleb(-9)),
)


def table_of(found: Sequence[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*found, strict=True) if found else [[] for _ in SCHEMA]
    return pa.table([pa.array(list(c), f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def write(file: Path, table: pa.Table, name: str = "jobs") -> list[str]:
    sheet = Sheet(name, table.num_rows, table.schema, [table.slice(0, 7), table.slice(7)])
    return write_workbook(file, [sheet], {"ftetl project": "default"}, MADE)


@given(found=st.lists(rows, max_size=10))
def test_every_cell_comes_back(found: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("book") / "jobs.xlsx"

    write(file, table_of(found))

    assert read(file, {"jobs": SCHEMA})["jobs"] == [(*row,) for row in found]


@pytest.mark.parametrize("text", ["<r><t>x</t></r>", "<r></r>", "<r>\0 & </r>", "<r>_x0041_</r>"])
def test_a_text_that_looks_like_xml_of_a_sheet_stays_a_text(text: str, tmp_path: Path) -> None:
    write(tmp_path / "jobs.xlsx", table_of([(text, 1, None, None, None, None)]))

    assert read(tmp_path / "jobs.xlsx", {"jobs": SCHEMA})["jobs"][0][0] == text


def test_the_same_rows_give_the_same_bytes_and_no_temporary_file_stays(tmp_path: Path) -> None:
    table = table_of([("a", number, 0.1, True, MADE, Decimal(number)) for number in range(30)])
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "jobs.xlsx", table)

    assert [path.name for path in tmp_path.glob("*/*")] == ["jobs.xlsx"] * 2
    assert len({path.read_bytes() for path in tmp_path.glob("*/*")}) == 1


def test_the_header_has_a_filter_stays_in_view_and_says_what_is_utc(tmp_path: Path) -> None:
    write(tmp_path / "jobs.xlsx", table_of([("a", 1, 0.5, None, MADE, Decimal(1))]))
    sheet = openpyxl.load_workbook(tmp_path / "jobs.xlsx")["jobs"]

    assert [cell.value for cell in sheet[1]] == [
        *("project", "position", "ratio", "packing", "created_at (UTC)", "price_usd"),
    ]
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:F2")
    assert sheet["E2"].value == MADE.replace(tzinfo=None)
    assert [sheet.cell(2, place).number_format for place in range(1, 7)] == [
        *("@", "0", "General", "General", "yyyy-mm-dd hh:mm:ss.000", "#,##0.00#######"),
    ]


def test_what_does_not_fit_is_told_by_column_in_the_result_and_in_the_file(tmp_path: Path) -> None:
    notes = write(tmp_path / "jobs.xlsx", table_of([("x" * 40_000, 10**15, None, None, None, None)] * 2))
    contents = openpyxl.load_workbook(tmp_path / "jobs.xlsx")[LOADS]

    assert notes == [
        "jobs.project: 2 texts cut to 32,767 characters",
        "jobs.position: 2 numbers of more than 15 digits written as text",
    ]
    assert next(iter(contents.values))[:2] == ("ftetl project", "default")
    assert [*contents.values][-1] == ("jobs", 2, "; ".join(note.removeprefix("jobs.") for note in notes))


def test_rows_that_are_missing_stop_it(tmp_path: Path) -> None:
    sheet = Sheet("jobs", 2, SCHEMA, [table_of([("a", 1, None, None, None, None)])])

    with pytest.raises(SoftwareError, match="jobs has 1 rows instead of 2"):
        write_workbook(tmp_path / "jobs.xlsx", [sheet], {}, MADE)
