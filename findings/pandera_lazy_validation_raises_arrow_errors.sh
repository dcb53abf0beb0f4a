#!/usr/bin/env bash
# pandera 0.35.0 with pandas 3.1.1 and pyarrow 26.0.1 (PyPI): lazy validation of Arrow-typed columns does not end with
# SchemaErrors if cells fail both in a column of large integers and in one of reals.
#
# Expected: `SchemaErrors` with a row in `failure_cases` for each of the two cells.
# Seen with these versions, Python 3.11: `validate(frame, lazy=True)` raises pyarrow.lib.ArrowInvalid ("Integer value
# 99999999999999999 not in range: -9007199254740992 to 9007199254740992"), since the failed cells of all columns are put into
# one column of reals. So code that catches SchemaErrors does not see that the data is invalid. One of the columns alone,
# smaller integers beside the reals, or lazy=False give pandera's own errors.
#
# Fails if that changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pandera[pandas]==0.35.0" "pandas==3.1.1" "pyarrow==26.0.1"
"$folder/venv/bin/python" - <<'PY'
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa

WHOLE, REAL = pd.ArrowDtype(pa.int64()), pd.ArrowDtype(pa.float64())


def outcome(number, columns, **options):
    frame = pd.DataFrame({"ns": pd.array([number], WHOLE), "value": pd.array([-1.0], REAL)})
    schema = {
        "ns": pandera.Column(WHOLE, pandera.Check.ge(number + 1)),
        "value": pandera.Column(REAL, pandera.Check.ge(0)),
    }
    try:
        pandera.DataFrameSchema({c: schema[c] for c in columns}).validate(frame[columns], **options)
    except Exception as error:
        return type(error).__name__
    return "valid"


large = 10**17 - 1
found = {
    "both, lazy": outcome(large, ["ns", "value"], lazy=True),
    "integers alone": outcome(large, ["ns"], lazy=True),
    "reals alone": outcome(large, ["value"], lazy=True),
    "small integers": outcome(10**6, ["ns", "value"], lazy=True),
    "both, not lazy": outcome(large, ["ns", "value"], lazy=False),
}
for name, kind in found.items():
    print(f"{name}: {kind}")
assert found == {
    "both, lazy": "ArrowInvalid",
    "integers alone": "SchemaErrors",
    "reals alone": "SchemaErrors",
    "small integers": "SchemaErrors",
    "both, not lazy": "SchemaError",
}, "that has changed"
PY
