"""Writes the table of docs/bi.md on what each reader makes of the files.

`FTETL_READERS` is an environment with `requirements.txt`:

    python3 -m venv /tmp/readers && /tmp/readers/bin/pip install -r tests/docs/readers/requirements.txt
    FTETL_READERS=/tmp/readers python -m tests.docs.readers
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.docs.readers import compare, probes


def main() -> None:
    environment = os.environ.get("FTETL_READERS")
    if not environment:
        sys.exit(__doc__)
    found = []
    for reader in probes.READERS:
        with tempfile.TemporaryDirectory() as folder:
            found.append(compare.rows(environment, reader, Path(folder)))
    compare.PAGE.write_text(compare.replaced("".join(found)), "utf-8")


main()
