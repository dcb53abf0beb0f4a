"""The months of a chart: every one from the first to the last, so that a gap is seen as one; years where it is long.

Knows dates and frames, and no drawing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

import pandas as pd
import pyarrow as pa

MOST: Final = 120  # bars that can be told from each other
WIDTH: Final = {"month": len("2026-07"), "year": len("2026")}


def slots(months: Sequence[date]) -> tuple[str, list[str]]:
    """What a bar stands for (`month` or `year`), and the names of all bars, such as `2026-07`.

    `months` are in order. Where even the years are too many, those without a month are left out.
    """
    if not months:
        return "month", []
    first, last = months[0], months[-1]
    if (last.year - first.year) * 12 + last.month - first.month < MOST:
        return "month", [*_months(first, last)]
    if last.year - first.year < MOST:
        return "year", [f"{year:04d}" for year in range(first.year, last.year + 1)]
    return "year", [*dict.fromkeys(slot(month, "year") for month in months)]


def slot(day: date, unit: str) -> str:
    """The name of the bar that a day belongs to."""
    return day.isoformat()[: WIDTH[unit]]


def over_time(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame whose first column is `month`, such as that of `spend`, with a row for every month in between.

    In place of `month` comes `period`, text such as `2026-07`, or `2026` where the months would be too many to see; the
    other columns are sums, 0 where nothing was. Shares cannot be added up and are left out, and so are rows without a
    time.
    """
    dated = frame[frame.month.notna()].sort_values("month")
    unit, names = slots(dated.month.to_list())
    sums = dated.drop(columns=["month", *frame.select_dtypes("floating").columns])
    sums.insert(0, "period", pd.array([slot(day, unit) for day in dated.month], pd.ArrowDtype(pa.string())))
    between = pd.DataFrame({"period": pd.array(names, sums.period.dtype)})
    return between.merge(sums.groupby("period").sum().reset_index(), how="left").fillna(0)


def _months(first: date, last: date) -> Iterator[str]:
    for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        yield f"{number // 12:04d}-{number % 12 + 1:02d}"
