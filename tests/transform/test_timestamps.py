"""Times of the wire: one text and a column of texts mean the same, and nothing is guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.transform.timestamps import INSTANT, ParsedTime, parse_column, parse_timestamp


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]


TIMES: dict[str, tuple[datetime | None, str | None]] = {
    # the wire's own forms
    "2026-07-02T08:10:14Z": (at(2026, 7, 2, 8, 10, 14), None),
    "2026-07-02T08:10:14.2Z": (at(2026, 7, 2, 8, 10, 14, 200000), None),
    "2026-07-02T08:10:14.25Z": (at(2026, 7, 2, 8, 10, 14, 250000), None),
    "2026-07-02T08:10:14.337Z": (at(2026, 7, 2, 8, 10, 14, 337000), None),
    "2026-07-02T08:10:14.123456Z": (at(2026, 7, 2, 8, 10, 14, 123456), None),
    # what RFC 3339 allows besides
    "2026-07-02t08:10:14z": (at(2026, 7, 2, 8, 10, 14), None),
    "2026-07-02 08:10:14Z": (at(2026, 7, 2, 8, 10, 14), None),
    "2026-07-02T08:10:14+00:00": (at(2026, 7, 2, 8, 10, 14), None),
    "2026-07-02T08:10:14-00:00": (at(2026, 7, 2, 8, 10, 14), None),
    "2026-07-02T10:10:14.5+02:00": (at(2026, 7, 2, 8, 10, 14, 500000), None),
    "2026-07-01T20:25:14-11:45": (at(2026, 7, 2, 8, 10, 14), None),
    "2024-02-29T00:00:00Z": (at(2024, 2, 29), None),
    "9999-12-31T23:59:59.999999Z": (at(9999, 12, 31, 23, 59, 59, 999999), None),
    "1969-12-31T23:59:59Z": (at(1969, 12, 31, 23, 59, 59), None),
    # digits beyond the microsecond are cut
    "2026-07-02T08:10:14.1234567Z": (at(2026, 7, 2, 8, 10, 14, 123456), "time_too_fine"),
    "2026-07-02T08:10:14.999999999Z": (at(2026, 7, 2, 8, 10, 14, 999999), "time_too_fine"),
    "2026-07-02T08:10:14.123456000Z": (at(2026, 7, 2, 8, 10, 14, 123456), None),
    # without a zone
    "2026-07-02T08:10:14": (at(2026, 7, 2, 8, 10, 14), "naive_time"),
    "2026-07-02 08:10:14.918488": (at(2026, 7, 2, 8, 10, 14, 918488), "naive_time"),
    # a leap second
    "2016-12-31T23:59:60Z": (at(2016, 12, 31, 23, 59, 59, 999999), "leap_second"),
    "2026-07-02T08:10:60.5Z": (at(2026, 7, 2, 8, 10, 59, 999999), "leap_second"),
    # none at all
    "": (None, None),
    "0001-01-01T00:00:00Z": (None, None),
    "0001-01-01T00:00:00.0Z": (None, None),
    "0001-01-01T00:00:00.000000000Z": (None, None),
    "0001-01-01t00:00:00z": (None, None),
    "0001-01-01T00:00:00": (None, None),
    "0001-01-01T01:00:00+01:00": (None, None),
    # no time
    "0000-01-01T00:00:00Z": (None, "bad_time"),
    "10000-01-01T00:00:00Z": (None, "bad_time"),
    "-001-01-01T00:00:00Z": (None, "bad_time"),
    "2026-02-30T00:00:00Z": (None, "bad_time"),
    "2023-02-29T00:00:00Z": (None, "bad_time"),
    "2026-13-01T00:00:00Z": (None, "bad_time"),
    "2026-07-02T24:00:00Z": (None, "bad_time"),
    "2026-07-02T08:60:00Z": (None, "bad_time"),
    "2026-07-02T08:10:61Z": (None, "bad_time"),
    "2026-07-02T08:10:14+24:00": (None, "bad_time"),
    "2026-07-02T08:10:14+05:60": (None, "bad_time"),
    "9999-12-31T23:59:59-01:00": (None, "bad_time"),
    "0001-01-01T00:00:00+01:00": (None, "bad_time"),
    "2026-07-02": (None, "bad_time"),
    "2026-07-02T08:10Z": (None, "bad_time"),
    "2026-07-02T08:10:14.Z": (None, "bad_time"),
    "2026-07-02T08:10:14,5Z": (None, "bad_time"),
    "2026-07-02T08:10:14+0000": (None, "bad_time"),
    "2026-07-02T08:10:14 Z": (None, "bad_time"),
    "20260702T081014Z": (None, "bad_time"),
    "2026-W27-4T08:10:14Z": (None, "bad_time"),
    "2026-183T08:10:14Z": (None, "bad_time"),
    " 2026-07-02T08:10:14Z": (None, "bad_time"),
    "2026-07-02T08:10:14Z\n": (None, "bad_time"),
    "٢٠٢٦-07-02T08:10:14Z": (None, "bad_time"),
    "1751443814": (None, "bad_time"),
    "now": (None, "bad_time"),
    "Z": (None, "bad_time"),
    "2026-07-02T08:10:14ZZ": (None, "bad_time"),
    "2026-07-02T08:10:14.25Z and more": (None, "bad_time"),
    "Thu, 02 Jul 2026 08:10:14 GMT": (None, "bad_time"),
}


@pytest.mark.parametrize("text", TIMES)
def test_a_text_is_the_instant_that_it_names(text: str) -> None:
    instant, kind = TIMES[text]

    if text:
        assert parse_timestamp(text) == ParsedTime(instant, kind)
    cells, odd = parse_column(pa.array([text]))
    assert cells.type == INSTANT
    assert cells.to_pylist() == [instant]
    assert odd == ([(0, kind, text)] if kind else [])


def test_a_column_with_one_odd_text_reads_all_others_the_same() -> None:
    texts = [None, *TIMES]

    cells, odd = parse_column(pa.array(texts))

    assert cells.to_pylist() == [None, *(instant for instant, _ in TIMES.values())]
    assert odd == [(row, TIMES[t][1], t) for row, t in enumerate(texts) if t is not None and TIMES[t][1]]


@pytest.mark.parametrize("texts", [[], [None], [None, None], ["", None]])
def test_a_column_of_nothing_is_nothing(texts: list[str | None]) -> None:
    cells, odd = parse_column(pa.array(texts, pa.string()))

    assert cells.type == INSTANT
    assert cells.to_pylist() == [None] * len(texts)
    assert odd == []


@given(
    st.datetimes(timezones=st.just(UTC), min_value=datetime(1, 1, 2)),
    st.integers(-23 * 60, 23 * 60),
    st.sampled_from(["T", "t", " "]),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_reading_undoes_writing(moment: datetime, minutes: int, letter: str, spec: str) -> None:
    zone = timezone(timedelta(minutes=minutes))
    try:
        local = moment.astimezone(zone)
    except OverflowError:
        return
    text = local.isoformat(sep=letter, timespec=spec)
    expected = datetime.fromisoformat(text).astimezone(UTC)

    cells, odd = parse_column(pa.array([text, text.removesuffix("+00:00") + "Z" if minutes == 0 else text]))

    assert parse_timestamp(text) == ParsedTime(expected)
    assert cells.to_pylist() == [expected] * 2
    assert odd == []


@given(
    st.text(st.sampled_from("0123456789-:.TtZz+ ,"), min_size=15, max_size=30)
    | st.from_regex(
        r"[0-9]{4}-[0-1][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{0,9})?Z", fullmatch=True
    )
)
def test_the_column_and_the_single_text_never_disagree(text: str) -> None:
    expected = parse_timestamp(text)

    cells, odd = parse_column(pa.array([text]))

    assert cells.to_pylist() == [expected.instant]
    assert [kind for _, kind, _ in odd] == ([expected.anomaly] if expected.anomaly else [])
