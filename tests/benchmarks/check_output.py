"""What a contender has written: jobs, events and the sum of the prices, as one JSON object.

    python outcome.py FOLDER

A process of its own, because on Linux a child's peak memory starts at its parent's: the one that measures stays small.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds


def outcome(folder: Path) -> dict[str, int]:
    jobs = ds.dataset(folder / "jobs.parquet", format="parquet")  # a file, or a folder of parts
    price = "total_price_nanousd" if "total_price_nanousd" in jobs.schema.names else "total_price"
    return {
        "jobs": jobs.count_rows(),
        "events": ds.dataset(folder / "events.parquet", format="parquet").count_rows(),
        "nanousd": pc.sum(jobs.to_table([price])[price]).as_py() or 0,
    }


if __name__ == "__main__":
    print(json.dumps(outcome(Path(sys.argv[1]))))
