"""The files of a run: every table in every format, validated as they lie on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.errors import SoftwareError
from ftetl.loading.formats import KEY, SECONDS
from ftetl.loading.table_writers import FINGERPRINT, TableWriters
from ftetl.store.target import Target, Transaction


@pytest.fixture(autouse=True, params=[1_000, -1], ids=["one thread", "two threads"])
def _threads_of_the_validation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftetl.loading.table_writers._MANY", request.param)


@pytest.fixture
def transaction(tmp_path: Path) -> Iterator[Transaction]:
    with Target(tmp_path / "target") as target, target.begin_transaction() as transaction:
        yield transaction


def rows(*numbers: int) -> pa.Table:
    data = [
        {"project": "p", "raw_sha256": f"{n:064x}", "raw": "=7", "raw_encoding": "utf-8", "rule": "no_id"}
        | {"source": "a", "position": n, "first_seen_at": 0}
        for n in numbers
    ]
    return pa.Table.from_pylist(data, schema=schema(tables()["quarantine"]))


@pytest.mark.parametrize("suffixes", [(), ("csv",), ("csv", "parquet", "csv")])
def test_every_table_is_there_in_every_format_also_without_rows(
    transaction: Transaction, suffixes: tuple[str, ...]
) -> None:
    writers = TableWriters(transaction, suffixes, csv_raw=False)
    writers.close()
    writers.validate()
    assert set(transaction.files) == {f"{name}.{suffix}" for name in tables() for suffix in {"parquet", *suffixes}}
    assert writers.rows == dict.fromkeys(tables(), 0)


def test_a_file_names_its_contract_and_its_key_and_nothing_of_the_run(transaction: Transaction) -> None:
    TableWriters(transaction, (), csv_raw=False).close()
    for name, table in tables().items():
        found = pq.read_schema(transaction.path / f"{name}.parquet")
        seconds = [column.name for column in table.columns if column.whole_seconds]
        assert found.metadata == {
            FINGERPRINT.encode(): table.fingerprint.encode(),
            KEY.encode(): ",".join(table.sorted_by).encode(),
            **({SECONDS.encode(): ",".join(seconds).encode()} if seconds else {}),
        }


def test_rows_go_into_every_format(transaction: Transaction) -> None:
    writers = TableWriters(transaction, ("csv",), csv_raw=True)
    writers.write_rows("quarantine", rows(1))
    writers.write_rows("quarantine", rows(2, 3))
    writers.close()
    writers.validate()
    assert writers.rows["quarantine"] == 3
    assert pq.read_table(transaction.path / "quarantine.parquet").equals(rows(1, 2, 3))
    assert (transaction.path / "quarantine.csv").read_text().count('"=7"') == 3


@pytest.mark.parametrize("order", [(2, 1), (1, 1)])
def test_rows_that_break_their_contract_are_refused(transaction: Transaction, order: tuple[int, ...]) -> None:
    writers = TableWriters(transaction, (), csv_raw=False)
    for number in order:
        writers.write_rows("quarantine", rows(number))
    writers.close()
    with pytest.raises(SoftwareError, match="quarantine"):
        writers.validate()


def test_the_rows_on_disk_are_as_many_as_were_written(transaction: Transaction) -> None:
    writers = TableWriters(transaction, (), csv_raw=False)
    writers.write_rows("quarantine", rows(1))
    writers.close()
    writers.rows["quarantine"] = 2
    with pytest.raises(SoftwareError, match="1 rows on disk, 2 were written"):
        writers.validate()


def test_what_is_abandoned_leaves_nothing(tmp_path: Path) -> None:
    with Target(tmp_path / "target") as target:
        with target.begin_transaction() as transaction:
            writers = TableWriters(transaction, ("csv",), csv_raw=False)
            writers.write_rows("quarantine", rows(1))
            writers.abandon()
        assert list((tmp_path / "target" / "snapshots").iterdir()) == []
