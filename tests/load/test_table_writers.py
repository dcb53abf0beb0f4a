"""The staged files: every table in every format, gated as they lie on the disk, or none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.errors import SoftwareError
from ftetl.load.formats import KEY, SECONDS
from ftetl.load.table_writers import FINGERPRINT, Staging
from ftetl.store.target import Stage, Target


@pytest.fixture(autouse=True, params=[1_000, -1], ids=["one thread", "two threads"])
def _threads_of_the_gate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftetl.load.table_writers._MANY", request.param)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Target(tmp_path / "target") as target, target.begin() as stage:
        yield stage


def rows(*numbers: int) -> pa.Table:
    data = [
        {"project": "p", "raw_sha256": f"{n:064x}", "raw": "=7", "raw_encoding": "utf-8", "rule": "no_id"}
        | {"source": "a", "position": n, "first_seen_at": 0}
        for n in numbers
    ]
    return pa.Table.from_pylist(data, schema=schema(tables()["quarantine"]))


@pytest.mark.parametrize("suffixes", [(), ("csv",), ("csv", "parquet", "csv")])
def test_every_table_is_there_in_every_format_also_without_rows(stage: Stage, suffixes: tuple[str, ...]) -> None:
    staging = Staging(stage, suffixes, csv_raw=False)
    staging.close()
    staging.gate()
    assert set(stage.files) == {f"{name}.{suffix}" for name in tables() for suffix in {"parquet", *suffixes}}
    assert staging.rows == dict.fromkeys(tables(), 0)


def test_a_file_tells_its_contract_and_its_key_and_nothing_of_the_run(stage: Stage) -> None:
    Staging(stage, (), csv_raw=False).close()
    for name, table in tables().items():
        found = pq.read_schema(stage.path / f"{name}.parquet")
        seconds = [column.name for column in table.columns if column.whole_seconds]
        assert found.metadata == {
            FINGERPRINT.encode(): table.fingerprint.encode(),
            KEY.encode(): ",".join(table.sorted_by).encode(),
            **({SECONDS.encode(): ",".join(seconds).encode()} if seconds else {}),
        }


def test_rows_go_into_every_format(stage: Stage) -> None:
    staging = Staging(stage, ("csv",), csv_raw=True)
    staging.write("quarantine", rows(1))
    staging.write("quarantine", rows(2, 3))
    staging.close()
    staging.gate()
    assert staging.rows["quarantine"] == 3
    assert pq.read_table(stage.path / "quarantine.parquet").equals(rows(1, 2, 3))
    assert (stage.path / "quarantine.csv").read_text().count('"=7"') == 3


@pytest.mark.parametrize("order", [(2, 1), (1, 1)])
def test_what_breaks_its_contract_does_not_pass(stage: Stage, order: tuple[int, ...]) -> None:
    staging = Staging(stage, (), csv_raw=False)
    for number in order:
        staging.write("quarantine", rows(number))
    staging.close()
    with pytest.raises(SoftwareError, match="quarantine"):
        staging.gate()


def test_the_gate_counts_what_was_written(stage: Stage) -> None:
    staging = Staging(stage, (), csv_raw=False)
    staging.write("quarantine", rows(1))
    staging.close()
    staging.rows["quarantine"] = 2
    with pytest.raises(SoftwareError, match="1 rows on disk, 2 were written"):
        staging.gate()


def test_what_is_abandoned_leaves_nothing(tmp_path: Path) -> None:
    with Target(tmp_path / "target") as target:
        with target.begin() as stage:
            staging = Staging(stage, ("csv",), csv_raw=False)
            staging.write("quarantine", rows(1))
            staging.abandon()
        assert list((tmp_path / "target" / "snapshots").iterdir()) == []
