"""What the analyses share: jobs with their month, grouping that loses no row, money that stays exact.

Frames are Arrow-backed, as those of a snapshot.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one, scaled_decimal, seconds_between
from ftetl.contract.arrow_schema import NANO
from ftetl.errors import UsageError
from ftetl.snapshot.snapshot import Tables

USD: Final = pa.decimal128(28, NANO)
WIDE: Final = pd.ArrowDtype(pa.decimal128(38, 0))  # sums of it do not wrap silently, as those of int64 do
TEXT, COUNT, REAL = (pd.ArrowDtype(kind) for kind in (pa.string(), pa.int64(), pa.float64()))
TIMES: Final = ("day", "month")
BY: Final = (*TIMES, "model", "user_id", "project", "training_type", "training_method", "packing", "status")
Sums = dict[str, tuple[str, str]]  # by name: which column, and the function
FULL: Final = "Full"  # what a missing training type of an old job means


class _ArgumentError(UsageError, TypeError):
    """An argument is a thing of another kind than is needed."""


def read_arrow(snapshot: Tables, table: str, columns: list[str]) -> pa.Table:
    """These columns of a table of the snapshot, as Arrow.

    Raises:
        UsageError: It is something else, such as the path of a target, or a frame.
    """
    if not isinstance(snapshot, Tables):
        what = f"an analysis takes what ftetl.open returns, not {type(snapshot).__name__}"
        path = isinstance(snapshot, str | os.PathLike)
        raise _ArgumentError("T07", what, next=f"give it {'ftetl.open(the path)' if path else 'ftetl.open(TARGET)'}")
    return snapshot.arrow(table, columns)


def read(snapshot: Tables, table: str, columns: list[str]) -> pd.DataFrame:
    """These columns of a table of the snapshot, in this order."""
    return read_arrow(snapshot, table, columns).to_pandas(types_mapper=pd.ArrowDtype)


def read_jobs(snapshot: Tables, columns: Iterable[str]) -> pd.DataFrame:
    """These columns of all jobs, with `day` and `month` (UTC, of `created_at`, else `updated_at`).

    `training_type` is `Full` where the API left it out.
    """
    names = [*dict.fromkeys(["project", "job_id", *columns])]
    table = read_arrow(snapshot, "jobs", sorted({*names, "created_at", "updated_at", "training_type"}))
    moment = pc.cast(pc.coalesce(table.column("created_at"), table.column("updated_at")), pa.timestamp("us"))
    kind = pc.coalesce(table.column("training_type"), pa.scalar(FULL))
    table = table.set_column(table.schema.get_field_index("training_type"), "training_type", kind).select(names)
    for unit in TIMES:
        table = table.append_column(unit, pc.cast(pc.floor_temporal(moment, unit=unit), pa.date32()))
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def group_columns(by: str | Iterable[str]) -> list[str]:
    """The columns to group by; a `UsageError` if one of them is not in `BY`."""
    columns = [by] if isinstance(by, str) else list(by)
    unknown = [name for name in columns if name not in BY]
    if unknown or not columns:
        raise UsageError(
            "P04", f"cannot group by {unknown[0] if unknown else 'nothing'!r}", next=f"choose of: {', '.join(BY)}"
        )
    return columns


def require_frame(frame: pd.DataFrame) -> None:
    """Check that an argument is a frame.

    Raises:
        UsageError: It is something else, such as a snapshot.
    """
    if not isinstance(frame, pd.DataFrame):
        what = f"a pandas frame is needed, not {type(frame).__name__}"
        raise _ArgumentError("T07", what, next="give it what an analysis returns, such as analysis.spend(snapshot)")


def aggregate(jobs: pd.DataFrame, by: list[str], columns: Sums) -> pd.DataFrame:
    """How many `jobs` each group has, and these columns of it, each from a column by a function such as `sum`.

    Rows without a value are a group of their own, so that the sums are those of all rows.
    """
    return jobs.groupby(by, dropna=False, sort=True).agg(jobs=("job_id", "size"), **columns).reset_index()


def to_int64(sums: pd.Series) -> pd.Series:
    """Sums of `WIDE` as integers; NULL where 64 bits do not hold them."""
    values = one(pa.array(sums, from_pandas=True)).cast(WIDE.pyarrow_dtype)
    fits = pc.less_equal(pc.abs(values), pa.scalar(2**63 - 1, values.type))
    return to_series(pc.cast(pc.if_else(fits, values, pa.scalar(None, values.type)), pa.int64()), sums)


def seconds(start: pd.Series, end: pd.Series) -> pd.Series:
    """The seconds from one time to the other, however many centuries: pandas raises on more than 285 years."""
    times = (pa.array(moment, pa.timestamp("us", "UTC"), from_pandas=True) for moment in (start, end))
    return to_series(seconds_between(*times), start)


def to_usd(nano: pd.Series) -> pd.Series:
    """Nano-dollars as exact decimals in dollars."""
    return to_series(scaled_decimal(one(pa.array(nano, from_pandas=True)).cast(WIDE.pyarrow_dtype), NANO, USD), nano)


def to_series(values: pa.Array, like: pd.Series | None = None) -> pd.Series:
    """The values as a series, with the index of another one."""
    return pd.Series(pd.arrays.ArrowExtensionArray(values), index=None if like is None else like.index)
