"""The last gate: what is about to be published obeys its contract, or nothing is.

The Arrow schema is compared exactly, then pandera validates every row group, strict, without coercion and without
dropping rows; keys are compared with their neighbours, across row groups too. Odd values were dealt with before, so a
failure here is a fault of ours. No switch turns this off. Failures are worded here, in the contract's words and
without values, since pandera's own text holds data.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.contract import Column, Table, tables
from ftetl.contract.arrow_schema import TYPES, empty, schema
from ftetl.errors import SoftwareError
from ftetl.snapshot.table_reader import TableReader


@cache
def pandera_schema(name: str) -> pandera.DataFrameSchema:
    """The pandera schema of a table: types, required columns and every rule that the contract has for a column."""
    columns = {c.name: _column(c) for c in tables()[name].columns}
    return pandera.DataFrameSchema(columns, strict=True, ordered=True, coerce=False)


def preload() -> None:
    """Make the schemas, and let pandera see a row of nothing: what it does the first time takes as long as a check."""
    _begin()
    for name in tables():
        _validate_nothing(name)


_beginning = threading.Lock()


def _begin() -> None:
    # At its first validation pandera registers what it validates with, and does not expect two threads to do so.
    with _beginning:
        _first_validation()


@cache
def _first_validation() -> None:
    _validate_nothing(min(tables(), key=lambda name: len(tables()[name].columns)))


def _validate_nothing(name: str) -> None:
    # Not in Arrow's threads: a process that ends meanwhile would wait for them, and they for it.
    frame = empty(tables()[name]).to_pandas(types_mapper=pd.ArrowDtype, use_threads=False)
    pandera_schema(name).validate(frame, lazy=True)


def _column(column: Column) -> pandera.Column:
    checks = []
    if column.enum and not column.open:
        checks.append(pandera.Check.isin(list(column.enum), name="enum"))
    if column.minimum is not None:
        checks.append(pandera.Check.ge(column.minimum, name="minimum"))
    if column.pattern:
        checks.append(pandera.Check(partial(_matches, pattern=f"^(?:{column.pattern})$"), name="pattern"))
    if column.whole_seconds:
        checks.append(pandera.Check(_whole_seconds, name="whole_seconds"))
    if column.type == "number":
        # NaN is no NULL in Arrow, and no value that the API can send.
        checks.append(pandera.Check(_finite, name="finite"))
    return pandera.Column(pd.ArrowDtype(TYPES[column.type]), checks, nullable=not column.required)


def _finite(values: Any) -> Any:
    # The chunks as they are: pa.array() would copy them value by value.
    finite = pc.fill_null(pc.is_finite(values.array.__arrow_array__()), True)
    return pd.Series(finite.to_numpy(), index=values.index)


def _whole_seconds(values: Any) -> Any:
    found = values.array.__arrow_array__()
    whole = pc.fill_null(
        pc.equal(found, pc.cast(pc.cast(found, pa.timestamp("s", "UTC"), safe=False), found.type)), True
    )
    return pd.Series(whole.to_numpy(), index=values.index)


def _matches(values: Any, pattern: str) -> Any:
    # Each text once: an identifier stands in the rows of all its events.
    texts = values.array.__arrow_array__().dictionary_encode()
    chunks = [pc.take(pc.match_substring_regex(c.dictionary, pattern), c.indices) for c in texts.chunks]
    return pd.Series(pc.fill_null(pa.chunked_array(chunks, pa.bool_()), True).to_numpy(), index=values.index)


# pandera's names of checks in the contract's words.
_WORDS = {
    "not_nullable": "required",
    "isin": "enum",
    "greater_than_or_equal_to": "minimum",
}


class TableValidator:
    """The gate of one table: row groups go in, one after the other; a fault comes out as an error."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.rows = 0
        self._last: tuple[Any, ...] | None = None

    def check_schema(self, found: pa.Schema) -> None:
        """Check the columns: their names, types and order, and which of them may be null.

        Raises:
            SoftwareError: They are not the contract's.
        """
        if not found.equals(schema(self.table)):
            raise contract_error(
                self.table, "schema", "the columns, their types or their order differ from the contract's"
            )

    def check_rows(self, group: pa.Table) -> None:
        """Check the next rows.

        Raises:
            SoftwareError: They break the contract.
        """
        self.check_schema(group.schema)
        if not group.num_rows:
            return
        frame = group.to_pandas(types_mapper=pd.ArrowDtype)
        try:
            pandera_schema(self.table.name).validate(frame, lazy=True)
        except pandera.errors.SchemaErrors as errors:
            raise self._worded(errors) from None
        self._keys(group)
        self.rows += group.num_rows

    def _keys(self, group: pa.Table) -> None:
        """The rows are in their order, in which no row equals another."""
        key = self.table.sorted_by
        if self._last is not None:
            first = tuple(group.column(k)[0].as_py() for k in key)
            if not self._last < first:
                raise contract_error(self.table, "key", "a key stands twice, or the rows are not in its order")
        here, later = group.slice(0, group.num_rows - 1), group.slice(1)
        less = pa.array([False] * later.num_rows, pa.bool_())
        equal = pa.array([True] * later.num_rows, pa.bool_())
        for name in key:
            a, b = here.column(name), later.column(name)
            less = pc.or_(less, pc.and_(equal, pc.less(a, b)))
            equal = pc.and_(equal, pc.equal(a, b))
        if not pc.all(less, min_count=0).as_py():
            raise contract_error(self.table, "key", "a key stands twice, or the rows are not in its order")
        self._last = tuple(group.column(k)[-1].as_py() for k in key)

    def _worded(self, errors: pandera.errors.SchemaErrors) -> SoftwareError:
        cases = errors.failure_cases
        found = sorted(
            {
                (str(column), _WORDS.get(name := str(check).split("(")[0], name))
                for column, check in zip(cases["column"], cases["check"], strict=True)
            }
        )
        words = "; ".join(f"column {column}: {check}" for column, check in found[:5])
        return contract_error(self.table, "rows", f"{len(cases)} cells break it ({words})")


