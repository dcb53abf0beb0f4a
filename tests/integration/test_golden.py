"""Answers beside the tables that are expected of them.

A case is an answer in `data/golden/` (or one of `data/samples/`) and, beside it, `<case>.<table>.csv` for each table
that has a row. To add one, save the answer there, write the tables with

    python tests/integration/test_golden.py CASE …

and read them against the answer before they are committed. Without a case, all are written again.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

import ftetl
from ftetl.contract import tables
from ftetl.errors import DataError

DATA = Path(__file__).parents[1] / "data"
GOLDEN = DATA / "golden"
OBSERVED_AT = datetime(2026, 11, 23, 4, 20, tzinfo=UTC)
ANSWERS = {
    path.stem: path
    for folder in (DATA / "samples", GOLDEN)
    for path in sorted(folder.iterdir())
    if path.suffix in (".json", ".ndjson")
}


# Odd values on purpose, in so many jobs that an export of them is refused unless drift is allowed.
DRIFTED = {"money", "times", "wrong_types"}


def found(case: str, target: Path) -> dict[str, bytes]:
    """The tables that an export makes of the case's answer, by file name; those without a row are left out."""
    settings = {"observed_at": OBSERVED_AT, "formats": ("csv",), "allow_drift": case in DRIFTED}
    ftetl.export(target, source=ANSWERS[case], **settings)
    written = {name: (target / "current" / f"{name}.csv").read_bytes() for name in tables()}
    return {f"{case}.{name}.csv": data for name, data in written.items() if data.count(b"\r\n") > 1}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_gives_the_tables_beside_it(case: str, tmp_path: Path) -> None:
    expected = {path.name: path.read_bytes() for path in GOLDEN.glob(f"{case}.*.csv")}
    assert found(case, tmp_path / "target") == expected


@pytest.mark.parametrize("case", sorted(DRIFTED))
def test_an_answer_with_many_odd_values_is_refused_unless_drift_is_allowed(case: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing was committed") as caught:
        ftetl.export(tmp_path / "target", source=ANSWERS[case], observed_at=OBSERVED_AT)
    assert (caught.value.code, "--allow-drift" in caught.value.next) == ("FTETL-R51", True)


def test_every_expected_table_belongs_to_a_case() -> None:
    cases = {path.name.removesuffix(".csv").rpartition(".")[::2] for path in GOLDEN.glob("*.csv")}
    assert {case for case, _ in cases} == set(ANSWERS) - {"data_is_null"}
    from_jobs = {name for name, table in tables().items() if not table.endpoint} - {"endpoint_anomalies"}
    assert {name for _, name in cases} == from_jobs


def main(cases: list[str]) -> None:
    for case in cases or list(ANSWERS):
        for old in GOLDEN.glob(f"{case}.*.csv"):
            old.unlink()
        with tempfile.TemporaryDirectory() as folder:
            for name, data in found(case, Path(folder) / "target").items():
                (GOLDEN / name).write_bytes(data)


if __name__ == "__main__":
    main(sys.argv[1:])
