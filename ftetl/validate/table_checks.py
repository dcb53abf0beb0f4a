"""Validates tables against their contracts before they are committed.

The Arrow schema must be equal, which proves the types. pandera validates every row group, strict, without coercion and
without dropping rows, in all columns in which a value or a NULL could break a rule. Keys must be unique and in order.
Anomalies were handled before, so a failure is a bug of ftetl. Messages use the contract's terms and no values, since
pandera's own text holds data.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache, partial
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.contract import Column, Table, tables
from ftetl.contract.arrow_schema import TYPES, empty, schema
from ftetl.errors import SoftwareError
from ftetl.snapshot.table_reader import TableReader
from ftetl.validate.without_spark import without_spark

with without_spark():
    import pandera.pandas as pandera

_Rule = Callable[[pa.ChunkedArray], pa.ChunkedArray]  # by cell whether its value obeys


@lru_cache(maxsize=1000)
def pandera_schema(name: str, chosen: tuple[str, ...] = ()) -> pandera.DataFrameSchema:
    """The pandera schema of a table: types, required columns and every rule that the contract has for a column.

    Of the `chosen` columns, or of all.
    """
    if chosen:
        columns = {column: pandera_schema(name).columns[column] for column in chosen}
    else:
        columns = {c.name: _column(c) for c in tables()[name].columns}
    return pandera.DataFrameSchema(columns, strict=True, ordered=True, coerce=False)


def preload() -> None:
    """Make the schemas and validate empty tables, since the first validation takes as long as that of many rows."""
    _register_backends()
    for name in tables():
        _validate_empty(name)


_registering = threading.Lock()


def _register_backends() -> None:
    # pandera registers its backends at the first validation, and two threads must not do so at once.
    with _registering, without_spark():
        _validate_empty(min(tables(), key=lambda name: len(tables()[name].columns)))


@cache
def _validate_empty(name: str) -> None:
    # Without Arrow's threads: a process that ends meanwhile would wait for them, and they for it.
    frame = empty(tables()[name]).to_pandas(types_mapper=pd.ArrowDtype, use_threads=False)
    pandera_schema(name).validate(frame, lazy=True, inplace=True)


def _column(column: Column) -> pandera.Column:
    rules: list[tuple[str, _Rule]] = []
    if column.enum and not column.open:
        rules.append(("enum", partial(pc.is_in, value_set=pa.array(column.enum, TYPES[column.type]), skip_nulls=False)))
    if column.minimum is not None:
        rules.append(("minimum", partial(pc.less_equal, pa.scalar(column.minimum).cast(TYPES[column.type]))))
    if column.pattern:
        rules.append(("pattern", partial(_matches, pattern=f"^(?:{column.pattern})$")))
    if column.whole_seconds:
        rules.append(("whole_seconds", _whole_seconds))
    if column.type == "number":
        # in Arrow NaN is not NULL, and the API cannot send it
        rules.append(("finite", pc.is_finite))
    # pandera would copy the column without its nulls for each check; a null obeys them all.
    checks = [pandera.Check(partial(_obeys, rule=rule), name=name, ignore_na=False) for name, rule in rules]
    return pandera.Column(pd.ArrowDtype(TYPES[column.type]), checks, nullable=not column.required)


def _obeys(values: Any, rule: _Rule) -> Any:
    """By row whether a value obeys a rule, or `True` if all do."""
    # `__arrow_array__`, since pa.array() would copy value by value
    cells = values.array.__arrow_array__()
    holds = pc.or_(pc.is_null(cells), pc.fill_null(rule(cells), True))
    if pc.all(holds, min_count=0).as_py():
        return True
    return pd.Series(holds.to_numpy(), index=values.index)


def _whole_seconds(times: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.equal(times, pc.cast(pc.cast(times, pa.timestamp("s", "UTC"), safe=False), times.type))


def _matches(texts: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    # each distinct text once, since an identifier is in the rows of all its events
    chunks = [
        pc.take(pc.match_substring_regex(c.dictionary, pattern), c.indices) for c in texts.dictionary_encode().chunks
    ]
    return pa.chunked_array(chunks, pa.bool_())


# pandera's names of checks in the contract's terms.
_TERMS = {"not_nullable": "required"}


class TableValidator:
    """Validates one table, row group by row group."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.rows = 0
        self._last: pa.Table | None = None  # the key of the last row

    def check_schema(self, actual: pa.Schema) -> None:
        """Check the names, types and order of the columns, and which may be null.

        Raises:
            SoftwareError: They differ from the contract's.
        """
        if not actual.equals(schema(self.table)):
            what = "the columns, their types or their order differ from the contract's"
            raise contract_error(self.table, "schema", what)

    def check_rows(self, group: pa.Table) -> None:
        """Check the next rows.

        Raises:
            SoftwareError: They break the contract.
        """
        self.check_schema(group.schema)
        if not group.num_rows:
            return
        columns = self._columns_with_rules(group)
        frame = group.select(columns).to_pandas(types_mapper=pd.ArrowDtype)
        try:
            pandera_schema(self.table.name, columns).validate(frame, lazy=True, inplace=True)
        except pandera.errors.SchemaErrors as errors:
            raise self._rows_error([errors]) from None
        except pa.ArrowInvalid:
            # pandera puts the failed cells of all columns into one, which a real and an integer beyond 2^53 do not fit.
            raise self._rows_error(list(self._errors_by_column(frame))) from None
        self._check_keys(group)
        self.rows += group.num_rows

    def _columns_with_rules(self, group: pa.Table) -> tuple[str, ...]:
        """The columns with a NULL where none may be, and those with another rule and with values that it is about."""
        known = pandera_schema(self.table.name).columns
        nulls = {c.name: group.column(c.name).null_count for c in self.table.columns}
        return tuple(
            c.name
            for c in self.table.columns
            if (c.required and nulls[c.name]) or (known[c.name].checks and nulls[c.name] < group.num_rows)
        )

    def _check_keys(self, group: pa.Table) -> None:
        """Check that every row is greater than the one before, in the columns that the table is sorted by."""
        keys = group.select(self.table.sorted_by)
        if self._last is not None:
            keys = pa.concat_tables([self._last, keys])
        before, after = keys.slice(0, keys.num_rows - 1), keys.slice(1)
        less, equal = (pa.repeat(pa.scalar(value), after.num_rows) for value in (False, True))
        for a, b in zip(before.columns, after.columns, strict=True):
            less = pc.or_(less, pc.and_(equal, pc.less(a, b)))
            equal = pc.and_(equal, pc.equal(a, b))
        if not pc.all(less, min_count=0).as_py():
            raise contract_error(self.table, "key", "a key is repeated, or the rows are not in key order")
        self._last = keys.slice(keys.num_rows - 1)

    def _errors_by_column(self, frame: pd.DataFrame) -> Iterator[pandera.errors.SchemaErrors]:
        for name in frame:
            try:
                pandera_schema(self.table.name, (name,)).validate(frame[[name]], lazy=True)
            except pandera.errors.SchemaErrors as errors:
                yield errors

    def _rows_error(self, errors: Sequence[pandera.errors.SchemaErrors]) -> SoftwareError:
        cases = {key: [case for e in errors for case in e.failure_cases[key]] for key in ("check", "column")}
        checks = [str(check).split("(")[0] for check in cases["check"]]
        failed = {(str(column), _TERMS.get(c, c)) for column, c in zip(cases["column"], checks, strict=True)}
        listed = "; ".join(f"column {column}: {check}" for column, check in sorted(failed)[:5])
        return contract_error(self.table, "rows", f"{len(cases['check'])} cells break it ({listed})")


