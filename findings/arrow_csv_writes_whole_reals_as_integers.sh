#!/usr/bin/env bash
# pyarrow 26.0.1 (PyPI) writes the real 29.0 to CSV as `29`; polars 2.1.0 then takes the column for integers and refuses
# the file, and daft 0.7.26 silently reads NULL for the first fraction.
#
# Expected: a column of float64 that `pyarrow.csv.write_csv` wrote is read back as float64, value for value.
# Seen with pyarrow 26.0.1, polars 2.1.0, daft 0.7.26, Python 3.11, for 600,000 whole numbers and then 294.6: the cells are
# `29`; `polars.read_csv` raises "could not parse `294.6` as dtype `i64`", `daft.read_csv` gives None for 294.6. A pipeline
# whose numbers happen to be whole for a while works, and breaks, or loses values, with the first fraction.
#
# Fails if that changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pyarrow==26.0.1" "polars==2.1.0"
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys

import polars
import pyarrow as pa
from pyarrow import csv

file = sys.argv[1] + "/seconds.csv"
values = [29.0] * 600_000 + [294.6]
csv.write_csv(pa.table({"seconds": pa.array(values, pa.float64())}), file)
lines = open(file).read().split()
print("first cells:", lines[:3], "last:", lines[-1])
assert lines[1] == "29", "pyarrow now writes a fraction"
try:
    frame = polars.read_csv(file)
except polars.exceptions.ComputeError as error:
    print("polars:", str(error).splitlines()[0])
else:
    raise AssertionError(f"polars now reads it: {frame.schema}")
assert polars.read_csv(file, infer_schema_length=None)["seconds"].to_list() == values  # the way out
PY
"${PYTHON:-python3}" -m venv "$folder/daft"
"$folder/daft/bin/pip" install --quiet "daft==0.7.26"
"$folder/daft/bin/python" - "$folder" <<'PY'
import sys

import daft

found = daft.read_csv(sys.argv[1] + "/seconds.csv").to_pydict()["seconds"]
print("daft:", found[:2], "...", found[-2:])
assert found[0] == 29
assert found[-1] is None, "daft now keeps the fraction, or raises"
PY
