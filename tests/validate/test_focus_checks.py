"""The checks of `focus_costs` refuse each kind of damage to a intact table, which the official validator does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ftetl
from ftetl.contract import tables
from ftetl.errors import SoftwareError
from ftetl.snapshot.table_reader import TableReader, table_file
from ftetl.transform.derive import charges, focus_costs
from ftetl.validate import focus_checks
from ftetl.validate.verify import verify_snapshot

TABLE = tables()["focus_costs"]
GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "charges.json"
Rows = list[dict[str, Any]]
NANO = Decimal("0.000000001")
COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
# The rows of the golden charges, in their order; 4 and 6 are refunds, the latter in a later month.
JOB, REFUND, LATER = 0, 4, 6


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("intact") / "t"
    ftetl.export(target, source=GOLDEN, observed_at="2026-11-23T00:00:00Z", project="search")
    return target / "current"


def check(intact: Path, folder: Path, rows: Rows) -> None:
    """Check these rows, beside the intact jobs and anomalies."""
    for name in focus_checks.COMPARED_TABLES:
        table_file(folder, name).write_bytes(table_file(intact, name).read_bytes())
    found = pa.Table.from_pylist(rows, schema=pq.read_schema(table_file(intact, "focus_costs")))
    pq.write_table(found, table_file(folder, "focus_costs"), row_group_size=4, write_page_checksum=True)
    focus_checks.check_focus_costs(TableReader(folder, exact=True), TABLE, len(rows))


def put(at: int, **cells: Any) -> Callable[[Rows], None]:
    return lambda rows: rows[at].update(cells)


def moved(at: int, **more: timedelta) -> Callable[[Rows], None]:
    return lambda rows: rows[at].update({name: rows[at][name] + by for name, by in more.items()})


def costs(at: int, change: Callable[[Decimal], Decimal], *more: str) -> Callable[[Rows], None]:
    return lambda rows: rows[at].update({name: change(rows[at][name]) for name in (*COSTS, *more)})


UNIT = ("ListUnitPrice", "ContractedUnitPrice")
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
DAMAGE: dict[str, Callable[[Rows], None]] = {
    **{f"{name} off by a nano-dollar": put(2, **{name: 30 + NANO}) for name in COSTS},
    **{f"{name} off by a nano-dollar": put(2, **{name: Decimal("1.2") + NANO}) for name in UNIT},
    "a cent too much everywhere": costs(1, lambda c: c + Decimal("0.01"), *UNIT),
    "another quantity": put(JOB, PricingQuantity=Decimal("0.108973")),
    "a unit price below 0": put(REFUND, ListUnitPrice=Decimal(-4), ContractedUnitPrice=Decimal(-4), PricingQuantity=1),
    "an empty BillingAccountId": put(JOB, BillingAccountId=""),
    "an empty ResourceName": put(JOB, ResourceName=""),
    "a sub account's name without its id": put(JOB, SubAccountId=None),
    "a category of its own": put(REFUND, ChargeCategory="Refund"),
    "a class of its own": put(JOB, ChargeClass="Regular"),
    "another currency": put(JOB, BillingCurrency="EUR"),
    "another unit": put(JOB, PricingUnit="1M Tokens"),
    "another issuer": put(JOB, InvoiceIssuerName="Example Ltd"),
    "a job that is charged once": put(JOB, ChargeFrequency="One-Time"),
    "a refund that goes on": put(REFUND, ChargeFrequency="Usage-Based"),
    "an end before the start": moved(JOB, ChargePeriodEnd=-DAY),
    "an end at the start": lambda rows: rows[JOB].update(ChargePeriodEnd=rows[JOB]["ChargePeriodStart"]),
    "a fraction of a second": moved(JOB, ChargePeriodEnd=timedelta(milliseconds=250)),
    "a billing period that begins late": moved(JOB, BillingPeriodStart=DAY),
    "a billing period that ends early": moved(JOB, BillingPeriodEnd=-SECOND),
    "a billing period of two months": moved(JOB, BillingPeriodEnd=timedelta(days=31)),
    "a job in the month before": put(
        JOB, BillingPeriodStart=datetime(2026, 6, 1, tzinfo=UTC), BillingPeriodEnd=datetime(2026, 7, 1, tzinfo=UTC)
    ),
    "a late refund that is no correction": put(LATER, ChargeClass=None),
    "a correction in the same month": put(REFUND, ChargeClass="Correction"),
    "a job that costs nothing": costs(1, lambda _: Decimal(0), *UNIT),
    "a refund that costs": costs(REFUND, abs, "PricingQuantity"),
    "a refund that consumes": put(REFUND, ConsumedQuantity=Decimal(1)),
    "a job that consumes nothing": put(JOB, ConsumedQuantity=Decimal(0)),
    "a row twice": lambda rows: rows.insert(1, rows[0]),
    "a key twice": lambda rows: rows.append(rows[JOB] | {"ChargePeriodStart": rows[-1]["ChargePeriodStart"]}),
    "a refund without its job": lambda rows: rows.pop(REFUND - 1),
    "rows out of their order": lambda rows: rows.reverse(),
    "more back than was paid": lambda rows: rows[REFUND].update(
        dict.fromkeys(COSTS, Decimal(-5)) | dict.fromkeys(UNIT, Decimal(5))
    ),
    "a SkuPriceId of two SKUs": put(5, SkuId="fine-tuning/Lora/sft/other"),
    "a SKU with two details": put(5, SkuPriceDetails='{"x_ModelId":"other"}'),
    "nested JSON": put(JOB, Tags='{"together/suffix":{"a":"b"}}'),
    "JSON that is no object": put(JOB, Tags='["a"]'),
    "JSON that is broken": put(JOB, SkuPriceDetails='{"x_ModelId":"a""}'),
    "a job that is not there": put(JOB, ResourceId="ft-99"),
    "a row too few": lambda rows: rows.pop(JOB),
    "a refund too few": lambda rows: rows.pop(REFUND),
}


def test_it_names_the_table_and_the_anomalies_as_their_contracts_and_their_maker_do() -> None:
    assert focus_checks.TABLE == focus_costs.TABLE
    assert focus_checks.ANOMALY_KINDS == charges.ANOMALY_KINDS
    assert {*focus_checks.ANOMALY_KINDS} <= {*tables()["anomalies"]["kind"].enum}
    assert {*focus_checks.COMPARED_TABLES} <= {*tables()}


def test_the_intact_table_passes(intact: Path, tmp_path: Path) -> None:
    check(intact, tmp_path, pq.read_table(table_file(intact, "focus_costs")).to_pylist())


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_refused(intact: Path, tmp_path: Path, damage: str) -> None:
    rows = pq.read_table(table_file(intact, "focus_costs")).to_pylist()
    DAMAGE[damage](rows)
    with pytest.raises(SoftwareError, match="table focus_costs breaks its contract") as caught:
        check(intact, tmp_path, rows)
    assert "ft-" not in str(caught.value)


@pytest.mark.parametrize("kind", ["charge_without_time", "refund_exceeds_price"])
def test_what_is_left_out_without_an_anomaly_is_refused(intact: Path, tmp_path: Path, kind: str) -> None:
    jobs = pq.read_table(table_file(intact, "jobs")).to_pylist()
    jobs[6] |= {"total_price_nanousd": 1, "created_at": None, "updated_at": None, "refund_amount_nanousd": None}
    if kind == "refund_exceeds_price":
        jobs[6] |= {"total_price_nanousd": 0, "refund_amount_nanousd": 5}
    rows = pq.read_table(table_file(intact, "focus_costs")).to_pylist()
    changed = tmp_path / "changed"
    changed.mkdir()
    (tmp_path / "out").mkdir()
    for name in ("anomalies", "focus_costs"):
        table_file(changed, name).write_bytes(table_file(intact, name).read_bytes())
    of = pq.read_schema(table_file(intact, "jobs"))
    pq.write_table(pa.Table.from_pylist(jobs, schema=of), table_file(changed, "jobs"), write_page_checksum=True)
    with pytest.raises(SoftwareError, match=kind):
        check(changed, tmp_path / "out", rows)


def test_verify_uses_the_checks(intact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(focus_checks, "total_rules", lambda *_: iter([("is the canary alive", pa.array([False]))]))
    assert [line for line in verify_snapshot(intact.parent).damage if "canary" in line]
