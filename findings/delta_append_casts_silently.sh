#!/usr/bin/env bash
# deltalake 1.6.6 (PyPI): an append converts values to the table's types without a word, and refuses others that would fit.
#
# Expected: schema enforcement as Delta Lake documents it: a column of another type is refused, or converted only where no
# value changes.
# Seen with deltalake 1.6.6, pyarrow 26.0.1, Python 3.11, `write_deltalake(..., mode="append")` into an existing table:
#     double 1.9 into long                                 committed as 1
#     text "12" into long                                  committed as 12
#     double 1.23456789012345 into decimal(18,9)           committed as 1.234567890
#     decimal(28,9) 1.500000000 into decimal(18,9)         SchemaMismatchError, though the value fits
#     decimal(18,2) 1.50 into decimal(18,9)                committed
# So a cost column that became a double in one export, or a token count with a fraction, loses digits in the table and the
# writer exits well. A loader has to compare the Arrow schemas itself before it appends.
#
# Fails if that changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "deltalake==1.6.6" "pyarrow==26.0.1"
cd "$folder"
venv/bin/python - <<'PY'
from decimal import Decimal

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

MONEY = pa.decimal128(18, 9)


def append(name: str, column: pa.Array, value: pa.Array) -> str:
    """What a table with this column holds after an append of this value, or which error refused it."""
    write_deltalake(name, pa.table({"x": column}))
    try:
        write_deltalake(name, pa.table({"x": value}), mode="append")
    except Exception as error:
        return type(error).__name__
    table = DeltaTable(name)
    assert table.version() == 1
    values = set(table.to_pyarrow_table()["x"].to_pylist()) - set(column.to_pylist())
    return str(values.pop())


money = pa.array([Decimal("7")], MONEY)
seen = {
    "double into long": append("a", pa.array([7]), pa.array([1.9])),
    "text into long": append("b", pa.array([7]), pa.array(["12"])),
    "double into decimal(18,9)": append("c", money, pa.array([1.23456789012345])),
    "decimal(28,9) into decimal(18,9)": append("d", money, pa.array([Decimal("1.5")], pa.decimal128(28, 9))),
    "decimal(18,2) into decimal(18,9)": append("e", money, pa.array([Decimal("1.5")], pa.decimal128(18, 2))),
}
for case, value in seen.items():
    print(f"{case:34} {value}")
assert seen == {
    "double into long": "1",
    "text into long": "12",
    "double into decimal(18,9)": "1.234567890",
    "decimal(28,9) into decimal(18,9)": "SchemaMismatchError",
    "decimal(18,2) into decimal(18,9)": "1.500000000",
}, "the behaviour has changed"
PY
