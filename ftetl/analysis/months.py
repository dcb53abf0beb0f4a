"""The periods of a chart over time: every month from the first to the last, or every year where these are too many."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import pandas as pd

from ftetl.analysis.frames import TEXT, require_frame

MAX_PERIODS: Final = 120  # bars that can be told apart
_LABEL_LENGTH: Final = {"month": len("2026-07"), "year": len("2026")}


def periods(months: Sequence[date]) -> tuple[str, list[str]]:
    """What a bar stands for (`month` or `year`), and the labels of all bars, such as `2026-07`.

    `months` are in order. Where even the years are too many, those without a month are left out.
    """
    if not months:
        return "month", []
    first, last = (month.year * 12 + month.month - 1 for month in (months[0], months[-1]))
    if last - first < MAX_PERIODS:
        return "month", [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(first, last + 1)]
    years = range(first // 12, last // 12 + 1)
    if len(years) <= MAX_PERIODS:
        return "year", [f"{year:04d}" for year in years]
    return "year", [*dict.fromkeys(period_label(month, "year") for month in months)]


def period_label(day: date, unit: str) -> str:
    """The label of the bar that a day belongs to."""
    return day.isoformat()[: _LABEL_LENGTH[unit]]


def over_time(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame whose first column is `month`, such as that of `spend`, with a row for every month in between.

    In place of `month` comes `period`, text such as `2026-07`, or `2026` where the months would be too many; the other
    columns are sums, 0 where there was nothing. Shares cannot be added up and are left out, and so are rows without a
    time.
    """
    require_frame(frame)
    dated = frame[frame.month.notna()].sort_values("month")
    unit, labels = periods(dated.month.to_list())
    sums = dated.drop(columns=["month", *frame.select_dtypes("floating").columns])
    sums.insert(0, "period", pd.array([period_label(day, unit) for day in dated.month], TEXT))
    every = pd.DataFrame({"period": pd.array(labels, TEXT)})
    return every.merge(sums.groupby("period").sum().reset_index(), how="left").fillna(0)
