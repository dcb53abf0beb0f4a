"""What the analyses share: charges out of jobs, grouping that loses no row, money that stays exact.

Knows the tables' columns, and no files. Frames are Arrow-backed, as those of a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one, scaled_decimal, seconds_between
from ftetl.contract.arrow_schema import NANO
from ftetl.errors import UsageError
from ftetl.snapshot.snapshot import Tables

USD: Final = pa.decimal128(28, NANO)
_WIDE: Final = pa.decimal128(38, 0)
TIMES: Final = {"day": "day", "month": "month"}
BY: Final = (*TIMES, "model", "user_id", "project", "training_type", "training_method", "status")
_MICRO: Final = 1_000_000.0  # microseconds in a second
FULL: Final = "Full"  # what a missing type of an old job means


def jobs(snapshot: Tables, columns: Iterable[str]) -> pd.DataFrame:
    """These columns of all jobs, with `day` and `month` (UTC, of `created_at`, else `updated_at`).

    `training_type` is `Full` where the API left it out, which is what that means.
    """
    read = {"project", "job_id", "created_at", "updated_at", "training_type", *columns}
    table = snapshot.arrow("jobs", sorted(read))
    moment = pc.coalesce(table.column("created_at"), table.column("updated_at"))
    kind = pc.coalesce(table.column("training_type"), pa.scalar(FULL))
    table = table.set_column(table.schema.get_field_index("training_type"), "training_type", kind)
    table = table.select(dict.fromkeys(["project", "job_id", *columns]))
    for name, unit in TIMES.items():
        floor = pc.floor_temporal(pc.cast(moment, pa.timestamp("us")), unit=unit)
        table = table.append_column(name, pc.cast(floor, pa.date32()))
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def keys(by: str | Iterable[str]) -> list[str]:
    """The columns to group by.

    Raises:
        UsageError: One of them is none of `BY`.
    """
    found = [by] if isinstance(by, str) else list(by)
    unknown = [name for name in found if name not in BY]
    if unknown or not found:
        raise UsageError(
            "P04", f"cannot group by {unknown[0] if unknown else 'nothing'!r}", next=f"choose of: {', '.join(BY)}"
        )
    return found


def grouped(frame: pd.DataFrame, by: list[str]) -> Any:
    """The frame's groups; rows without a value are a group of their own, so that the sums are those of all rows."""
    return frame.groupby(by, dropna=False, sort=True)


def wide(numbers: pd.Series) -> pd.Series:
    """Integers as decimals: their sums do not wrap, as those of 64 bits do without a word."""
    return numbers.astype(pd.ArrowDtype(_WIDE))


def narrow(numbers: pd.Series) -> pd.Series:
    """Such sums as integers; NULL where 64 bits do not hold them."""
    found = _array(numbers, _WIDE)
    fits = pc.less_equal(pc.abs(found), pa.scalar(2**63 - 1, _WIDE))
    return column(pc.cast(pc.if_else(fits, found, pa.scalar(None, _WIDE)), pa.int64()), numbers)


def between(start: pd.Series, end: pd.Series) -> pd.Series:
    """The seconds from one time to the other, however many centuries: pandas raises on more than 285 years."""
    times = (pa.array(moment, pa.timestamp("us", "UTC"), from_pandas=True) for moment in (start, end))
    return column(seconds_between(*times), start)


def usd(nano: pd.Series) -> pd.Series:
    """Nano-dollars as exact decimals in dollars."""
    return column(scaled_decimal(_array(nano, _WIDE), NANO, USD), nano)


def _array(values: pd.Series, kind: pa.DataType) -> pa.Array:
    return one(pa.array(values, from_pandas=True)).cast(kind)


def column(values: pa.Array, like: pd.Series | None = None) -> pd.Series:
    """The values as a column, with the index of another one."""
    return pd.Series(pd.arrays.ArrowExtensionArray(values), index=None if like is None else like.index)
