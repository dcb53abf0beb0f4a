"""Cells of Excel: exact where its numbers and dates are, else text; what is cut or written as text is counted."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

from ftetl.loading.xlsx_cells import CUT, FAR_TIMES, LONG_NUMBERS, NOT_FINITE, Real, cells

USD = pa.decimal128(18, 9)
TIME = pa.timestamp("us", "UTC")


def converted(value: object, kind: pa.DataType) -> tuple[Any, dict[str, int]]:
    lost: Counter[str] = Counter()
    if pa.types.is_timestamp(kind):
        value = f"{value}Z"
    cell, nothing = cells(pa.chunked_array([pa.array([value, None]).cast(kind)]), lost)
    assert nothing is None
    return cell, dict(lost)


@pytest.mark.parametrize(
    ("value", "kind", "cell"),
    [
        (10**15 - 1, pa.int64(), 999_999_999_999_999),
        (1 - 10**15, pa.int64(), -999_999_999_999_999),
        ("-0.000000001", USD, -1e-9),
        ("999999999", USD, 999_999_999.0),
        ("123456.123456789", USD, 123456.123456789),
        (0.1 + 0.2, pa.float64(), 0.1 + 0.2),
        ("2026-07-02T08:10:14.250000", TIME, 46205.340442708336),
        ("1900-03-01T00:00:00", TIME, 61.0),
        (True, pa.bool_(), True),
        ("", pa.string(), ""),
        ("=1+1", pa.string(), "=1+1"),
        ("x" * 32_767, pa.string(), "x" * 32_767),
    ],
)
def test_what_excel_holds_exactly_is_a_number_or_the_text_itself(value: object, kind: pa.DataType, cell: Any) -> None:
    found, lost = converted(value, kind)

    assert found == cell
    assert isinstance(found, type(cell))
    assert lost == {}


@pytest.mark.parametrize(
    ("value", "kind", "text", "why"),
    [
        (10**15, pa.int64(), "1000000000000000", LONG_NUMBERS),
        (-(2**63), pa.int64(), "-9223372036854775808", LONG_NUMBERS),
        ("999999999.999999999", USD, "999999999.999999999", LONG_NUMBERS),
        ("-1234567.123456789", USD, "-1234567.123456789", LONG_NUMBERS),
        (math.inf, pa.float64(), "inf", NOT_FINITE),
        ("0001-01-01T00:00:00", TIME, "0001-01-01T00:00:00.000000Z", FAR_TIMES),
        ("1900-02-28T23:59:59", TIME, "1900-02-28T23:59:59.000000Z", FAR_TIMES),
        ("9999-12-31T23:59:59.999999", TIME, "9999-12-31T23:59:59.999999Z", FAR_TIMES),
        ("5000-01-01T01:01:01.000001", TIME, "5000-01-01T01:01:01.000001Z", FAR_TIMES),
        ("x" * 32_768, pa.string(), "x" * 32_767, CUT),
        ("x" + "😀" * 20_000, pa.string(), "x" + "😀" * 16_383, CUT),
        ("😀" * 16_384, pa.string(), "😀" * 16_383, CUT),
    ],
)
def test_what_does_not_fit_is_text_and_counted(value: object, kind: pa.DataType, text: str, why: str) -> None:
    assert converted(value, kind) == (text, {why: 1})


@pytest.mark.parametrize("number", [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, 123456789.123456789])
def test_a_real_is_written_with_all_its_digits(number: float) -> None:
    assert float(f"{Real(number):.16G}") == number
