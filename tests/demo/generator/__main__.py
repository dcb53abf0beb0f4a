"""Writes the jobs of the demo to `ftetl/demo/jobs.json.gz`: `python -m tests.demo.generator`, in the checkout."""

from __future__ import annotations

import gzip

from tests.demo.generator.data_file import PATH, demo_json


def main() -> None:
    # `gzip.compress` writes other headers in Python 3.11 and 3.12 than before and after.
    with PATH.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed:
        compressed.write(demo_json())
    print(f"Wrote {PATH}")


if __name__ == "__main__":
    main()
