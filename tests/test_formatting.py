"""Numbers as people read them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ftetl import formatting

D = Decimal


@pytest.mark.parametrize(
    ("usd", "expected", "exact"),
    [
        (None, formatting.MISSING, ""),
        (D(0), "$0.00", "0"),
        (D("0E-9"), "$0.00", "0"),
        (D("1234.560000000"), "$1,234.56", "1234.56"),
        (D("0.000314400"), "< $0.01", "0.0003144"),
        (D("0.01"), "$0.01", "0.01"),
        (D("0.005"), "< $0.01", "0.005"),
        (D("2.675"), "$2.68", "2.675"),  # as a float it is less, and would be 2.67
        (D("9223372036.854775807"), "$9,223,372,036.85", "9223372036.854775807"),
        (D(100), "$100.00", "100"),
    ],
)
def test_money_is_exact_and_shown_to_the_cent(usd: Decimal | None, expected: str, exact: str) -> None:
    assert (formatting.format_usd(usd), formatting.exact_number(usd)) == (expected, exact)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, formatting.MISSING),
        (0.0, "0.0 s"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (42.4, "42 s"),
        (59.6, "1 min"),
        (125.0, "2 min 5 s"),
        (3600.0, "1 h"),
        (4320.0, "1 h 12 min"),
        (86_400.0 * 3 + 7200, "3 d 2 h"),
        (86_400.0 * 1234, "1,234 d"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float | None, expected: str) -> None:
    assert formatting.format_duration(seconds) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0"), (999_999, "999,999"), (1_000_000, "1.00 M"), (13_886_161_084, "13.9 B"), (10**15, "1000 T")],
)
def test_a_large_count_has_three_digits(number: int, expected: str) -> None:
    assert formatting.rounded_count(number) == expected


@pytest.mark.parametrize(("number", "expected"), [(5, "5"), (D("0.5"), "0.5"), (1500, "1.5k"), (2 * 10**9, "2B")])
def test_an_axis_has_short_numbers(number: Decimal | int, expected: str) -> None:
    assert formatting.axis_number(number) == expected


def test_a_time_is_utc() -> None:
    assert formatting.iso_timestamp(1_782_979_814) == "2026-07-02T08:10:14Z"
    assert formatting.format_minute(1_782_979_814) == "2026-07-02 08:10"
    assert formatting.iso_timestamp(-62_135_596_800) == "0001-01-01T00:00:00Z"


def test_a_long_text_keeps_its_ends() -> None:
    assert formatting.shorten("a" * 30 + "b" * 30, 46) == "a" * 22 + "\u2026" + "b" * 23
    assert formatting.shorten("short") == "short"
    assert len(formatting.shorten("x" * 10_000)) == formatting.MAX_TEXT_LENGTH


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, formatting.UNKNOWN),
        (float("nan"), formatting.UNKNOWN),
        ("meta/x", "meta/x"),
        (" a\r\nb\tc\0 ", "a  b c"),
        ("", "''"),
        ("\n", "'\\n'"),
        ("a" * 30 + "b" * 30, "a" * 23 + "\u2026" + "b" * 24),
    ],
)
def test_a_name_is_one_line_that_fits(text: object, expected: str) -> None:
    assert formatting.display_name(text) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.0, "0"), (0.1 + 0.2, "0.3"), (2500.0, "2.5k"), (1e6, "1M")])
def test_a_number_on_an_axis_has_six_digits(value: float, expected: str) -> None:
    assert formatting.axis_number(value) == expected
