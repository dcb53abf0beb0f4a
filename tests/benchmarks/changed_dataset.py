"""An answer as it is some time later: 1 % of its jobs have been refunded.

python tests/benchmarks/changed_dataset.py FILE LATER
"""

from __future__ import annotations

import sys
from pathlib import Path

BEFORE, AFTER, STEP = b'"refund_amount":0', b'"refund_amount":1000', 100

if __name__ == "__main__":
    pieces = Path(sys.argv[1]).read_bytes().split(BEFORE)
    with Path(sys.argv[2]).open("wb") as file:
        file.write(pieces[0])
        for place, piece in enumerate(pieces[1:]):
            file.write((BEFORE if place % STEP else AFTER) + piece)