def check_table(
    stored: TableReader, table: Table, written: int, look: Callable[[pa.Table], None] = lambda _: None
) -> None:
    """Check a whole table as it lies on disk: every row group, the number of rows, and what it refers to.

    `look` is given each row group that obeys the contract.

    Raises:
        SoftwareError: It breaks its contract.
        StorageError: It cannot be read back.
    """
    _begin()
    gate = TableValidator(table)
    gate.check_schema(stored.read_schema(table.name))  # a table without rows has no row groups
    parents = {
        c.name: one(stored.read_table(c.references[0], [c.references[1]]).column(0))
        for c in table.columns
        if c.references
    }
    keys: list[pa.Table] = []
    named: dict[str, list[pa.Array]] = {column: [] for column in parents}
    for group in stored.read_row_groups(table.name):
        gate.check_rows(group)
        if table.sorted_by != table.key:
            keys.append(group.select(table.key))
        for column, found in named.items():
            found.append(pc.unique(group.column(column)))
        look(group)
    for column, known in parents.items():
        check_references(table, column, pa.chunked_array(named[column], known.type), known)
    if keys and pa.concat_tables(keys).group_by(list(table.key)).aggregate([]).num_rows != gate.rows:
        raise contract_error(table, "key", "a key stands twice")
    if gate.rows != written:
        raise contract_error(table, "count", f"it has {gate.rows} rows on disk, {written} were written")


def check_references(table: Table, column: str, found: pa.ChunkedArray, parents: pa.Array) -> None:
    """Check that every value of a referring column is a value of the column it refers to.

    Raises:
        SoftwareError: Some value refers to nothing.
    """
    if not pc.all(pc.is_in(found, value_set=parents), min_count=0).as_py():
        raise contract_error(table, "references", f"{column} names rows that do not exist", "V13")


def contract_error(table: Table, rule: str, what: str, code: str = "B02") -> SoftwareError:
    """The fault of a table that breaks a rule; `what` holds no values."""
    return SoftwareError(
        code, f"table {table.name} breaks its contract ({rule}): {what}", next="please report this as a bug of ftetl"
    )
