#!/usr/bin/env bash
# pandas 3.1.1 and sqlite3 (PyPI, Python's own): `to_sql(if_exists="replace")` of a frame with Arrow decimals loses the old table.
#
# Expected: the rows are written, or the old table stays as it was when the write fails.
# Seen with pandas 3.1.1, pyarrow 26.0.1, Python 3.11: the old table is dropped and an empty one made in its place; then the
# rows are refused (sqlite3 binds no decimal.Decimal: "type 'decimal.Decimal' is not supported"), as DatabaseError
# "Execution failed". The connection's rollback does not bring the old rows back: it ends with an empty table.
# Cast the decimals first (`astype(str)` keeps every digit), or write to another name and rename it afterwards.
#
# Fails if that changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pandas==3.1.1" "pyarrow==26.0.1"
"$folder/venv/bin/python" - "$folder/old.sqlite" <<'PY'
import sqlite3
import sys
from decimal import Decimal

import pandas as pd
import pyarrow as pa

file = sys.argv[1]
usd = pd.ArrowDtype(pa.decimal128(18, 9))
new = pd.DataFrame({"job": ["a", "b"], "usd": pd.Series([Decimal("4"), Decimal("1234.000000001")], dtype=usd)})

database = sqlite3.connect(file)
with database:
    database.execute("CREATE TABLE prices (job TEXT, usd TEXT)")
    database.executemany("INSERT INTO prices VALUES (?, ?)", [("x", "1"), ("y", "2"), ("z", "3")])
try:
    with database:  # rolls back what fails
        new.to_sql("prices", database, index=False, if_exists="replace")
    failure = "none"
except Exception as error:
    failure = f"{type(error).__name__}: {error}; {error.__cause__}"
database.close()
database = sqlite3.connect(file)
rows = database.execute("SELECT count(*) FROM prices").fetchone()[0]
print(f"failure: {failure}\nrows of the old table: 3 before, {rows} after")
assert "not supported" in failure, "decimals are written, or refused in another way"
assert rows == 0, "the old table is no longer lost"

new.astype({"usd": str}).to_sql("prices", database, index=False, if_exists="replace")
print("as text:", database.execute("SELECT * FROM prices").fetchall())
assert database.execute("SELECT usd FROM prices").fetchall() == [("4.000000000",), ("1234.000000001",)]
PY