def check_table(
    stored: TableReader, table: Table, written: int, check_rows: Callable[[pa.Table], None] = lambda _: None
) -> None:
    """Check a table on disk: every row group, the number of rows that were `written`, and what it refers to.

    `check_rows` is called with each row group that obeys the contract.

    Raises:
        SoftwareError: It breaks its contract.
        StorageError: It cannot be read back.
    """
    _register_backends()
    validator = TableValidator(table)
    validator.check_schema(stored.read_schema(table.name))  # a table without rows has no row groups
    parents = _parents(stored, table)
    keys: list[pa.Table] = []
    references: dict[str, list[pa.Array]] = {column: [] for column in parents}
    for group in stored.read_row_groups(table.name):
        validator.check_rows(group)
        if table.sorted_by != table.key:
            keys.append(group.select(table.key))
        for column, values in references.items():
            values.append(pc.unique(group.column(column)))
        check_rows(group)
    for column, known in parents.items():
        check_references(table, column, pa.chunked_array(references[column], known.type), known)
    if keys and pa.concat_tables(keys).group_by(list(table.key)).aggregate([]).num_rows != validator.rows:
        raise contract_error(table, "key", "a key is repeated")
    if validator.rows != written:
        raise contract_error(table, "count", f"it has {validator.rows} rows on disk, {written} were written")


def check_stored_references(stored: TableReader, table: Table) -> None:
    """Check what a table on disk refers to.

    Raises:
        SoftwareError: A value is in no row of the table that it refers to.
        StorageError: A table cannot be read back.
    """
    for column, known in _parents(stored, table).items():
        check_references(table, column, stored.read_table(table.name, [column]).column(0), known)


def _parents(stored: TableReader, table: Table) -> dict[str, pa.Array]:
    """By column that refers to another one, the values of that."""
    return {
        c.name: one(stored.read_table(c.references[0], [c.references[1]]).column(0))
        for c in table.columns
        if c.references
    }


def check_references(table: Table, column: str, values: pa.Array | pa.ChunkedArray, parents: pa.Array) -> None:
    """Check that every value of a referring column is a value of the column it refers to.

    Raises:
        SoftwareError: One is not.
    """
    if not pc.all(pc.is_in(values, value_set=parents), min_count=0).as_py():
        raise contract_error(table, "references", f"{column} names rows that do not exist", "V13")


def contract_error(table: Table, rule: str, what: str, code: str = "B02") -> SoftwareError:
    """The error of a table that breaks a rule; `what` holds no values."""
    what = f"table {table.name} breaks its contract ({rule}): {what}"
    return SoftwareError(code, what, next="please report this as a bug of ftetl")
