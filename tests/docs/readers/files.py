"""Small files that ftetl's own writers make: what a reader may get wrong, and a table without rows."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from ftetl.loading import formats

SCHEMA = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("usd", pa.decimal128(18, 9)),
        pa.field("at", pa.timestamp("us", tz="UTC")),
    ]
)
# `probes.py` looks for these values: NULL in row 1, the empty text in row 2, quotes and line breaks in row 3.
ROWS = [
    (1, None, None, None),
    (2, "", Decimal("1234.000000001"), datetime(2026, 7, 1, 0, 30, 14, tzinfo=UTC)),
    (3, 'a "quoted",\r\ntext\n', Decimal("99999999.999999999"), datetime(2026, 7, 2, 8, 10, 14, 250_000, UTC)),
]


def write(folder: Path) -> None:
    """`cells` and `empty`, each as Parquet and CSV."""
    cells = pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in ROWS], SCHEMA)
    for name, table in (("cells", cells), ("empty", SCHEMA.empty_table())):
        for kind in formats.names():
            with (folder / f"{name}.{kind}").open("wb") as sink:
                writer = formats.load_format(kind).writer(sink, SCHEMA, metadata={"ftetl.key": "number"})
                writer.write(table)
                writer.close()
