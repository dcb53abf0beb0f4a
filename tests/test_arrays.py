"""Helpers over Arrow arrays give exact values."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.arrays import group_ends, group_starts, scaled_decimal, seconds_between
from ftetl.contract.arrow_schema import NANO, TYPES, USD_LIMIT


@given(st.lists(st.none() | st.integers(-USD_LIMIT + 1, USD_LIMIT - 1), min_size=1))
def test_nano_dollars_become_dollars_with_the_same_digits(nano: list[int | None]) -> None:
    dollars = scaled_decimal(pa.array(nano, pa.int64()), NANO, TYPES["decimal"])

    assert dollars.type == TYPES["decimal"]
    assert dollars.to_pylist() == [None if n is None else Decimal(n).scaleb(-9) for n in nano]
    sliced = pa.array([7, *nano], pa.int64()).slice(1)
    assert scaled_decimal(sliced, NANO, TYPES["decimal"]).to_pylist() == dollars.to_pylist()


def test_sums_beyond_64_bits_become_dollars_too() -> None:
    sums = pa.array([None, Decimal(2**70)], pa.decimal128(38, 0))

    assert scaled_decimal(sums, NANO, pa.decimal128(28, 9)).to_pylist() == [None, Decimal(2**70).scaleb(-9)]


@pytest.mark.parametrize("value", [10**18, -(10**18)])
def test_a_value_that_does_not_fit_the_type_is_refused(value: int) -> None:
    with pytest.raises(pa.ArrowInvalid):
        scaled_decimal(pa.array([value]), NANO, TYPES["decimal"])


def test_seconds_reach_over_all_years_and_keep_microseconds() -> None:
    start = [datetime(1, 1, 2, tzinfo=UTC), datetime(2026, 7, 2, 8, 0, 0, 250_001, tzinfo=UTC), None]
    end = [datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2026, 7, 2, 8, 0, 1, tzinfo=UTC), start[1]]
    instant = pa.timestamp("us", "UTC")
    seconds = seconds_between(pa.array(start, instant), pa.array(end, instant))

    assert seconds.to_pylist() == [315_537_811_199.0, 0.749999, None]


@pytest.mark.parametrize(
    ("keys", "starts", "ends"),
    [("", [], []), ("a", [1], [1]), ("aab", [1, 0, 1], [0, 1, 1]), ("abbb", [1, 1, 0, 0], [1, 0, 0, 1])],
)
def test_rows_that_start_and_end_a_group_are_found(keys: str, starts: list[int], ends: list[int]) -> None:
    array = pa.array([*"x", *keys], pa.string()).slice(1)

    assert group_starts(array).to_pylist() == [bool(start) for start in starts]
    assert group_ends(array).to_pylist() == [bool(end) for end in ends]
