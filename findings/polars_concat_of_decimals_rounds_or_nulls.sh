#!/usr/bin/env bash
# polars 2.1.0 (PyPI): `pl.concat` of decimals of another scale rounds them, or makes NULL of them, without a word.
#
# Expected: an error, as for other columns of different types, or a type that holds both.
# Seen with polars 2.1.0, Python 3.11: `concat` (how="vertical", the default) refuses an integer column below a decimal one
# with SchemaError, but casts decimals of another precision and scale to the type of the *first* frame: of
# 0.123456789512 below Decimal(18, 9) stays 0.123456790, and 12345678901234567890.12 becomes NULL. With the frames in the other
# order nothing is lost. So the total of two vendors' costs depends on which one comes first.
# how="vertical_relaxed" takes a type that holds both, and keeps every digit.
#
# Fails if that changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "polars==2.1.0"
"$folder/venv/bin/python" - <<'PY'
from decimal import Decimal

import polars as pl


def frame(text, kind):
    return pl.DataFrame({"usd": [Decimal(text)]}, schema={"usd": kind})


ours = frame("4", pl.Decimal(18, 9))
fine, large = frame("0.123456789512", pl.Decimal(38, 12)), frame("12345678901234567890.12", pl.Decimal(38, 2))
found = {}
for name, theirs in (("fine", fine), ("large", large)):
    found[name] = pl.concat([ours, theirs])["usd"][1]
    found[f"{name} first"] = pl.concat([theirs, ours])["usd"][0]
    found[f"{name} relaxed"] = pl.concat([ours, theirs], how="vertical_relaxed")["usd"][1]
try:
    pl.concat([ours, pl.DataFrame({"usd": [4]})])
    found["integer"] = "taken"
except pl.exceptions.SchemaError:
    found["integer"] = "SchemaError"
for name, value in found.items():
    print(f"{name}: {value}")
assert found["fine"] == Decimal("0.123456790"), "it is no longer rounded"
assert found["large"] is None, "it is no longer NULL"
assert found["fine first"] == found["fine relaxed"] == Decimal("0.123456789512")
assert found["large first"] == found["large relaxed"] == Decimal("12345678901234567890.12")
assert found["integer"] == "SchemaError"
PY
