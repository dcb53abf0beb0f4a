"""Charges added up by month, model, user and so on, as the tables and charts of the page show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from ftetl import analysis
from ftetl.analysis.months import period_label, periods
from ftetl.contract.arrow_schema import NANO
from ftetl.snapshot.snapshot import Tables

MAX_GROUPS: Final = 12  # shown one by one
ZERO: Final = Decimal(0)


@dataclass(frozen=True)
class Group:
    """The charged jobs of one model, user, month and so on; `label` is None where they have none."""

    label: Any
    jobs: int = 0
    tokens: int = 0
    charged: Decimal = ZERO
    refunded: Decimal = ZERO
    net: Decimal = ZERO
    charged_with_tokens: Decimal = ZERO  # for jobs that have tokens
    minimum_charges: int = 0  # jobs that were charged a minimum

    @property
    def usd_per_million_tokens(self) -> Decimal | None:
        """To nine decimal places; None without tokens."""
        if self.tokens <= 0:
            return None
        with localcontext(prec=60):
            return (self.charged_with_tokens * 1_000_000 / self.tokens).quantize(
                Decimal(1).scaleb(-NANO), ROUND_HALF_UP
            )


def sum_groups(label: Any, groups: Iterable[Group]) -> Group:
    """Several groups as one."""
    fields = ("jobs", "tokens", "charged", "refunded", "net", "charged_with_tokens", "minimum_charges")
    parts = list(groups)
    return Group(label, **{field: sum((getattr(g, field) for g in parts), getattr(Group, field)) for field in fields})


def top_groups(groups: list[Group]) -> list[Group]:
    """The first groups, and all others as one, so that the sums stay the same."""
    if len(groups) <= MAX_GROUPS + 1:
        return groups
    rest = groups[MAX_GROUPS:]
    return [*groups[:MAX_GROUPS], sum_groups(f"{len(rest):,} others", rest)]


def group_charges(snapshot: Tables, by: str | tuple[str, ...]) -> list[Group]:
    """The charges by one or several names of `analysis.BY`, in the order of `analysis.spend`."""
    names = [by] if isinstance(by, str) else list(by)
    prices = {_key(row, names): row for row in records(analysis.effective_prices(snapshot, names))}
    groups = []
    for row in records(analysis.spend(snapshot, names)):
        key = _key(row, names)
        price = prices.get(key, {"charged_usd": ZERO, "minimum_charges": 0})
        money = (row["charged_usd"], row["refunded_usd"], row["net_usd"], price["charged_usd"])
        label = key[0] if isinstance(by, str) else key
        tokens = row["token_count"] or 0  # NULL where 64 bits do not hold the sum
        groups.append(Group(label, row["jobs"], tokens, *money, price["minimum_charges"]))
    return groups


def group_by_period(months: list[Group]) -> tuple[str, list[Group]]:
    """The bars of a chart over time: `month` or `year`, and a group for each of these periods, with text as label.

    Args:
        months: In order, each with the first day of its month as label; one without a label is left out.
    """
    dated = [group for group in months if group.label is not None]
    unit, labels = periods([group.label for group in dated])
    by_label: dict[str, list[Group]] = {label: [] for label in labels}
    for group in dated:
        by_label[period_label(group.label, unit)].append(group)
    return unit, [sum_groups(label, parts) for label, parts in by_label.items()]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as plain values; what is missing is None."""
    rows: list[dict[str, Any]] = pa.Table.from_pandas(frame, preserve_index=False).to_pylist()
    return rows


def _key(row: dict[str, Any], names: list[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)
