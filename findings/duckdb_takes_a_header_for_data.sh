#!/usr/bin/env bash
# DuckDB 1.5.6 and 2.0.1 (PyPI): a CSV file with a header and no rows loses its header if a column is called `epoch`.
#
# Expected: `read_csv` finds the header of a table without rows, as it does for other names.
# Seen with these versions, Python 3.11: DuckDB reads the word `epoch` as a date (1970-01-01, as in PostgreSQL), so the only
# line of the file does not look like names: the columns are called column0, column1, and the header is a row of data. So it
# does where the column holds dates. With numbers in it, or with header = true, the header is found. A pipeline that writes
# the table before its first training run reads a job called "job_id".
#
# Fails if that changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cat > "$folder/look.py" <<'PY'
import sys
from pathlib import Path

import duckdb

FILES = {
    "no rows, epoch": '"job_id","epoch"\r\n',
    "no rows, epochs": '"job_id","epochs"\r\n',
    "a number": '"job_id","epoch"\r\n"ft-1",0.5\r\n',
    "a date": '"job_id","epoch"\r\n"ft-1","2026-07-01"\r\n',
}


def names(text, **options):
    path = Path(sys.argv[1]) / "table.csv"
    path.write_bytes(text.encode())
    return duckdb.read_csv(str(path), **options).columns


found = {name: names(text) for name, text in FILES.items()}
found["no rows, epoch, header=True"] = names(FILES["no rows, epoch"], header=True)
print(duckdb.__version__)
for name, columns in found.items():
    print(f"{name}: {columns}")
lost, kept = ["column0", "column1"], ["job_id", "epoch"]
assert found == {
    "no rows, epoch": lost,
    "no rows, epochs": ["job_id", "epochs"],
    "a number": kept,
    "a date": lost,
    "no rows, epoch, header=True": kept,
}, "that has changed"
PY
for version in 1.5.6 2.0.1; do
    "${PYTHON:-python3}" -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet "duckdb==$version"
    "$folder/venv/bin/python" "$folder/look.py" "$folder"
done
