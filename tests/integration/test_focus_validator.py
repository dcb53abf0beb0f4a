"""The official validator of FOCUS on what we write: plain, strict and awake, as Parquet and as CSV.

It needs Python 3.12 and an environment of its own, whose path is in FTETL_FOCUS_VALIDATOR; to make it:

    python3.12 -m venv ENV && ENV/bin/pip install "focus-validator==2.2.1" "pyarrow<22"

By default it tests little more than the mandatory columns. *strict* is a copy with what its conditional rules refer to,
and the criteria on which they depend. Its "is not Correction" never applies to a null, so that most rules about costs
sleep: *awake* is the strict copy in which null is another word.
"""

from __future__ import annotations

import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import ftetl
from ftetl.contract import arrow_schema, tables
from ftetl.loading.formats import SECONDS, csv

ENVIRONMENT = os.environ.get("FTETL_FOCUS_VALIDATOR")
GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "charges.json"
ACCOUNT = {"billing_account": "org-1", "billing_account_name": "Example Ltd", "project": "search"}
CRITERIA = (
    "ACCOUNT_NAMING_SUPPORTED,MULTIPLE_PRICING_CATEGORIES_SUPPORTED,NEGOTIATED_PRICING_SUPPORTED,"
    "PUBLIC_PRICE_LIST_SUPPORTED,USAGE_MEASUREMENT_SUPPORTED,UNIT_PRICING_SUPPORTED,SUB_ACCOUNT_SUPPORTED,"
    "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED,RESOURCE_TYPE_ASSIGNMENT_SUPPORTED,TAGGING_SUPPORTED"
)
BENIGN = {"InvoiceId-C-005-C"}  # one branch of an OR whose parent passes
PROVOKED = {"ChargeClass-C-000-M", "ChargeClass-C-005-C"}  # by the copy's word
# Of each run: the findings that are allowed, and how many rules pass at least.
RUNS = {"plain": (BENIGN, 130), "strict": (BENIGN, 260), "awake": (BENIGN | PROVOKED, 255)}

pytestmark = pytest.mark.skipif(
    not ENVIRONMENT, reason="FTETL_FOCUS_VALIDATOR names no environment with Python 3.12 and focus-validator"
)


def strict(costs: pa.Table) -> pa.Table:
    """With the columns that conditional rules refer to; they are those of other kinds of charges."""
    costs = costs.append_column("CommitmentDiscountStatus", pa.nulls(costs.num_rows, pa.string()))
    costs = costs.append_column("PricingCurrency", pa.repeat("USD", costs.num_rows))
    for name in ("EffectiveCost", "ListUnitPrice", "ContractedUnitPrice"):
        costs = costs.append_column(f"PricingCurrency{name}", costs.column(name))
    return costs


def awake(costs: pa.Table) -> pa.Table:
    costs = strict(costs)
    at = costs.schema.get_field_index("ChargeClass")
    return costs.set_column(at, "ChargeClass", pc.fill_null(costs.column("ChargeClass"), "Regular"))


def written(costs: pa.Table, run: str, suffix: str, folder: Path) -> Path:
    file = folder / f"focus_costs.{suffix}"
    copy = {"plain": lambda c: c, "strict": strict, "awake": awake}[run](costs)
    if suffix == "parquet":
        pq.write_table(copy, file)
    else:
        seconds = ",".join(c.name for c in tables()["focus_costs"].columns if c.whole_seconds)
        with file.open("wb") as sink:
            writer = csv.writer(sink, copy.schema, metadata={SECONDS: seconds})
            writer.write(copy)
            writer.close()
    return file


def findings(file: Path, run: str, folder: Path) -> tuple[set[str], int]:
    """The rules that the validator finds broken, and how many pass."""
    assert ENVIRONMENT
    (codes,) = Path(ENVIRONMENT).glob("lib/python*/site-packages/focus_validator/rules/currency_codes.csv")
    beside = folder / "focus_validator" / "rules"  # where it looks, from its working folder
    beside.mkdir(parents=True)
    (beside / codes.name).write_bytes(codes.read_bytes())
    given = [Path(ENVIRONMENT) / "bin" / "focus-validator", "--data-file", file, "--validate-version", "1.2"]
    given += ["--block-download", "--output-type", "unittest", "--output-destination", folder / "found.xml"]
    given += ["--applicability-criteria", CRITERIA] if run != "plain" else []
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(given, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert (folder / "found.xml").exists(), done.stderr[-2000:]  # it exits 0 on findings
    broken, passed = set(), 0
    for case in ET.parse(folder / "found.xml").iter("testcase"):
        bad = case.find("failure") is not None or case.find("error") is not None
        passed += not bad and case.find("skipped") is None
        if bad:
            broken.add(case.get("name", "").split(" ")[0].split(":")[0])
    return broken, passed


def check(target: Path, run: str, suffix: str, folder: Path) -> None:
    folder.mkdir()
    costs = ftetl.open(target).arrow("focus_costs")
    assert costs.schema.equals(arrow_schema.schema(tables()["focus_costs"]))
    broken, passed = findings(written(costs, run, suffix, folder), run, folder)
    allowed, least = RUNS[run]
    assert (broken - allowed, passed >= least) == (set(), True), passed


@pytest.mark.parametrize("run", RUNS)
def test_the_golden_charges_pass(tmp_path: Path, run: str) -> None:
    ftetl.export(tmp_path / "t", source=GOLDEN, observed_at="2026-11-23T00:00:00Z", **ACCOUNT)
    check(tmp_path / "t", run, "csv" if run == "plain" else "parquet", tmp_path / run)


@pytest.mark.slow
@pytest.mark.parametrize("account", [{}, ACCOUNT], ids=["no account", "account"])
def test_the_files_of_a_target_pass_as_they_are(tmp_path: Path, account: dict[str, str]) -> None:
    ftetl.export(tmp_path / "t", source=GOLDEN, formats=("csv",), observed_at="2026-11-23T00:00:00Z", **account)
    suffix = "csv" if account else "parquet"
    (tmp_path / "run").mkdir()
    broken, passed = findings(tmp_path / "t" / "current" / f"focus_costs.{suffix}", "plain", tmp_path / "run")
    assert (broken - BENIGN, passed >= 130) == (set(), True), passed


@pytest.mark.slow
def test_the_demo_passes(tmp_path: Path) -> None:
    ftetl.export(tmp_path / "t", source="demo", **ACCOUNT)
    for run in RUNS:
        for suffix in ("csv", "parquet"):
            check(tmp_path / "t", run, suffix, tmp_path / f"{run}-{suffix}")


@pytest.mark.slow
def test_a_damaged_table_does_not_pass(tmp_path: Path) -> None:
    """Else the tests above would hold of anything."""
    ftetl.export(tmp_path / "t", source=GOLDEN, observed_at="2026-11-23T00:00:00Z", **ACCOUNT)
    costs = ftetl.open(tmp_path / "t").arrow("focus_costs").drop_columns(["ServiceName"])
    at = costs.schema.get_field_index("BillingCurrency")
    costs = costs.set_column(at, "BillingCurrency", pa.repeat("XYZ!", costs.num_rows))
    (tmp_path / "run").mkdir()
    broken, _ = findings(written(costs, "plain", "parquet", tmp_path / "run"), "plain", tmp_path / "run")
    assert {"BillingCurrency", "ServiceName"} <= {name.split("-")[0] for name in broken}
